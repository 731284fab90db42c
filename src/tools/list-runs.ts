import { z } from "zod";
import { counted } from "../engine/counted.ts";
import { RunFolder } from "../engine/package/trace.ts";
import type { RunReport } from "../engine/report.ts";
import { CURSOR, defineTool, FORMAT, limitOf, type NextStep, PIPELINE, READS } from "./define-tool.ts";
import { positionOf } from "./paging.ts";
import { sum } from "./pipeline-info.ts";
import { RUN_STATUS } from "./shapes.ts";
import type { Workspace } from "./workspace.ts";

/** Traces read by one call; a search for a rare status goes on by cursor. */
const TRACES_MAX = 1_000;

const ENTRY = z.object({
  run_id: z.string(),
  pipeline: z.string(),
  status: RUN_STATUS,
  started_at: z.string(),
  duration_ms: z.number(),
  rows: z.number().describe("Committed by the run"),
  error_code: z.string().optional(),
});

const TIME = z.iso.datetime({ offset: true });

export const listRunsTool = defineTool({
  name: "list_runs",
  title: "Runs of the workspace",
  description:
    "Lists runs of all pipelines or of one, newest first, by status and time, with rows and error code. Useful to " +
    "see what failed since a time, or what is going on. get_run takes a run_id from here and tells its log.",
  mode: "read",
  annotations: READS,
  input: z.strictObject({
    pipeline: PIPELINE.optional(),
    status: RUN_STATUS.optional(),
    since: TIME.optional().describe("Runs that began at or after this time, such as 2026-11-22T00:00:00Z"),
    until: TIME.optional().describe("Runs that began before this time"),
    limit: limitOf(20, 200),
    cursor: CURSOR,
    response_format: FORMAT,
  }),
  output: z.object({
    runs: z.array(ENTRY),
    unreadable: z.array(z.string()).describe("Runs whose trace cannot be read"),
    searched: z.number().describe("Runs looked at for this answer"),
  }),
  list: "runs",
  async execute(input, { workspace }) {
    const names = input.pipeline === undefined ? workspace.pipelineNames() : [input.pipeline];
    const after = positionOf("list_runs", input);
    const candidates = (await runsOf(workspace, names)).filter(
      (each) =>
        (after === undefined || keyOf(each) < String(after)) &&
        (input.since === undefined || startOf(each.runId) >= second(input.since)) &&
        (input.until === undefined || startOf(each.runId) < second(input.until)),
    );
    const found: RunReport[] = [];
    const unreadable: string[] = [];
    let searched = 0;
    for (const each of candidates) {
      if (found.length === input.limit || searched === TRACES_MAX) break;
      searched += 1;
      try {
        const report = await new RunFolder(workspace.pipelineDir(each.pipeline)).readTrace(each.runId);
        if (input.status === undefined || report.status === input.status) found.push(report);
      } catch {
        unreadable.push(each.runId);
      }
    }
    const last = candidates[searched - 1];
    const more = searched < candidates.length;
    const failed = found.filter((each) => each.status === "failed");
    const next_steps: NextStep[] = found
      .filter((each) => each.status === "failed" || each.status === "running")
      .slice(0, 2)
      .map((each) => ({
        tool: "get_run",
        arguments: { run_id: each.run_id },
        why: each.status === "failed" ? "read why it failed" : "see how far it is",
      }));
    return {
      summary: `${counted(found.length, "run")}, ${failed.length} failed${more ? `; ${searched} were looked at` : ""}.`,
      data: { runs: found.map(entryOf), unreadable, searched },
      next_steps,
      page: {
        offset: 0,
        more,
        keys: found.map((each) => keyOf({ runId: each.run_id, pipeline: each.pipeline_name })),
        ...(last === undefined ? {} : { searchedTo: keyOf(last) }),
      },
    };
  },
});

interface RunPlace {
  readonly runId: string;
  readonly pipeline: string;
}

/** Newest first: a run id begins with its time. */
async function runsOf(workspace: Workspace, pipelines: readonly string[]): Promise<RunPlace[]> {
  const lists = await Promise.all(
    pipelines.map(async (pipeline) =>
      (await new RunFolder(workspace.pipelineDir(pipeline)).runIds()).map((runId) => ({ runId, pipeline })),
    ),
  );
  return lists.flat().sort((a, b) => (keyOf(a) < keyOf(b) ? 1 : -1));
}

function keyOf({ runId, pipeline }: RunPlace): string {
  return `${runId} ${pipeline}`;
}

/** `20261122T160245`, as run ids begin. */
function startOf(runId: string): string {
  return runId.slice(0, 15);
}

function second(time: string): string {
  return new Date(time).toISOString().slice(0, 19).replace(/[-:]/g, "");
}

function entryOf(report: RunReport): z.input<typeof ENTRY> {
  return {
    run_id: report.run_id,
    pipeline: report.pipeline_name,
    status: report.status,
    started_at: report.started_at,
    duration_ms: report.duration_ms,
    rows: sum(report.rows),
    ...(report.error === undefined ? {} : { error_code: report.error.code }),
  };
}
