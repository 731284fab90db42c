import { z } from "zod";
import { counted } from "../engine/counted.ts";
import { EngineError } from "../engine/errors.ts";
import { lockHolder } from "../engine/package/lock.ts";
import { RunFolder } from "../engine/package/trace.ts";
import { CURSOR, defineTool, FORMAT, limitOf, type NextStep, READS } from "./define-tool.ts";
import { inspectionOf } from "./inspection.ts";
import { pageOf } from "./paging.ts";
import { sum } from "./pipeline-info.ts";
import { RUN_STATUS } from "./shapes.ts";
import type { Workspace } from "./workspace.ts";

const PIPELINE_ENTRY = z.object({
  name: z.string(),
  description: z.string().optional(),
  source: z.string(),
  destination: z.string(),
  dataset: z.string(),
  database_exists: z.boolean(),
  pending_packages: z.number(),
  failed_packages: z.number(),
  running: z.object({ run_id: z.string(), since: z.string() }).optional(),
  last_run: z
    .object({
      run_id: z.string(),
      status: RUN_STATUS,
      started_at: z.string(),
      rows: z.number(),
      error_code: z.string().optional(),
    })
    .optional(),
});

export const getWorkspace = defineTool({
  name: "get_workspace",
  title: "Workspace overview",
  description:
    "Lists the pipelines of this workspace with their source, destination, last run, pending packages and " +
    "running jobs, and what this server is allowed to do. Useful at the start of a task; run_pipeline, " +
    "get_run, get_schema and query_data take the pipeline names from here.",
  mode: "read",
  annotations: READS,
  input: z.strictObject({ limit: limitOf(50, 200), cursor: CURSOR, response_format: FORMAT }),
  output: z.object({
    workspace: z.string(),
    allowed: z.array(z.string()),
    pipelines: z.array(PIPELINE_ENTRY),
  }),
  list: "pipelines",
  async execute(input, { workspace, gates }) {
    const names = workspace.pipelineNames();
    const { shown, page } = pageOf("get_workspace", input, names, (name) => name);
    const pipelines = await Promise.all(shown.map((name) => entryOf(workspace, name)));
    const pending = pipelines.filter((each) => each.pending_packages > 0);
    const failed = pipelines.filter((each) => each.last_run?.status === "failed");
    const next_steps: NextStep[] = [
      ...failed.slice(0, 2).map((each) => ({
        tool: "get_run",
        arguments: { pipeline: each.name },
        why: `the last run of ${each.name} failed`,
      })),
      ...pending.slice(0, 2).map((each) => ({
        tool: "query_loads",
        arguments: { pipeline: each.name },
        why: `${each.name} has pending packages`,
      })),
    ];
    const first = pipelines.find((each) => each.database_exists);
    if (next_steps.length === 0 && first !== undefined) {
      next_steps.push({ tool: "get_schema", arguments: { pipeline: first.name }, why: "see its tables" });
    }
    if (names.length === 0) {
      next_steps.push({ tool: "find_source", arguments: {}, why: "see what can be loaded from" });
    }
    return {
      summary: `${counted(names.length, "pipeline")}, ${failed.length} with a failed last run, ${pending.length} with pending packages.`,
      data: { workspace: workspace.dir, allowed: [...gates.open], pipelines },
      next_steps,
      page,
    };
  },
});

async function entryOf(workspace: Workspace, name: string): Promise<z.input<typeof PIPELINE_ENTRY>> {
  const { config, store, dataset, databaseExists } = inspectionOf(workspace, name);
  const holder = lockHolder(workspace.pipelineDir(name));
  const newest = (await new RunFolder(workspace.pipelineDir(name)).listRuns({ limit: 1 })).runs[0];
  return {
    name,
    ...(config.description === undefined ? {} : { description: config.description }),
    source: config.source,
    destination: config.destination,
    dataset,
    database_exists: databaseExists,
    pending_packages: (await store.pendingPackages()).length,
    failed_packages: (await store.list("failed")).length,
    ...(holder === undefined || holder.stale
      ? {}
      : { running: { run_id: holder.info.run_id, since: holder.info.started_at } }),
    ...(newest === undefined
      ? {}
      : {
          last_run: {
            run_id: newest.run_id,
            status: newest.status,
            started_at: newest.started_at,
            rows: sum(newest.rows),
            ...(newest.error === undefined ? {} : { error_code: newest.error.code }),
          },
        }),
  };
}

/** The newest run of a pipeline. Errors: RUN_NOT_FOUND. */
export async function newestRunId(workspace: Workspace, pipeline: string): Promise<string> {
  const { runs } = await new RunFolder(workspace.pipelineDir(pipeline)).listRuns({ limit: 1 });
  if (runs[0] !== undefined) return runs[0].run_id;
  throw new EngineError("RUN_NOT_FOUND", `The pipeline ${pipeline} has no run yet.`, {
    hint: "Start one with run_pipeline.",
    details: { pipeline },
  });
}
