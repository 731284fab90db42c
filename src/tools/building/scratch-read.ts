/**
 * A bounded read of a source into a DuckDB file in a temporary folder, which is removed afterwards. Rows are
 * appended there, so that keys which come twice can be seen; cursors begin at their initial value, because
 * the pipeline's own state is not opened.
 */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DuckDBInstance } from "@duckdb/node-api";
import type { Log } from "../../engine/context.ts";
import { duckdb } from "../../engine/destinations/duckdb/duckdb.ts";
import { EngineError, toEnvelope } from "../../engine/errors.ts";
import type { Source } from "../../engine/extract/resource.ts";
import { Pipeline } from "../../engine/pipeline.ts";
import type { RunReport } from "../../engine/report.ts";
import { namingByName } from "../../engine/schema/naming.ts";
import { createSource } from "../../sources/registry.ts";
import { plainJson } from "../run-protocol.ts";
import type { Secrets } from "../secrets.ts";
import { names } from "./describe.ts";
import { maskCell } from "./mask-cell.ts";
import type { PagingEnd, ProbeRequest, ReadOutcome, ReadTable, TracedRequest } from "./probe-protocol.ts";

const REQUESTS_TOLD = 40;
const COLUMNS_MAX = 200;
const TABLES_MAX = 60;
/** After the bound of seconds a page that is under way gets so long to arrive. */
const GRACE_MS = 2_000;
const STOPPED_EARLY = "reading was stopped early";

const NOTHING_READ = {
  resources: [],
  tables: [],
  requests: [],
  requests_total: 0,
  paging: [],
  recognised: [],
  warnings: [],
};

type ReadRequest = Extract<ProbeRequest, { kind: "read" }>;

export async function scratchRead(
  request: ReadRequest,
  secrets: Secrets,
  printed: readonly string[],
): Promise<ReadOutcome> {
  const { bounds, source, config, workspaceDir } = request;
  const dir = await mkdtemp(join(tmpdir(), "loadwright-scratch-"));
  try {
    let made: Source;
    try {
      made = await createSource(source, { config, secrets: secrets.forSource(source), workspaceDir });
    } catch (error) {
      return { ...NOTHING_READ, printed, error: toEnvelope(error) };
    }
    const chosen = request.resources === undefined ? made : onlyWithParents(made, request.resources);
    const bounded = chosen.withEach((one) =>
      one.applyHints({ writeDisposition: "append" }).addLimit({ ...bounds }),
    );
    const requests: TracedRequest[] = [];
    let total = 0;
    const paging: PagingEnd[] = [];
    const recognised: { resource: string; paginator: string }[] = [];
    const log: Log = (_level, event, fields = {}) => {
      if (event === "http.request") {
        total += 1;
        if (requests.length < REQUESTS_TOLD) requests.push(traced(fields));
      } else if (event === "paging.ended") paging.push(fields as unknown as PagingEnd);
      else if (event === "paging.recognised") {
        recognised.push({ resource: String(fields.resource), paginator: String(fields.paginator) });
      }
    };
    // not named like the dataset, which DuckDB would find ambiguous
    const path = join(dir, "read.duckdb");
    const pipeline = new Pipeline({
      name: "scratch",
      destination: duckdb({ path }),
      dataset: "scratch",
      dir: join(dir, "pipeline"),
    });
    const stop = new AbortController();
    const timer = setTimeout(
      () =>
        stop.abort(
          new EngineError("TIMEOUT", `Reading took longer than the bound of ${bounds.seconds} seconds.`, {
            hint: "Raise max_seconds, lower max_records, or name fewer resources.",
          }),
        ),
      bounds.seconds * 1000 + GRACE_MS,
    );
    const report = await pipeline.run(bounded, {
      resources: request.resources,
      signal: stop.signal,
      log,
      mask: (value) => secrets.maskAll(value),
    });
    clearTimeout(timer);
    const error = report.error ?? report.packages.find((one) => one.error !== undefined)?.error;
    return {
      resources: resourcesOf(report, paging, bounds.rows),
      tables: report.status === "succeeded" ? await tablesOf(path, report, made, request.sampleRows) : [],
      requests,
      requests_total: total,
      paging,
      recognised,
      warnings: [...new Set([...report.warnings, ...report.packages.flatMap((one) => one.warnings)])],
      printed,
      ...(error === undefined
        ? {}
        : {
            error: error.code === "CANCELLED" && stop.signal.aborted ? timeoutEnvelope(stop.signal) : error,
          }),
    };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

function timeoutEnvelope(signal: AbortSignal): NonNullable<ReadOutcome["error"]> {
  const { code, message, hint, retry } = signal.reason as EngineError;
  return { code, message, hint, retry } as NonNullable<ReadOutcome["error"]>;
}

/** Checks the names; parents run as well, because a transformer brings them along. */
function onlyWithParents(source: Source, wanted: readonly string[]): Source {
  source.withResources(wanted);
  return source;
}

function traced(fields: Readonly<Record<string, unknown>>): TracedRequest {
  const { method, url, status, ms, bytes, attempt, error } = fields as unknown as TracedRequest;
  return {
    method,
    url,
    ...(status === undefined ? {} : { status }),
    ms,
    bytes,
    attempt,
    ...(error === undefined ? {} : { error }),
  };
}

function resourcesOf(
  report: RunReport,
  paging: readonly PagingEnd[],
  rowsMax: number,
): ReadOutcome["resources"] {
  return report.packages
    .flatMap((one) => one.resources)
    .map(({ name, rows, ended = {}, cursor }) => ({
      name,
      rows,
      ended,
      stopped_by_bound:
        rows >= rowsMax ||
        STOPPED_EARLY in ended ||
        paging.some((end) => end.resource === name && end.reason === STOPPED_EARLY),
      ...(cursor === undefined ? {} : { cursor: { ...cursor, before: null } }),
    }));
}

async function tablesOf(
  path: string,
  report: RunReport,
  source: Source,
  sampleRows: number,
): Promise<ReadTable[]> {
  const instance = await DuckDBInstance.create(path, { access_mode: "READ_ONLY" });
  const connection = await instance.connect();
  const rowsOf = async (sql: string): Promise<Record<string, unknown>[]> =>
    plainJson((await connection.runAndReadAll(sql)).getRowObjectsJson() as Record<string, unknown>[]);
  try {
    const resourceOf = new Map(
      report.packages.flatMap((one) =>
        one.resources.flatMap(({ name, tables }) => tables.map((table) => [table, name] as const)),
      ),
    );
    const found = await rowsOf(
      "select table_name, column_name, data_type from information_schema.columns where table_schema = 'scratch' order by table_name, ordinal_position",
    );
    const columnsBy = Map.groupBy(found, (row) => String(row.table_name));
    const tables: ReadTable[] = [];
    for (const [name, columns] of columnsBy) {
      if (name.startsWith("_dlt") || name.startsWith("_loadwright") || tables.length === TABLES_MAX) continue;
      const own = columns.filter((column) => !String(column.column_name).startsWith("_dlt_"));
      const shown = own.slice(0, COLUMNS_MAX);
      const counts = shown.flatMap((column, at) => {
        const quoted = identifier(String(column.column_name));
        return [`count(${quoted}) as c${at}`, `count(distinct ${quoted}) as d${at}`];
      });
      const [count = {}] = await rowsOf(
        `select ${["count(*) as n", ...counts].join(", ")} from scratch.${identifier(name)}`,
      );
      const rows = Number(count.n);
      const picked = shown.map((column) => identifier(String(column.column_name)));
      const sample =
        picked.length === 0 || sampleRows === 0
          ? []
          : await rowsOf(`select ${picked.join(", ")} from scratch.${identifier(name)} limit ${sampleRows}`);
      const resource = resourceOf.get(name);
      const parent = parentOf(name, [...columnsBy.keys()]);
      const key = keyOf(source, resource).filter((part) => own.some((column) => column.column_name === part));
      const duplicates = key.length === 0 ? undefined : await duplicatesOf(rowsOf, name, key);
      tables.push({
        name,
        ...(resource === undefined ? {} : { resource }),
        ...(resource !== undefined || parent === undefined ? {} : { parent }),
        rows,
        columns: shown.map((column, at) => ({
          name: String(column.column_name),
          data_type: String(column.data_type).toLowerCase(),
          nulls: rows - Number(count[`c${at}`]),
          distinct: Number(count[`d${at}`]),
        })),
        sample: sample.map((row) =>
          Object.fromEntries(Object.entries(row).map(([column, value]) => [column, maskCell(column, value)])),
        ),
        ...(duplicates === undefined ? {} : { duplicate_keys: { key, rows: duplicates } }),
      });
    }
    return tables;
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

function keyOf(source: Source, resource: string | undefined): string[] {
  const naming = namingByName("snake_case", 65_536);
  const key = source.resources.find((one) => one.name === resource)?.hints.primaryKey;
  return names(key).map((part) => naming.path(part));
}

async function duplicatesOf(
  rowsOf: (sql: string) => Promise<Record<string, unknown>[]>,
  table: string,
  key: readonly string[],
): Promise<number> {
  const columns = key.map(identifier).join(", ");
  const [row = {}] = await rowsOf(
    `select coalesce(sum(n), 0) as n from (select count(*) as n from scratch.${identifier(table)} group by ${columns} having count(*) > 1)`,
  );
  return Number(row.n);
}

function parentOf(name: string, all: readonly string[]): string | undefined {
  return all.filter((other) => name.startsWith(`${other}__`)).sort((a, b) => b.length - a.length)[0];
}

function identifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
