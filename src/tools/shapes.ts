/** Parts of answers that several tools share. */

import { z } from "zod";
import { counted } from "../engine/counted.ts";
import type { ErrorEnvelope } from "../engine/errors.ts";
import type { DryRunPlan, RunReport } from "../engine/report.ts";
import { isOwnTable, sum } from "./pipeline-info.ts";

export const ROWS = z.record(z.string(), z.number()).describe("Rows per table");

export const ERROR = z.object({
  code: z.string(),
  message: z.string(),
  hint: z.string(),
  retry: z.string(),
  details: z.record(z.string(), z.unknown()).optional(),
  cause: z.object({ name: z.string(), message: z.string(), code: z.string().optional() }).optional(),
});

export const RUN_STATUS = z.enum(["running", "succeeded", "failed", "cancelled"]);

export const RUN = z.object({
  run_id: z.string(),
  pipeline: z.string(),
  status: RUN_STATUS,
  started_at: z.string(),
  finished_at: z.string().optional(),
  duration_ms: z.number(),
  /** Committed by this run. */
  rows: ROWS,
  packages: z.array(
    z.object({
      load_id: z.string(),
      status: z.string(),
      recovered: z.boolean(),
      rows: ROWS,
      schema_changes: z.number(),
      /** In the detailed form. */
      resources: z
        .array(
          z.object({
            name: z.string(),
            rows: z.number(),
            ended: z
              .record(z.string(), z.number())
              .optional()
              .describe("Why there was nothing more to read, and how often that was the reason"),
          }),
        )
        .optional(),
      error: ERROR.optional(),
    }),
  ),
  steps: z
    .array(
      z.object({
        step: z.string(),
        load_id: z.string().optional(),
        duration_ms: z.number(),
        rows: ROWS,
        bytes: z.number(),
        error: ERROR.optional(),
      }),
    )
    .optional(),
  /** What contracts discarded of what was committed, per table. */
  rejected: z.record(z.string(), z.object({ rows: z.number(), values: z.number() })).optional(),
  nul_removed: ROWS.optional().describe("Cells per table from which NUL characters were removed"),
  dry_run: z
    .object({
      rows: ROWS,
      rejected: z.record(z.string(), z.object({ rows: z.number(), values: z.number() })),
      schema_changes: z.array(z.record(z.string(), z.unknown())),
      cursors: z.array(
        z.object({ resource: z.string(), path: z.string(), before: z.unknown(), after: z.unknown() }),
      ),
      ddl: z.array(z.object({ kind: z.string(), table: z.string(), sql: z.string() })),
      samples: z.record(z.string(), z.array(z.record(z.string(), z.unknown()))).optional(),
    })
    .optional(),
  warnings: z.array(z.string()),
  error: ERROR.optional(),
});
export type RunShape = z.infer<typeof RUN>;

export function runShape(report: RunReport, detailed: boolean): RunShape {
  return {
    run_id: report.run_id,
    pipeline: report.pipeline_name,
    status: report.status,
    started_at: report.started_at,
    ...(report.finished_at === undefined ? {} : { finished_at: report.finished_at }),
    duration_ms: report.duration_ms,
    rows: report.rows,
    packages: report.packages.map((each) => ({
      load_id: each.load_id,
      status: each.status,
      recovered: each.recovered,
      rows: each.rows,
      schema_changes: each.schema_changes.length,
      ...(detailed
        ? {
            resources: each.resources.map(({ name, rows, ended }) => ({
              name,
              rows,
              ...(ended === undefined ? {} : { ended: { ...ended } }),
            })),
          }
        : {}),
      ...(each.error === undefined ? {} : { error: errorShape(each.error) }),
    })),
    ...(detailed
      ? {
          steps: report.steps.map((each) => ({
            step: each.step,
            ...(each.load_id === undefined ? {} : { load_id: each.load_id }),
            duration_ms: each.duration_ms,
            rows: each.rows,
            bytes: each.bytes,
            ...(each.error === undefined ? {} : { error: errorShape(each.error) }),
          })),
        }
      : {}),
    ...(report.rejected === undefined ? {} : { rejected: report.rejected }),
    ...(report.nul_removed === undefined ? {} : { nul_removed: report.nul_removed }),
    ...(report.dry_run === undefined ? {} : { dry_run: dryRunShape(report, report.dry_run) }),
    warnings: [...report.warnings],
    ...(report.error === undefined ? {} : { error: errorShape(report.error) }),
  };
}

function dryRunShape(report: RunReport, plan: DryRunPlan): RunShape["dry_run"] {
  const rejected: Record<string, { rows: number; values: number }> = {};
  for (const { rejected: ofPackage } of report.packages) {
    for (const [table, { rows, values }] of Object.entries(ofPackage ?? {})) {
      const sum = rejected[table] ?? { rows: 0, values: 0 };
      rejected[table] = { rows: sum.rows + rows, values: sum.values + values };
    }
  }
  return {
    rows: plan.rows,
    rejected,
    schema_changes: report.packages.flatMap((each) => each.schema_changes.map((change) => ({ ...change }))),
    cursors: report.packages.flatMap((each) =>
      each.resources.flatMap(({ name, cursor }) => (cursor ? [{ resource: name, ...cursor }] : [])),
    ),
    ddl: plan.ddl.map((each) => ({ ...each })),
    ...(plan.samples === undefined
      ? {}
      : {
          samples: Object.fromEntries(
            Object.entries(plan.samples)
              .filter(([table]) => !isOwnTable(table))
              .map(([table, rows]) => [table, rows.map((row) => ({ ...row }))]),
          ),
        }),
  };
}

export function errorShape(error: ErrorEnvelope): z.infer<typeof ERROR> {
  return error;
}

/** A run in one line. */
/** The engine's own tables are nobody's rows. */
function rowsInTables(rows: Readonly<Record<string, number>>): string {
  const tables = Object.keys(rows).filter((table) => !isOwnTable(table));
  return `${counted(sum(rows), "row")} in ${counted(tables.length, "table")}`;
}

export function runSummary(run: RunShape): string {
  const rows = rowsInTables(run.rows);
  const seconds = (run.duration_ms / 1000).toFixed(1);
  if (run.status === "running")
    return `Run ${run.run_id} of ${run.pipeline} is going on (${seconds} s so far).`;
  if (run.dry_run !== undefined && run.error === undefined) {
    const { rows: planned, schema_changes: changes } = run.dry_run;
    return (
      `Dry run of ${run.pipeline}: ${rowsInTables(planned)} and ` +
      `${changes.length} schema changes would be loaded. Nothing was written.`
    );
  }
  // Not the message: it may quote what came from outside, and a summary stands before the fence.
  const error = run.error === undefined ? "" : ` ${run.error.code}: see error.`;
  return `Run ${run.run_id} of ${run.pipeline} ${run.status} after ${seconds} s, ${rows} committed.${error}`;
}
