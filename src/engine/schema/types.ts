/**
 * The schema in memory. Keys are the stored ones of dlt's schema JSON (engine 11), so that writing it
 * is copying it; tables and columns are Maps, because their order is part of the schema and plain objects
 * would move integer-like names to the front.
 */

export type DataType =
  | "text"
  | "bigint"
  | "double"
  | "bool"
  | "timestamp"
  | "date"
  | "time"
  | "decimal"
  | "wei"
  | "binary"
  | "json";

export const DATA_TYPES: readonly DataType[] = [
  "text",
  "double",
  "bool",
  "timestamp",
  "bigint",
  "binary",
  "json",
  "decimal",
  "wei",
  "date",
  "time",
];

export type WriteDisposition = "append" | "replace" | "merge" | "skip";

/** A column without data_type is incomplete: hinted, but no value has been seen; it is never created. */
export interface Column {
  name: string;
  data_type?: DataType;
  nullable?: boolean;
  precision?: number;
  scale?: number;
  timezone?: boolean;
  variant?: boolean;
  primary_key?: boolean;
  merge_key?: boolean;
  unique?: boolean;
  row_key?: boolean;
  parent_key?: boolean;
  root_key?: boolean;
  hard_delete?: boolean;
  dedup_sort?: "asc" | "desc";
  incremental?: boolean;
  description?: string;
  /** Other stored hints (`sort`, `partition`, `x-…`) are kept as they came. */
  [hint: string]: unknown;
}

export type ContractMode = "evolve" | "freeze" | "discard_row" | "discard_value";
export interface Contract {
  tables?: ContractMode;
  columns?: ContractMode;
  data_type?: ContractMode;
}

export interface Table {
  name: string;
  columns: Map<string, Column>;
  write_disposition?: WriteDisposition;
  /** Root tables: the resource that fills them. */
  resource?: string;
  /** Nested tables: the table one level up. */
  parent?: string;
  description?: string;
  schema_contract?: Contract | ContractMode;
  "x-normalizer"?: { "seen-data"?: boolean; "evolve-columns-once"?: boolean; max_nesting?: number };
  [hint: string]: unknown;
}

/** dlt's stored schema. `settings` and `normalizers` are kept as plain JSON in their stored order. */
export interface Schema {
  version: number;
  version_hash: string;
  engine_version: number;
  name: string;
  tables: Map<string, Table>;
  settings: Record<string, unknown>;
  normalizers: Record<string, unknown>;
  previous_hashes: string[];
  description?: string;
  /** Other stored top-level keys (`imported_version_hash`). */
  [key: string]: unknown;
}

export type NestingPath = readonly string[];
