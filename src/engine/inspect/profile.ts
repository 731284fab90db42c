/**
 * A table in numbers: nulls, distinct values, least and greatest, the most frequent, and how the newest load
 * compares with an earlier one. Bounded: so many columns, and on Postgres a sample of a large table for what
 * has to be sorted.
 */

import { EngineError } from "../errors.ts";
import { hasOrder, isComparable, type Measured, numberOf, quoted } from "./measure.ts";
import type { JsonValue } from "./query-values.ts";
import type { ColumnView, TableView } from "./schema.ts";

export interface ColumnProfile {
  readonly name: string;
  readonly data_type: string;
  readonly nulls: number;
  /** 0 to 1; null for an empty table. */
  readonly null_share: number | null;
  /** Approximate on DuckDB; of the sample on a large Postgres table. */
  readonly distinct?: number;
  readonly min?: JsonValue;
  readonly max?: JsonValue;
  readonly top?: readonly { readonly value: JsonValue; readonly rows: number }[];
}

export interface ColumnDrift {
  readonly name: string;
  readonly null_share: { readonly before: number | null; readonly after: number | null };
  readonly distinct?: { readonly before: number; readonly after: number };
  readonly min?: { readonly before: JsonValue; readonly after: JsonValue };
  readonly max?: { readonly before: JsonValue; readonly after: JsonValue };
  /** What is worth a look. */
  readonly notes: readonly string[];
}

export interface TableProfile {
  readonly table: string;
  readonly rows: number;
  /** Rows that distinct and top values were taken from, where not all. */
  readonly sampled_rows?: number;
  readonly columns: readonly ColumnProfile[];
  readonly freshness: Freshness;
  readonly drift?: {
    readonly before_load_id: string;
    readonly after_load_id: string;
    readonly rows: { readonly before: number; readonly after: number };
    readonly columns: readonly ColumnDrift[];
  };
}

export interface Freshness {
  /** Of the newest load that brought rows of this table. */
  readonly last_load_id?: string;
  readonly last_loaded_at?: string;
  readonly loads?: number;
  /** Greatest value of each column of dates or times. */
  readonly newest: Readonly<Record<string, JsonValue>>;
}

export interface ProfileOptions {
  readonly columns: readonly ColumnView[];
  readonly topValues: number;
  /** Compare the newest load with this one; `previous`: the one before it. */
  readonly compareWith?: string;
}

const CELL_CHARS_MAX = 200;
/** Rows above which Postgres counts distinct values of a sample. */
const SAMPLE_ROWS = 200_000;
const NULL_SHARE_DRIFT = 0.1;

export async function profileTable(
  measured: Measured,
  table: TableView,
  options: ProfileOptions,
): Promise<TableProfile> {
  const whole = await aggregate(measured, from(table), options.columns);
  const sample = await sampleOf(measured, table, whole.rows);
  const source = sample?.source ?? from(table);
  const distinct = await distinctOf(measured, options.columns.filter(isComparable), whole.columns, source);
  const grouped = options.columns.filter((each) => isComparable(each) && !each.name.startsWith("_dlt_"));
  const top = await topOf(measured, source, grouped, options.topValues);
  const columns = options.columns.map((column): ColumnProfile => {
    const facts = whole.columns.get(column.name)!;
    const [count, values] = [distinct.get(column.name), top.get(column.name)];
    return {
      name: column.name,
      data_type: column.data_type,
      nulls: facts.nulls,
      null_share: facts.null_share,
      ...(count === undefined ? {} : { distinct: count }),
      ...(hasOrder(column) ? { min: facts.min, max: facts.max } : {}),
      ...(values === undefined ? {} : { top: values }),
    };
  });
  const loads = hasLoadId(table) ? await loadsOf(measured, table) : [];
  const drift =
    options.compareWith === undefined
      ? undefined
      : await driftOf(measured, table, options.columns, loads, options.compareWith);
  return {
    table: table.name,
    rows: whole.rows,
    ...(sample === undefined ? {} : { sampled_rows: sample.rows }),
    columns,
    freshness: {
      ...(loads[0] === undefined
        ? {}
        : {
            last_load_id: loads[0].load_id,
            ...(loads[0].loaded_at === undefined ? {} : { last_loaded_at: loads[0].loaded_at }),
            loads: loads.length,
          }),
      newest: Object.fromEntries(
        options.columns
          .filter((each) => each.data_type === "timestamp" || each.data_type === "date")
          .map((each) => [each.name, whole.columns.get(each.name)?.max ?? null]),
      ),
    },
    ...(drift === undefined ? {} : { drift }),
  };
}

function from(table: TableView): string {
  return `from ${quoted(table.name)}`;
}

export function hasLoadId(table: TableView): boolean {
  return table.columns.some((each) => each.name === "_dlt_load_id");
}

interface Facts {
  readonly nulls: number;
  readonly null_share: number | null;
  readonly distinct?: number;
  readonly min: JsonValue;
  readonly max: JsonValue;
}

async function aggregate(
  { read, kind }: Measured,
  source: string,
  columns: readonly ColumnView[],
): Promise<{ rows: number; columns: Map<string, Facts> }> {
  const parts = ["count(*) as n"];
  for (const [i, column] of columns.entries()) {
    const name = quoted(column.name);
    parts.push(`count(${name}) as c${i}`);
    if (kind === "duckdb" && isComparable(column)) parts.push(`approx_count_distinct(${name}) as d${i}`);
    if (!hasOrder(column)) continue;
    for (const [letter, what] of [
      ["l", "min"],
      ["h", "max"],
    ]) {
      const value = `${what}(${name})`;
      parts.push(`left(cast(${value} as varchar), ${CELL_CHARS_MAX}) as ${letter}${i}`);
    }
  }
  const [row = {}] = await read(`select ${parts.join(", ")} ${source}`);
  const rows = numberOf(row.n);
  const facts = columns.map((column, i): [string, Facts] => {
    const nulls = rows - numberOf(row[`c${i}`]);
    const distinct = row[`d${i}`];
    return [
      column.name,
      {
        nulls,
        null_share: rows === 0 ? null : rounded(nulls / rows),
        ...(distinct === undefined ? {} : { distinct: numberOf(distinct) }),
        min: row[`l${i}`] ?? null,
        max: row[`h${i}`] ?? null,
      },
    ];
  });
  return { rows, columns: new Map(facts) };
}

interface Sample {
  readonly source: string;
  readonly rows: number;
}

/** Of a large table on Postgres, which has no approximate counts. */
async function sampleOf(
  { read, kind }: Measured,
  table: TableView,
  rows: number,
): Promise<Sample | undefined> {
  if (kind === "duckdb" || rows <= SAMPLE_ROWS) return undefined;
  const percent = Math.max(0.01, (SAMPLE_ROWS / rows) * 100);
  const source = `${from(table)} tablesample system (${percent.toFixed(3)}) repeatable (1)`;
  const [row = {}] = await read(`select count(*) as n ${source}`);
  return { source, rows: numberOf(row.n) };
}

async function distinctOf(
  { read, kind }: Measured,
  columns: readonly ColumnView[],
  known: ReadonlyMap<string, Facts>,
  source: string,
): Promise<Map<string, number>> {
  if (columns.length === 0) return new Map();
  if (kind === "duckdb") {
    return new Map(columns.map((each) => [each.name, known.get(each.name)?.distinct ?? 0]));
  }
  const counts = columns.map((each, i) => `count(distinct ${quoted(each.name)}) as d${i}`);
  const [row = {}] = await read(`select ${counts.join(", ")} ${source}`);
  return new Map(columns.map((each, i) => [each.name, numberOf(row[`d${i}`])]));
}

/** Values that are there more than once; of all columns in one query. */
async function topOf(
  { read }: Measured,
  source: string,
  columns: readonly ColumnView[],
  count: number,
): Promise<Map<string, { value: JsonValue; rows: number }[]>> {
  const top = new Map<string, { value: JsonValue; rows: number }[]>(columns.map((each) => [each.name, []]));
  if (columns.length === 0 || count === 0) return new Map();
  const arms = columns.map(
    (each, i) => `select * from (
  select ${i} as c, left(cast(v as varchar), ${CELL_CHARS_MAX}) as v, n
  from (select ${quoted(each.name)} as v, count(*) as n ${source} group by 1) g${i}
  where n > 1 and v is not null order by n desc, 2 limit ${count}) t${i}`,
  );
  for (const row of await read(`${arms.join("\nunion all\n")}\norder by c, n desc, v`)) {
    const column = columns[numberOf(row.c)];
    if (column !== undefined) top.get(column.name)?.push({ value: row.v ?? null, rows: numberOf(row.n) });
  }
  return top;
}

interface LoadOfTable {
  readonly load_id: string;
  readonly rows: number;
  readonly loaded_at?: string;
}

/** Loads that rows of the table still come from, newest first. */
export async function loadsOf({ read }: Measured, table: TableView): Promise<LoadOfTable[]> {
  const rows = await read(
    `select t._dlt_load_id as id, t.n, cast(l.inserted_at as varchar) as at
     from (select _dlt_load_id, count(*) as n from ${quoted(table.name)} group by 1
           order by 1 desc limit 1000) t
     left join _dlt_loads l on l.load_id = t._dlt_load_id
     order by 1 desc`,
  );
  return rows.map((row) => ({
    load_id: String(row.id),
    rows: numberOf(row.n),
    ...(row.at === null || row.at === undefined ? {} : { loaded_at: String(row.at) }),
  }));
}

async function driftOf(
  measured: Measured,
  table: TableView,
  columns: readonly ColumnView[],
  loads: readonly LoadOfTable[],
  compareWith: string,
): Promise<NonNullable<TableProfile["drift"]>> {
  const after = loads[0];
  const before = compareWith === "previous" ? loads[1] : loads.find((each) => each.load_id === compareWith);
  if (after === undefined || before === undefined || after === before) {
    throw new EngineError(
      "PACKAGE_NOT_FOUND",
      hasLoadId(table)
        ? `Table ${table.name} holds no rows of ${compareWith === "previous" ? "an earlier load" : `load ${compareWith}`} to compare the newest with.`
        : `Table ${table.name} is nested: its rows name no load. Profile its root table.`,
      {
        hint: "Name a load_id whose rows are still in the table: a replace or merge takes old ones away.",
        details: { table: table.name, load_ids: loads.slice(0, 20).map((each) => each.load_id) },
      },
    );
  }
  const where = (load: LoadOfTable): string =>
    `${from(table)} where _dlt_load_id = '${load.load_id.replaceAll("'", "''")}'`;
  const shown = columns.filter((each) => !each.name.startsWith("_dlt_"));
  const [old, now] = [
    await aggregate(measured, where(before), shown),
    await aggregate(measured, where(after), shown),
  ];
  return {
    before_load_id: before.load_id,
    after_load_id: after.load_id,
    rows: { before: old.rows, after: now.rows },
    columns: shown.map((column) =>
      columnDrift(column, old.columns.get(column.name)!, now.columns.get(column.name)!),
    ),
  };
}

function columnDrift(column: ColumnView, before: Facts, after: Facts): ColumnDrift {
  const notes: string[] = [];
  const [old, now] = [before.null_share, after.null_share];
  if (old !== null && now !== null && Math.abs(now - old) >= NULL_SHARE_DRIFT) {
    notes.push(`nulls went from ${percent(old)} to ${percent(now)}`);
  }
  if (old !== null && old < 1 && now === 1) notes.push("only nulls now: the field may have been renamed");
  if (before.distinct !== undefined && after.distinct === 1 && before.distinct > 10)
    notes.push("one value only now");
  return {
    name: column.name,
    null_share: { before: old, after: now },
    ...(before.distinct === undefined || after.distinct === undefined
      ? {}
      : { distinct: { before: before.distinct, after: after.distinct } }),
    ...(hasOrder(column)
      ? { min: { before: before.min, after: after.min }, max: { before: before.max, after: after.max } }
      : {}),
    notes,
  };
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

function rounded(share: number): number {
  return Math.round(share * 10_000) / 10_000;
}
