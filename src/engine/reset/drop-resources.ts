/** Dropping what resources have loaded: an ordinary package in one transaction, so that all of it is done or none. */

import { EngineError } from "../errors.ts";
import type { PipelineState } from "../interop/state.ts";
import { didYouMean } from "../nearest.ts";
import type { DropOptions, ResourceDropPlan } from "../pipeline-options.ts";
import type { PipelineIdentity } from "../pipeline-state.ts";
import { currentSchema, currentState } from "../run/current.ts";
import type { Known } from "../run/known.ts";
import { loadPending } from "../run/load-pending.ts";
import { normalizeStep } from "../run/normalize-step.ts";
import type { Run } from "../run/run.ts";
import { sealStatePackage } from "../run/state-package.ts";
import type { Schema } from "../schema/types.ts";
import { type PreparedDrop, prepareDrop } from "./prepare-drop.ts";
import { structuredCopy } from "./state-reset.ts";

/**
 * The drop with the schema and state as they are after it. Nothing is written. Errors: PIPELINE_NEVER_RAN;
 * ARGUMENTS_INVALID when there is no such schema.
 */
export async function prepareResourceDrop(
  { name: pipeline }: PipelineIdentity,
  known: Known,
  options: DropOptions,
): Promise<{ prepared: PreparedDrop; schema: Schema; state: PipelineState }> {
  const state = { ...known.state, sources: structuredCopy(known.state.sources ?? {}) };
  const { default_schema_name, schema_names = [] } = state;
  const name = options.schema ?? default_schema_name;
  const schema = name ? await known.schema(name) : undefined;
  if (schema) return { prepared: prepareDrop(pipeline, schema, state, options), schema, state };
  if (name && schema_names.length > 0) {
    throw new EngineError(
      "ARGUMENTS_INVALID",
      `Pipeline ${pipeline} has loaded no source ${name}. ${didYouMean(name, schema_names)}`.trim(),
      { details: { pipeline, sources: schema_names } },
    );
  }
  throw new EngineError("PIPELINE_NEVER_RAN", `Pipeline ${pipeline} has loaded nothing to drop.`, {
    details: { pipeline },
  });
}

/**
 * `onPlan` gets what is about to be dropped, also when that is nothing. Errors: CONFIRM_EXPIRED when tables are
 * dropped that are not among the `expected` ones.
 */
export async function dropResources(
  run: Run,
  { expected, ...options }: DropOptions & { readonly expected?: readonly string[] },
  onPlan: (plan: ResourceDropPlan) => void,
): Promise<void> {
  const { pipeline, store } = run;
  const known = {
    state: await currentState(pipeline, store),
    schema: (name: string) => currentSchema(store, name),
  };
  const { prepared, schema, state } = await prepareResourceDrop(pipeline, known, options);
  const { tables, resource_states, state_paths } = prepared.plan;
  if (expected && tables.some((table) => !expected.includes(table))) {
    throw new EngineError(
      "CONFIRM_EXPIRED",
      `The drop would take more tables of ${pipeline.name} than were planned.`,
      { details: { pipeline: pipeline.name, planned: expected, tables } },
    );
  }
  onPlan(prepared.plan);
  if (tables.length + resource_states.length + state_paths.length === 0) return;
  await normalizeStep(run, await sealStatePackage(run, schema, state, prepared.dropTables));
  await loadPending(run);
}
