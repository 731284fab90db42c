/** Runs a golden case (test/golden/README.md) on our engine and reads back what dlt's expectation lists. */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { inflateSync } from "node:zlib";
import {
  type Destination,
  incremental,
  JsonlPage,
  type NestedHints,
  Pipeline,
  type RefreshMode,
  Resource,
  type ResourceHints,
  type RunReport,
  Source,
  type WriteDispositionHint,
} from "../../src/engine/index.ts";
import { nestedRowId } from "../../src/engine/interop/hash.ts";
import {
  type JsonDoc,
  parseJson,
  parseJsonDocument,
  parseTypedJson,
  plainJson,
} from "../../src/engine/interop/json.ts";
import { formatTimestamp, instantOfSeconds } from "../../src/engine/schema/iso-time.ts";
import type { Cell, GoldenStore } from "./golden-stores.ts";

export interface GoldenResource {
  name: string;
  table_name?: string;
  write_disposition?: string | Record<string, unknown>;
  primary_key?: string | string[];
  merge_key?: string | string[];
  columns?: Record<string, Record<string, unknown>>;
  max_table_nesting?: number;
  nested_hints?: Record<string, Record<string, unknown>>;
  schema_contract?: unknown;
  incremental?: Record<string, unknown> & { cursor_path: string };
  rows?: string;
  pages?: string[];
  set_state?: { resource?: Record<string, unknown>; source?: Record<string, unknown> };
}

export interface GoldenRun {
  resources: GoldenResource[];
  source?: { max_table_nesting?: number; root_key?: boolean; schema_contract?: unknown };
  source_name?: string;
  schema_contract?: unknown;
  refresh?: string;
  fresh_working_folder?: boolean;
  fails?: boolean;
}

export interface GoldenTables {
  [table: string]: { columns: [string, string][]; rows: Record<string, string | null>[] };
}

export interface GoldenExpectation {
  error?: { step: string; exception: string; cause: string };
  tables: GoldenTables;
  dlt_tables?: Record<string, unknown>;
  schema?: Record<string, unknown>;
  version_hash?: string;
  version_rows?: number;
  state?: Record<string, unknown> | null;
  state_hash?: string | null;
  state_version?: number;
  state_rows?: number;
  loads?: [string, number, string][];
}

export interface GoldenCase {
  name: string;
  group: string;
  file: string;
  pipeline: { name: string; dataset: string };
  source_name: string;
  defect?: number;
  naming?: string;
  real_ids?: string[];
  dlt_tables?: boolean;
  runs: GoldenRun[];
  expect: GoldenExpectation[];
}

const CASES = join(import.meta.dirname, "../golden/cases");

export function goldenCases(): GoldenCase[] {
  return readdirSync(CASES)
    .sort()
    .flatMap((group) =>
      readdirSync(join(CASES, group))
        .sort()
        .map((file) => {
          const text = readFileSync(join(CASES, group, file), "utf8");
          const golden = JSON.parse(text) as GoldenCase;
          // what goes in keeps 1.0 apart from 1, and typed values
          const { runs } = parseTypedJson(text) as unknown as GoldenCase;
          return { ...golden, runs, file: `${group}/${file.replace(/\.json$/, "")}` };
        }),
    );
}

const DISCARDS_ALL = new Set(["evolution/contract_tables_discard_row"]);
/** dlt's keys are ours in snake case. */
function dispositionFrom(given: GoldenResource["write_disposition"]): WriteDispositionHint | undefined {
  if (typeof given !== "object") return given as WriteDispositionHint | undefined;
  const camel = (key: string): string => key.replace(/_[a-z]/g, (found) => found[1]!.toUpperCase());
  const entries = Object.entries(given).map(([key, value]) => [camel(key), value]);
  return Object.fromEntries(entries) as WriteDispositionHint;
}

function resourceOf(golden: GoldenResource): Resource {
  const { incremental: cursor } = golden;
  const hints: ResourceHints = {
    tableName: golden.table_name,
    writeDisposition: dispositionFrom(golden.write_disposition),
    primaryKey: golden.primary_key,
    mergeKey: golden.merge_key,
    columns: golden.columns as ResourceHints["columns"],
    maxTableNesting: golden.max_table_nesting,
    schemaContract: golden.schema_contract as ResourceHints["schemaContract"],
    nestedHints: golden.nested_hints
      ? Object.fromEntries(
          Object.entries(golden.nested_hints).map(([path, hints]) => [
            path,
            {
              writeDisposition: hints.write_disposition as NestedHints["writeDisposition"],
              primaryKey: hints.primary_key as string,
              columns: hints.columns as NestedHints["columns"],
            },
          ]),
        )
      : undefined,
    incremental: cursor
      ? incremental(cursor.cursor_path, {
          initialValue: cursor.initial_value ?? undefined,
          endValue: cursor.end_value ?? undefined,
          lastValueFunc: cursor.last_value_func as "max" | "min" | undefined,
          primaryKey: cursor.primary_key as string[] | undefined,
          rowOrder: cursor.row_order as "asc" | "desc" | undefined,
          rangeStart: cursor.range_start as "open" | "closed" | undefined,
          rangeEnd: cursor.range_end as "open" | "closed" | undefined,
          lag: cursor.lag as number | undefined,
          onCursorValueMissing: cursor.on_cursor_value_missing as "raise" | "include" | "exclude" | undefined,
        })
      : undefined,
  };
  const pages = golden.pages ?? (golden.rows === undefined ? [] : [golden.rows]);
  return new Resource({
    options: { name: golden.name, ...hints },
    steps: [],
    data: async function* (context) {
      if (golden.set_state?.resource) Object.assign(context.state, golden.set_state.resource);
      if (golden.set_state?.source) Object.assign(context.sourceState, golden.set_state.source);
      // as lines, because a JS object would move integer-like keys to the front
      for (const page of pages) {
        const rows = parseJsonDocument(Buffer.from(page)) as JsonDoc[];
        yield new JsonlPage(Buffer.from(rows.map((row) => `${plainJson(row)}\n`).join("")));
      }
    },
  });
}

export async function runGolden(
  golden: GoldenCase,
  run: GoldenRun,
  place: { dir: string; destination: Destination },
): Promise<RunReport> {
  const pipeline = new Pipeline({
    name: golden.pipeline.name,
    dataset: golden.pipeline.dataset,
    destination: place.destination,
    dir: place.dir,
    naming: golden.naming,
    // what contracts discard would be a package of its own where dlt has none
    keepRejected: !DISCARDS_ALL.has(golden.file),
  });
  const source = new Source({
    name: run.source_name ?? golden.source_name,
    maxTableNesting: run.source?.max_table_nesting,
    rootKey: run.source?.root_key,
    schemaContract: run.source?.schema_contract as ResourceHints["schemaContract"],
    resources: run.resources.map(resourceOf),
  });
  return pipeline.run(source, {
    refresh: run.refresh as RefreshMode | undefined,
    schemaContract: run.schema_contract as ResourceHints["schemaContract"],
  });
}

/** A load id as the time that it is, in the expectation's form. */
function timeOfLoad(loadId: string): string {
  const text = formatTimestamp(instantOfSeconds(Number(loadId))!).replace("+00:00", "");
  return `${text.includes(".") ? text : `${text}.000000`}Z`;
}

/** Reads the dataset in the expectation's form: ids and load ids replaced by names that do not change. */
export async function readDataset(
  golden: GoldenCase,
  store: GoldenStore,
  schemaName: string,
): Promise<GoldenExpectation> {
  const opened = await store.open();
  try {
    const rowsOf = (sql: string): Promise<Cell[][]> => opened.rows(sql);
    const ds = golden.pipeline.dataset;
    const loads = await rowsOf(
      `select load_id, schema_name, status::varchar, schema_version_hash from "${ds}"._dlt_loads order by load_id`,
    );
    const loadNames = new Map(loads.map(([id], i) => [id!, `load_${i + 1}`]));
    const loadTimes = new Map(loads.map(([id], i) => [timeOfLoad(id!), `load_${i + 1}`]));
    const columns = await rowsOf(
      `select table_name, column_name, data_type from information_schema.columns where table_schema = '${ds}' order by table_name, ordinal_position`,
    );
    const raw = new Map<string, { columns: [string, string][]; rows: Record<string, Cell>[] }>();
    for (const [table, column, type] of columns) {
      if (table!.startsWith("_dlt_") || table!.startsWith("_loadwright_")) continue;
      const known = raw.get(table!) ?? { columns: [], rows: [] };
      known.columns.push([column!, type!]);
      raw.set(table!, known);
    }
    for (const [table, entry] of raw) {
      const list = entry.columns
        .map(([name, type]) => `${opened.asText(`"${name}"`, type)} as "${name}"`)
        .join(", ");
      const rows = await rowsOf(`select ${list} from "${ds}"."${table}" order by ${opened.arrival}`);
      entry.rows = rows.map((row) => Object.fromEntries(entry.columns.map(([name], i) => [name, row[i]!])));
    }
    const [version] = await rowsOf(
      `select schema, version_hash from "${ds}"._dlt_version where schema_name = '${schemaName}' order by inserted_at desc, version desc limit 1`,
    );
    const [versions] = await rowsOf(
      `select count(*)::varchar from "${ds}"._dlt_version where schema_name = '${schemaName}'`,
    );
    const states = await rowsOf(
      `select state, version_hash, version::varchar from "${ds}"._dlt_pipeline_state order by _dlt_load_id`,
    ).catch(() => [] as Cell[][]);
    const state = states.at(-1);
    const schema = version
      ? (parseJson(version[0]!) as unknown as Record<string, unknown> & {
          tables: Record<string, { parent?: string }>;
        })
      : undefined;
    return {
      tables: canonical(golden, raw, schema?.tables ?? {}, loadNames, loadTimes),
      schema,
      version_hash: version?.[1] ?? undefined,
      version_rows: Number(versions?.[0]),
      state: state
        ? (parseJson(inflateSync(Buffer.from(state[0]!, "base64")).toString()) as Record<string, unknown>)
        : null,
      state_hash: state?.[1] ?? null,
      state_version: state ? Number(state[2]) : undefined,
      state_rows: states.length,
      loads: loads.map(([, name, status, hash]) => [name!, Number(status), hash!]),
    };
  } finally {
    await opened.close();
  }
}

const ID_COLUMNS = new Set(["_dlt_load_id", "_dlt_id", "_dlt_parent_id", "_dlt_root_id"]);

function canonical(
  golden: GoldenCase,
  raw: Map<string, { columns: [string, string][]; rows: Record<string, Cell>[] }>,
  schemaTables: Record<string, { parent?: string }>,
  loadNames: ReadonlyMap<string, string>,
  /** Times of loads by their text: validity times may be the time of a load. */
  loadTimes: ReadonlyMap<string, string>,
): GoldenTables {
  const tokens = new Map<string, string>();
  /** Where a row stands in its table, by the id that is shown. */
  const places = new Map<string, number>();
  const rootOf = (table: string): string => {
    const parent = schemaTables[table]?.parent;
    return parent ? rootOf(parent) : table;
  };
  const keepsIds = (table: string): boolean => golden.real_ids?.includes(rootOf(table)) ?? false;
  const sortable = (cell: Cell): Cell => {
    const load = cell === null ? undefined : loadTimes.get(cell);
    return load === undefined ? cell : `!${load.slice("load_".length).padStart(6, "0")}`;
  };
  const depth = (table: string): number => {
    const parent = schemaTables[table]?.parent;
    return parent ? depth(parent) + 1 : 0;
  };
  const result: GoldenTables = {};
  for (const [table, entry] of [...raw].sort(([a], [b]) => depth(a) - depth(b))) {
    const data = entry.columns.map(([name]) => name).filter((name) => !ID_COLUMNS.has(name));
    const nested = schemaTables[table]?.parent !== undefined;
    let rows = entry.rows.map((row, position) => ({ row, position }));
    if (!nested) {
      rows = rows.sort((a, b) => {
        for (const name of data) {
          const order = compareCells(sortable(a.row[name]!), sortable(b.row[name]!));
          if (order !== 0) return order;
        }
        const load = compareCells(a.row._dlt_load_id ?? null, b.row._dlt_load_id ?? null);
        return load !== 0 ? load : a.position - b.position;
      });
      if (!keepsIds(table)) {
        rows.forEach(({ row }, i) => {
          if (row._dlt_id) tokens.set(row._dlt_id, `row:${table}:${i}`);
        });
      }
    } else if (!keepsIds(table)) {
      for (const { row } of rows) {
        const id = nestedRowId(row._dlt_parent_id!, table, Number(row._dlt_list_idx));
        if (id !== row._dlt_id)
          throw new Error(`${table}: row id is not the hash of parent, table and index`);
        tokens.set(row._dlt_id!, `${tokens.get(row._dlt_parent_id!)}/${table}/${row._dlt_list_idx}`);
      }
    }
    const shown = rows.map(({ row }) => {
      const named: Record<string, Cell> = { ...row };
      for (const [column, value] of Object.entries(row)) {
        if (value !== null) named[column] = loadTimes.get(value) ?? value;
      }
      for (const column of ["_dlt_id", "_dlt_parent_id", "_dlt_root_id"]) {
        const id = row[column];
        if (id && !keepsIds(table)) named[column] = tokens.get(id) ?? `unknown ${column}`;
      }
      if (row._dlt_load_id) named._dlt_load_id = loadNames.get(row._dlt_load_id) ?? "unknown load";
      return named;
    });
    if (nested) {
      const place = (row: Record<string, Cell>): number => places.get(row._dlt_parent_id!) ?? -1;
      shown.sort((a, b) => place(a) - place(b) || Number(a._dlt_list_idx) - Number(b._dlt_list_idx));
    }
    shown.forEach((row, i) => {
      if (row._dlt_id) places.set(row._dlt_id, i);
    });
    result[table] = { columns: entry.columns, rows: shown };
  }
  return result;
}

function compareCells(a: Cell, b: Cell): number {
  if (a === b) return 0;
  if (a === null) return -1;
  if (b === null) return 1;
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
