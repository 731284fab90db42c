/**
 * Merge by delete and insert, from staging tables that have the names of the tables they stand for:
 *
 *     create temp table orders …; load what has come
 *     delete from the dataset what has a key of a staged row   (nested tables first, by root key)
 *     delete from staging all but one row per primary key       (dedup_sort, else the last that arrived)
 *     delete from staging what is marked as deleted
 *     insert what is left; drop the staging tables
 *
 * What is staged, whole rows or keys, depends on the database (staged-rows.ts, staged-keys.ts).
 *
 * A row matches when all columns of the primary key are equal, or all columns of the merge key. Equality is
 * plain, as in dlt: a row with a null in its key matches no row that is already there, but among the staged
 * rows nulls count as one value when duplicates are dropped.
 *
 * Measured on DuckDB against `merge into` and `on conflict`: two to three times as fast, and without keys on
 * the tables, which would slow every load.
 */

import { EngineError } from "../errors.ts";
import { completeColumnsWith, completeColumnWith, PARENT_KEY, ROOT_KEY, ROW_KEY } from "../schema/tables.ts";
import type { Table } from "../schema/types.ts";
import { appendSteps } from "./append.ts";
import { type Dataset, type Dialect, qualified, quoteAll } from "./dialect.ts";
import { canStageKeys, stageKeys } from "./staged-keys.ts";
import { stageRows } from "./staged-rows.ts";
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

/** A merge whose rows go through staging. */
export interface StagedMerge extends MergeInput {
  /** The root, and the tables that get rows. */
  readonly filled: readonly [MergeTable, ...MergeTable[]];
  readonly primaryKey: readonly string[];
  readonly mergeKey: readonly string[];
  /** Is only one row of each primary key kept? */
  readonly deduplicates: boolean;
  /** Tells the rows of the root that are marked as deleted. */
  readonly marked: string | undefined;
}

/** What happens around the deletion of the rows that were there; each step in its order. */
export interface StagedSteps {
  /** Fills the staging table of the root, and others. */
  readonly stage: readonly Step[];
  /** Drops what is not to be inserted, inserts the rest and drops the staging tables. */
  readonly insert: readonly Step[];
}

export function deleteInsertSteps(input: MergeInput): Step[] {
  const { dialect, dataset, chain } = input;
  const [root, ...nested] = chain;
  const primaryKey = completeColumnsWith(root.table, "primary_key");
  const mergeKey = completeColumnsWith(root.table, "merge_key");
  // A row with the same primary key has the same merge key where that is part of it: one condition is enough.
  const implied = mergeKey.length > 0 && mergeKey.every((column) => primaryKey.includes(column));
  const keys = (implied ? [mergeKey] : [primaryKey, mergeKey]).filter((key) => key.length > 0);
  if (keys.length === 0) throw mergeWithoutKey(root.table.name);

  const deduplicates = primaryKey.length > 0 && root.table["x-stage-data-deduplicated"] !== true;
  const marked = hardDeleteCondition(dialect, root.table);
  // Nothing is there to be deleted and all that comes is kept: the rows need no staging.
  if (!root.existed && !deduplicates && marked === undefined) {
    return chain
      .filter(({ files }) => files.length > 0)
      .flatMap(({ table, files, columns }) => appendSteps(dataset, { table: table.name, files }, columns));
  }
  // A table that gets no rows needs no staging, but the root's is asked by all others.
  const others = nested.filter(({ files }) => files.length > 0);
  const merge: StagedMerge = {
    ...input,
    filled: [root, ...others],
    primaryKey,
    mergeKey,
    deduplicates,
    marked,
  };
  const { stage, insert } = canStageKeys(merge) ? stageKeys(merge) : stageRows(merge);
  return [...stage, ...(root.existed ? deleteMatches(input, keys) : []), ...insert];
}

/** Deletes from the dataset what has a key of a row in the root's staging table. */
function deleteMatches(
  { dialect, dataset, chain }: MergeInput,
  keys: readonly (readonly string[])[],
): readonly Step[] {
  const [root, ...nested] = chain;
  const quote = (name: string): string => dialect.quote(name);
  const inDataset = (table: Table): string => qualified(dialect, { ...dataset, table: table.name });
  const staged = qualified(dialect, { ...dialect.temporary, table: root.table.name });
  const matches = keys.map((key) => {
    const equal = key.map((column) => `s.${quote(column)} = d.${quote(column)}`).join(" and ");
    return `exists (select 1 from ${staged} as s where ${equal})`;
  });
  const nestedBefore = nested.filter(({ existed }) => existed);
  if (nestedBefore.length === 0) {
    // One statement a key: joined by `or`, the keys could not be hashed.
    return matches.map((match) =>
      sqlStep(root.table, `delete from ${inDataset(root.table)} as d where ${match}`, "deleted"),
    );
  }
  const rowKey = quote(rowKeyOf(root.table));
  const gone = qualified(dialect, { ...dialect.temporary, table: goneTable(dialect, root.table.name) });
  const ids = matches.map(
    (match) => `select d.${rowKey} as id from ${inDataset(root.table)} as d where ${match}`,
  );
  const isGone = (key: string): string => `${key} in (select id from ${gone})`;
  return [
    sqlStep(root.table, `create temp table ${gone}${dialect.temporarySuffix} as ${ids.join(" union ")}`),
    ...analyzeSteps(dialect, root.table, gone),
    ...nestedBefore.toReversed().map(({ table }) => {
      const key = quote(rootKeyOf(table, root.table));
      return sqlStep(table, `delete from ${inDataset(table)} where ${isGone(key)}`, "deleted");
    }),
    sqlStep(root.table, `delete from ${inDataset(root.table)} where ${isGone(rowKey)}`, "deleted"),
    sqlStep(root.table, `drop table ${gone}`),
  ];
}

export function sqlStep(table: Table, sql: string, counts?: Count): Step {
  return { kind: "sql", table: table.name, sql, ...(counts ? { counts } : {}) };
}

function analyzeSteps(dialect: Dialect, table: Table, quoted: string): Step[] {
  const sql = dialect.analyze(quoted);
  return sql === undefined ? [] : [sqlStep(table, sql)];
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
