/** The process of one run. Started by runs.ts; see run-protocol.ts for what it says and hears. */

import type { Log, ProgressEvent } from "../engine/context.ts";
import { EngineError, type ErrorEnvelope, toEnvelope } from "../engine/errors.ts";
import { RunFolder } from "../engine/package/trace.ts";
import type { RunReport } from "../engine/report.ts";
import { resolveLoadwrightToThisPackage } from "../sources/resolve-loadwright.ts";
import { capturePrints } from "./capture-prints.ts";
import { Gates } from "./gates.ts";
import {
  type ChildMessage,
  decode,
  encode,
  type ParentMessage,
  plainJson,
  type RunRequest,
} from "./run-protocol.ts";
import { failedReport, maskedSamples, withoutSamples } from "./run-report.ts";
import type { Secrets } from "./secrets.ts";
import { findWorkspace } from "./workspace.ts";

/** Progress of a table is told at most this often. */
const PROGRESS_EVERY_MS = 100;

const abort = new AbortController();

function cancel(why: string): void {
  if (!abort.signal.aborted) abort.abort(new EngineError("CANCELLED", `The run was cancelled: ${why}.`));
}

/** Ctrl-C reaches the whole process group; the parent decides what it means. */
process.on("SIGINT", () => {});
process.on("SIGTERM", () => cancel("it was asked to stop"));
process.on("SIGHUP", () => {});

if (process.send === undefined) {
  process.stderr.write("This is the process of a run; start runs with `loadwright run PIPELINE`.\n");
  process.exit(2);
}

process.once("message", (text) => {
  const request = decode<RunRequest>(text);
  process.on("message", (later) => {
    if (decode<ParentMessage>(later).kind === "cancel") cancel("it was asked to stop");
  });
  process.removeListener("disconnect", leave);
  process.on("disconnect", () => {
    if (!request.detached) cancel("the process that started it ended");
  });
  void main(request);
});
process.on("disconnect", leave);

/** The parent ended before it said what to do. */
function leave(): void {
  process.exit(1);
}

async function main(request: RunRequest): Promise<void> {
  const started = Date.now();
  let secrets: Secrets | undefined;
  let last: RunReport | undefined;
  let runs: RunFolder | undefined;
  const masked = <T>(value: T): T => secrets?.maskAll(value) ?? value;
  const end = async (error: ErrorEnvelope): Promise<void> => {
    const status = error.code === "CANCELLED" ? "cancelled" : "failed";
    const before = last === undefined ? undefined : masked(last);
    await finish(
      runs,
      failedReport(request, masked(error), { status, started, last: before, pid: process.pid }),
    );
  };
  const escaped = (error: unknown): void => {
    const told = error instanceof Error ? error.message : String(error);
    void end(
      toEnvelope(
        new EngineError("EXTRACT_FAILED", `An error was caught by nobody: ${told}`, { cause: error }),
      ),
    );
  };
  process.on("uncaughtException", escaped).on("unhandledRejection", escaped);

  try {
    const gates = new Gates(request.allow);
    const workspace = findWorkspace(request.workspaceDir, request.workspaceDir).reopened((mode, what) =>
      gates.require(mode, what),
    );
    // before the source's code can print or throw anything
    secrets = workspace.secrets(request.pipeline);
    const folder = new RunFolder(workspace.pipelineDir(request.pipeline));
    runs = folder;
    // the engine writes its own events to the run's log; they only have to be passed on
    const tell: Log = (level, event, fields = {}) => {
      const time = new Date().toISOString();
      send({ kind: "log", time, level, event, fields: masked(plainJson(fields)) });
    };
    capturePrints((stream, printed) => {
      const text = masked(printed);
      const time = new Date().toISOString();
      folder.appendLog(request.runId, { time, level: "info", event: "source_print", stream, text });
      tell("info", "source_print", { stream, text });
    });
    resolveLoadwrightToThisPackage();
    const opened = workspace.openPipeline(request.pipeline);
    secrets = opened.secrets;
    const source = await opened.createSource();
    const progress = throttled(PROGRESS_EVERY_MS);
    const report = await opened.pipeline.run(source, {
      runId: request.runId,
      resources: request.resources,
      rowsMax: request.rowsMax,
      dryRun: request.dryRun,
      backfill: request.backfill,
      interval: request.interval,
      refresh: request.refresh,
      schemaContract: request.schemaContract ?? opened.config.schema_contract,
      signal: abort.signal,
      log: tell,
      mask: masked,
      onProgress: progress.tell,
      onReport: (grown) => {
        last = grown;
        send({ kind: "report", report: masked(grown) });
      },
    });
    progress.flush();
    await finish(runs, masked(maskedSamples(report)));
  } catch (error) {
    await end(toEnvelope(error));
  }
}

/** The outcome, on disk without secrets, then to the parent; the first one counts. */
let finished = false;
async function finish(runs: RunFolder | undefined, report: RunReport): Promise<void> {
  if (finished) return;
  finished = true;
  await leaveTrace(runs, withoutSamples(report));
  await new Promise<void>((resolve) => {
    if (!process.connected) resolve();
    else process.send?.(encode({ kind: "result", report }), () => resolve());
  });
  // handles that the source's code left open must not keep the process
  process.exit(report.status === "succeeded" ? 0 : 1);
}

/** The engine wrote a trace unless it never began; written again here without secrets and with the outcome. */
async function leaveTrace(runs: RunFolder | undefined, result: RunReport): Promise<void> {
  try {
    await runs?.writeTrace(plainJson(result));
  } catch (error) {
    // the report still reaches the parent: a disk that is full must not hide it
    process.stderr.write(`trace not written: ${String(error)}\n`);
  }
}

function send(message: ChildMessage): void {
  // the channel may close at any time: what is told is also on disk
  if (process.connected) process.send?.(encode(message), () => {});
}

/** Counts are totals so far, so only the newest of each table matters. */
function throttled(everyMs: number): { tell: (event: ProgressEvent) => void; flush: () => void } {
  const waiting = new Map<string, ProgressEvent>();
  let timer: NodeJS.Timeout | undefined;
  const flush = (): void => {
    clearTimeout(timer);
    timer = undefined;
    for (const event of waiting.values()) send(event);
    waiting.clear();
  };
  const tell = (event: ProgressEvent): void => {
    waiting.set(`${event.step} ${event.table}`, event);
    timer ??= setTimeout(flush, everyMs);
  };
  return { tell, flush };
}
