/** The databases that every behaviour is held to: the list that conformance tests run over. */

import { DuckDBInstance } from "@duckdb/node-api";
import pg from "pg";
import { inject } from "vitest";
import { postgres } from "../../src/engine/destinations/postgres/postgres.ts";
import { type Destination, duckdb } from "../../src/engine/index.ts";
import { createDatabase } from "./postgres-server.ts";

export type Cell = string | number | boolean | null;

export interface TestStore {
  readonly name: "DuckDB" | "Postgres";
  /** `file`: of the DuckDB database, which a test has for itself. In Postgres a test has the dataset. */
  destination(file: string): Destination;
  /** Runs statements as somebody else would, and answers the last one's rows. `{}` stands for the dataset. */
  sql(file: string, dataset: string, statements: readonly string[]): Promise<Cell[][]>;
  /** A type of DuckDB as the information schema of this store names it. */
  typeName(duckdbType: string): string;
  /** Makes the dataset unknown to it; needed where files do not go with the test. */
  forget(dataset: string): Promise<void>;
}

/** Both stores. The Postgres one is a database of its own with that name: one a test file. */
export async function testStores(database: string): Promise<TestStore[]> {
  return [DUCKDB, postgresTestStore(await createDatabase(inject("postgresUrl"), database))];
}

export const DUCKDB: TestStore = {
  name: "DuckDB",
  destination: (file) => duckdb({ path: file }),
  async sql(file, dataset, statements) {
    const instance = await DuckDBInstance.create(file);
    const connection = await instance.connect();
    try {
      await connection.run("set timezone = 'UTC'");
      const [catalog] = (await connection.runAndReadAll("select current_database()")).getRowsJson();
      let rows: Cell[][] = [];
      for (const statement of statements) {
        const sql = statement.replaceAll("{}", `"${String(catalog![0])}"."${dataset}"`);
        rows = (await connection.runAndReadAll(sql)).getRowsJS().map((row) => row.map(plain));
      }
      return rows;
    } finally {
      connection.closeSync();
      instance.closeSync();
    }
  },
  typeName: (type) => type,
  async forget() {},
};

const POSTGRES_TYPES: Readonly<Record<string, string>> = {
  BIGINT: "bigint",
  BOOLEAN: "boolean",
  DATE: "date",
  DECIMAL: "numeric",
  DOUBLE: "double precision",
  INTEGER: "integer",
  JSON: "jsonb",
  "TIMESTAMP WITH TIME ZONE": "timestamp with time zone",
  VARCHAR: "character varying",
};

/** Integers as numbers: no test has larger ones. */
function plain(value: unknown): Cell {
  if (typeof value === "bigint") return Number(value);
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") return value;
  return value === null ? null : String(value);
}

const NUMBERS = new Set<number>([pg.types.builtins.INT8, pg.types.builtins.INT4, pg.types.builtins.FLOAT8]);
const TYPES = {
  getTypeParser: (id: number) => (value: string) =>
    NUMBERS.has(id) ? Number(value) : id === pg.types.builtins.BOOL ? value === "t" : value,
} as unknown as pg.CustomTypesConfig;

function postgresTestStore(url: string): TestStore {
  const connected = async <T>(use: (client: pg.Client) => Promise<T>): Promise<T> => {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    try {
      await client.query("set time zone 'UTC'");
      return await use(client);
    } finally {
      await client.end();
    }
  };
  return {
    name: "Postgres",
    destination: () => postgres({ url }),
    typeName: (type) => POSTGRES_TYPES[type.replace(/\(.*/, "")]!,
    sql: (_file, dataset, statements) =>
      connected(async (client) => {
        let rows: Cell[][] = [];
        for (const statement of statements) {
          const text = statement.replaceAll("{}", client.escapeIdentifier(dataset));
          rows = (await client.query<Cell[]>({ text, rowMode: "array", types: TYPES })).rows;
        }
        return rows;
      }),
    forget: (dataset) =>
      connected(async (client) => {
        await client.query(`drop schema if exists ${client.escapeIdentifier(dataset)} cascade`);
      }),
  };
}
