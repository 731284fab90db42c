import { existsSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { counted } from "../engine/counted.ts";
import { EngineError } from "../engine/errors.ts";
import { RunFolder } from "../engine/package/trace.ts";
import type { RunReport } from "../engine/report.ts";
import { REFRESH_MODES, type RefreshMode } from "../engine/reset/refresh.ts";
import { SCHEMA_CONTRACT } from "./config.ts";
import { decide } from "./confirm.ts";
import { defineTool, FORMAT, type NextStep, PIPELINE, READS, type ToolContext } from "./define-tool.ts";
import { inspectionOf } from "./inspection.ts";
import { sum } from "./pipeline-info.ts";
import type { KnownRun } from "./run-book.ts";
import { refreshQuestion } from "./run-settings.ts";
import { cancelRun, getRun } from "./runs.ts";
import { RUN, type RunShape, runShape, runSummary } from "./shapes.ts";
import { newestRunId } from "./workspace-tools.ts";

/** Clients give up on a call after about a minute. */
const WAIT_SECONDS_MAX = 45;
const PROGRESS_EVERY_MS = 250;

const WAIT = z
  .number()
  .min(0)
  .max(WAIT_SECONDS_MAX)
  .describe(
    `Seconds to wait for the end, at most ${WAIT_SECONDS_MAX}; a longer run is followed with get_run`,
  );

const RUN_ID = z
  .string()
  .regex(/^\d{8}T\d{6}-[0-9a-f]{6}$/)
  .describe("Id of a run, as run_pipeline answers it");

export const runPipeline = defineTool({
  name: "run_pipeline",
  title: "Run a pipeline",
  description:
    "Extracts from the pipeline's source, normalizes and loads into its destination, in a process of its own. " +
    "Packages left over from an earlier run are loaded first. Waits up to wait_s, then answers the run_id; the " +
    "run goes on, get_run follows it and cancel_run stops it. rows_max takes a first look at a source; the cursor then moves only " +
    "over the rows taken. dry_run tells what the run would do. backfill loads a window of cursor values again. " +
    "refresh begins anew: it shows its plan first, with a confirm_token for the second call. Calling again with " +
    "the same idempotency_key answers the same run. Cancelling the " +
    "call while it waits cancels the run; what was committed stays. get_schema and query_data show the result.",
  mode: "run",
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: false, openWorldHint: true },
  input: z.strictObject({
    pipeline: PIPELINE,
    resources: z
      .array(z.string().min(1))
      .min(1)
      .max(100)
      .optional()
      .describe("Only these resources of the source; all by default"),
    backfill: z
      .strictObject({ from: z.string().min(1), to: z.string().min(1) })
      .optional()
      .describe("Load this window of cursor values again, from to before to; stored cursors stay"),
    refresh: z
      .enum(REFRESH_MODES)
      .optional()
      .describe("Begin anew: drops tables and state, or only rows and state; needs a confirmation"),
    confirm_token: z.string().max(1000).optional().describe("From the plan of a refresh; valid once"),
    schema_contract: SCHEMA_CONTRACT.optional().describe(
      "What this run may change in the schema: evolve, freeze, discard_row or discard_value",
    ),
    rows_max: z.int().min(1).optional().describe("At most so many rows of each resource"),
    dry_run: z
      .boolean()
      .default(false)
      .describe("Only tell rows, DDL, schema changes, cursor moves and discards; nothing is written"),
    wait_s: WAIT.default(20),
    idempotency_key: z.string().min(1).max(200).optional().describe("Names this wish, for safe repetition"),
    response_format: FORMAT,
  }),
  output: RUN,
  untrusted: true,
  view: "run-timeline",
  async execute(input, context) {
    if (input.refresh !== undefined && !input.dry_run) {
      await confirmRefresh({ ...input, refresh: input.refresh }, context);
    }
    const { runId, repeated } = await context.runs.start(context.workspace, {
      pipeline: input.pipeline,
      resources: input.resources,
      rowsMax: input.rows_max,
      dryRun: input.dry_run || undefined,
      backfill: input.backfill,
      refresh: input.refresh,
      schemaContract: input.schema_contract,
      idempotencyKey: input.idempotency_key,
    });
    const run = context.runs.get(runId);
    const report =
      run === undefined
        ? await settled(runId, input.wait_s, input.pipeline, context)
        : await waitFor(run, input.wait_s, context);
    const shape =
      report === undefined
        ? goingOn(runId, input.pipeline)
        : runShape(report, input.response_format === "detailed");
    return {
      summary: `${repeated ? "Same run as before. " : ""}${runSummary(shape)}`,
      data: shape,
      next_steps: nextStepsOf(shape),
    };
  },
});

/**
 * A refresh needs the destructive gate and a confirmation of what it drops. Errors: NOT_ALLOWED; CONFIRM_REQUIRED
 * with the plan and its token; CONFIRM_EXPIRED; CANCELLED when the person says no.
 */
async function confirmRefresh(
  input: {
    readonly pipeline: string;
    readonly refresh: RefreshMode;
    readonly resources?: readonly string[] | undefined;
    readonly confirm_token?: string | undefined;
  },
  context: ToolContext,
): Promise<void> {
  context.gates.require("destructive", "A refresh");
  const { pipeline } = context.workspace.openPipeline(input.pipeline);
  const plan = await pipeline.planRefresh(input.refresh, input.resources);
  if (plan.tables.length + plan.resource_states.length === 0) return;
  const question = refreshQuestion(plan);
  const decision = decide(context.confirmation, {
    tool: "run_pipeline",
    plan,
    question,
    confirmToken: input.confirm_token,
  });
  if (decision.kind === "confirmed") return;
  if (decision.kind === "declined") {
    throw new EngineError("CANCELLED", "Not run: the person declined the refresh.", { details: { plan } });
  }
  const { token, expires_at } = decision.token;
  throw new EngineError("CONFIRM_REQUIRED", `Nothing is run yet. ${question}`, {
    details: { plan, confirm_token: token, expires_at },
  });
}

/** The report when the run ends in time. Cancels the run when the caller gives the call up. */
async function waitFor(run: KnownRun, seconds: number, context: ToolContext): Promise<RunReport | undefined> {
  if (run.report !== undefined) return run.report;
  let done = 0;
  let toldAt = 0;
  run.onProgress = (event) => {
    const now = Date.now();
    if (now - toldAt < PROGRESS_EVERY_MS) return;
    toldAt = now;
    const total = [...run.rows.values()].reduce((sum, rows) => sum + rows, 0);
    done = Math.max(done + 1, total);
    context.progress(done, `${event.step}: ${counted(event.rows, "row")} of ${event.table}`);
  };
  const timer = new AbortController();
  const onAbort = (): void => {
    if (!context.isShuttingDown()) run.handle.cancel();
    // nobody waits for this answer, and a timer would keep the server from ending
    timer.abort();
  };
  if (context.signal.aborted) onAbort();
  context.signal.addEventListener("abort", onAbort, { once: true });
  try {
    const late = sleep(seconds * 1000, undefined, { signal: timer.signal }).catch(() => undefined);
    return await Promise.race([run.handle.done, late]);
  } finally {
    timer.abort();
    context.signal.removeEventListener("abort", onAbort);
    run.onProgress = undefined;
  }
}

function goingOn(runId: string, pipeline: string): RunShape {
  const started = startOf(runId);
  return {
    run_id: runId,
    pipeline,
    status: "running",
    started_at: started.toISOString(),
    duration_ms: Math.max(0, Date.now() - started.getTime()),
    rows: {},
    packages: [],
    warnings: [],
  };
}

/** A run id begins with its start, in UTC. */
function startOf(runId: string): Date {
  const [, y, mo, d, h, mi, s] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)/.exec(runId) ?? [];
  return new Date(`${y}-${mo}-${d}T${h}:${mi}:${s}Z`);
}

function nextStepsOf(run: RunShape): NextStep[] {
  if (run.status === "running") {
    return [
      { tool: "get_run", arguments: { run_id: run.run_id, wait_s: 30 }, why: "follow the run to its end" },
    ];
  }
  if (run.status === "succeeded" && run.dry_run !== undefined) {
    return [{ tool: "run_pipeline", arguments: { pipeline: run.pipeline }, why: "load it" }];
  }
  if (run.status === "succeeded") {
    const { pipeline, packages } = run;
    if (packages.length === 0) {
      return [{ tool: "inspect_state", arguments: { pipeline }, why: "nothing was new: see the cursors" }];
    }
    const changed = packages.find((each) => each.schema_changes > 0);
    return [
      { tool: "get_schema", arguments: { pipeline }, why: "see the tables that were loaded" },
      ...(changed === undefined
        ? []
        : [
            {
              tool: "diff_schema",
              arguments: { pipeline, load_id: changed.load_id },
              why: `see the ${counted(changed.schema_changes, "change")} of the schema`,
            },
          ]),
    ];
  }
  const steps: NextStep[] = [
    {
      tool: "get_run",
      arguments: { run_id: run.run_id, response_format: "detailed" },
      why: "read steps and log",
    },
  ];
  if (run.status === "failed") {
    steps.push({
      tool: "diagnose_error",
      arguments: { run_id: run.run_id },
      why: "find out why, and what repairs it",
    });
  }
  if (run.packages.some((each) => each.status !== "loaded")) {
    steps.push({ tool: "query_loads", arguments: { pipeline: run.pipeline }, why: "see what stays pending" });
  }
  return steps;
}

const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
const LOG_TAIL_BYTES = 256 * 1024;

export const getRunTool = defineTool({
  name: "get_run",
  title: "Status and log of a run",
  description:
    "Tells how a run went or goes: status, rows per table, packages, warnings, the error with its hint, and the " +
    "end of its log. Takes a run_id, or a pipeline for its newest run; wait_s waits for the end of one that is " +
    "going on. After a failure, the error's hint and query_loads say what is left to do.",
  mode: "read",
  annotations: READS,
  input: z.strictObject({
    run_id: RUN_ID.optional(),
    pipeline: PIPELINE.optional(),
    wait_s: WAIT.default(0),
    log_lines: z.int().min(0).max(500).default(20).describe("Newest lines of the log"),
    log_level: z.enum(LOG_LEVELS).default("info").describe("Lines of this level and above"),
    response_format: FORMAT,
  }),
  output: z.object({
    run: RUN,
    log: z.array(z.record(z.string(), z.unknown())),
  }),
  untrusted: true,
  view: "run-timeline",
  async execute(input, context) {
    const { workspace } = context;
    if (input.run_id === undefined && input.pipeline === undefined) {
      throw new EngineError("ARGUMENTS_INVALID", "get_run needs a run_id or a pipeline.");
    }
    const runId = input.run_id ?? (await newestRunId(workspace, input.pipeline as string));
    const report = await settled(runId, input.wait_s, input.pipeline, context);
    const shape = runShape(report, input.response_format === "detailed");
    const dir = join(new RunFolder(workspace.pipelineDir(report.pipeline_name)).dir, runId);
    const log = await logTail(join(dir, "log.jsonl"), input.log_lines, input.log_level);
    const next_steps = nextStepsOf(shape).filter(
      // that is what was just answered
      (step) => step.tool !== "get_run" || shape.status === "running" || input.response_format !== "detailed",
    );
    return { summary: runSummary(shape), data: { run: shape, log }, next_steps };
  },
});

async function settled(
  runId: string,
  seconds: number,
  pipeline: string | undefined,
  { workspace, runs, signal }: ToolContext,
): Promise<RunReport> {
  const until = Date.now() + seconds * 1000;
  while (true) {
    const known = runs.get(runId);
    if (known?.report !== undefined) return known.report;
    let report: RunReport | undefined;
    try {
      report = await getRun(workspace, runId, pipeline);
    } catch (error) {
      // A run that has just begun has no trace yet.
      if (known === undefined) throw error;
    }
    if (report !== undefined && report.status !== "running") return report;
    if (Date.now() >= until || signal.aborted) {
      if (report !== undefined) return report;
      throw new EngineError("RUN_NOT_FOUND", `Run ${runId} has not written a trace yet.`, {
        hint: "Ask again with wait_s.",
        retry: "yes",
      });
    }
    await sleep(200);
  }
}

/** The newest lines at or above a level, from the last part of the file. */
async function logTail(
  path: string,
  lines: number,
  level: (typeof LOG_LEVELS)[number],
): Promise<Record<string, unknown>[]> {
  if (lines === 0 || !existsSync(path)) return [];
  const file = await open(path, "r");
  try {
    const { size } = await file.stat();
    const start = Math.max(0, size - LOG_TAIL_BYTES);
    const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(size - start), position: start });
    const texts = buffer.subarray(0, bytesRead).toString("utf8").split("\n");
    // The first line may be cut when the file is longer than what was read.
    if (start > 0) texts.shift();
    const wanted = LOG_LEVELS.indexOf(level);
    const entries: Record<string, unknown>[] = [];
    for (const text of texts) {
      try {
        const entry = JSON.parse(text) as Record<string, unknown>;
        if (LOG_LEVELS.indexOf(entry.level as (typeof LOG_LEVELS)[number]) >= wanted) entries.push(entry);
      } catch {
        // An empty last line, or one that is being written.
      }
    }
    return entries.slice(-lines);
  } finally {
    await file.close();
  }
}

export const cancelRunTool = defineTool({
  name: "cancel_run",
  title: "Cancel a run",
  description:
    "Stops a run. graceful asks it and ends its process when it does not stop within ten seconds; abort ends the " +
    "process at once. Either way what was committed stays, whole packages only, and the answer tells what that is; " +
    "the next run_pipeline takes up what is pending and fetches the rest again. A run that has ended is answered " +
    "as it is.",
  mode: "run",
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  input: z.strictObject({
    run_id: RUN_ID,
    mode: z
      .enum(["graceful", "abort"])
      .default("graceful")
      .describe("abort: without a chance to finish a step"),
    response_format: FORMAT,
  }),
  output: z.object({
    run: RUN,
    committed: z
      .object({ packages: z.array(z.string()), rows: z.number() })
      .describe("Safe at the destination"),
    pending: z.array(z.string()).describe("Load ids that the next run loads first"),
  }),
  untrusted: true,
  async execute(input, { workspace, runs }) {
    workspace.permit("run", "Cancelling a run");
    const abort = input.mode === "abort";
    const known = runs.get(input.run_id);
    if (known !== undefined && known.report === undefined) {
      if (abort) known.handle.kill();
      else known.handle.cancel();
    }
    const report =
      known === undefined
        ? await cancelRun(workspace, input.run_id, abort ? { graceMs: 0 } : {})
        : await known.handle.done;
    const shape = runShape(report, input.response_format === "detailed");
    // A process that was killed may have committed after its last report: the packages on disk know.
    const { store } = inspectionOf(workspace, report.pipeline_name);
    const pending = (await store.pendingPackages()).map((each) => each.load_id);
    const loaded = shape.packages.filter((each) => each.status === "loaded");
    const committed = {
      packages: loaded.map((each) => each.load_id),
      rows: loaded.reduce((total, each) => total + sum(each.rows), 0),
    };
    return {
      summary:
        `${runSummary(shape)} Safely committed: ${counted(committed.packages.length, "package")}, ${counted(committed.rows, "row")}; ` +
        `${counted(pending.length, "package")} pending.`,
      data: { run: shape, committed, pending },
      next_steps: nextStepsOf(shape),
    };
  },
});
