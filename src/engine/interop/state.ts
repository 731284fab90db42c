/**
 * The pipeline's state: what it must remember between runs, cursors above all (`dlt/common/versioned_state.py`).
 * It is kept as typed JSON in the working folder and as a compressed blob in `_dlt_pipeline_state`.
 */

import { constants, deflateSync, inflateSync } from "node:zlib";
import { EngineError } from "../errors.ts";
import { sha3Base64 } from "./hash.ts";
import { type JsonValue, parseTypedJson, typedJson } from "./json.ts";

export const STATE_ENGINE_VERSION = 4;

/** Facts of this machine: never part of the hash, never sent to the destination. */
export interface LocalState {
  first_run?: boolean;
  _dev_mode?: boolean;
  initial_cwd?: string;
  _last_extracted_at?: unknown;
  _last_extracted_hash?: string;
  [key: string]: unknown;
}

/** The stored keys are dlt's. Keys that we do not know are kept. */
export interface PipelineState {
  _state_version: number;
  _state_engine_version: number;
  _version_hash?: string;
  pipeline_name?: string;
  dataset_name?: string | null;
  default_schema_name?: string | null;
  schema_names?: string[];
  destination_type?: string | null;
  destination_name?: string | null;
  staging_type?: string | null;
  staging_name?: string | null;
  /** Per source: its own keys, and `resources` with the state of each resource. */
  sources?: Record<string, Record<string, unknown>>;
  _local?: LocalState;
  [key: string]: unknown;
}

/** The state of a pipeline that has never run. */
export function newState(): PipelineState {
  return { _state_version: 0, _state_engine_version: STATE_ENGINE_VERSION, _local: { first_run: true } };
}

/** Hash of the content: typed JSON with sorted keys, without versions and local facts. */
export function stateHash(state: PipelineState): string {
  const { _state_version, _state_engine_version, _version_hash, _local, ...content } = state;
  return sha3Base64(typedJson(content, { sortKeys: true }));
}

/**
 * Brings the version and hash up to date. True if the hash changed; the version goes up with it, except for the
 * first hash, which the initial state gets.
 */
export function bumpState(state: PipelineState): boolean {
  const hash = stateHash(state);
  if (hash === state._version_hash) return false;
  if (state._version_hash) state._state_version += 1;
  state._version_hash = hash;
  return true;
}

/** The state as the text of the `state` column: base64 of zlib over typed JSON, without local facts. */
export function encodeStateBlob(state: PipelineState): string {
  const { _local, ...shared } = state;
  return deflateSync(typedJson(shared), { level: constants.Z_BEST_COMPRESSION }).toString("base64");
}

/** The text of a `state` column as the state. Plain JSON is accepted too, as dlt does. */
export function decodeStateBlob(text: string): PipelineState {
  try {
    return stateOf(parseTypedJson(inflated(text) ?? text));
  } catch (cause) {
    if (cause instanceof EngineError) throw cause;
    throw new EngineError("SCHEMA_INVALID", "A stored pipeline state cannot be read.", { cause });
  }
}

function inflated(text: string): string | undefined {
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(text) || text.length % 4 !== 0) return undefined;
  return inflateSync(Buffer.from(text, "base64")).toString("utf8");
}

function stateOf(value: JsonValue): PipelineState {
  const state = value as { _state_version?: unknown } | null;
  if (typeof state !== "object" || state === null || typeof state._state_version !== "number") {
    throw new EngineError("SCHEMA_INVALID", "A stored pipeline state has no version.");
  }
  return state as PipelineState;
}
