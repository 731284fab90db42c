/** Dropping what resources of a pipeline have loaded: decided here, carried out by a package. */

import { plainOf } from "../inspect/plain.ts";
import { differences } from "../inspect/state-difference.ts";
import type { PipelineState } from "../interop/state.ts";
import type { DropOptions, ResourceDropPlan } from "../pipeline-options.ts";
import { hasSeenData, isNested, isSystemTable } from "../schema/tables.ts";
import type { Schema } from "../schema/types.ts";
import { forgetPaths } from "./forget-paths.ts";
import { dropFromSchema, forgetResources, matchingNames, tablesOfResources } from "./refresh.ts";

export interface PreparedDrop {
  readonly plan: ResourceDropPlan;
  /** Tables of the plan that are, or may be, at the destination; children before parents. */
  readonly dropTables: readonly string[];
}

/** Changes schema and state in place to what they are after the drop. */
export function prepareDrop(
  pipelineName: string,
  schema: Schema,
  state: PipelineState,
  options: DropOptions,
): PreparedDrop {
  const before = plainOf(state.sources ?? {});
  const named = options.all ? () => true : matchingNames(options.resources ?? []);
  const tables = options.stateOnly ? [] : tablesOfResources(schema, named);
  const resources = new Set<string>();
  for (const table of schema.tables.values()) {
    if (isNested(table) || isSystemTable(table.name)) continue;
    if (named(table.resource ?? table.name)) resources.add(table.resource ?? table.name);
  }
  const dropTables = tables.filter((name) => hasSeenData(schema.tables.get(name)!));
  dropFromSchema(schema, tables);
  const resourceStates = forgetResources(state, schema.name, named);
  const statePaths = forgetPaths(state, schema.name, options.statePaths ?? []);
  return {
    plan: {
      pipeline_name: pipelineName,
      schema_name: schema.name,
      resources: [...resources],
      tables,
      resource_states: resourceStates,
      state_paths: statePaths,
      changes: differences(before, plainOf(state.sources ?? {})),
    },
    dropTables,
  };
}
