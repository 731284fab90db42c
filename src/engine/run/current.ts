/** State and schemas that a new package builds on: those of the newest pending one, else the committed ones. */

import { counted } from "../counted.ts";
import { EngineError } from "../errors.ts";
import type { PipelineState } from "../interop/state.ts";
import type { PackageStore } from "../package/store.ts";
import { initialState, type PipelineIdentity, stateFromText } from "../pipeline-state.ts";
import { schemaFromText } from "../schema/documents.ts";
import type { Schema } from "../schema/types.ts";

/** State as of the newest pending package, else as last committed, else that of a pipeline that never ran. */
export async function currentState(pipeline: PipelineIdentity, store: PackageStore): Promise<PipelineState> {
  const text = await store.currentState();
  return text === undefined ? initialState(pipeline) : stateFromText(text);
}

/** Schema as of the newest pending package of that name, else as last committed. */
export async function currentSchema(store: PackageStore, name: string): Promise<Schema | undefined> {
  for (const each of (await store.pendingPackages()).reverse()) {
    const manifest = await store.readManifest(each);
    if (manifest.schema_name === name) return schemaFromText(await store.readSchema(each));
  }
  const text = await store.committedSchema(name);
  return text === undefined ? undefined : schemaFromText(text);
}

/** Some calls build on the committed state only. Errors: PACKAGE_SUPERSEDED. */
export async function refusePending(
  pipeline: PipelineIdentity,
  store: PackageStore,
  what: string,
): Promise<void> {
  const pending = await store.pendingPackages();
  if (pending.length === 0) return;
  throw new EngineError(
    "PACKAGE_SUPERSEDED",
    `${counted(pending.length, "pending package")} ${pending.length === 1 ? "builds" : "build"} on the local state.`,
    {
      hint: `Load them with a run, or drop them, then ${what}.`,
      details: { pipeline: pipeline.name, load_ids: pending.map((each) => each.load_id) },
    },
  );
}
