/** Parts of a source's state, named by path. */

import { compilePath } from "../extract/json-path.ts";
import type { PipelineState } from "../interop/state.ts";

type Steps = readonly (string | number)[];

/**
 * Deletes keys of the source's state (`token`, `pages.last`, `pages[*]`, `resources.orders.calls`); returns what was
 * there. `*` leaves the resources alone: what they remember goes by their names.
 */
export function forgetPaths(state: PipelineState, sourceName: string, paths: readonly string[]): string[] {
  const own = state.sources?.[sourceName];
  const forgotten: string[] = [];
  for (const path of paths) {
    // from the end, so that the places of list members before them stay as they are
    const found = placesOf(own, compilePath(path)).reverse();
    const deleted = found.filter(({ path }) => path !== "resources");
    for (const { holder, key } of deleted) {
      if (Array.isArray(holder)) holder.splice(Number(key), 1);
      else delete holder[key];
    }
    forgotten.push(...deleted.reverse().map((each) => each.path));
  }
  return forgotten;
}

interface Place {
  readonly holder: Record<string, unknown> | unknown[];
  readonly key: string;
  readonly path: string;
}

function placesOf(at: unknown, [step, ...rest]: Steps, before = ""): Place[] {
  if (typeof at !== "object" || at === null || step === undefined) return [];
  const holder = at as Record<string, unknown>;
  const keys = step === "*" ? Object.keys(holder) : [keyOf(at, step)];
  return keys
    .filter((key) => Object.hasOwn(holder, key))
    .flatMap((key) => {
      const path = Array.isArray(at) ? `${before}[${key}]` : before === "" ? key : `${before}.${key}`;
      return rest.length > 0 ? placesOf(holder[key], rest, path) : [{ holder, key, path }];
    });
}

/** A negative index counts from the end of a list. */
function keyOf(holder: object, step: string | number): string {
  return Array.isArray(holder) && Number(step) < 0 ? String(holder.length + Number(step)) : String(step);
}
