/**
 * Checks of loaded data: those that every schema implies, and those that a pipeline declares. Each is one query
 * that counts the rows which break it, and one that shows a few of their keys.
 */

import { counted } from "../counted.ts";
import { EngineError } from "../errors.ts";
import { didYouMean } from "../nearest.ts";
import { type Measured, numberOf, quoted } from "./measure.ts";
import { hasLoadId, loadsOf } from "./profile.ts";
import type { JsonValue } from "./query-values.ts";
import type { TableView } from "./schema.ts";

export type CheckStatus = "pass" | "warn" | "fail" | "not_run";

export const CHECK_KINDS = [
  "unique",
  "not_null",
  "row_id_unique",
  "orphans",
  "load_known",
  "row_drift",
  "null_share",
  "accepted_values",
  "rows_min",
  "fresh",
] as const;
export type CheckKind = (typeof CHECK_KINDS)[number];

/** What a pipeline declares of one table. */
export interface DeclaredChecks {
  /** Keys: each a list of columns whose values occur once together. */
  readonly unique?: readonly (readonly string[])[];
  readonly not_null?: readonly string[];
  /** Column -> greatest share of nulls, 0 to 1. */
  readonly null_share_max?: Readonly<Record<string, number>>;
  readonly accepted_values?: Readonly<Record<string, readonly (string | number | boolean)[]>>;
  readonly rows_min?: number;
  /** Column of times, and how old its newest value may be. */
  readonly fresh?: { readonly column: string; readonly within_hours: number };
  /** How far the newest load's rows may be from the median of earlier loads, as a share: 0.5 is half. */
  readonly row_drift_max?: number;
}

export interface PlannedCheck {
  readonly table: string;
  readonly check: CheckKind;
  readonly columns: readonly string[];
  readonly declared: boolean;
  run(measured: Measured): Promise<Finding>;
}

export interface Finding {
  readonly status: CheckStatus;
  /** Rows, keys or loads that break the check. */
  readonly count: number;
  readonly message: string;
  readonly sample_columns?: readonly string[];
  readonly sample?: readonly (readonly JsonValue[])[];
}

const SAMPLE_ROWS = 5;
const CELL_CHARS_MAX = 100;
const ROW_DRIFT_MAX = 0.5;
/** Fewer earlier loads say nothing of what is usual. */
const LOADS_FOR_DRIFT = 3;

/** Errors: CHECK_INVALID when a declaration names a table or column that is not there. */
export function planChecks(
  tables: readonly TableView[],
  declared: Readonly<Record<string, DeclaredChecks>>,
): PlannedCheck[] {
  for (const name of Object.keys(declared)) {
    if (tables.some((each) => each.name === name)) continue;
    throw invalid(
      `there is no table ${name}`,
      name,
      tables.map((each) => each.name),
    );
  }
  return tables.flatMap((table) => [
    ...declaredChecks(table, declared[table.name] ?? {}),
    ...builtInChecks(table, tables, declared[table.name] ?? {}),
  ]);
}

function builtInChecks(table: TableView, tables: readonly TableView[], own: DeclaredChecks): PlannedCheck[] {
  const checks: PlannedCheck[] = [];
  const names = new Set(table.columns.map((each) => each.name));
  const add = (check: CheckKind, columns: readonly string[], run: PlannedCheck["run"]): void => {
    checks.push({ table: table.name, check, columns, declared: false, run });
  };
  const key = table.columns.filter((each) => each.hints.primary_key === true).map((each) => each.name);
  // scd2 keeps every version of a row: the key is unique among those that are current
  const current = names.has("_dlt_valid_to") ? "where _dlt_valid_to is null" : "";
  if (key.length > 0 && !own.unique?.some((each) => sameNames(each, key))) {
    add("unique", key, (measured) => duplicates(measured, table.name, key, current));
  }
  const required = table.columns.filter((each) => !each.nullable && !each.name.startsWith("_dlt_"));
  for (const { name } of required) {
    if (own.not_null?.includes(name)) continue;
    add("not_null", [name], (measured) => nulls(measured, table, name));
  }
  if (names.has("_dlt_id")) {
    add("row_id_unique", ["_dlt_id"], (measured) => duplicates(measured, table.name, ["_dlt_id"], ""));
  }
  if (
    table.parent !== undefined &&
    tables.some((each) => each.name === table.parent) &&
    names.has("_dlt_parent_id")
  ) {
    add("orphans", ["_dlt_parent_id"], (measured) => orphans(measured, table.name, table.parent!));
  }
  if (hasLoadId(table)) {
    add("load_known", ["_dlt_load_id"], (measured) => unknownLoads(measured, table));
    if (table.write_disposition === "append") {
      const share = own.row_drift_max ?? ROW_DRIFT_MAX;
      checks.push({
        table: table.name,
        check: "row_drift",
        columns: [],
        declared: own.row_drift_max !== undefined,
        run: (measured) => rowDrift(measured, table, share, own.row_drift_max !== undefined),
      });
    }
  }
  return checks;
}

function declaredChecks(table: TableView, own: DeclaredChecks): PlannedCheck[] {
  const known = table.columns.map((each) => each.name);
  const checks: PlannedCheck[] = [];
  const add = (check: CheckKind, columns: readonly string[], run: PlannedCheck["run"]): void => {
    for (const name of columns) {
      if (known.includes(name)) continue;
      throw invalid(`table ${table.name} has no column ${name}`, name, known);
    }
    checks.push({ table: table.name, check, columns, declared: true, run });
  };
  for (const key of own.unique ?? []) {
    add("unique", key, (measured) => duplicates(measured, table.name, key, ""));
  }
  for (const name of own.not_null ?? []) add("not_null", [name], (measured) => nulls(measured, table, name));
  for (const [name, share] of Object.entries(own.null_share_max ?? {})) {
    add("null_share", [name], (measured) => nullShare(measured, table.name, name, share));
  }
  for (const [name, values] of Object.entries(own.accepted_values ?? {})) {
    add("accepted_values", [name], (measured) => otherValues(measured, table.name, name, values));
  }
  if (own.rows_min !== undefined) {
    const least = own.rows_min;
    add("rows_min", [], (measured) => tooFewRows(measured, table.name, least));
  }
  if (own.fresh !== undefined) {
    const { column, within_hours } = own.fresh;
    add("fresh", [column], (measured) => stale(measured, table.name, column, within_hours));
  }
  return checks;
}

function sameNames(a: readonly string[], b: readonly string[]): boolean {
  return [...a].sort().join("\0") === [...b].sort().join("\0");
}

function invalid(what: string, name: string, known: readonly string[]): EngineError {
  return new EngineError(
    "CHECK_INVALID",
    `A check cannot be made: ${what}. ${didYouMean(name, known)}`.trim(),
    {
      details: { name, known: known.slice(0, 50) },
    },
  );
}

// ---- one query each ----

const text = (expression: string): string => `left(cast(${expression} as varchar), ${CELL_CHARS_MAX})`;

async function duplicates(
  { read }: Measured,
  table: string,
  key: readonly string[],
  where: string,
): Promise<Finding> {
  const columns = key.map(quoted);
  const source = `select ${columns.join(", ")}, count(*) as n from ${quoted(table)} ${where} group by ${columns.join(", ")} having count(*) > 1`;
  const [row = {}] = await read(`select count(*) as keys, coalesce(sum(n), 0) as held from (${source}) t`);
  const count = numberOf(row.keys);
  const of = key.join(", ");
  if (count === 0) return { status: "pass", count, message: `Each ${of} is there once.` };
  const sample = await read(
    `select ${columns.map((each, i) => `${text(each)} as k${i}`).join(", ")}, n from (${source}) t order by n desc, 1 limit ${SAMPLE_ROWS}`,
  );
  return {
    status: "fail",
    count,
    message: `${counted(count, "value")} of ${of} ${count === 1 ? "is" : "are"} there more than once, in ${counted(numberOf(row.held), "row")}.`,
    sample_columns: [...key, "rows"],
    sample: sample.map((each) => [...key.map((_, i) => each[`k${i}`] ?? null), numberOf(each.n)]),
  };
}

async function nulls({ read }: Measured, table: TableView, column: string): Promise<Finding> {
  const where = `from ${quoted(table.name)} where ${quoted(column)} is null`;
  const [row = {}] = await read(`select count(*) as n ${where}`);
  const count = numberOf(row.n);
  if (count === 0) return { status: "pass", count, message: `${column} is never null.` };
  const id = table.columns.some((each) => each.name === "_dlt_id") ? "_dlt_id" : undefined;
  const sample =
    id === undefined ? [] : await read(`select ${text(quoted(id))} as k ${where} limit ${SAMPLE_ROWS}`);
  return {
    status: "fail",
    count,
    message: `${column} is null in ${counted(count, "row")}.`,
    ...(id === undefined ? {} : { sample_columns: [id], sample: sample.map((each) => [each.k ?? null]) }),
  };
}

async function orphans({ read }: Measured, child: string, parent: string): Promise<Finding> {
  const where = `from ${quoted(child)} c where not exists (select 1 from ${quoted(parent)} p where p._dlt_id = c._dlt_parent_id)`;
  const [row = {}] = await read(`select count(*) as n ${where}`);
  const count = numberOf(row.n);
  if (count === 0) return { status: "pass", count, message: `Each row has its parent in ${parent}.` };
  const sample = await read(`select c._dlt_id as k, c._dlt_parent_id as p ${where} limit ${SAMPLE_ROWS}`);
  return {
    status: "fail",
    count,
    message: `${counted(count, "row")} without a parent in ${parent}.`,
    sample_columns: ["_dlt_id", "_dlt_parent_id"],
    sample: sample.map((each) => [each.k ?? null, each.p ?? null]),
  };
}

/** Rows of a load that `_dlt_loads` does not list came from a load that was never finished (Python dlt's). */
async function unknownLoads({ read }: Measured, table: TableView): Promise<Finding> {
  const rows = await read(
    `select t._dlt_load_id as id, count(*) as n from ${quoted(table.name)} t
     where not exists (select 1 from _dlt_loads l where l.load_id = t._dlt_load_id and l.status = 0)
     group by 1 order by 1 desc limit 1000`,
  );
  if (rows.length === 0)
    return { status: "pass", count: 0, message: "Every row is of a load that was finished." };
  const held = rows.reduce((sum, each) => sum + numberOf(each.n), 0);
  return {
    status: "fail",
    count: held,
    message: `${held} rows are of ${rows.length} loads that were never finished: they were loaded in part.`,
    sample_columns: ["_dlt_load_id", "rows"],
    sample: rows.slice(0, SAMPLE_ROWS).map((each) => [each.id ?? null, numberOf(each.n)]),
  };
}

async function rowDrift(
  measured: Measured,
  table: TableView,
  share: number,
  declared: boolean,
): Promise<Finding> {
  const [newest, ...earlier] = await loadsOf(measured, table);
  if (newest === undefined || earlier.length < LOADS_FOR_DRIFT) {
    return {
      status: "pass",
      count: 0,
      message: `There are fewer than ${LOADS_FOR_DRIFT} earlier loads to compare with.`,
    };
  }
  const counts = earlier.map((each) => each.rows).sort((a, b) => a - b);
  const median = counts[Math.floor(counts.length / 2)]!;
  const drift = Math.abs(newest.rows - median) / Math.max(1, median);
  const message = `Load ${newest.load_id} brought ${counted(newest.rows, "row")}; the median of ${earlier.length} earlier loads is ${median}.`;
  if (drift <= share) return { status: "pass", count: 0, message };
  return { status: declared ? "fail" : "warn", count: 1, message };
}

async function nullShare({ read }: Measured, table: string, column: string, most: number): Promise<Finding> {
  const [row = {}] = await read(
    `select count(*) as n, count(*) - count(${quoted(column)}) as empty from ${quoted(table)}`,
  );
  const [rows, count] = [numberOf(row.n), numberOf(row.empty)];
  const share = rows === 0 ? 0 : count / rows;
  const message = `${column} is null in ${count} of ${rows} rows (${(share * 100).toFixed(1)} %; allowed ${(most * 100).toFixed(1)} %).`;
  return { status: share <= most ? "pass" : "fail", count, message };
}

async function otherValues(
  { read }: Measured,
  table: string,
  column: string,
  values: readonly (string | number | boolean)[],
): Promise<Finding> {
  const list = values.map((each) => `'${String(each).replaceAll("'", "''")}'`).join(", ");
  const rows = await read(
    `select ${text(quoted(column))} as v, count(*) as n from ${quoted(table)}
     where ${quoted(column)} is not null and cast(${quoted(column)} as varchar) not in (${list})
     group by 1 order by 2 desc, 1 limit 1000`,
  );
  if (rows.length === 0)
    return { status: "pass", count: 0, message: `${column} holds accepted values only.` };
  const count = rows.reduce((sum, each) => sum + numberOf(each.n), 0);
  return {
    status: "fail",
    count,
    message: `${column} holds ${counted(rows.length, "other value")}, in ${counted(count, "row")}.`,
    sample_columns: [column, "rows"],
    sample: rows.slice(0, SAMPLE_ROWS).map((each) => [each.v ?? null, numberOf(each.n)]),
  };
}

async function tooFewRows({ read }: Measured, table: string, least: number): Promise<Finding> {
  const [row = {}] = await read(`select count(*) as n from ${quoted(table)}`);
  const rows = numberOf(row.n);
  return {
    status: rows >= least ? "pass" : "fail",
    count: Math.max(0, least - rows),
    message: `The table has ${counted(rows, "row")}; at least ${least} are expected.`,
  };
}

async function stale(
  { read, kind }: Measured,
  table: string,
  column: string,
  hours: number,
): Promise<Finding> {
  const newest = `cast(max(${quoted(column)}) as timestamp with time zone)`;
  const age =
    kind === "duckdb" ? `date_diff('second', ${newest}, now())` : `extract(epoch from (now() - ${newest}))`;
  const [row = {}] = await read(`select ${age} / 3600.0 as age from ${quoted(table)}`);
  if (row.age === null || row.age === undefined) {
    return { status: "fail", count: 1, message: `${column} has no value at all.` };
  }
  const old = Number(row.age);
  return {
    status: old <= hours ? "pass" : "fail",
    count: old <= hours ? 0 : 1,
    message: `The newest ${column} is ${old.toFixed(1)} hours old; ${hours} are allowed.`,
  };
}
