/** Runs as child processes: a source that prints, leaks, hangs or crashes harms nothing but its own run. */

import { spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { getCompileCacheDir } from "node:module";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { EngineError } from "../engine/errors.ts";
import { newRunId, RunFolder } from "../engine/package/trace.ts";
import type { Permission } from "../engine/permission.ts";
import type { RunReport } from "../engine/report.ts";
import { EventQueue } from "./event-queue.ts";
import { OPENABLE_MODES } from "./gates.ts";
import {
  type ChildMessage,
  decode,
  encode,
  type ParentMessage,
  plainJson,
  type RunEvent,
  type RunSettings,
  toJson,
} from "./run-protocol.ts";
import { failedReport, processEnded, runningReport } from "./run-report.ts";
import type { Workspace } from "./workspace.ts";

/** What a run's process printed past Node: native messages, fatal errors. Beside trace.json and log.jsonl. */
const OUTPUT_FILE = "output.log";
const CANCEL_GRACE_MS = 10_000;
const OUTPUT_TOLD_BYTES = 2_000;

export interface StartOptions extends RunSettings {
  /** The run outlives this process, which may then end at any time. */
  readonly detached?: boolean;
  /** How long a cancelled run may take to end before it is killed. */
  readonly cancelGraceMs?: number;
  /** Another id than a new one. */
  readonly runId?: string;
  /** Another program than the run's own; for tests. */
  readonly childFile?: string;
}

export interface RunHandle {
  readonly runId: string;
  /** Ends when the run does. Progress is merged and logs are dropped, oldest first, while nobody reads. */
  readonly events: AsyncIterable<RunEvent>;
  /** Always a report, never a rejection: what went wrong is in its `error`. */
  readonly done: Promise<RunReport>;
  /** Asks the run to stop; kills it when it does not within the grace time. */
  cancel(): void;
  /** Ends the process at once. What was committed stays; the next run takes up the rest. */
  kill(): void;
}

/** Starts a run of a pipeline in a process of its own. Errors: PIPELINE_NOT_FOUND; all others are in the report. */
export function startRun(workspace: Workspace, pipeline: string, options: StartOptions = {}): RunHandle {
  const started = Date.now();
  const runId = options.runId ?? newRunId(started);
  const runs = new RunFolder(workspace.pipelineDir(pipeline));
  const runDir = join(runs.dir, runId);
  const outputPath = join(runDir, OUTPUT_FILE);
  mkdirSync(runDir, { recursive: true });
  const output = openSync(outputPath, "a");
  const detached = options.detached ?? false;
  const child = spawn(process.execPath, [...NODE_FLAGS, options.childFile ?? CHILD_FILE], {
    cwd: workspace.dir,
    env: { ...compileCache(), ...process.env },
    detached,
    stdio: ["ignore", output, output, "ipc"],
  });
  closeSync(output);

  const events = new EventQueue();
  let last: RunReport | undefined;
  let result: RunReport | undefined;
  let cancelled = false;
  let killTimer: NodeJS.Timeout | undefined;

  const tell = (message: ParentMessage): void => {
    if (child.connected) child.send(encode(message), () => {});
  };
  child.on("message", (text) => {
    const message = decode<ChildMessage>(text);
    if (message.kind === "result") result = message.report;
    else {
      if (message.kind === "report") last = message.report;
      events.push(message);
    }
  });
  if (child.pid !== undefined) {
    // before the child is told to begin, so that the run can be asked for from now on
    const begun = runningReport({ runId, pipeline }, { started, pid: child.pid });
    writeFileSync(join(runDir, "trace.json"), `${toJson(begun, 2)}\n`);
  }
  tell({
    kind: "run",
    workspaceDir: workspace.dir,
    pipeline,
    runId,
    resources: options.resources,
    rowsMax: options.rowsMax,
    dryRun: options.dryRun,
    backfill: options.backfill,
    interval: options.interval,
    refresh: options.refresh,
    schemaContract: options.schemaContract,
    detached,
    allow: OPENABLE_MODES.filter((mode) => permitted(workspace, mode)),
  });

  const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null; error?: Error }>(
    (resolve) => {
      // `close`, not `exit`: messages may still be on their way
      child.once("close", (code, signal) => resolve({ code, signal }));
      child.once("error", (error) => resolve({ code: null, signal: null, error }));
    },
  );
  const done = ended.then(async ({ code, signal, error }) => {
    clearTimeout(killTimer);
    const report = result ?? (await reportOfDead(code, signal, error));
    removeIfEmpty(outputPath);
    events.end();
    return report;
  });

  async function reportOfDead(
    code: number | null,
    signal: NodeJS.Signals | null,
    error?: Error,
  ): Promise<RunReport> {
    const pid = child.pid ?? 0;
    const envelope =
      error === undefined
        ? processEnded(pid, code, signal, maskedTail())
        : {
            ...processEnded(pid, code, signal, ""),
            message: `The run's process could not be started: ${error.message}`,
          };
    // another process may have asked for the end, see cancelRun
    const status = cancelled || signal === "SIGTERM" ? "cancelled" : "failed";
    const report = failedReport({ runId, pipeline }, envelope, { status, started, pid, last });
    await runs.writeTrace(plainJson(report)).catch(() => {});
    return report;
  }

  function maskedTail(): string {
    try {
      return workspace.secrets(pipeline).mask(tailOf(outputPath));
    } catch {
      // secrets that cannot be read cannot be masked either
      return "";
    }
  }

  if (detached) {
    child.unref();
    child.channel?.unref();
  }
  return {
    runId,
    events,
    done,
    cancel() {
      cancelled = true;
      tell({ kind: "cancel" });
      child.kill("SIGTERM");
      killTimer ??= setTimeout(() => child.kill("SIGKILL"), options.cancelGraceMs ?? CANCEL_GRACE_MS);
    },
    kill() {
      cancelled = true;
      child.kill("SIGKILL");
    },
  };
}

function permitted(workspace: Workspace, mode: Permission): boolean {
  try {
    workspace.permit(mode, "A run");
    return true;
  } catch {
    return false;
  }
}

/** The report of a run from its trace; a run whose process is gone is reported as failed. RUN_NOT_FOUND. */
export async function getRun(workspace: Workspace, runId: string, pipeline?: string): Promise<RunReport> {
  const names = pipeline === undefined ? workspace.pipelineNames() : [pipeline];
  for (const name of names) {
    try {
      return await new RunFolder(workspace.pipelineDir(name)).readTrace(runId);
    } catch (error) {
      if (!(error instanceof EngineError && error.code === "RUN_NOT_FOUND")) throw error;
    }
  }
  const where = pipeline === undefined ? "this workspace" : `pipeline ${pipeline}`;
  throw new EngineError("RUN_NOT_FOUND", `There is no run ${runId} in ${where}.`, {
    details: { run_id: runId, pipelines: names },
  });
}

/**
 * Cancels a run that any process started: asks, waits for the grace time, then kills. Answers the report
 * that the run left; one that had ended before is answered as it was.
 */
export async function cancelRun(
  workspace: Workspace,
  runId: string,
  options: { readonly graceMs?: number; readonly now?: () => number } = {},
): Promise<RunReport> {
  const now = options.now ?? Date.now;
  const report = await getRun(workspace, runId);
  if (report.status !== "running") return report;
  signalProcess(report.pid, "SIGTERM");
  for (const until = now() + (options.graceMs ?? CANCEL_GRACE_MS); now() < until; ) {
    await sleep(50);
    const current = await getRun(workspace, runId);
    if (current.status !== "running") return current;
  }
  signalProcess(report.pid, "SIGKILL");
  await sleep(100);
  return getRun(workspace, runId);
}

function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

/** What this process keeps of compiled code serves the run, too: half of its start is compiling. */
function compileCache(): NodeJS.ProcessEnv {
  const folder = getCompileCacheDir();
  // the folder's name is Node's version, which the variable leaves to Node
  return folder === undefined ? {} : { NODE_COMPILE_CACHE: dirname(folder) };
}

/** In the checkout the program is .ts, in the published package .js; this file has the same ending. */
const CHILD_FILE = fileURLToPath(
  new URL(`./run-child${import.meta.url.endsWith(".ts") ? ".ts" : ".js"}`, import.meta.url),
);

/** Types are stripped by Node; a workspace needs no package.json to say that its files are modules. */
export const NODE_FLAGS = [
  "--disable-warning=ExperimentalWarning",
  "--disable-warning=MODULE_TYPELESS_PACKAGE_JSON",
  "--enable-source-maps",
];

function tailOf(path: string): string {
  try {
    return readFileSync(path).subarray(-OUTPUT_TOLD_BYTES).toString("utf8").trim();
  } catch {
    return "";
  }
}

function removeIfEmpty(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.size === 0) rmSync(path, { force: true });
}
