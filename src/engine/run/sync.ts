/** State and schemas are taken from the destination: it is the authority on what has been loaded. */

import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { DestinationSession } from "../destinations/destination.ts";
import { EngineError } from "../errors.ts";
import { decodeStateBlob, stateHash } from "../interop/state.ts";
import { stateFromText, stateToText } from "../pipeline-state.ts";
import { schemaFromText } from "../schema/documents.ts";
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
export async function isVoid({ store }: Run, session: DestinationSession): Promise<boolean> {
  if ((await store.committedState()) === undefined || (await store.list("loaded")).length === 0) return false;
  return !(await session.exists());
}

/** What the destination has that is not older than what is here is taken. */
async function syncWith(run: Run, session: DestinationSession): Promise<SyncResult> {
  const { store, context, pipeline } = run;
  const localText = await store.committedState();
  const local = localText === undefined ? undefined : stateFromText(localText);
  if (!(await session.exists())) {
    if (await isVoid(run, session)) await forgetVoid(run);
    return { restored: false, state_version: 0, schemas: [] };
  }
  const row = await session.readState(pipeline.name);
  let restored = false;
  let state = local;
  if (row && (!local || row.version >= local._state_version)) {
    const remote = decodeStateBlob(row.state);
    if (!local || stateHash(remote) !== local._version_hash) {
      if (local?._local) remote._local = local._local;
      await store.writeCommittedState(stateToText(remote));
      state = remote;
      restored = true;
    }
  }
  const schemas: string[] = [];
  for (const name of state?.schema_names ?? []) {
    const newest = await session.readSchema(name);
    if (!newest) continue;
    schemas.push(name);
    const here = await store.committedSchema(name);
    if (here !== undefined && schemaFromText(here).version_hash === newest.version_hash) continue;
    await store.writeCommittedSchema(name, newest.schema);
    restored = true;
  }
  if (restored) context.log("info", "state.restored", { state_version: state?._state_version ?? 0, schemas });
  return { restored, state_version: state?._state_version ?? 0, schemas };
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
    const local = await store.committedState();
    const kept = local === undefined ? undefined : stateFromText(local)._local;
    if (kept) remote._local = kept;
    await store.writeCommittedState(stateToText(remote));
    for (const name of remote.schema_names ?? []) {
      const newest = await session.readSchema(name);
      if (newest) await store.writeCommittedSchema(name, newest.schema);
    }
  });
}
