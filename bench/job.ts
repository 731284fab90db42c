/** One load as a contender gets it. */

import type { DataSet, Format } from "./data.ts";

export type Input =
  | { readonly kind: "file"; readonly set: DataSet; readonly format: Format }
  /** Rows that a generator in the contender's language yields. */
  | { readonly kind: "rows"; readonly cursor?: "one" | "distinct" };

export interface S3Place {
  readonly endpoint: string;
  readonly bucket: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

export interface Job {
  readonly destination: "duckdb" | "postgres";
  /** The DuckDB file, or the URL of a Postgres database; fresh but for what earlier loads of the case left. */
  readonly address: string;
  /** The contender's own folder, kept between the loads of a case. */
  readonly folder: string;
  readonly table: string;
  readonly input: Input;
  readonly rows: number;
  /** The input as a file; for rows, the same rows for those that read files. */
  readonly path: string;
  /** The file is an object of this store instead, under its own name. */
  readonly s3?: S3Place;
  /** Merge by this column. */
  readonly primaryKey?: string;
  /** The statements of a contender that is a database's own client; `{path}` is the file. */
  readonly sql: readonly string[];
  /** The same for a table that also has what loadwright and dlt add: load id, row id and its unique index. */
  readonly sqlWithIds?: readonly string[];
}

/** All contenders load into this schema. */
export const DATASET = "bench";
