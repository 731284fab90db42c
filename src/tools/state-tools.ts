import { z } from "zod";
import { counted } from "../engine/counted.ts";
import { EngineError } from "../engine/errors.ts";
import type { JsonValue } from "../engine/inspect/query.ts";
import { inspectState, type StateCopy } from "../engine/inspect/state.ts";
import { didYouMean } from "../engine/nearest.ts";
import { StateBackups } from "../engine/package/state-backups.ts";
import { defineTool, FORMAT, type NextStep, PIPELINE, READS } from "./define-tool.ts";
import { inspectionOf } from "./inspection.ts";

const BACKUPS_SHOWN = 10;

const COPY = z.object({
  version: z.number(),
  version_hash: z.string().nullable(),
  load_id: z.string().optional(),
  sources: z.record(z.string(), z.unknown()).optional(),
});

const DIFFERENCE = z.object({ path: z.string(), committed: z.unknown(), other: z.unknown() });

export const inspectStateTool = defineTool({
  name: "inspect_state",
  title: "State and cursors",
  description:
    "Shows where a pipeline stands: the incremental cursor of each resource as committed, as of the pending " +
    "packages, and at the destination, with what differs. Useful when rows are missing or fetched twice. " +
    "concise gives cursors and differences; detailed gives the whole state; path picks a part of it. " +
    "query_loads shows the loads that moved a cursor; reset_state moves one, and restores the backups listed here.",
  mode: "read",
  annotations: READS,
  input: z.strictObject({
    pipeline: PIPELINE,
    resource: z.string().min(1).optional().describe("Only this resource"),
    path: z
      .string()
      .max(500)
      .optional()
      .describe("Dotted path into the committed state, from the source's name: shop.resources.orders"),
    response_format: FORMAT,
  }),
  output: z.object({
    cursors: z.array(
      z.object({
        source: z.string(),
        resource: z.string(),
        path: z.string(),
        committed: z.unknown().optional(),
        pending: z.unknown().optional(),
        destination: z.unknown().optional(),
      }),
    ),
    committed: COPY.optional(),
    pending: COPY.optional(),
    destination: COPY.optional(),
    destination_view: z.enum(["read", "absent", "locked"]),
    pending_changes: z.array(DIFFERENCE),
    destination_changes: z.array(DIFFERENCE),
    value: z.unknown().optional().describe("What is at `path`"),
    backups: z
      .array(
        z.object({ id: z.string(), created_at: z.string(), reason: z.string(), state_version: z.number() }),
      )
      .describe("States before earlier resets, newest first; reset_state restores one"),
    drops: z
      .array(z.object({ load_id: z.string(), packages: z.number() }))
      .describe("Dropped packages that reset_state can make pending again, newest first"),
  }),
  untrusted: true,
  async execute(input, { workspace, signal }) {
    const { store, read } = inspectionOf(workspace, input.pipeline, signal);
    const view = await inspectState(store, read, input.pipeline);
    if (view.committed === undefined && view.pending === undefined && view.destination === undefined) {
      throw new EngineError("PIPELINE_NEVER_RAN", `The pipeline ${input.pipeline} has no state yet.`, {
        hint: "Run it once with run_pipeline.",
      });
    }
    const detailed = input.response_format === "detailed";
    const copy = (state: StateCopy | undefined) =>
      state === undefined
        ? undefined
        : detailed
          ? { ...state, sources: { ...state.sources } }
          : withoutSources(state);
    const cursors = view.cursors.filter(
      (each) => input.resource === undefined || each.resource === input.resource,
    );
    const backups = await new StateBackups(store.dir).newest(BACKUPS_SHOWN);
    const drops = (await store.listDrops()).reverse();
    const next_steps: NextStep[] = [];
    if (view.pending_changes.length > 0) {
      next_steps.push({
        tool: "query_loads",
        arguments: { pipeline: input.pipeline },
        why: "see the pending packages that carry the newer state",
      });
    }
    return {
      summary:
        `${counted(cursors.length, "cursor")}; ${counted(view.pending_changes.length, "value")} pending, ` +
        `${view.destination_changes.length} differ at the destination.` +
        (view.destination_view === "locked" ? " The database is busy and was not compared." : ""),
      data: {
        cursors: cursors.map((each) => ({ ...each })),
        committed: copy(view.committed),
        pending: copy(view.pending),
        destination: copy(view.destination),
        destination_view: view.destination_view,
        pending_changes: view.pending_changes.map((each) => ({ ...each })),
        destination_changes: view.destination_changes.map((each) => ({ ...each })),
        backups: backups.map(({ id, created_at, reason, state_version }) => ({
          id,
          created_at,
          reason,
          state_version,
        })),
        drops: drops.map(({ first, packages }) => ({ load_id: first, packages: packages.length })),
        ...(input.path === undefined
          ? {}
          : { value: valueAt((view.committed ?? view.destination)?.sources ?? {}, input.path) }),
      },
      next_steps,
    };
  },
});

function withoutSources({ sources: _, ...rest }: StateCopy): Omit<StateCopy, "sources"> {
  return rest;
}

function valueAt(root: JsonValue, path: string): JsonValue {
  let here: JsonValue = root;
  for (const key of path.split(".")) {
    const keys: string[] = typeof here === "object" && here !== null ? Object.keys(here) : [];
    if (!keys.includes(key)) {
      throw new EngineError(
        "ARGUMENTS_INVALID",
        `The state has no ${key} in ${path}. ${didYouMean(key, keys)}`.trim(),
        {
          details: { path, keys: keys.slice(0, 50) },
        },
      );
    }
    here = (here as { readonly [key: string]: JsonValue })[key] as JsonValue;
  }
  return here;
}
