/** Questions about the tables of a schema. Nothing here changes it. */

import type { Column, Schema, Table } from "./types.ts";

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

export const DEFAULT_NESTING = 1000;

export function isSystemTable(name: string): boolean {
  return name.startsWith(SYSTEM_PREFIX);
}

export function isNested(table: Table): boolean {
  return table.parent !== undefined && table.parent !== null;
}

export function isComplete(column: Column): boolean {
  return column.data_type !== undefined && column.data_type !== null;
}

export function isNullable(column: Column): boolean {
  return column.nullable !== false;
}

export function completeColumns(table: Table): Column[] {
  return [...table.columns.values()].filter(isComplete);
}

export function rootTable(schema: Schema, name: string): Table {
  let table = schema.tables.get(name)!;
  while (table.parent) table = schema.tables.get(table.parent)!;
  return table;
}

/** A root table and all tables nested below it, parents before children. */
export function tableChain(schema: Schema, root: string): Table[] {
  const chain: Table[] = [];
  const visit = (name: string): void => {
    const table = schema.tables.get(name);
    if (!table) return;
    chain.push(table);
    for (const candidate of schema.tables.values()) if (candidate.parent === name) visit(candidate.name);
  };
  visit(root);
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
