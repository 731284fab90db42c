/** Which tables and columns a configuration means, among those that the database has. */

import { EngineError } from "../../engine/errors.ts";
import type { DeclaredColumns } from "../../engine/extract/resource.ts";
import { didYouMean } from "../../engine/nearest.ts";
import type { SqlDatabaseConfig, SqlResourceConfig } from "./config.ts";
import type { SourceColumn, SourceTable } from "./types.ts";

/** Bookkeeping of a load that filled the database; a copy has its own. */
const SYSTEM_TABLE = /^_(dlt|loadwright)_/;

export interface ChosenTable {
  /** The resource's name. */
  readonly name: string;
  readonly table: SourceTable;
  readonly settings: SqlResourceConfig;
  /** Columns that are read only when they are asked for by name. */
  readonly bookkeeping: readonly string[];
}

/**
 * All tables, or those that `tables` names, less those of `exclude_tables`; `resources` sets them up. With
 * `resources` and no `tables` only the resources are read. Views take part when they are asked for by name.
 * Errors: SOURCE_TABLE_NOT_FOUND, CONFIG_INVALID.
 */
export function chooseTables(
  config: SqlDatabaseConfig,
  known: readonly SourceTable[],
  where: string,
): ChosenTable[] {
  const {
    tables: patterns,
    exclude_tables: excluded = [],
    resources = {},
    include_views: views = false,
  } = config;
  const settingsOf = new Map<string, [name: string, SqlResourceConfig]>();
  const chosen: ChosenTable[] = [];
  for (const [name, settings] of Object.entries(resources)) {
    const table = known.find((candidate) => candidate.name === (settings.table ?? name));
    if (table === undefined) throw tableNotFound(settings.table ?? name, known, where, `resources.${name}`);
    if (patterns === undefined)
      chosen.push({ name, table, settings, bookkeeping: bookkeepingOf(table, known) });
    else settingsOf.set(table.name, [name, settings]);
  }
  if (patterns === undefined && chosen.length > 0) return chosen;
  for (const pattern of patterns ?? []) {
    if (!known.some(({ name }) => matches(pattern, name)))
      throw tableNotFound(pattern, known, where, "tables");
  }
  for (const table of known) {
    const named = patterns === undefined ? false : patterns.includes(table.name);
    const wanted = patterns === undefined || patterns.some((pattern) => matches(pattern, table.name));
    if (!wanted || excluded.some((pattern) => matches(pattern, table.name))) continue;
    if (table.kind === "view" && !views && !named) continue;
    if (SYSTEM_TABLE.test(table.name) && !named) continue;
    const [name, settings] = settingsOf.get(table.name) ?? [table.name, {}];
    settingsOf.delete(table.name);
    chosen.push({ name, table, settings, bookkeeping: bookkeepingOf(table, known) });
  }
  const [unused] = settingsOf.values();
  if (unused !== undefined) {
    throw new EngineError(
      "CONFIG_INVALID",
      `The sql_database source sets up the resource ${unused[0]}, but "tables" and "exclude_tables" leave its table out.`,
      {
        hint: 'Add the table to "tables", or remove the setting.',
        details: { setting: `resources.${unused[0]}` },
      },
    );
  }
  if (chosen.length > 0) return chosen;
  throw new EngineError("SOURCE_TABLE_NOT_FOUND", `No tables to read in ${where}.`, {
    hint: "Check schema, tables and exclude_tables; views are read with include_views = true. The user sees only what it may read.",
    details: { known_tables: known.slice(0, 50).map(({ name }) => name) },
  });
}

/** `_dlt_load_id`, and `_dlt_id` unless a nested table refers to it. */
function bookkeepingOf({ name }: SourceTable, known: readonly SourceTable[]): string[] {
  const isParent = known.some(
    (other) =>
      other.name.startsWith(`${name}__`) && other.columns.some((column) => column.name === "_dlt_parent_id"),
  );
  return isParent ? ["_dlt_load_id"] : ["_dlt_load_id", "_dlt_id"];
}

function tableNotFound(
  name: string,
  known: readonly SourceTable[],
  where: string,
  setting: string,
): EngineError {
  const names = known.map((table) => table.name);
  return new EngineError("SOURCE_TABLE_NOT_FOUND", `There is no table ${JSON.stringify(name)} in ${where}.`, {
    hint: didYouMean(name, names) || "Correct the table's name or the schema's; names are case-sensitive.",
    details: { setting, table: name, known_tables: names.slice(0, 50) },
  });
}

/** The columns to read, with the hints that the configuration gives them. Errors: SOURCE_COLUMN_NOT_FOUND. */
export function chooseColumns({ name, table, settings, bookkeeping }: ChosenTable): SourceColumn[] {
  const names = table.columns.map((column) => column.name);
  const check = (column: string, setting: string): void => {
    if (names.includes(column)) return;
    throw new EngineError(
      "SOURCE_COLUMN_NOT_FOUND",
      `Table ${table.name} has no column ${JSON.stringify(column)}.`,
      {
        hint: didYouMean(column, names) || "Correct the column's name; names are case-sensitive.",
        details: { setting: `resources.${name}.${setting}`, table: table.name, column, known_columns: names },
      },
    );
  };
  const {
    included_columns: included,
    excluded_columns: excluded = [],
    columns: hints = {},
    incremental,
  } = settings;
  for (const column of included ?? []) check(column, "included_columns");
  for (const column of excluded) check(column, "excluded_columns");
  for (const column of Object.keys(hints)) check(column, "columns");
  const needed = new Set(keyNames(settings.primary_key));
  for (const column of keyNames(settings.merge_key)) needed.add(column);
  if (incremental !== undefined) needed.add(incremental.cursor);
  for (const column of needed)
    check(column, column === incremental?.cursor ? "incremental.cursor" : "primary_key");
  const left = table.columns.filter(
    (column) =>
      (included?.includes(column.name) ?? !bookkeeping.includes(column.name)) &&
      !excluded.includes(column.name),
  );
  for (const column of needed) {
    if (left.some((kept) => kept.name === column)) continue;
    throw new EngineError(
      "CONFIG_INVALID",
      `Resource ${name} leaves out the column ${column}, which its key or cursor needs.`,
      { details: { setting: `resources.${name}`, column } },
    );
  }
  return left.map((column) => withHints(column, hints[column.name]));
}

export function keyNames(key: string | readonly string[] | undefined): readonly string[] {
  if (key === undefined) return [];
  return typeof key === "string" ? [key] : key;
}

/** What is declared wins over what was reflected, also in how values are written. */
function withHints(column: SourceColumn, declared: DeclaredColumns[string] | undefined): SourceColumn {
  if (declared === undefined) return column;
  const { data_type: type } = declared;
  const retyped = type !== undefined && type !== column.hints.data_type;
  const { precision: _p, scale: _s, timezone: _t, ...rest } = column.hints;
  const hints = { ...(retyped ? rest : column.hints), ...declared };
  let { kind } = column;
  if (retyped && type === "text" && /^(decimal|timestamp|timestamptz|date|time)$/.test(kind)) kind = "text";
  if (retyped && type !== "bool" && kind === "bool" && /^(tinyint|bit)/.test(column.sourceType))
    kind = "integer";
  const { binary, ...kept } = column;
  return { ...kept, kind, hints, ...(retyped || binary === undefined ? {} : { binary }) };
}

function matches(pattern: string, name: string): boolean {
  if (!/[*?]/.test(pattern)) return pattern === name;
  const source = pattern
    .replace(/[.+^${}()|[\]\\]/g, "\\$&")
    .replaceAll("*", ".*")
    .replaceAll("?", ".");
  return new RegExp(`^${source}$`, "s").test(name);
}
