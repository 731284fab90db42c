/**
 * Merge by delete and insert where the database reads job files itself: what decides is staged, of the root alone,
 * and the rows go from the files into their tables, once. What is not to be inserted is known by its place, the file
 * and the row in it.
 *
 *     create temp table orders (key, …, file, row); load it
 *     … delete from the dataset what has a key of a staged row …
 *     create temp table of the places of all but one row per primary key, and of rows marked as deleted;
 *         delete them from staging
 *     load the root except these places; load the nested tables where the root is still staged
 */

import type { Table } from "../schema/types.ts";
import { type Dialect, type FilePlace, qualified, quoteAll } from "./dialect.ts";
import { type MergeTable, placeOfRow, rootKeyOf, rowKeyOf, sqlStep } from "./merge.ts";
import type { StagedMerge, StagedSteps } from "./staged-merge.ts";
import { createStaging } from "./staging.ts";
import type { LoadColumn, Step } from "./statement.ts";

/** Columns of the staging table. */
const FILE = "_dlt_file";
const ROW = "_dlt_row";

/** Does the database tell the places of rows, and has no table a column of such a name? */
export function canStageKeys({ dialect, filled }: StagedMerge): boolean {
  const { filePlace } = dialect;
  if (filePlace === undefined) return false;
  const taken = new Set([filePlace.file, filePlace.row, FILE, ROW].map((name) => dialect.fold(name)));
  return filled.every(({ columns }) => columns.every(({ name }) => !taken.has(dialect.fold(name))));
}

export function stageKeys(merge: StagedMerge): StagedSteps {
  const { dialect, filled, primaryKey, deduplicates, marked } = merge;
  const [root, ...nested] = filled;
  const place = dialect.filePlace!;
  const staged = qualified(dialect, { ...dialect.temporary, table: root.table.name });
  const dropped = qualified(dialect, { ...dialect.temporary, table: droppedTable(dialect, root.table) });
  const quote = (name: string): string => dialect.quote(name);
  const drops = deduplicates || marked !== undefined;
  const columns = deciding(merge);
  const placed = [...columns, ...placeColumns(place)];
  const run = (sql: string, counts?: "deduplicated"): Step => sqlStep(root.table, sql, counts);

  const stage: Step[] = [run(createStaging(dialect, staged, placed, false))];
  const { files } = root;
  if (files.length > 0) {
    const into = { ...dialect.temporary, table: root.table.name };
    stage.push({ kind: "load", table: root.table.name, into, columns, files, placed: [FILE, ROW] });
  }
  const places = quoteAll(dialect, [FILE, ROW]);
  const deleteDropped = `delete from ${staged} as s where exists (select 1 from ${dropped} as d where d.${quote(FILE)} = s.${quote(FILE)} and d.${quote(ROW)} = s.${quote(ROW)})`;
  const insert: Step[] = [];
  if (drops) insert.push(run(createStaging(dialect, dropped, placeColumns(place), false)));
  if (deduplicates) {
    const ranked = placeOfRow(dialect, root.table, primaryKey, [quote(FILE), quote(ROW)]);
    const losers = `select ${places} from (select ${places}, ${ranked} as place from ${staged}) as ranked where place > 1`;
    insert.push(run(`insert into ${dropped} ${losers}`, "deduplicated"));
    // asked once more: by the marks, or by the nested tables
    if (marked !== undefined || nested.length > 0) insert.push(run(deleteDropped));
  }
  if (marked !== undefined) {
    insert.push(run(`insert into ${dropped} select ${places} from ${staged} where ${marked}`));
    if (nested.length > 0) insert.push(run(deleteDropped));
  }
  const isDropped = `exists (select 1 from ${dropped} as d where d.${quote(FILE)} = ${place.file} and d.${quote(ROW)} = ${place.row})`;
  if (files.length > 0) insert.push(load(merge, root, drops ? `not ${isDropped}` : undefined));
  for (const member of nested) {
    const key = quote(rootKeyOf(member.table, root.table));
    const isKept = `${key} in (select ${quote(rowKeyOf(root.table))} from ${staged})`;
    insert.push(load(merge, member, drops ? isKept : undefined));
  }
  if (drops) insert.push(run(`drop table ${dropped}`));
  insert.push(run(`drop table ${staged}`));
  return { stage, insert };
}

function load({ dataset }: StagedMerge, { table, columns, files }: MergeTable, where?: string): Step {
  const into = { ...dataset, table: table.name };
  const filter = where === undefined ? {} : { where };
  return { kind: "load", table: table.name, into, columns, files, counts: "inserted", ...filter };
}

/** The columns that decide which rows go and which are kept. */
function deciding({ filled, primaryKey, mergeKey }: StagedMerge): LoadColumn[] {
  const [{ table, columns }, ...nested] = filled;
  const names = new Set([...primaryKey, ...mergeKey]);
  for (const { name, dedup_sort, hard_delete } of table.columns.values()) {
    if (dedup_sort || hard_delete) names.add(name);
  }
  if (nested.length > 0) names.add(rowKeyOf(table));
  return columns.filter(({ name }) => names.has(name));
}

function placeColumns({ fileType, rowType }: FilePlace): LoadColumn[] {
  return [
    { name: FILE, kind: "int64", sqlType: fileType },
    { name: ROW, kind: "int64", sqlType: rowType },
  ];
}

/** No table of a source may begin like dlt's own, so this name is free. */
function droppedTable(dialect: Dialect, root: Table): string {
  return dialect.helperName(`_dlt_dropped_${root.name}`);
}
