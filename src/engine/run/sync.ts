/**
 * State and schemas are taken from the destination: it is the authority on what has been loaded. What is kept
 * here and cannot be read, or was edited, is replaced by it.
 */

import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { DestinationSession } from "../destinations/destination.ts";
import { EngineError } from "../errors.ts";
import { decodeStateBlob, type PipelineState, stateHash } from "../interop/state.ts";
import type { PackageStore } from "../package/store.ts";
import { stateFromText, stateToText } from "../pipeline-state.ts";
import { schemaFromText } from "../schema/documents.ts";
import { schemaVersionHash } from "../schema/version.ts";
import type { Run } from "./run.ts";
import { withSession } from "./session.ts";

export interface SyncResult {
  /** True when state or schemas were taken from the destination. */
  readonly restored: boolean;
  readonly state_version: number;
  readonly schemas: readonly string[];
}

export async function syncStep(run: Run): Promise<SyncResult> {
  return run.recorder.step("sync", undefined, async () =>
    withSession(run, (session) => syncWith(run, session)),
  );
}

/** Was the dataset loaded from here, and then dropped by somebody? */
export async function isVoid(store: PackageStore, session: DestinationSession): Promise<boolean> {
  if ((await store.committedState()) === undefined || (await store.list("loaded")).length === 0) return false;
  return !(await session.exists());
}

/** What the destination has that is not older than what is here is taken. */
async function syncWith(run: Run, session: DestinationSession): Promise<SyncResult> {
  const { store, context, pipeline } = run;
  const local = await localState(run);
  if (!(await session.exists())) {
    if (await isVoid(store, session)) await forgetVoid(run);
    else if (local === "damaged") await rm(join(pipeline.dir, "state.json"));
    return { restored: false, state_version: 0, schemas: [] };
  }
  let restored = false;
  let state = local === "damaged" ? undefined : local;
  const remote = await newerState(session, pipeline.name, state);
  if (remote) {
    if (state?._local) remote._local = state._local;
    await store.writeCommittedState(stateToText(remote));
    state = remote;
    restored = true;
  } else if (local === "damaged") await rm(join(pipeline.dir, "state.json"));
  const schemas: string[] = [];
  for (const name of state?.schema_names ?? []) {
    const newest = await session.readSchema(name);
    if (!newest) continue;
    schemas.push(name);
    if ((await localSchemaHash(run, name)) === newest.version_hash) continue;
    await store.writeCommittedSchema(name, newest.schema);
    restored = true;
  }
  if (restored) context.log("info", "state.restored", { state_version: state?._state_version ?? 0, schemas });
  return { restored, state_version: state?._state_version ?? 0, schemas };
}

/** The destination's state where it takes the place of the one that is here. */
export async function newerState(
  session: DestinationSession,
  pipelineName: string,
  state: PipelineState | undefined,
): Promise<PipelineState | undefined> {
  const row = await session.readState(pipelineName);
  if (!row || (state && row.version < state._state_version)) return undefined;
  const remote = decodeStateBlob(row.state);
  return state && stateHash(remote) === state._version_hash ? undefined : remote;
}

async function localState({ store, recorder }: Run): Promise<PipelineState | "damaged" | undefined> {
  const text = await store.committedState();
  if (text === undefined) return undefined;
  try {
    return stateFromText(text);
  } catch {
    recorder.warn(
      "state.json of the pipeline's folder cannot be read: the destination's state takes its place.",
    );
    return "damaged";
  }
}

/** The hash of the schema that is kept here; undefined when there is none that can be trusted. */
async function localSchemaHash({ store, recorder }: Run, name: string): Promise<string | undefined> {
  const text = await store.committedSchema(name);
  if (text === undefined) return undefined;
  try {
    const schema = schemaFromText(text);
    if (schemaVersionHash(schema) === schema.version_hash) return schema.version_hash;
  } catch (error) {
    if (error instanceof EngineError && error.code === "SCHEMA_ENGINE_NEWER") throw error;
  }
  recorder.warn(
    `${name}.schema.json of the pipeline's folder was changed by hand or cannot be read: the destination's schema takes its place. To change a schema use import_schema_path.`,
  );
  return undefined;
}

async function forgetVoid({ recorder, context, pipeline }: Run): Promise<void> {
  recorder.warn(
    `Dataset ${pipeline.dataset} is not at the destination any more: state and schemas kept here are void, and everything is fetched anew.`,
  );
  // the state last: while it is there, this is done again after a crash
  await rm(join(pipeline.dir, "schemas"), { recursive: true, force: true });
  context.boundary("void:schemas");
  await rm(join(pipeline.dir, "state.json"), { force: true });
  context.boundary("void:state");
}

/** Takes state and schemas whatever their version is. Errors: PIPELINE_NEVER_RAN when there are none. */
export async function takeFromDestination(run: Run): Promise<void> {
  const { store, pipeline } = run;
  await withSession(run, async (session) => {
    const row = (await session.exists()) ? await session.readState(pipeline.name) : undefined;
    if (!row) {
      throw new EngineError(
        "PIPELINE_NEVER_RAN",
        `The destination has no state of pipeline ${pipeline.name}: there is nothing to restore from.`,
      );
    }
    const remote = decodeStateBlob(row.state);
    const local = await localState(run);
    if (typeof local === "object" && local._local) remote._local = local._local;
    await store.writeCommittedState(stateToText(remote));
    for (const name of remote.schema_names ?? []) {
      const newest = await session.readSchema(name);
      if (newest) await store.writeCommittedSchema(name, newest.schema);
    }
  });
}
