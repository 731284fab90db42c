/** What the merge strategies have in common: which rows are one, which row stays, and which goes. */

import { EngineError } from "../errors.ts";
import { completeColumnsWith, completeColumnWith, PARENT_KEY, ROOT_KEY, ROW_KEY } from "../schema/tables.ts";
import type { Table } from "../schema/types.ts";
import { type Dataset, type Dialect, quoteAll } from "./dialect.ts";
import type { Count, LoadColumn, Step } from "./statement.ts";

export interface MergeTable {
  readonly table: Table;
  readonly columns: readonly LoadColumn[];
  /** Empty: the table gets no rows in this package, but rows of it may have to go. */
  readonly files: readonly string[];
  /** False: created in this package, so there is nothing to delete. */
  readonly existed: boolean;
}

export interface MergeInput {
  readonly dialect: Dialect;
  readonly dataset: Dataset;
  /** The root first, parents before children. */
  readonly chain: readonly [MergeTable, ...MergeTable[]];
}

export function sqlStep(table: Table, sql: string, counts?: Count): Step {
  return { kind: "sql", table: table.name, sql, ...(counts ? { counts } : {}) };
}

export function mergeWithoutKey(table: string): EngineError {
  return new EngineError(
    "MERGE_WITHOUT_KEY",
    `Table ${table} is to be merged, but has neither a primary key nor a merge key.`,
    { details: { table } },
  );
}

/** Of the rows in a staging table with one key all but one, by the order in which they arrived. */
export function dropDuplicates(
  dialect: Dialect,
  staged: string,
  table: Table,
  primaryKey: readonly string[],
): string {
  const arrival =
    dialect.arrival.definition === undefined ? dialect.arrival.column : dialect.quote(dialect.arrival.column);
  return `delete from ${staged} where ${arrival} in (
  select ${arrival} from (
    select ${arrival}, ${placeOfRow(dialect, table, primaryKey, [arrival])} as place
    from ${staged}
  ) as ranked where place > 1
)`;
}

/**
 * 1 for the row of each key that is kept: the first by `dedup_sort`, else the one that arrived last. Nulls come last
 * whatever the direction, so that a row without a sort value never wins over one with it.
 */
export function placeOfRow(
  dialect: Dialect,
  table: Table,
  primaryKey: readonly string[],
  arrival: readonly string[],
): string {
  const sortColumn = completeColumnWith(table, "dedup_sort");
  const direction = table.columns.get(sortColumn ?? "")?.dedup_sort === "asc" ? "asc" : "desc";
  const sort = sortColumn === undefined ? [] : [`${dialect.quote(sortColumn)} ${direction} nulls last`];
  const order = [...sort, ...arrival.map((column) => `${column} desc`)].join(", ");
  return `row_number() over (partition by ${quoteAll(dialect, primaryKey)} order by ${order})`;
}

/** A bool says deleted when true, any other column when it has a value. */
export function hardDeleteCondition(dialect: Dialect, table: Table): string | undefined {
  const name = completeColumnWith(table, "hard_delete");
  if (name === undefined) return undefined;
  const column = dialect.quote(name);
  return table.columns.get(name)?.data_type === "bool" ? `${column} = true` : `${column} is not null`;
}

/** The column that identifies a row: its row key, else a unique column, else a primary key of one column. */
export function rowKeyOf(table: Table): string {
  const primaryKey = completeColumnsWith(table, "primary_key");
  const key = completeColumnWith(table, ROW_KEY) ?? completeColumnWith(table, "unique");
  if (key !== undefined) return key;
  if (primaryKey.length === 1) return primaryKey[0]!;
  throw keyMissing(table, "row key (_dlt_id)");
}

/** The column that names a nested row's root: the root key, or at level 1 the parent key. */
export function rootKeyOf(table: Table, root: Table): string {
  const key = completeColumnWith(table, ROOT_KEY);
  if (key !== undefined) return key;
  const parentKey = table.parent === root.name ? completeColumnWith(table, PARENT_KEY) : undefined;
  if (parentKey !== undefined) return parentKey;
  throw keyMissing(table, "root key (_dlt_root_id)");
}

function keyMissing(table: Table, key: string): EngineError {
  return new EngineError("SCHEMA_INVALID", `Table ${table.name} cannot be merged: it has no ${key}.`, {
    hint: "Add the key to the schema, or use write disposition append or replace.",
    details: { table: table.name },
  });
}

/** No table of a source may begin like dlt's own, so this name is free. */
export function goneTable(dialect: Dialect, root: string): string {
  return dialect.helperName(`_dlt_deleted_${root}`);
}
