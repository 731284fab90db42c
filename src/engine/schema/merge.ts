/** Adding to a schema: new tables, new columns, changed hints; dlt's rules (its schema/utils.py). */

import { EngineError } from "../errors.ts";
import {
  columnsWith,
  hasSeenData,
  isComplete,
  isNested,
  isSystemTable,
  mergeStrategy,
  type RelationalConfig,
  ROOT_ID,
  ROW_ID,
  relationalConfig,
  rootTable,
  tableChain,
} from "./tables.ts";
import type { Column, Schema, Table } from "./types.ts";

/** Properties that name one set of columns together: declaring them anew replaces the old set. */
const COMPOUND = ["partition", "cluster", "primary_key", "merge_key", "incremental"] as const;

export function newTable(name: string, options: { parent?: string; resource?: string } = {}): Table {
  const table: Table = { name, columns: new Map() };
  if (options.parent) {
    table.parent = options.parent;
  } else {
    table.write_disposition = "append";
    table.resource = options.resource ?? name;
  }
  return table;
}

function isSet(value: unknown): boolean {
  return value !== undefined && value !== null && value !== false;
}

/**
 * Merges a partial table into the schema. Properties of the partial win; an incomplete column that becomes
 * complete moves to the end, as in dlt. With `declared` the partial is a declaration of the source, whose
 * keys replace the keys declared before.
 */
export function updateTable(schema: Schema, partial: Table, options: { declared?: boolean } = {}): void {
  if (partial.parent && !schema.tables.has(partial.parent)) {
    throw new EngineError(
      "SCHEMA_INVALID",
      `Table ${partial.name} names parent ${partial.parent}, which does not exist.`,
      {
        details: { table: partial.name, parent: partial.parent, schema: schema.name },
      },
    );
  }
  const table = schema.tables.get(partial.name);
  if (table === undefined) {
    schema.tables.set(partial.name, partial);
  } else {
    mergeTable(schema, table, partial, options.declared === true);
  }
  propagateRootKey(schema, partial.name);
}

function mergeTable(schema: Schema, table: Table, partial: Table, declared: boolean): void {
  if ((table.parent ?? undefined) !== (partial.parent ?? undefined)) {
    throw new EngineError(
      "SCHEMA_INVALID",
      `Table ${table.name} is nested below ${table.parent ?? "nothing"}; it cannot become nested below ${partial.parent ?? "nothing"}.`,
      { details: { table: table.name, schema: schema.name } },
    );
  }
  if (declared) {
    const replaced = COMPOUND.filter((hint) => columnsWith(partial, hint).length > 0);
    for (const column of table.columns.values()) for (const hint of replaced) delete column[hint];
  }
  for (const [name, added] of partial.columns) {
    const column = table.columns.get(name);
    if (column && !isComplete(column) && isComplete(added)) table.columns.delete(name);
    table.columns.set(name, column ? mergeColumn(column, added) : added);
  }
  for (const [key, value] of Object.entries(partial)) {
    if (key === "columns" || key === "references") continue;
    if (JSON.stringify(table[key]) !== JSON.stringify(value)) table[key] = value;
  }
  if (Array.isArray(partial.references)) {
    const references = new Map<unknown, unknown>();
    for (const reference of [...((table.references as unknown[]) ?? []), ...partial.references]) {
      references.set((reference as { referenced_table: string }).referenced_table, reference);
    }
    table.references = [...references.values()];
  }
}

/** Copies all properties of `added` into `column`; returns `column`. */
export function mergeColumn(column: Column, added: Column): Column {
  for (const [key, value] of Object.entries(added)) column[key] = value;
  return column;
}

/**
 * A root table that merges needs its row id in every nested table below it. dlt records that in the
 * schema's normalizer settings when the table is added, and so it is part of the hash.
 */
export function propagateRootKey(schema: Schema, tableName: string): void {
  const root = rootTable(schema, tableName);
  if (!requiresRootKey(schema, root)) return;
  const rowKey = columnsWith(root, "row_key")[0] ?? ROW_ID;
  const json = schema.normalizers.json as { config?: RelationalConfig };
  json.config ??= {};
  json.config.propagation ??= {};
  json.config.propagation.tables ??= {};
  json.config.propagation.tables[root.name] = {
    ...json.config.propagation.tables[root.name],
    [rowKey]: ROOT_ID,
  };
  if (merges(root)) addRootKeys(schema, root);
}

/** Tables that were appended to lack the key, and a load need not have rows for each of them. */
function addRootKeys(schema: Schema, root: Table): void {
  for (const table of tableChain(schema, root.name)) {
    if (!isNested(table) || !hasSeenData(table) || columnsWith(table, "root_key").length > 0) continue;
    table.columns.set(ROOT_ID, { name: ROOT_ID, data_type: "text", nullable: false, root_key: true });
  }
}

function merges(root: Table): boolean {
  const strategy = mergeStrategy(root);
  return strategy !== undefined && strategy !== "scd2";
}

function requiresRootKey(schema: Schema, root: Table): boolean {
  if (!isSystemTable(root.name)) {
    const setting = relationalConfig(schema)?.root_key_propagation;
    if (setting ?? merges(root)) return true;
  }
  return tableChain(schema, root.name).some(
    (table) => isNested(table) && [...table.columns.values()].some((column) => isSet(column.root_key)),
  );
}

/** Which columns of the root are copied into the tables below it, and under which name. */
export function propagationOf(schema: Schema, table: string, isRoot: boolean): Record<string, string> {
  const propagation = relationalConfig(schema)?.propagation;
  if (!propagation) return {};
  return { ...(isRoot ? propagation.root : {}), ...propagation.tables?.[table] };
}
