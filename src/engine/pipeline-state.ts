/** The pipeline's own entries in dlt's state, and the row that carries the state to the destination. */

import type { Destination } from "./destinations/destination.ts";
import { EngineError } from "./errors.ts";
import { parseTypedJson, TypedValue, typedJson } from "./interop/json.ts";
import { encodeStateBlob, newState, type PipelineState, STATE_ENGINE_VERSION } from "./interop/state.ts";
import { formatTimestamp } from "./schema/values.ts";

export interface PipelineIdentity {
  readonly name: string;
  readonly dataset: string;
  readonly destination: Destination;
}

/** State of a pipeline that has never run here or anywhere. */
export function initialState({ name, dataset, destination }: PipelineIdentity): PipelineState {
  const state = newState();
  state.pipeline_name = name;
  state.dataset_name = dataset;
  state.default_schema_name = null;
  state.schema_names = [];
  state.destination_type = destination.type;
  state.destination_name = destination.name;
  return state;
}

/** Makes sure that a schema is named in the state; the first one becomes the default. */
export function nameSchema(
  state: PipelineState,
  { dataset, destination }: PipelineIdentity,
  schema: string,
): void {
  state.default_schema_name ??= schema;
  const names = new Set(state.schema_names ?? []);
  names.add(schema);
  state.schema_names = [...names].sort();
  state.dataset_name = dataset;
  state.destination_type = destination.type;
  state.destination_name = destination.name;
}

/** Errors: STATE_INVALID. */
export function stateFromText(text: string): PipelineState {
  let state: unknown;
  try {
    state = parseTypedJson(text);
  } catch (cause) {
    throw new EngineError("STATE_INVALID", "The state that is kept here cannot be read: it is not JSON.", {
      cause,
    });
  }
  const { _state_version, sources = {} } = (state ?? {}) as Partial<PipelineState>;
  if (typeof _state_version !== "number" || typeof sources !== "object" || sources === null) {
    throw new EngineError("STATE_INVALID", "The state that is kept here is none.");
  }
  return state as PipelineState;
}

export function stateToText(state: PipelineState): string {
  return typedJson(state);
}

/** The row of `_dlt_pipeline_state`, as dlt extracts it. */
export function stateRow(state: PipelineState, now: number): Record<string, string | number | TypedValue> {
  return {
    version: state._state_version,
    engine_version: STATE_ENGINE_VERSION,
    pipeline_name: state.pipeline_name!,
    state: encodeStateBlob(state),
    created_at: new TypedValue("datetime", formatTimestamp(now * 1000)),
    version_hash: state._version_hash!,
  };
}
