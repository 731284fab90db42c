/** Dev mode: every Pipeline object begins anew. */

import type { PackageStore } from "../package/store.ts";
import { stateFromText } from "../pipeline-state.ts";
import type { Run } from "./run.ts";

/** In dev mode, and after it, what is here belongs to a dataset that nobody goes on with. */
export async function forgetDevMode({ store, pipeline }: Run): Promise<void> {
  if (pipeline.options.devMode || (await isOfDevMode(store))) await store.forgetAll();
}

/** A damaged state is none of dev mode's: the sync that follows puts it right. */
export async function isOfDevMode(store: PackageStore): Promise<boolean> {
  const text = await store.committedState();
  if (text === undefined) return false;
  try {
    return stateFromText(text)._local?._dev_mode === true;
  } catch {
    return false;
  }
}

/** `20240131093000`, in UTC. */
export function timeInName(time: Date): string {
  return time.toISOString().replace(/\D/g, "").slice(0, 14);
}
