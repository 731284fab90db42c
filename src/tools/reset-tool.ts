import { z } from "zod";
import { counted } from "../engine/counted.ts";
import { EngineError } from "../engine/errors.ts";
import { quoted } from "../engine/inspect/measure.ts";
import type { ReadQuery } from "../engine/inspect/reader.ts";
import { inspectState } from "../engine/inspect/state.ts";
import { STATE_BACKUPS_DIR, StateBackups } from "../engine/package/state-backups.ts";
import type { Pipeline } from "../engine/pipeline.ts";
import type { DropOptions, ResourceDropPlan } from "../engine/pipeline-options.ts";
import { stateFromText } from "../engine/pipeline-state.ts";
import type { StateReset } from "../engine/reset/state-reset.ts";
import { decide } from "./confirm.ts";
import { defineTool, FORMAT, PIPELINE } from "./define-tool.ts";
import { type Inspection, inspectionOf } from "./inspection.ts";

/** Of a question; the plan has all of them. */
const NAMED_TABLES_MAX = 5;

const ACTIONS = [
  "set_cursor",
  "clear_cursor",
  "drop_resource",
  "restore_from_destination",
  "restore_backup",
  "restore_dropped",
] as const;

const INPUT = z.strictObject({
  pipeline: PIPELINE,
  action: z
    .enum(ACTIONS)
    .describe(
      "set_cursor, clear_cursor: of a resource. drop_resource: tables of resources and what they remember, or parts " +
        "of the source's state. " +
        "restore_from_destination: state and schemas as committed there. restore_backup: the state before an earlier " +
        "reset. restore_dropped: packages that drop_pending_packages took back",
    ),
  resource: z.string().min(1).max(200).optional().describe("For set_cursor, clear_cursor, drop_resource"),
  resources: z
    .array(z.string().min(1).max(200))
    .max(100)
    .optional()
    .describe("For drop_resource: several names, or patterns such as re:^raw_"),
  all: z.boolean().optional().describe("For drop_resource: all of the source"),
  state_paths: z
    .array(z.string().min(1).max(500))
    .max(100)
    .optional()
    .describe("For drop_resource: parts of the source's state, such as token or pages[*]"),
  state_only: z.boolean().optional().describe("For drop_resource: the tables stay"),
  cursor_path: z.string().min(1).max(500).optional().describe("Where the resource has several cursors"),
  source: z
    .string()
    .min(1)
    .max(200)
    .optional()
    .describe("Where several sources have a resource of that name"),
  value: z
    .union([z.string().max(1000), z.number()])
    .optional()
    .describe("For set_cursor: the last value taken as seen, of the stored value's type"),
  backup_id: z.string().max(100).optional().describe("For restore_backup: an id of state_backups"),
  load_id: z.string().max(100).optional().describe("For restore_dropped: the first package of the drop"),
  confirm_token: z.string().max(1000).optional().describe("From the plan, valid for ten minutes, once"),
  response_format: FORMAT,
});
type Input = z.output<typeof INPUT>;

/** What will be done, shown before and hashed into the token. */
interface Plan {
  readonly pipeline: string;
  readonly action: Input["action"];
  readonly what: string;
  readonly changes: readonly { readonly path: string; readonly before: unknown; readonly after: unknown }[];
  readonly tables: readonly { readonly name: string; readonly rows: number | null }[];
  readonly packages: readonly string[];
  readonly warnings: readonly string[];
  readonly backup: string | null;
  readonly reversible: boolean;
  /** Of the state that the plan was made on. */
  readonly state_version_hash: string | null;
}

interface Prepared {
  readonly plan: Plan;
  /** Returns the id of the backup that was made, if one was. */
  carryOut(): Promise<string | undefined>;
}

export const resetStateTool = defineTool({
  name: "reset_state",
  title: "Reset what a pipeline remembers",
  description:
    "Rewinds or clears the cursor of a resource, drops a resource, or restores state from the destination or from a " +
    "backup. The first call only shows the plan: values before and after, tables with rows, warnings, and the way back. " +
    "It is carried out after a confirmation: the person is asked where the client can ask, else the call is repeated " +
    "with the confirm_token of the plan. The state before is kept as a backup. Useful when a bad value moved a cursor " +
    "ahead, or to fetch a range again; inspect_state shows cursors, run_pipeline fetches afterwards. Pending packages " +
    "are loaded or dropped first.",
  mode: "destructive",
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: false, openWorldHint: false },
  input: INPUT,
  output: z.object({
    status: z.enum(["planned", "done", "declined"]),
    pipeline: z.string(),
    action: z.enum(ACTIONS),
    changes: z.array(z.object({ path: z.string(), before: z.unknown(), after: z.unknown() })),
    tables: z
      .array(z.object({ name: z.string(), rows: z.number().nullable() }))
      .describe("Dropped with the resource"),
    packages: z.array(z.string()),
    warnings: z.array(z.string()),
    backup: z.string().nullable().describe("Folder, then the backup's id"),
    reversible: z.boolean(),
    confirm_token: z.string().optional(),
    expires_at: z.string().optional(),
  }),
  view: "plan",
  async execute(input, context) {
    const { pipeline } = context.workspace.openPipeline(input.pipeline);
    const inspection = inspectionOf(context.workspace, input.pipeline, context.signal);
    const { plan, carryOut } = await prepare(input, pipeline, inspection);
    const decision = decide(context.confirmation, {
      tool: "reset_state",
      plan,
      question: `${plan.what}${namesOf(plan.tables)}? ${plan.warnings.join(" ")} ${plan.reversible ? "The state before is kept as a backup." : "The rows in these tables are gone; the state before is kept as a backup."}`,
      confirmToken: input.confirm_token,
    });
    const { state_version_hash: _, what, ...data } = plan;
    const shown = {
      ...data,
      changes: plan.changes.map((each) => ({
        ...each,
        before: each.before ?? null,
        after: each.after ?? null,
      })),
      tables: plan.tables.map((each) => ({ ...each })),
      packages: [...plan.packages],
      warnings: [...plan.warnings],
    };
    if (decision.kind === "declined") {
      return {
        summary: `Not done: the person declined. ${what}.`,
        data: { status: "declined" as const, ...shown },
      };
    }
    if (decision.kind === "token") {
      const { confirm_token: _, response_format, ...call } = input;
      return {
        summary: `Plan: ${what}. Nothing is changed yet.`,
        data: {
          status: "planned" as const,
          ...shown,
          confirm_token: decision.token.token,
          expires_at: decision.token.expires_at,
        },
        next_steps: [
          {
            tool: "reset_state",
            arguments: { ...call, confirm_token: decision.token.token },
            why: "carry the plan out, once the person agrees",
          },
        ],
      };
    }
    context.gates.require("destructive", "Resetting state");
    const backupId = await carryOut();
    return {
      summary: `Done: ${what}.${backupId === undefined ? "" : ` The state before is backup ${backupId}.`}`,
      data: {
        status: "done" as const,
        ...shown,
        backup: backupId === undefined ? shown.backup : `${STATE_BACKUPS_DIR}/${backupId}`,
      },
      next_steps: [
        { tool: "run_pipeline", arguments: { pipeline: input.pipeline }, why: "fetch or load from there" },
        // a cursor without the rows before it would skip them
        ...(backupId === undefined || !plan.reversible
          ? []
          : [
              {
                tool: "reset_state",
                arguments: { pipeline: input.pipeline, action: "restore_backup", backup_id: backupId },
                why: "the way back: the state as it was before",
              },
            ]),
      ],
    };
  },
});

async function prepare(input: Input, pipeline: Pipeline, inspection: Inspection): Promise<Prepared> {
  const { store, read } = inspection;
  const need = <Key extends "resource" | "value" | "backup_id" | "load_id">(
    key: Key,
  ): NonNullable<Input[Key]> => {
    const value = input[key];
    if (value !== undefined) return value as NonNullable<Input[Key]>;
    throw new EngineError("ARGUMENTS_INVALID", `${input.action} needs ${key}.`);
  };
  const committed = await store.committedState();
  const hash = committed === undefined ? null : (stateFromText(committed)._version_hash ?? null);
  const plan = (more: Partial<Plan> & Pick<Plan, "what">): Plan => ({
    pipeline: input.pipeline,
    action: input.action,
    changes: [],
    tables: [],
    packages: [],
    warnings: [],
    backup: committed === undefined ? null : STATE_BACKUPS_DIR,
    reversible: true,
    state_version_hash: hash,
    ...more,
  });

  switch (input.action) {
    case "set_cursor":
    case "clear_cursor": {
      await refusePending(inspection, input.pipeline);
      const resource = need("resource");
      const place = {
        resource,
        ...(input.cursor_path === undefined ? {} : { path: input.cursor_path }),
        ...(input.source === undefined ? {} : { source: input.source }),
      };
      const reset: StateReset =
        input.action === "set_cursor"
          ? { kind: "set_cursor", ...place, value: need("value") }
          : { kind: "clear_cursor", ...place };
      return ofReset(
        reset,
        `${input.action === "set_cursor" ? "Set" : "Clear"} the cursor of ${resource} in ${input.pipeline}`,
      );
    }
    case "restore_backup": {
      await refusePending(inspection, input.pipeline);
      const backup = await new StateBackups(pipeline.dir).read(need("backup_id"));
      const { sources } = stateFromText(backup.state);
      const reset: StateReset = { kind: "restore_backup", sources };
      return ofReset(reset, `Restore the state of ${input.pipeline} as of ${backup.created_at}`);
    }
    case "restore_from_destination": {
      await refusePending(inspection, input.pipeline);
      const view = await inspectState(store, read, input.pipeline);
      if (view.destination === undefined) {
        throw new EngineError("PIPELINE_NEVER_RAN", `The destination has no state of ${input.pipeline}.`);
      }
      return {
        plan: plan({
          what: `Take the state of ${input.pipeline} from the destination`,
          changes: view.destination_changes.map((each) => ({
            path: each.path,
            before: each.committed,
            after: each.other,
          })),
        }),
        carryOut: async () => (await pipeline.restoreFromDestination()) || undefined,
      };
    }
    case "drop_resource": {
      await refusePending(inspection, input.pipeline);
      const wish = dropOf(input);
      const drop = await pipeline.planResourceDrop(wish);
      const { tables, resource_states, state_paths } = drop;
      if (tables.length + resource_states.length + state_paths.length === 0)
        throw nothingToDrop(input, wish.resources ?? []);
      const names = [...new Set([...drop.resources, ...resource_states])];
      return {
        plan: plan({
          what: `Drop ${droppedOf(names, drop)} of ${input.pipeline}`,
          tables: await rowCounts(read, tables),
          changes: drop.changes.map(({ path, committed, other }) => ({
            path,
            before: committed,
            after: other,
          })),
          warnings:
            tables.length === 0
              ? ["The next run fetches again what the source no longer knows that it has."]
              : ["The tables and their rows are dropped. The next run fetches what the source still has."],
          reversible: tables.length === 0,
        }),
        carryOut: async () =>
          (await pipeline.dropWithBackup({ ...wish, schema: drop.schema_name, expected: tables })) ||
          undefined,
      };
    }
    case "restore_dropped": {
      const first = need("load_id");
      const drops = await store.listDrops();
      const found = drops.find((each) => each.first === first);
      if (found === undefined) {
        throw new EngineError("PACKAGE_NOT_FOUND", `There is no drop that began at package ${first}.`, {
          details: { drops: drops.map((each) => each.first) },
        });
      }
      const packages = found.packages.map((each) => each.load_id);
      return {
        plan: plan({
          what: `Make ${counted(packages.length, "dropped package")} of ${input.pipeline} pending again`,
          packages,
          backup: null,
        }),
        carryOut: async () => {
          await pipeline.restoreDropped(first);
          return undefined;
        },
      };
    }
  }

  async function ofReset(reset: StateReset, what: string): Promise<Prepared> {
    const made = await pipeline.planStateReset(reset);
    const appended = reset.kind === "restore_backup" ? [] : await appendWarning(inspection, reset.resource);
    return {
      plan: plan({
        what,
        changes: made.changes.map((each) => ({ path: each.path, before: each.committed, after: each.other })),
        warnings: [...made.warnings, ...appended],
        state_version_hash: made.version_hash,
      }),
      carryOut: async () => (await pipeline.resetState(reset, made)) || undefined,
    };
  }
}

/** The reset would be refused under the lock; it is said before anybody is asked. */
async function refusePending({ store }: Inspection, pipeline: string): Promise<void> {
  const pending = await store.pendingPackages();
  if (pending.length === 0) return;
  throw new EngineError(
    "PACKAGE_SUPERSEDED",
    `${counted(pending.length, "pending package")} of ${pipeline} ${pending.length === 1 ? "builds" : "build"} on the state that is here.`,
    {
      hint: "Load them with run_pipeline, or drop them with drop_pending_packages, then reset.",
      details: { pipeline, load_ids: pending.map((each) => each.load_id) },
    },
  );
}

/** Rows that are fetched again are there twice where nothing merges them. */
async function appendWarning({ store }: Inspection, resource: string): Promise<string[]> {
  for (const name of await store.committedSchemaNames()) {
    const text = await store.committedSchema(name);
    const { tables = {} } = JSON.parse(text ?? "{}") as {
      tables?: Record<string, { resource?: string; parent?: string; write_disposition?: string }>;
    };
    const appends = Object.values(tables).some(
      (each) =>
        each.resource === resource &&
        each.parent === undefined &&
        (each.write_disposition ?? "append") === "append",
    );
    if (appends) return [`${resource} is appended: rows that are fetched again will be there twice.`];
  }
  return [];
}

/** Errors: ARGUMENTS_INVALID when nothing is named. */
function dropOf({ resource, resources, all, state_paths, state_only, source }: Input): DropOptions {
  const named = [...(resource === undefined ? [] : [resource]), ...(resources ?? [])];
  if (named.length === 0 && !all && !state_paths?.length) {
    throw new EngineError(
      "ARGUMENTS_INVALID",
      "drop_resource needs resource, resources, all or state_paths.",
    );
  }
  return {
    resources: named,
    ...(all === undefined ? {} : { all }),
    ...(state_paths === undefined ? {} : { statePaths: state_paths }),
    ...(state_only === undefined ? {} : { stateOnly: state_only }),
    ...(source === undefined ? {} : { schema: source }),
  };
}

function nothingToDrop({ pipeline, state_paths = [] }: Input, named: readonly string[]): EngineError {
  const what = [
    ...(named.length === 0 ? [] : [`resource ${named.join(", ")}`]),
    ...state_paths.map((path) => `state ${path}`),
  ];
  return new EngineError("RESOURCE_NOT_FOUND", `${pipeline} has loaded no ${what.join(", no ")}.`, {
    hint: "get_schema shows the tables with their resources, inspect_state what the source remembers.",
    details: { pipeline, resources: named, state_paths },
  });
}

/** `resource orders: 2 tables`, `3 resources: 5 tables`, `state token`. */
function droppedOf(names: readonly string[], { tables, state_paths }: ResourceDropPlan): string {
  const parts: string[] = [];
  if (names.length > 0) {
    const what = names.length === 1 ? `resource ${names[0]}` : `resources ${names.join(", ")}`;
    parts.push(`${what}: ${tables.length === 0 ? "only state" : counted(tables.length, "table")}`);
  }
  if (state_paths.length > 0) parts.push(`state ${state_paths.join(", ")}`);
  return parts.join("; ");
}

/** ` (orders with 10 rows, orders__items)`: who is asked sees what goes, also where only the question is shown. */
function namesOf(tables: Plan["tables"]): string {
  if (tables.length === 0) return "";
  const named = tables
    .slice(0, NAMED_TABLES_MAX)
    .map(({ name, rows }) => (rows === null ? name : `${name} with ${counted(rows, "row")}`));
  const more = tables.length - named.length;
  return ` (${named.join(", ")}${more === 0 ? "" : ` and ${more} more`})`;
}

async function rowCounts(
  read: ReadQuery,
  tables: readonly string[],
): Promise<{ name: string; rows: number | null }[]> {
  const counted: { name: string; rows: number | null }[] = [];
  for (const name of tables) {
    const rows = await read(`select count(*) as n from ${quoted(name)}`).then(
      ([row]) => Number(row?.n ?? 0),
      (error: unknown) => {
        if (error instanceof EngineError) return null;
        throw error;
      },
    );
    counted.push({ name, rows });
  }
  return counted;
}
