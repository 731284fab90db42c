/** What people read: tables and lines. Pure: data in, text out. */

import Table from "cli-table3";
import pc from "picocolors";
import { nounOf } from "../engine/counted.ts";
import type { ErrorEnvelope } from "../engine/errors.ts";
import type { SchemaChange } from "../engine/package/types.ts";
import type { DropPlan } from "../engine/pipeline-options.ts";
import type { DryRunPlan, RunReport } from "../engine/report.ts";
import type { PackageSummary, PipelineInfo, PipelineListing, RunSummary } from "./pipeline-info.ts";
import { isOwnTable, sum } from "./pipeline-info.ts";
import { toJson } from "./run-protocol.ts";

/** Of tables and changes each; the whole is in the trace and in --json. */
const LINES_MAX = 100;

export function renderError(error: ErrorEnvelope): string {
  const lines = [`${pc.red(error.code)}: ${error.message}`];
  if (error.cause !== undefined && !error.message.includes(error.cause.message)) {
    lines.push(pc.dim(`  cause: ${error.cause.name}: ${error.cause.message}`));
  }
  lines.push(`  ${error.hint}`);
  if (error.retry === "yes") lines.push(pc.dim("  The same command may succeed when it is run again."));
  return lines.join("\n");
}

export function renderRun(report: RunReport): string {
  const rows = sum(report.dry_run?.rows ?? report.rows);
  const counts = `${number(rows)} ${nounOf(rows, "row")} in ${duration(report.duration_ms)}`;
  // a run that failed before the engine began knows no destination
  const target = report.destination === "" ? "" : ` -> ${report.destination} ${report.dataset_name}`;
  const how = report.dry_run === undefined ? "" : pc.bold("dry run ");
  const lines = [`${how}${statusText(report.status)}  ${report.pipeline_name}${target}  ${counts}`];
  const tables = Object.entries(report.dry_run?.rows ?? report.rows).filter(([name]) => !isOwnTable(name));
  if (tables.length > 0) {
    const merged = mergedOf(report);
    const withMerge = merged.size > 0;
    const rows = tables
      .slice(0, LINES_MAX)
      .map(([name, count]) => [
        name,
        number(count),
        ...(withMerge
          ? [number(merged.get(name)?.deleted ?? 0), number(merged.get(name)?.deduplicated ?? 0)]
          : []),
      ]);
    lines.push(table(["table", "rows", ...(withMerge ? ["replaced", "duplicates"] : [])], rows, [1, 2, 3]));
    if (tables.length > LINES_MAX) lines.push(`and ${number(tables.length - LINES_MAX)} more tables`);
  }
  lines.push(...discardLines(report));
  for (const each of report.packages) {
    const from = each.recovered ? " (left over from an earlier run)" : "";
    lines.push(`package ${each.load_id}  ${each.status}${from}`);
    const changes = each.schema_changes.filter((change) => !isOwn(change));
    for (const change of changes.slice(0, LINES_MAX)) lines.push(`  ${changeText(change)}`);
    if (changes.length > LINES_MAX) {
      const more = `${number(changes.length - LINES_MAX)} more changes of the schema`;
      lines.push(`  and ${more}: see loadwright tool diff_schema, or --json`);
    }
    for (const warning of each.warnings) lines.push(`  ${pc.yellow("warning")} ${warning}`);
  }
  for (const warning of report.warnings) lines.push(`${pc.yellow("warning")} ${warning}`);
  if (report.dry_run !== undefined) lines.push(...dryRunLines(report, report.dry_run));
  lines.push(pc.dim(`run ${report.run_id}`));
  return lines.join("\n");
}

/** What did not arrive as it came. Of a dry run the packages tell, since none was committed. */
function discardLines(report: RunReport): string[] {
  const rejected = report.dry_run
    ? report.packages.flatMap((each) => Object.entries(each.rejected ?? {}))
    : Object.entries(report.rejected ?? {});
  return [
    ...rejected.map(
      ([name, { rows, values }]) =>
        `${pc.yellow("rejected")} ${name}: ${number(rows)} ${nounOf(rows, "row")}, ${number(values)} ${nounOf(values, "value")}, by contract`,
    ),
    ...Object.entries(report.nul_removed ?? {}).map(
      ([name, cells]) => `${pc.yellow("NUL removed")} ${name}: ${number(cells)} cells`,
    ),
  ];
}

function dryRunLines(report: RunReport, plan: DryRunPlan): string[] {
  const lines: string[] = [];
  for (const { resources } of report.packages) {
    for (const { name, cursor } of resources) {
      if (cursor !== undefined) {
        lines.push(`cursor ${name}.${cursor.path}: ${short(cursor.before)} -> ${short(cursor.after)}`);
      }
    }
  }
  const ddl = plan.ddl.filter((each) => !isOwnTable(each.table));
  if (ddl.length > 0) lines.push(pc.bold("DDL"), ...ddl.map(({ sql }) => `${sql};`));
  for (const [name, rows] of Object.entries(plan.samples ?? {})) {
    if (isOwnTable(name) || rows.length === 0) continue;
    const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
    lines.push(
      pc.bold(`first rows of ${name}`),
      table(
        columns,
        rows.map((row) => columns.map((column) => (row[column] == null ? "" : short(row[column])))),
      ),
    );
  }
  lines.push("Nothing was written.");
  return lines;
}

/** The run with its steps. */
export function renderTrace(report: RunReport): string {
  const steps = report.steps.map((step) => [
    step.step,
    step.load_id ?? "",
    duration(step.duration_ms),
    number(sum(step.rows)),
    bytes(step.bytes),
    step.error === undefined ? "" : step.error.code,
  ]);
  const parts = [renderRun(report)];
  if (steps.length > 0)
    parts.push(table(["step", "package", "time", "rows", "bytes", "error"], steps, [2, 3, 4]));
  const cursors = report.packages.flatMap((each) =>
    each.resources.flatMap(({ name, cursor }) =>
      cursor === undefined ? [] : [[name, cursor.path, short(cursor.before), short(cursor.after)]],
    ),
  );
  if (cursors.length > 0) parts.push(table(["resource", "cursor", "before", "after"], cursors));
  const ends = report.packages.flatMap((each) =>
    each.resources.flatMap(({ name, ended }) =>
      Object.entries(ended ?? {}).map(([reason, count]) => [name, reason, number(count)]),
    ),
  );
  if (ends.length > 0) parts.push(table(["resource", "reading ended because", "times"], ends, [2]));
  if (report.error !== undefined) parts.push(renderError(report.error));
  return parts.join("\n");
}

export function renderList(pipelines: readonly PipelineListing[]): string {
  if (pipelines.length === 0) return "No pipelines yet: add [pipelines.<name>] to loadwright.toml.";
  return table(
    ["pipeline", "source", "destination", "pending", "last run"],
    pipelines.map((each) => [
      each.name,
      each.source,
      each.destination,
      number(each.pending_packages),
      each.running ? "running now" : each.last_run === undefined ? "never" : runText(each.last_run),
    ]),
    [3],
  );
}

export function renderInfo(info: PipelineInfo): string {
  const facts: [string, string][] = [
    ["source", info.source],
    ["destination", info.destination],
    ["dataset", info.dataset],
    ["folder", info.dir],
    [
      "packages",
      `${info.loaded_packages} loaded, ${info.pending_packages.length} pending, ${info.failed_packages} failed`,
    ],
  ];
  if (info.lock !== undefined) {
    const state = info.lock.stale ? "left by a process that ended" : "running";
    facts.push([
      "lock",
      `${state}: run ${info.lock.run_id}, process ${info.lock.pid} since ${info.lock.started_at}`,
    ]);
  }
  const parts = [pc.bold(info.name) + (info.description === undefined ? "" : `  ${info.description}`)];
  parts.push(facts.map(([key, value]) => `  ${key.padEnd(12)}${value}`).join("\n"));
  if (info.cursors.length > 0) {
    const rows = info.cursors.map((cursor) => [cursor.resource, cursor.path, short(cursor.last_value)]);
    parts.push(table(["resource", "cursor", "last value"], rows));
  }
  if (info.pending_packages.length > 0) parts.push(renderPackages(info.pending_packages));
  if (info.last_runs.length > 0) {
    const rows = info.last_runs.map((run) => [
      run.run_id,
      run.status,
      duration(run.duration_ms),
      number(run.rows),
      run.error ?? "",
    ]);
    parts.push(table(["run", "status", "time", "rows", "error"], rows, [2, 3]));
  }
  return parts.join("\n");
}

export function renderPackages(packages: readonly PackageSummary[]): string {
  return table(
    ["package", "stage", "rows", "error"],
    packages.map((each) => [
      each.load_id,
      each.stage,
      number(sum(each.rows ?? {})),
      each.error === undefined ? "" : `${each.error.code}: ${each.error.message}`,
    ]),
    [2],
  );
}

export function renderDropPlan(plan: DropPlan): string {
  const rows = plan.packages.map((each) => [each.load_id, each.stage, number(each.rows), bytes(each.bytes)]);
  const lines = [table(["package", "stage", "rows", "bytes"], rows, [2, 3])];
  for (const each of plan.packages) {
    for (const cursor of each.cursors) {
      lines.push(
        `  ${cursor.resource}.${cursor.path} goes back from ${short(cursor.from)} to ${short(cursor.to)}: these rows are fetched again`,
      );
    }
  }
  lines.push(`  The packages are kept in ${plan.backup}.`);
  return lines.join("\n");
}

function isOwn(change: SchemaChange): boolean {
  return isOwnTable(change.table) || (change.kind !== "table_added" && change.column.startsWith("_dlt_"));
}

export function changeText(change: SchemaChange): string {
  switch (change.kind) {
    case "table_added":
      return `${pc.green("+")} table ${change.table}`;
    case "column_added": {
      const facts = [change.data_type, change.nullable ? "" : "not null", change.variant ? "variant" : ""];
      return `${pc.green("+")} column ${change.table}.${change.column} ${facts.filter((fact) => fact !== "").join(", ")}`;
    }
    case "column_changed":
      return `${pc.yellow("~")} column ${change.table}.${change.column} ${change.hint}: ${short(change.before)} -> ${short(change.after)}`;
  }
}

export function number(value: number): string {
  return value.toLocaleString("en-US");
}

export function bytes(value: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let size = value;
  let unit = 0;
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1000;
    unit++;
  }
  return `${unit === 0 ? size : size.toFixed(1)} ${units[unit]}`;
}

export function duration(milliseconds: number): string {
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  const seconds = milliseconds / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

function runText(run: RunSummary): string {
  return `${run.status} ${run.started_at.slice(0, 19).replace("T", " ")}, ${number(run.rows)} ${nounOf(run.rows, "row")}`;
}

function statusText(status: RunReport["status"]): string {
  const colour = { succeeded: pc.green, failed: pc.red, cancelled: pc.yellow, running: pc.cyan }[status];
  return colour(status);
}

function mergedOf(report: RunReport): Map<string, { deleted: number; deduplicated: number }> {
  const merged = new Map<string, { deleted: number; deduplicated: number }>();
  for (const each of report.packages) {
    for (const [name, work] of Object.entries(each.merged ?? {})) {
      const before = merged.get(name) ?? { deleted: 0, deduplicated: 0 };
      merged.set(name, {
        deleted: before.deleted + work.deleted,
        deduplicated: before.deduplicated + work.deduplicated,
      });
    }
  }
  return merged;
}

function short(value: unknown): string {
  const text = typeof value === "string" ? value : (toJson(value) ?? "none");
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

export interface QueriedRows {
  readonly columns: readonly { readonly name: string; readonly type: string }[];
  readonly rows: readonly (readonly unknown[])[];
}

const NUMERIC = /^(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT|U\w*INT\w*|FLOAT|DOUBLE|DECIMAL.*)$/;

export function renderRows({ columns, rows }: QueriedRows, summary: string): string {
  const right = columns.flatMap(({ type }, index) => (NUMERIC.test(type) ? [index] : []));
  const cells = rows.map((row) =>
    row.map((value) =>
      value === null ? "" : typeof value === "object" ? JSON.stringify(value) : String(value),
    ),
  );
  return `${table(
    columns.map(({ name }) => name),
    cells,
    right,
  )}\n${summary}`;
}

export function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  right: readonly number[] = [],
): string {
  const drawn = new Table({
    head: [...head],
    style: { head: [], border: [], compact: true },
    colAligns: head.map((_, index) => (right.includes(index) ? "right" : "left")),
    chars: { mid: "", "left-mid": "", "mid-mid": "", "right-mid": "" },
  });
  drawn.push(...rows.map((row) => [...row]));
  return drawn.toString();
}
