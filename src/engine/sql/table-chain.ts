/** A root table and the tables nested in it, and the columns that tie them together. */

import { EngineError } from "../errors.ts";
import type { Schema, Table, WriteDisposition } from "../schema/types.ts";
import { isComplete } from "./types.ts";

export const ROW_KEY = "row_key";
export const PARENT_KEY = "parent_key";
export const ROOT_KEY = "root_key";

/** The root and all its nested tables, parents before children. */
export function nestedChain(schema: Schema, root: string): Table[] {
  const chain: Table[] = [];
  const first = schema.tables.get(root);
  if (first !== undefined) chain.push(first);
  for (let i = 0; i < chain.length; i++) {
    for (const table of schema.tables.values()) if (table.parent === chain[i]!.name) chain.push(table);
  }
  return chain;
}

/** The root of a table's chain; a root is its own. */
export function rootOf(schema: Schema, name: string): Table {
  let table = schema.tables.get(name);
  for (let level = 0; level <= schema.tables.size; level++) {
    if (table === undefined) break;
    if (table.parent === undefined) return table;
    table = schema.tables.get(table.parent);
  }
  throw new EngineError("SCHEMA_INVALID", `Schema ${schema.name} has no root table above ${name}.`, {
    details: { schema: schema.name, table: name },
  });
}

/** A nested table is written as its root is. */
export function dispositionOf(schema: Schema, name: string): WriteDisposition {
  return rootOf(schema, name).write_disposition ?? "append";
}

/** The first complete column with that hint. */
export function columnWith(table: Table, hint: string): string | undefined {
  return columnsWith(table, hint)[0];
}

export function columnsWith(table: Table, hint: string): string[] {
  const named: string[] = [];
  for (const column of table.columns.values()) {
    const value = column[hint];
    if (isComplete(column) && value !== undefined && value !== null && value !== false)
      named.push(column.name);
  }
  return named;
}
