/** The databases that golden cases are run on, and how each shows a cell as the expectations write it. */

import { rmSync } from "node:fs";
import { DuckDBInstance } from "@duckdb/node-api";
import pg from "pg";
import { postgres } from "../../src/engine/destinations/postgres/postgres.ts";
import { type Destination, duckdb } from "../../src/engine/index.ts";

export type Cell = string | null;

/** What a column holds, whatever the database calls the type. */
export type CellKind =
  | "text"
  | "integer"
  | "double"
  | "bool"
  | "timestamptz"
  | "timestamp"
  | "date"
  | "time"
  | "decimal"
  | "json"
  | "binary";

export interface OpenStore {
  rows(sql: string): Promise<Cell[][]>;
  /** SQL of a column's cell as text. */
  asText(column: string, type: string): string;
  /** What rises in the order in which rows came. */
  readonly arrival: string;
  close(): Promise<void>;
}

export interface GoldenStore {
  readonly destination: Destination;
  /** Makes it empty for a case. */
  clear(dataset: string): Promise<void>;
  open(): Promise<OpenStore>;
}

export function duckdbStore(path: string): GoldenStore {
  return {
    destination: duckdb({ path }),
    async clear() {
      rmSync(path, { force: true });
    },
    async open() {
      const instance = await DuckDBInstance.create(path, { access_mode: "READ_ONLY" });
      const connection = await instance.connect();
      await connection.run("set timezone = 'UTC'");
      return {
        rows: async (sql) => (await connection.runAndReadAll(sql)).getRowsJson() as Cell[][],
        asText(column, type) {
          if (type === "TIMESTAMP WITH TIME ZONE") return `strftime(${column}, '%Y-%m-%dT%H:%M:%S.%fZ')`;
          if (type === "TIMESTAMP_NS") return `strftime(${column}::timestamp_ns, '%Y-%m-%dT%H:%M:%S.%n')`;
          if (type.startsWith("TIMESTAMP")) return `strftime(${column}::timestamp, '%Y-%m-%dT%H:%M:%S.%f')`;
          if (type === "BLOB") return `lower(hex(${column}))`;
          return `${column}::varchar`;
        },
        arrival: "rowid",
        async close() {
          connection.closeSync();
          instance.closeSync();
        },
      };
    },
  };
}

export function postgresStore(url: string): GoldenStore {
  const connect = async (): Promise<pg.Client> => {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    return client;
  };
  return {
    destination: postgres({ url }),
    async clear(dataset) {
      const client = await connect();
      await client.query(`drop schema if exists ${client.escapeIdentifier(dataset)} cascade`);
      await client.end();
    },
    async open() {
      const client = await connect();
      await client.query("set time zone 'UTC'; set extra_float_digits = 1");
      return {
        async rows(sql) {
          const types = { getTypeParser: () => (value: string) => value } as unknown as pg.CustomTypesConfig;
          return (await client.query<Cell[]>({ text: sql, rowMode: "array", types })).rows;
        },
        asText(column, type) {
          if (type === "timestamp with time zone")
            return `to_char(${column}, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;
          if (type.startsWith("timestamp")) return `to_char(${column}, 'YYYY-MM-DD"T"HH24:MI:SS.US')`;
          if (type === "bytea") return `encode(${column}, 'hex')`;
          return `${column}::text`;
        },
        arrival: "ctid",
        close: () => client.end(),
      };
    },
  };
}

const KINDS: readonly [RegExp, CellKind][] = [
  [/^(varchar|character varying)/, "text"],
  [/^(tinyint|smallint|integer|bigint|hugeint)$/, "integer"],
  [/^double/, "double"],
  [/^boolean$/, "bool"],
  [/^timestamp.* with time zone$/, "timestamptz"],
  [/^timestamp/, "timestamp"],
  [/^date$/, "date"],
  [/^time/, "time"],
  [/^(decimal|numeric)/, "decimal"],
  [/^jsonb?$/, "json"],
  [/^(blob|bytea)$/, "binary"],
];

export function cellKind(type: string): CellKind {
  const found = KINDS.find(([pattern]) => pattern.test(type.toLowerCase()));
  if (found === undefined) throw new Error(`no kind for the type ${type}`);
  return found[1];
}
