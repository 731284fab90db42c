/** What a run is told besides its pipeline, as the command line and the tools share it. */

import { EngineError } from "../engine/errors.ts";
import type { RefreshPlan } from "../engine/pipeline-options.ts";

/**
 * The interval of a scheduler, from dlt's variables DLT_INTERVAL_START and DLT_INTERVAL_END. For cursors that
 * say `allowExternalSchedulers`. Errors: CONFIG_INVALID when only one is set.
 */
export function intervalOf(
  environment: Readonly<Record<string, string | undefined>>,
): { from: string; to: string } | undefined {
  const from = environment.DLT_INTERVAL_START;
  const to = environment.DLT_INTERVAL_END;
  if (!from && !to) return undefined;
  if (from && to) return { from, to };
  throw new EngineError("CONFIG_INVALID", "Of a scheduler's interval only one end is set.", {
    hint: "Set both DLT_INTERVAL_START and DLT_INTERVAL_END, or neither.",
  });
}

const DEED = {
  drop_sources: "drop the tables and state of the whole source",
  drop_resources: "drop the tables and state of its resources",
  drop_data: "delete the rows and state of its resources",
} as const;

/** What a person is asked before a refresh. */
export function refreshQuestion({ pipeline_name, refresh, tables, resource_states }: RefreshPlan): string {
  const concerned = tables.length === 0 ? "no tables" : `tables ${tables.join(", ")}`;
  const cursors = resource_states.length === 0 ? "" : `; state of ${resource_states.join(", ")}`;
  return `Run ${pipeline_name} and ${DEED[refresh]} (${concerned}${cursors}) when the new rows are loaded?`;
}
