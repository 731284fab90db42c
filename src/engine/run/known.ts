/** State and schemas as a command will find them behind its sync. Nothing is written: for plans. */

import { defaultContext } from "../context.ts";
import type { PipelineState } from "../interop/state.ts";
import type { PackageStore } from "../package/store.ts";
import { initialState } from "../pipeline-state.ts";
import { schemaFromText } from "../schema/documents.ts";
import type { Schema } from "../schema/types.ts";
import { currentSchema, currentState } from "./current.ts";
import { isOfDevMode } from "./dev-mode.ts";
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
  const nothing: Known = { state: initialState(pipeline), schema: async () => undefined };
  const forgotten = !pipeline.options.devMode && (await isOfDevMode(store));
  const here: Known = forgotten
    ? nothing
    : { state: await currentState(pipeline, store), schema: (name) => currentSchema(store, name) };
  if (!forgotten && (await store.pendingPackages()).length > 0) return use(here);
  const context = defaultContext();
  return using(context, await openSession({ pipeline, context }), async (session) => {
    if (!(await session.exists())) {
      return use((await isVoid(store, session)) ? nothing : here);
    }
    return use({
      state: (await newerState(session, pipeline.name, here.state)) ?? here.state,
      async schema(name) {
        const stored = await session.readSchema(name);
        return stored ? schemaFromText(stored.schema) : here.schema(name);
      },
    });
  });
}
