/** State and schemas as a command will find them behind its sync. Nothing is written: for plans. */

import { defaultContext } from "../context.ts";
import type { PipelineState } from "../interop/state.ts";
import type { PackageStore } from "../package/store.ts";
import { initialState } from "../pipeline-state.ts";
import { schemaFromText } from "../schema/documents.ts";
import type { Schema } from "../schema/types.ts";
import { currentSchema, currentState } from "./current.ts";
import type { PipelineParts } from "./run.ts";
import { openSession, using } from "./session.ts";
import { isVoid, newerState } from "./sync.ts";

export interface Known {
  readonly state: PipelineState;
  schema(name: string): Promise<Schema | undefined>;
}

/** While packages are pending, what is here counts: they build on it, and nothing is synced over them. */
export async function withKnown<T>(
  pipeline: PipelineParts,
  store: PackageStore,
  use: (known: Known) => Promise<T>,
): Promise<T> {
  const local = await currentState(pipeline, store);
  const here: Known = { state: local, schema: (name) => currentSchema(store, name) };
  if ((await store.pendingPackages()).length > 0) return use(here);
  const context = defaultContext();
  return using(context, await openSession({ pipeline, context }), async (session) => {
    if (!(await session.exists())) {
      const gone = await isVoid(store, session);
      return use(gone ? { state: initialState(pipeline), schema: async () => undefined } : here);
    }
    return use({
      state: (await newerState(session, pipeline.name, local)) ?? local,
      async schema(name) {
        const stored = await session.readSchema(name);
        return stored ? schemaFromText(stored.schema) : here.schema(name);
      },
    });
  });
}
