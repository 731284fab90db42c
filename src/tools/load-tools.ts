import { z } from "zod";
import { counted } from "../engine/counted.ts";
import { inspectLoads, LOAD_STATUSES } from "../engine/inspect/loads.ts";
import { decide } from "./confirm.ts";
import { CURSOR, defineTool, FORMAT, limitOf, type NextStep, PIPELINE, READS } from "./define-tool.ts";
import { inspectionOf } from "./inspection.ts";
import { pageOf } from "./paging.ts";
import { plainJson } from "./run-protocol.ts";
import { ERROR, errorShape, ROWS } from "./shapes.ts";

const LOAD_ID = z
  .string()
  .regex(/^\d+\.\d+$/)
  .describe("Load id, as query_loads lists it");

const LOAD = z.object({
  load_id: z.string(),
  status: z.enum(LOAD_STATUSES as [string, ...string[]]),
  schema_name: z.string().nullable(),
  schema_version_hash: z.string().nullable().optional(),
  run_id: z.string().optional(),
  created_at: z.string().optional(),
  loaded_at: z.string().optional(),
  rows: ROWS.optional(),
  bytes: z.number().optional(),
  resources: z.array(z.string()).optional(),
  schema_changes: z.number().optional(),
  known_to: z.enum(["disk", "destination", "both"]),
  error: ERROR.optional(),
});

export const queryLoads = defineTool({
  name: "query_loads",
  title: "Packages and loads",
  description:
    "Lists the load packages of a pipeline, newest first: pending (extracted or normalized), failed and loaded, " +
    "from the working folder and from _dlt_loads at the destination, with rows per table and the first error. " +
    "Useful after a failed run, or to find the load that brought a row (_dlt_load_id). Pending packages are " +
    "loaded by run_pipeline, or taken back by drop_pending_packages; get_schema takes a load_id.",
  mode: "read",
  annotations: READS,
  input: z.strictObject({
    pipeline: PIPELINE,
    status: z.enum(LOAD_STATUSES as [string, ...string[]]).optional(),
    table: z.string().min(1).optional().describe("Only loads with rows of this table"),
    load_id: LOAD_ID.optional(),
    limit: limitOf(20, 200),
    cursor: CURSOR,
    response_format: FORMAT,
  }),
  output: z.object({
    loads: z.array(LOAD),
    total: z.number(),
    destination: z.enum(["read", "absent", "locked"]).describe("locked: a run has the database open"),
  }),
  list: "loads",
  untrusted: true,
  async execute(input, { workspace, signal }) {
    const { store, read } = inspectionOf(workspace, input.pipeline, signal);
    const status = LOAD_STATUSES.find((each) => each === input.status);
    const view = await inspectLoads(store, read, { status, table: input.table, load_id: input.load_id });
    const { shown, page } = pageOf("query_loads", input, view.loads, (load) => load.load_id);
    const concise = input.response_format === "concise";
    const pending = view.loads.filter((each) => each.status === "extracted" || each.status === "normalized");
    const failed = view.loads.filter((each) => each.status === "failed");
    const next_steps: NextStep[] = [];
    if (pending.length > 0) {
      next_steps.push(
        { tool: "run_pipeline", arguments: { pipeline: input.pipeline }, why: "load the pending packages" },
        {
          tool: "drop_pending_packages",
          arguments: { pipeline: input.pipeline },
          why: "see what dropping them would do",
        },
      );
    }
    const failedRun = failed.find((each) => each.run_id !== undefined)?.run_id;
    if (failedRun !== undefined) {
      next_steps.push({
        tool: "diagnose_error",
        arguments: { run_id: failedRun },
        why: "find out why a package failed",
      });
    }
    return {
      summary:
        `${counted(view.loads.length, "load")}: ${pending.length} pending, ${failed.length} failed.` +
        (view.destination === "locked" ? " The database is busy, so this is what the disk knows." : ""),
      data: {
        loads: shown.map(({ schema_version_hash, error, ...load }) => ({
          ...load,
          rows: load.rows === undefined ? undefined : { ...load.rows },
          resources: load.resources === undefined ? undefined : [...load.resources],
          ...(concise ? {} : { schema_version_hash }),
          ...(error === undefined ? {} : { error: errorShape(error) }),
        })),
        total: view.loads.length,
        destination: view.destination,
      },
      next_steps,
      page,
    };
  },
});

const PACKAGE_PLAN = z.object({
  load_id: z.string(),
  stage: z.enum(["extracted", "normalized"]),
  rows: z.number(),
  bytes: z.number(),
  cursors: z.array(z.object({ resource: z.string(), path: z.string(), from: z.unknown(), to: z.unknown() })),
});

export const dropPendingPackages = defineTool({
  name: "drop_pending_packages",
  title: "Drop pending packages",
  description:
    "Takes pending packages of a pipeline back, never committed ones; their cursors go back with them, so the " +
    "next run fetches the rows again. The first call only shows the plan: packages, rows, bytes, cursors before " +
    "and after, where the backup is kept. It is carried out after a confirmation: the person is asked where the " +
    "client can ask, else the call is repeated with the confirm_token of the plan. query_loads shows what is " +
    "pending; run_pipeline fetches again.",
  mode: "destructive",
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: true, openWorldHint: false },
  input: z.strictObject({
    pipeline: PIPELINE,
    from_load_id: LOAD_ID.optional().describe("Drop this package and all later ones; by default all pending"),
    confirm_token: z.string().max(1000).optional().describe("From the plan, valid for ten minutes, once"),
    response_format: FORMAT,
  }),
  output: z.object({
    status: z.enum(["planned", "dropped", "declined"]),
    pipeline: z.string(),
    packages: z.array(PACKAGE_PLAN),
    backup: z.string().describe("Where dropped packages are kept, inside the pipeline's working folder"),
    reversible: z.boolean(),
    confirm_token: z.string().optional(),
    expires_at: z.string().optional(),
  }),
  untrusted: true,
  view: "plan",
  async execute(input, context) {
    const { pipeline } = context.workspace.openPipeline(input.pipeline);
    const plan = plainJson(await pipeline.planDrop(input.from_load_id));
    const rows = plan.packages.reduce((sum, each) => sum + each.rows, 0);
    const what = `${counted(plan.packages.length, "pending package")} of ${input.pipeline} with ${counted(rows, "row")}`;
    const decision = decide(context.confirmation, {
      tool: "drop_pending_packages",
      // The pipeline is in the plan; whether all or a part is dropped shows in its packages.
      plan,
      question: `Drop ${what}? Load ids: ${idsOf(plan.packages)}. Their cursors go back, so the next run fetches these rows again. A backup is kept in ${plan.backup}.`,
      confirmToken: input.confirm_token,
    });
    const data = {
      pipeline: input.pipeline,
      packages: plan.packages.map((each) => ({
        ...each,
        cursors: each.cursors.map((cursor) => ({
          ...cursor,
          from: cursor.from ?? null,
          to: cursor.to ?? null,
        })),
      })),
      backup: plan.backup,
      reversible: true,
    };
    if (decision.kind === "declined") {
      return {
        summary: `Not dropped: the person declined. ${what} stay.`,
        data: { status: "declined" as const, ...data },
      };
    }
    if (decision.kind === "token") {
      return {
        summary: `Plan: drop ${what}. Nothing is dropped yet.`,
        data: {
          status: "planned" as const,
          ...data,
          confirm_token: decision.token.token,
          expires_at: decision.token.expires_at,
        },
        next_steps: [
          {
            tool: "drop_pending_packages",
            arguments: {
              pipeline: input.pipeline,
              ...(input.from_load_id === undefined ? {} : { from_load_id: input.from_load_id }),
              confirm_token: decision.token.token,
            },
            why: "carry the plan out, once the person agrees",
          },
        ],
      };
    }
    await pipeline.dropPending(input.from_load_id, {
      expected: plan.packages.map((each) => each.load_id),
      mask: (value) => context.workspace.secrets(input.pipeline).maskAll(value),
    });
    return {
      summary: `Dropped ${what}. A backup is in ${plan.backup}.`,
      data: { status: "dropped" as const, ...data },
      next_steps: [
        { tool: "run_pipeline", arguments: { pipeline: input.pipeline }, why: "fetch the rows again" },
      ],
    };
  },
});

function idsOf(packages: readonly { readonly load_id: string }[]): string {
  const ids = packages.slice(0, 5).map((each) => each.load_id);
  return packages.length > 5 ? `${ids.join(", ")} and ${packages.length - 5} more` : ids.join(", ");
}
