/** Reports of runs that the engine could not finish itself. */

import type { ErrorEnvelope } from "../engine/errors.ts";
import { EngineError, toEnvelope } from "../engine/errors.ts";
import type { RunReport } from "../engine/report.ts";

export interface Ended {
  readonly status: "failed" | "cancelled";
  /** Milliseconds since 1970. */
  readonly started: number;
  readonly pid: number;
  /** The last report that the engine gave, if it began. */
  readonly last?: RunReport;
}

/** The last report with the outcome that only an outer layer knows, or one for a run that never began. */
export function failedReport(
  run: { readonly runId: string; readonly pipeline: string },
  error: ErrorEnvelope,
  ended: Ended,
): RunReport {
  const now = Date.now();
  const outcome = {
    status: ended.status,
    finished_at: new Date(now).toISOString(),
    duration_ms: now - ended.started,
    error,
  };
  if (ended.last !== undefined) {
    // the engine's own verdict is the more exact one
    return ended.last.status === "running" ? { ...ended.last, ...outcome } : ended.last;
  }
  return {
    run_id: run.runId,
    pipeline_name: run.pipeline,
    dataset_name: "",
    destination: "",
    pid: ended.pid,
    started_at: new Date(ended.started).toISOString(),
    steps: [],
    packages: [],
    rows: {},
    warnings: [],
    ...outcome,
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
