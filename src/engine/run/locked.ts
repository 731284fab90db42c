/** A run as a whole: permitted, alone in its pipeline's folder, and reported on however it ends. */

import { mkdir } from "node:fs/promises";
import { DEFAULT_LIMITS, type RunContext } from "../context.ts";
import { EngineError, type ErrorCode } from "../errors.ts";
import { acquireLock } from "../package/lock.ts";
import { PackageStore } from "../package/store.ts";
import { newRunId } from "../package/trace.ts";
import { permissionFor } from "../permission.ts";
import type { RunOptions } from "../pipeline-options.ts";
import type { RunReport } from "../report.ts";
import type { PipelineParts, Run } from "./run.ts";
import { RunRecorder } from "./run-recorder.ts";

const RUNS_KEPT = 200;

/**
 * Does the work of a command while it holds the pipeline's lock. What the work throws is in the report; thrown
 * are NOT_ALLOWED and CONFIG_INVALID, before anything has begun.
 */
export async function locked(
  pipeline: PipelineParts,
  options: RunOptions,
  command: string,
  work: (run: Run) => Promise<void>,
): Promise<RunReport> {
  const { name, dataset, destination, dir, runs } = pipeline;
  pipeline.options.permit?.(permissionFor(command, options.refresh), `${command} on pipeline ${name}`);
  if (options.dryRun) {
    throw new EngineError("CONFIG_INVALID", `There is no dry run of ${command}: only whole runs have one.`);
  }
  const started = Date.now();
  const runId = options.runId ?? newRunId(started);
  const mask = options.mask ?? ((value) => value);
  const context = contextOf(pipeline, options, runId);
  const recorder = new RunRecorder(
    { runId, pipeline: name, dataset, destination: destination.displayName },
    runs,
    context,
    { mask, onReport: options.onReport ?? (() => {}) },
  );
  let lock: ReturnType<typeof acquireLock>;
  try {
    await mkdir(dir, { recursive: true });
    lock = acquireLock(dir, { run_id: runId, command }, context);
  } catch (error) {
    return recorder.finish("failed", error);
  }
  try {
    context.boundary("run:locked");
    await recorder.begin();
    const store = new PackageStore(dir, context);
    const durable = command === "extract" || command === "normalize";
    await work({ pipeline, store, context, recorder, options, durable });
    return await recorder.finish("succeeded");
  } catch (error) {
    if (context.signal.aborted) {
      const cancelled = new EngineError("CANCELLED", `The run of ${name} was cancelled.`, { cause: error });
      return await recorder.finish("cancelled", cancelled);
    }
    const known = error instanceof EngineError ? error.withDetails({ pipeline: name }) : error;
    return await recorder.finish("failed", known);
  } finally {
    context.boundary("run:finished");
    lock.release();
    // a folder that cannot be written now is told of above, or by the next run
    await runs.pruneRuns(RUNS_KEPT).catch(() => {});
  }
}

function contextOf({ runs, options: own }: PipelineParts, options: RunOptions, runId: string): RunContext {
  const mask = options.mask ?? ((value) => value);
  return {
    now: Date.now,
    log(level, event, fields = {}) {
      try {
        runs.appendLog(runId, mask({ time: new Date().toISOString(), level, event, ...fields }));
      } catch {
        // a run does not end because its log cannot be written
      }
      options.log?.(level, event, fields);
    },
    signal: options.signal ?? new AbortController().signal,
    limits: { ...DEFAULT_LIMITS, ...own.limits },
    progress: options.onProgress ?? (() => {}),
    boundary: options.boundary ?? (() => {}),
  };
}

/** The error of a report, thrown by calls that answer with something else than a report. */
export function reportError(report: RunReport): EngineError {
  const { error } = report;
  if (!error) return new EngineError("INTERNAL", "The call ended without a result.");
  return new EngineError(error.code as ErrorCode, error.message, {
    hint: error.hint,
    retry: error.retry,
    details: error.details,
  });
}
