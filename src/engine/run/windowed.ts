/** The bounds that a run is given for the cursors of its source. */

import { EngineError } from "../errors.ts";
import type { Source } from "../extract/resource.ts";
import { backfilled, type StoredCursor, scheduled } from "../extract/window.ts";
import type { PipelineState } from "../interop/state.ts";
import type { Run } from "./run.ts";

interface ResourceState {
  readonly incremental?: Readonly<Record<string, { readonly last_value?: unknown } | undefined>>;
}

/** The source with the bounds that the run was given, and the resources that take part. */
export function windowed(
  { options, recorder }: Run,
  source: Source,
  state: PipelineState,
  name: string,
): { source: Source; resources: readonly string[] | undefined } {
  const { backfill, interval, refresh, resources } = options;
  const stored: StoredCursor = (resource, path) => {
    const all = state.sources?.[name]?.resources as Record<string, ResourceState> | undefined;
    return all?.[resource]?.incremental?.[path]?.last_value;
  };
  if (!backfill) return { source: interval ? scheduled(source, interval, stored) : source, resources };
  if (refresh) {
    throw new EngineError("CONFIG_INVALID", "A run either loads a window or begins anew, not both.", {
      hint: "Give backfill or refresh.",
    });
  }
  const bounded = backfilled(source, backfill, resources, stored);
  for (const warning of bounded.warnings) recorder.warn(warning);
  return bounded;
}
