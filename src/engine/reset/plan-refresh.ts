/** What a refresh would take away, told before the source has run. */

import type { PipelineState } from "../interop/state.ts";
import type { RefreshPlan } from "../pipeline-options.ts";
import { hasSeenData } from "../schema/tables.ts";
import type { Schema } from "../schema/types.ts";
import { forgetResources, matchingNames, type RefreshMode, tablesOfResources } from "./refresh.ts";

/** What a refresh of these resources, or of all, would drop or empty. The state is changed in place, as by a refresh. */
export function planRefresh(
  pipelineName: string,
  { schema, state }: { readonly schema: Schema | undefined; readonly state: PipelineState },
  refresh: RefreshMode,
  resources?: readonly string[],
): RefreshPlan {
  const named = resources && refresh !== "drop_sources" ? matchingNames(resources) : () => true;
  const tables = schema ? tablesOfResources(schema, named) : [];
  return {
    pipeline_name: pipelineName,
    refresh,
    tables: tables.filter((table) => hasSeenData(schema!.tables.get(table)!)),
    resource_states: schema ? forgetResources(state, schema.name, named) : [],
  };
}
