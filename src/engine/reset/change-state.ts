/** Changing the state by hand, with what it was before kept in `state_backups`. */

import { EngineError } from "../errors.ts";
import { StateBackups } from "../package/state-backups.ts";
import { stateFromText } from "../pipeline-state.ts";
import { currentSchema, currentState } from "../run/current.ts";
import { loadPending } from "../run/load-pending.ts";
import { normalizeStep } from "../run/normalize-step.ts";
import type { Run } from "../run/run.ts";
import { sealStatePackage } from "../run/state-package.ts";
import { resetState, type StateReset, type StateResetPlan } from "./state-reset.ts";

/** Loads the changed state in a package of its own. Errors: CONFIRM_EXPIRED, PIPELINE_NEVER_RAN. */
export async function changeState(run: Run, reset: StateReset, plan: StateResetPlan): Promise<void> {
  const { name } = run.pipeline;
  const state = await currentState(run.pipeline, run.store);
  if ((state._version_hash ?? null) !== plan.version_hash) {
    throw new EngineError("CONFIRM_EXPIRED", `The state of ${name} moved since the plan was made.`, {
      details: { pipeline: name },
    });
  }
  const changed = resetState(state, reset).state;
  const schema = state.default_schema_name
    ? await currentSchema(run.store, state.default_schema_name)
    : undefined;
  if (!schema) {
    throw new EngineError("PIPELINE_NEVER_RAN", `Pipeline ${name} has no state to reset.`);
  }
  await normalizeStep(run, await sealStatePackage(run, schema, changed, []));
  await loadPending(run);
}

/** Keeps the state, as text; returns the backup's id. `now`: milliseconds since 1970. */
export async function backUpState(
  pipelineDir: string,
  reason: string,
  text: string,
  now: number,
): Promise<string> {
  const { _state_version } = stateFromText(text);
  return new StateBackups(pipelineDir).write(now, { reason, state_version: _state_version, state: text });
}
