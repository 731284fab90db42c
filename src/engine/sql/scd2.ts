/**
 * Merge that keeps history (slowly changing dimension, type 2). A row version is identified by one column: a
 * hash of the row in `_dlt_id`, or a column of the user. B is the boundary, when this load's changes took
 * place; a row is active while its valid-to is null, or the active record timestamp A.
 *
 *     create temp table staff, staff__skills; load them; drop versions that came twice
 *     update the dataset: valid-to = B where active and its version did not come   (with a merge key: where
 *         a row with the same merge key came)
 *     delete from staging what is active already or marked as deleted, and the rows nested in it
 *     insert what is left from B on; drop the staging tables
 *
 * Nested rows are never changed: they belong to a version. A version that comes back after it was retired has
 * the nested rows that it had, because a hash of the row is a hash of its lists as well.
 */

import { EngineError } from "../errors.ts";
import { formatTimestamp, instantOf, instantOfSeconds, parseIso } from "../schema/iso-time.ts";
import { completeColumnWith, PARENT_KEY, ROW_KEY } from "../schema/tables.ts";
import type { Table } from "../schema/types.ts";
import { qualified, quoteAll } from "./dialect.ts";
import { dropDuplicates, hardDeleteCondition, type MergeInput } from "./merge.ts";
import { stagingSteps } from "./staging.ts";
import type { Count, Step } from "./statement.ts";

export interface Scd2Input extends MergeInput {
  /** The time of the load where the table has no boundary of its own: seconds since 1970, as text. */
  readonly loadId: string;
}

const VALID_FROM = "x-valid-from";
const VALID_TO = "x-valid-to";
const ROW_VERSION = "x-row-version";

export function scd2Steps({ dialect, dataset, chain, loadId }: Scd2Input): Step[] {
  const [root, ...others] = chain;
  const nested = others.filter(({ files }) => files.length > 0);
  const quote = (name: string): string => dialect.quote(name);
  const inDataset = (table: Table): string => qualified(dialect, { ...dataset, table: table.name });
  const staged = (table: Table): string => qualified(dialect, { ...dialect.temporary, table: table.name });
  const steps: Step[] = [];
  const run = (table: Table, sql: string, counts?: Count): void => {
    steps.push({ kind: "sql", table: table.name, sql, ...(counts ? { counts } : {}) });
  };
  const from = needed(root.table, VALID_FROM);
  const to = needed(root.table, VALID_TO);
  const version = needed(root.table, ROW_VERSION);
  const boundary = timestampLiteral(boundaryOf(root.table, loadId));
  const activeUntil = activeRecordTimestamp(root.table, to);
  const active = activeUntil === undefined ? "null" : timestampLiteral(activeUntil);
  const isActive =
    activeUntil === undefined
      ? `d.${quote(to)} is null`
      : `d.${quote(to)} = ${timestampLiteral(activeUntil)}`;
  const marked = hardDeleteCondition(dialect, root.table);

  const staging = [root, ...nested].map((member) => ({ ...member, numbered: true }));
  steps.push(...stagingSteps(dialect, staging));
  run(root.table, dropDuplicates(dialect, staged(root.table), root.table, [version]), "deduplicated");
  for (const { table } of nested) {
    run(table, dropDuplicates(dialect, staged(table), table, [needed(table, ROW_KEY)]));
  }

  if (root.existed) {
    const mergeKey = [...root.table.columns.values()].filter(
      ({ merge_key, data_type }) => merge_key === true && data_type !== undefined,
    );
    const stays = `select 1 from ${staged(root.table)} as s where s.${quote(version)} = d.${quote(version)}`;
    const conditions = [
      isActive,
      `not exists (${stays}${marked === undefined ? "" : ` and not coalesce(${marked}, false)`})`,
    ];
    if (mergeKey.length > 0) {
      const equal = mergeKey.map(({ name }) => `s.${quote(name)} = d.${quote(name)}`).join(" and ");
      conditions.push(`exists (select 1 from ${staged(root.table)} as s where ${equal})`);
    }
    run(
      root.table,
      `update ${inDataset(root.table)} as d set ${quote(to)} = ${boundary} where ${conditions.join(" and ")}`,
      "deleted",
    );
    run(
      root.table,
      `delete from ${staged(root.table)} as s where exists (select 1 from ${inDataset(root.table)} as d where d.${quote(version)} = s.${quote(version)} and ${isActive})`,
    );
  }
  if (marked !== undefined) run(root.table, `delete from ${staged(root.table)} where ${marked}`);

  const { existed } = root;
  if (existed || marked !== undefined) {
    const stagedNames = new Set([root, ...nested].map(({ table }) => table.name));
    for (const { table } of nested) {
      const parent = chain.find((member) => member.table.name === table.parent)?.table;
      if (parent === undefined || !stagedNames.has(parent.name)) continue;
      const parentId = quote(parent === root.table ? rootId(root.table) : needed(parent, ROW_KEY));
      run(
        table,
        `delete from ${staged(table)} as s where not exists (select 1 from ${staged(parent)} as p where p.${parentId} = s.${quote(needed(table, PARENT_KEY))})`,
      );
    }
  }

  const data = root.columns.map(({ name }) => name).filter((name) => name !== from && name !== to);
  const names = quoteAll(dialect, data);
  run(
    root.table,
    `insert into ${inDataset(root.table)} (${names}, ${quote(from)}, ${quote(to)}) select ${names}, ${boundary}, ${active} from ${staged(root.table)}`,
    "inserted",
  );
  for (const { table, columns, existed: tableExisted } of nested) {
    const all = columns.map(({ name }) => name);
    const id = quote(needed(table, ROW_KEY));
    const isNew = ` where not exists (select 1 from ${inDataset(table)} as d where d.${id} = s.${id})`;
    run(
      table,
      `insert into ${inDataset(table)} (${quoteAll(dialect, all)}) select ${all.map((name) => `s.${quote(name)}`).join(", ")} from ${staged(table)} as s${tableExisted ? isNew : ""}`,
      "inserted",
    );
  }
  for (const { table } of [root, ...nested]) run(table, `drop table ${staged(table)}`);
  return steps;
}

/** What nested rows name as their parent: `_dlt_id`, which is no row key while it holds the row version. */
function rootId(root: Table): string {
  return completeColumnWith(root, ROW_KEY) ?? needed(root, ROW_VERSION);
}

function needed(table: Table, hint: string): string {
  const name = completeColumnWith(table, hint);
  if (name !== undefined) return name;
  throw new EngineError(
    "SCHEMA_INVALID",
    `Table ${table.name} cannot be merged with strategy scd2: no column of it has the hint ${hint}.`,
    { details: { table: table.name, hint } },
  );
}

function boundaryOf(root: Table, loadId: string): number | bigint {
  const declared = root["x-boundary-timestamp"];
  if (declared !== undefined && declared !== null) return instant(root, "x-boundary-timestamp", declared);
  const time = instantOfSeconds(Number(loadId));
  if (time === undefined) throw new EngineError("INTERNAL", `Load id ${loadId} is not a time.`);
  return time;
}

function activeRecordTimestamp(root: Table, to: string): number | bigint | undefined {
  const declared = root.columns.get(to)?.["x-active-record-timestamp"];
  if (declared === undefined || declared === null) return undefined;
  return instant(root, "x-active-record-timestamp", declared);
}

function instant(table: Table, hint: string, value: unknown): number | bigint {
  const parts = parseIso(String(value));
  const found = parts === undefined ? undefined : instantOf(parts);
  if (found !== undefined) return found;
  throw new EngineError("SCHEMA_INVALID", `Table ${table.name}: the hint ${hint} is not a time.`, {
    details: { table: table.name, hint },
  });
}

function timestampLiteral(time: number | bigint): string {
  return `cast('${formatTimestamp(time)}' as timestamp with time zone)`;
}
