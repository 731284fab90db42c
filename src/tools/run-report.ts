/** Reports of runs that the engine could not finish itself. */

import type { ErrorEnvelope } from "../engine/errors.ts";
import { EngineError, toEnvelope } from "../engine/errors.ts";
import type { RunReport } from "../engine/report.ts";
import { maskedCell } from "./masked-cell.ts";

export interface Ended {
  readonly status: "failed" | "cancelled";
  /** Milliseconds since 1970. */
  readonly started: number;
  readonly pid: number;
  /** The last report that the engine gave, if it began. */
  readonly last?: RunReport;
}

/** The report of a run whose process was started, until the engine tells more. */
export function runningReport(
  run: { readonly runId: string; readonly pipeline: string },
  begun: { readonly started: number; readonly pid: number },
): RunReport {
  return {
    run_id: run.runId,
    pipeline_name: run.pipeline,
    dataset_name: "",
    destination: "",
    status: "running",
    pid: begun.pid,
    started_at: new Date(begun.started).toISOString(),
    duration_ms: 0,
    steps: [],
    packages: [],
    rows: {},
    warnings: [],
  };
}

/** The last report with the outcome that only an outer layer knows, or one for a run that never began. */
export function failedReport(
  run: { readonly runId: string; readonly pipeline: string },
  error: ErrorEnvelope,
  ended: Ended,
): RunReport {
  const last = ended.last ?? runningReport(run, ended);
  // the engine's own verdict is the more exact one
  if (last.status !== "running") return last;
  const now = Date.now();
  return {
    ...last,
    status: ended.status,
    finished_at: new Date(now).toISOString(),
    duration_ms: now - ended.started,
    error,
  };
}

/** Why a process ended that gave no result. */
export function processEnded(
  pid: number,
  code: number | null,
  signal: NodeJS.Signals | null,
  output: string,
): ErrorEnvelope {
  const how = signal === null ? `exited with code ${code}` : `was ended by ${signal}`;
  const memory = signal === "SIGKILL" ? " (by a person, or by the system for lack of memory)" : "";
  const details = { pid, exit_code: code, signal, ...(output === "" ? {} : { output }) };
  return toEnvelope(
    new EngineError("PROCESS_ENDED", `The run's process ${pid} ${how}${memory} before the run ended.`, {
      details,
    }),
  );
}

/** Samples of a dry run are for the answer alone: cells do not reach a trace. */
export function withoutSamples(report: RunReport): RunReport {
  if (report.dry_run?.samples === undefined) return report;
  const { samples: _, ...plan } = report.dry_run;
  return { ...report, dry_run: plan };
}

/** The report of a dry run with the cells hidden that look like secrets. */
export function maskedSamples(report: RunReport): RunReport {
  const { dry_run: plan } = report;
  if (plan?.samples === undefined) return report;
  const samples = Object.fromEntries(
    Object.entries(plan.samples).map(([table, rows]) => [
      table,
      rows.map((row) =>
        Object.fromEntries(Object.entries(row).map(([column, value]) => [column, maskedCell(column, value)])),
      ),
    ]),
  );
  return { ...report, dry_run: { ...plan, samples } };
}
