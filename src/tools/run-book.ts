/**
 * The runs that this server started. A run is detached: it goes on when the server ends, and any later
 * process can follow it by its trace. What is kept here is only what its trace does not tell.
 */

import type { ProgressEvent } from "../engine/context.ts";
import { EngineError } from "../engine/errors.ts";
import { lockHolder } from "../engine/package/lock.ts";
import type { RunReport } from "../engine/report.ts";
import { canonical } from "./confirm.ts";
import type { Gates } from "./gates.ts";
import type { RunSettings } from "./run-protocol.ts";
import { type RunHandle, startRun } from "./runs.ts";
import type { Workspace } from "./workspace.ts";

export interface RunWish extends RunSettings {
  readonly pipeline: string;
  readonly idempotencyKey?: string;
}

export class KnownRun {
  readonly handle: RunHandle;
  readonly wish: string;
  /** Rows so far by table, from progress events. */
  readonly rows = new Map<string, number>();
  step = "start";
  report: RunReport | undefined;
  onProgress: ((event: ProgressEvent) => void) | undefined;

  constructor(handle: RunHandle, wish: string) {
    this.handle = handle;
    this.wish = wish;
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

/** Keys are remembered while the server lives, the newest so many. */
const KEYS_MAX = 1000;

export class RunBook {
  readonly #gates: Gates;
  readonly #runs = new Map<string, KnownRun>();
  readonly #byKey = new Map<string, KnownRun>();

  constructor(gates: Gates) {
    this.#gates = gates;
  }

  get(runId: string): KnownRun | undefined {
    return this.#runs.get(runId);
  }

  /** Starts a run, or answers the one that the same key started. Errors: NOT_ALLOWED, LOCKED, PIPELINE_NOT_FOUND. */
  start(workspace: Workspace, wish: RunWish): { readonly run: KnownRun; readonly repeated: boolean } {
    this.#gates.require("run", "Starting a run");
    const { idempotencyKey, ...rest } = wish;
    const text = canonical(rest);
    const earlier = idempotencyKey === undefined ? undefined : this.#byKey.get(idempotencyKey);
    if (earlier !== undefined) {
      if (earlier.wish === text) return { run: earlier, repeated: true };
      throw new EngineError(
        "ARGUMENTS_INVALID",
        "The idempotency_key was used for a run with other arguments.",
        {
          hint: "Use a new idempotency_key for a new run.",
          details: { run_id: earlier.handle.runId },
        },
      );
    }
    const holder = lockHolder(workspace.pipelineDir(wish.pipeline));
    if (holder !== undefined && !holder.stale) {
      throw new EngineError("LOCKED", `Run ${holder.info.run_id} of ${wish.pipeline} has not ended yet.`, {
        hint: "Follow it with get_run, or stop it with cancel_run.",
        details: { run_id: holder.info.run_id, since: holder.info.started_at },
      });
    }
    const { pipeline, ...settings } = rest;
    const handle = startRun(workspace, pipeline, { ...settings, detached: true });
    const run = new KnownRun(handle, text);
    this.#runs.set(handle.runId, run);
    if (idempotencyKey !== undefined) {
      this.#byKey.set(idempotencyKey, run);
      const oldest = this.#byKey.keys().next().value;
      if (this.#byKey.size > KEYS_MAX && oldest !== undefined) this.#byKey.delete(oldest);
    }
    return { run, repeated: false };
  }
}
