/** Dropping what resources have loaded: an ordinary package in one transaction, so that all of it is done or none. */

import { EngineError } from "../errors.ts";
import type { PipelineState } from "../interop/state.ts";
import type { PackageStore } from "../package/store.ts";
import type { DropOptions, ResourceDropPlan } from "../pipeline-options.ts";
import type { PipelineIdentity } from "../pipeline-state.ts";
import { currentSchema, currentState } from "../run/current.ts";
import { loadPending } from "../run/load-pending.ts";
import { normalizeStep } from "../run/normalize-step.ts";
import type { Run } from "../run/run.ts";
import { sealStatePackage } from "../run/state-package.ts";
import type { Schema } from "../schema/types.ts";
import { type PreparedDrop, prepareDrop } from "./prepare-drop.ts";

/** The drop with the schema and state as they are after it. Nothing is written. Errors: PIPELINE_NEVER_RAN. */
export async function prepareResourceDrop(
  pipeline: PipelineIdentity,
  store: PackageStore,
  options: DropOptions,
): Promise<{ prepared: PreparedDrop; schema: Schema; state: PipelineState }> {
  const state = await currentState(pipeline, store);
  const name = options.schema ?? state.default_schema_name;
  const schema = name ? await currentSchema(store, name) : undefined;
  if (!schema) {
    throw new EngineError("PIPELINE_NEVER_RAN", `Pipeline ${pipeline.name} has loaded nothing to drop.`, {
      details: { pipeline: pipeline.name, ...(name ? { schema: name } : {}) },
    });
  }
  return { prepared: prepareDrop(pipeline.name, schema, state, options), schema, state };
}

/** `onPlan` gets what is about to be dropped, also when that is nothing. */
export async function dropResources(
  run: Run,
  options: DropOptions,
  onPlan: (plan: ResourceDropPlan) => void,
): Promise<void> {
  const { prepared, schema, state } = await prepareResourceDrop(run.pipeline, run.store, options);
  onPlan(prepared.plan);
  const { tables, resource_states, state_paths } = prepared.plan;
  if (tables.length + resource_states.length + state_paths.length === 0) return;
  await normalizeStep(run, await sealStatePackage(run, schema, state, prepared.dropTables));
  await loadPending(run);
}
