/**
 * The runs that this server started. A run is detached: it goes on when the server ends, and any later
 * process can follow it by its trace. What is kept here is only what its trace does not tell.
 */

import type { ProgressEvent } from "../engine/context.ts";
import { EngineError } from "../engine/errors.ts";
import { lockHolder } from "../engine/package/lock.ts";
import { newRunId } from "../engine/package/trace.ts";
import type { RunReport } from "../engine/report.ts";
import { canonical } from "./confirm.ts";
import { IdempotencyKeys } from "./idempotency.ts";
import type { RunSettings } from "./run-protocol.ts";
import { getRun, type RunHandle, startRun } from "./runs.ts";
import type { Workspace } from "./workspace.ts";

export interface RunWish extends RunSettings {
  readonly pipeline: string;
  readonly idempotencyKey?: string;
}

export interface Started {
  readonly runId: string;
  /** The same key had started it before: perhaps in another process. */
  readonly repeated: boolean;
}

export class KnownRun {
  readonly handle: RunHandle;
  /** Rows so far by table, from progress events. */
  readonly rows = new Map<string, number>();
  step = "start";
  report: RunReport | undefined;
  onProgress: ((event: ProgressEvent) => void) | undefined;

  constructor(handle: RunHandle) {
    this.handle = handle;
    void this.#follow();
    void handle.done.then((report) => {
      this.report = report;
    });
  }

  async #follow(): Promise<void> {
    for await (const event of this.handle.events) {
      if (event.kind !== "progress") continue;
      this.step = event.step;
      this.rows.set(event.table, event.rows);
      this.onProgress?.(event);
    }
  }
}

export class RunBook {
  readonly #runs = new Map<string, KnownRun>();

  /** A run of this process; of another one, its trace is all there is. */
  get(runId: string): KnownRun | undefined {
    return this.#runs.get(runId);
  }

  /** Starts a run, or answers the one that the same key started. Errors: NOT_ALLOWED, LOCKED, PIPELINE_NOT_FOUND. */
  async start(workspace: Workspace, wish: RunWish): Promise<Started> {
    workspace.permit("run", "Starting a run");
    const { idempotencyKey: key, ...rest } = wish;
    if (key === undefined)
      return { runId: this.#begin(workspace, wish, newRunId(Date.now())), repeated: false };
    // before a key is claimed for it
    workspace.pipelineConfig(wish.pipeline);
    const keys = new IdempotencyKeys(workspace);
    const own = { run_id: newRunId(Date.now()), pipeline: wish.pipeline, wish: canonical(rest) };
    const { claim, mine } = keys.claim(key, own);
    if (claim.wish !== own.wish) {
      throw new EngineError(
        "ARGUMENTS_INVALID",
        "The idempotency_key was used for a run with other arguments.",
        { hint: "Use a new idempotency_key for a new run.", details: { run_id: claim.run_id } },
      );
    }
    if (!mine && (await hasTrace(workspace, claim.run_id, wish.pipeline))) {
      return { runId: claim.run_id, repeated: true };
    }
    try {
      return { runId: this.#begin(workspace, wish, claim.run_id), repeated: false };
    } catch (error) {
      keys.release(key);
      throw error;
    }
  }

  #begin(workspace: Workspace, wish: RunWish, runId: string): string {
    const holder = lockHolder(workspace.pipelineDir(wish.pipeline));
    if (holder !== undefined && !holder.stale) {
      throw new EngineError("LOCKED", `Run ${holder.info.run_id} of ${wish.pipeline} has not ended yet.`, {
        hint: "Follow it with get_run, or stop it with cancel_run.",
        details: { run_id: holder.info.run_id, since: holder.info.started_at },
      });
    }
    const { pipeline, idempotencyKey: _, ...settings } = wish;
    const handle = startRun(workspace, pipeline, { ...settings, runId, detached: true });
    this.#runs.set(runId, new KnownRun(handle));
    this.#forgetEnded();
    return runId;
  }

  /** Those that ended can be read from their traces. */
  #forgetEnded(): void {
    if (this.#runs.size <= RUNS_KEPT) return;
    for (const [runId, run] of this.#runs) {
      if (run.report !== undefined) this.#runs.delete(runId);
    }
  }
}

const RUNS_KEPT = 100;

/** The trace is written as soon as the process of a run was started. */
async function hasTrace(workspace: Workspace, runId: string, pipeline: string): Promise<boolean> {
  try {
    await getRun(workspace, runId, pipeline);
    return true;
  } catch (error) {
    if (error instanceof EngineError && error.code === "RUN_NOT_FOUND") return false;
    throw error;
  }
}
