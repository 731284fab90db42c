/** Fresh databases, and what is in them afterwards. */

import { rmSync } from "node:fs";
import { join } from "node:path";
import { DuckDBInstance } from "@duckdb/node-api";
import pg from "pg";
import { createDatabase, type PostgresServer, startPostgres } from "../test/support/postgres-server.ts";
import { DATASET } from "./job.ts";

export type Compared = "integer" | "double" | "text" | "bool" | "time" | "date";

export interface ComparedTable {
  readonly name: string;
  readonly columns: Readonly<Record<string, Compared>>;
}

/** The number of rows, and per column a sum that does not depend on their order. */
export type Checksums = readonly Readonly<Record<string, unknown>>[];

export interface Database {
  readonly address: string;
  checksums(tables: readonly ComparedTable[]): Promise<Checksums>;
  drop(): Promise<void>;
}

export interface Databases {
  readonly version: string;
  fresh(folder: string): Promise<Database>;
  stop(): Promise<void>;
}

export async function startDatabases(kind: "duckdb" | "postgres"): Promise<Databases> {
  return kind === "duckdb" ? duckdbFiles() : postgresDatabases(await startPostgres({ extra: {} }));
}

function duckdbFiles(): Databases {
  return {
    version: "DuckDB",
    async fresh(folder) {
      const address = join(folder, "loaded.duckdb");
      // A newer DuckDB keeps the version of a file that is there, so that this one can read what dlt loaded.
      (await DuckDBInstance.create(address)).closeSync();
      return {
        address,
        checksums: (tables) => duckdbChecksums(address, tables),
        drop: async () => rmSync(address),
      };
    },
    stop: async () => {},
  };
}

async function duckdbChecksums(address: string, tables: readonly ComparedTable[]): Promise<Checksums> {
  const instance = await DuckDBInstance.create(address, { access_mode: "READ_ONLY" });
  const connection = await instance.connect();
  try {
    await connection.run("set TimeZone = 'UTC'");
    const sums: Record<string, unknown>[] = [];
    for (const table of tables) {
      const sql = checksumSql(table, DUCKDB_TYPES, (cell) => `sum(hash(${cell})::hugeint)::varchar`);
      sums.push((await connection.runAndReadAll(sql)).getRowObjectsJson()[0]!);
    }
    return sums;
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

/** One server with its defaults for all contenders, and a database of its own for each load. */
function postgresDatabases(server: PostgresServer): Databases {
  let count = 0;
  const query = async (url: string, sql: string): Promise<Record<string, unknown>[]> => {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    try {
      return (await client.query(sql)).rows;
    } finally {
      await client.end();
    }
  };
  return {
    version: `PostgreSQL ${server.version}`,
    async fresh() {
      count++;
      const address = await createDatabase(server.url, `bench${count}`);
      await query(server.url, "checkpoint");
      return {
        address,
        async checksums(tables) {
          const sums: Record<string, unknown>[] = [];
          for (const table of tables) {
            const sql = checksumSql(
              table,
              POSTGRES_TYPES,
              (cell) => `sum(hashtextextended((${cell})::text, 0)::numeric)::text`,
            );
            sums.push((await query(address, sql))[0]!);
          }
          return sums;
        },
        async drop() {
          await query(
            server.url,
            `drop database ${address.slice(address.lastIndexOf("/") + 1)} with (force)`,
          );
        },
      };
    },
    stop: () => server.stop(),
  };
}

const DUCKDB_TYPES: Readonly<Record<Compared, string>> = {
  integer: "{}::bigint",
  double: "{}::double",
  text: "{}::varchar",
  bool: "{}::boolean",
  time: "epoch_us({}::timestamptz)",
  date: "{}::date",
};

const POSTGRES_TYPES: Readonly<Record<Compared, string>> = {
  ...DUCKDB_TYPES,
  double: "{}::double precision",
  time: "(extract(epoch from {}::timestamptz) * 1000000)::bigint",
};

function checksumSql(
  { name, columns }: ComparedTable,
  types: Readonly<Record<Compared, string>>,
  sum: (cell: string) => string,
): string {
  const sums = Object.entries(columns).map(
    ([column, kind]) => `${sum(types[kind].replace("{}", `"${column}"`))} as "${column}"`,
  );
  return `select count(*)::varchar as "rows", ${sums.join(", ")} from "${DATASET}"."${name}"`;
}

/** What differs between two loads of the same rows; undefined when nothing does. */
export function difference(tables: readonly ComparedTable[], a: Checksums, b: Checksums): string | undefined {
  for (const [i, { name, columns }] of tables.entries()) {
    for (const column of ["rows", ...Object.keys(columns)]) {
      const [left, right] = [a[i]?.[column], b[i]?.[column]];
      if (left !== right) return `${name}.${column}: ${left} and ${right}`;
    }
  }
  return undefined;
}
