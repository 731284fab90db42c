/** Questions about the tables of a schema. Nothing here changes it. */

import { EngineError } from "../errors.ts";
import type { Column, DataType, Schema, Table } from "./types.ts";

/** The metadata tables: dlt's names, the same under every naming convention that dlt ships. */
export const VERSION_TABLE = "_dlt_version";
export const LOADS_TABLE = "_dlt_loads";
export const STATE_TABLE = "_dlt_pipeline_state";
const SYSTEM_PREFIX = "_dlt";

export const ROW_ID = "_dlt_id";
export const LOAD_ID = "_dlt_load_id";
export const PARENT_ID = "_dlt_parent_id";
export const ROOT_ID = "_dlt_root_id";
export const LIST_INDEX = "_dlt_list_idx";
/**
 * A cell of block files only: which document of the package a row came from. Tables whose row ids are made of
 * the key have it, because there two documents of one key have the same ids.
 */
export const DOCUMENT = "_loadwright_document";

/** Hints that say which column carries the row's own id, its parent's and its root's. */
export const ROW_KEY = "row_key";
export const PARENT_KEY = "parent_key";
export const ROOT_KEY = "root_key";

export const DEFAULT_NESTING = 1000;

export function isSystemTable(name: string): boolean {
  return name.startsWith(SYSTEM_PREFIX);
}

export function isNested(table: Table): boolean {
  return table.parent !== undefined && table.parent !== null;
}

/** A column that has a type; only such columns exist at the destination. */
export type CompleteColumn = Column & { data_type: DataType };

export function isComplete(column: Column): column is CompleteColumn {
  return column.data_type !== undefined && column.data_type !== null;
}

export function isNullable(column: Column): boolean {
  return column.nullable !== false;
}

export function completeColumns(table: Table): CompleteColumn[] {
  return [...table.columns.values()].filter(isComplete);
}

/** The root of a table's chain; a root is its own. Errors: SCHEMA_INVALID. */
export function rootTable(schema: Schema, name: string): Table {
  let table = schema.tables.get(name);
  for (let level = 0; table !== undefined && level <= schema.tables.size; level++) {
    if (!table.parent) return table;
    table = schema.tables.get(table.parent);
  }
  throw new EngineError("SCHEMA_INVALID", `Schema ${schema.name} has no root table above ${name}.`, {
    details: { schema: schema.name, table: name },
  });
}

/** A root table and all tables nested below it, parents before children. */
export function tableChain(schema: Schema, root: string): Table[] {
  const first = schema.tables.get(root);
  const chain: Table[] = first === undefined ? [] : [first];
  for (const { name } of chain) {
    for (const table of schema.tables.values()) if (table.parent === name) chain.push(table);
  }
  return chain;
}

/** Names of the columns where a hint is set to anything but its default. */
export function columnsWith(table: Table, hint: string): string[] {
  const names: string[] = [];
  for (const column of table.columns.values()) {
    const value = column[hint];
    if (value !== undefined && value !== null && value !== false) names.push(column.name);
  }
  return names;
}

/** The same of the columns that exist at the destination. */
export function completeColumnsWith(table: Table, hint: string): string[] {
  return columnsWith(table, hint).filter((name) => isComplete(table.columns.get(name)!));
}

/** The first complete column with that hint. */
export function completeColumnWith(table: Table, hint: string): string | undefined {
  return completeColumnsWith(table, hint)[0];
}

export function hasSeenData(table: Table): boolean {
  return table["x-normalizer"]?.["seen-data"] === true;
}

export function maxNesting(schema: Schema, table: Table | undefined): number {
  const own = table?.["x-normalizer"]?.max_nesting;
  if (own !== undefined && own !== null) return own;
  return relationalConfig(schema)?.max_nesting ?? DEFAULT_NESTING;
}

export interface RelationalConfig {
  max_nesting?: number;
  root_key_propagation?: boolean;
  propagation?: { root?: Record<string, string>; tables?: Record<string, Record<string, string>> };
}

/** `normalizers.json.config` of the schema, dlt's settings for nested documents. */
export function relationalConfig(schema: Schema): RelationalConfig | undefined {
  const json = schema.normalizers.json as { config?: RelationalConfig } | undefined;
  return json?.config ?? undefined;
}

export type MergeStrategy = "delete-insert" | "upsert" | "insert-only" | "scd2";

/** How a root table merges, or undefined when it does not. */
export function mergeStrategy(table: Table): MergeStrategy | undefined {
  if (table.write_disposition !== "merge") return undefined;
  return (table["x-merge-strategy"] as MergeStrategy | undefined) ?? "delete-insert";
}
