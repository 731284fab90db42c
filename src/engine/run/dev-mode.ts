/** Dev mode: every Pipeline object begins anew. */

import { stateFromText } from "../pipeline-state.ts";
import type { Run } from "./run.ts";

/** In dev mode, and after it, what is here belongs to a dataset that nobody goes on with. */
export async function forgetDevMode({ store, pipeline }: Run): Promise<void> {
  const text = await store.committedState();
  const wasDev = text !== undefined && stateFromText(text)._local?._dev_mode === true;
  if (pipeline.options.devMode || wasDev) await store.forgetAll();
}

/** `20240131093000`, in UTC. */
export function timeInName(time: Date): string {
  return time.toISOString().replace(/\D/g, "").slice(0, 14);
}
