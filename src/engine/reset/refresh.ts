/**
 * Starting anew: tables leave the schema or lose their rows, and what their resources remember goes with
 * them. Only the schema and state in hand are changed; the package that carries them does the rest.
 */

import type { Source } from "../extract/resource.ts";
import type { PipelineState } from "../interop/state.ts";
import { hasSeenData, isNested, isSystemTable, relationalConfig, tableChain } from "../schema/tables.ts";
import type { Schema } from "../schema/types.ts";

/**
 * drop_sources: all tables and the state of the source; drop_resources: tables and state of the resources
 * that run; drop_data: their rows and state, the tables stay.
 */
export type RefreshMode = (typeof REFRESH_MODES)[number];
export const REFRESH_MODES = ["drop_sources", "drop_resources", "drop_data"] as const;

/** What a package does to tables before it loads its rows. */
export interface TableReset {
  /** Children before parents. */
  readonly dropTables: readonly string[];
  readonly truncateTables: readonly string[];
}

type Named = (resource: string) => boolean;

/** Exact names, or regular expressions after `re:`, as dlt takes them. */
export function matchingNames(patterns: readonly string[]): Named {
  const tests = patterns.map((pattern) =>
    pattern.startsWith("re:") ? new RegExp(`^(?:${pattern.slice(3)})`) : pattern,
  );
  return (name) => tests.some((test) => (typeof test === "string" ? test === name : test.test(name)));
}

/** The data tables of the resources, nested ones included, children before parents. */
export function tablesOfResources(schema: Schema, named: Named): string[] {
  const names: string[] = [];
  for (const table of schema.tables.values()) {
    if (isNested(table) || isSystemTable(table.name) || !named(table.resource ?? table.name)) continue;
    names.push(...tableChain(schema, table.name).map((member) => member.name));
  }
  return names.reverse();
}

export function refreshSource(
  mode: RefreshMode,
  work: {
    readonly schema: Schema;
    readonly state: PipelineState;
    readonly source: Source;
    readonly resources?: readonly string[];
  },
): TableReset {
  const { schema, state, source } = work;
  const running = new Set<string>();
  for (let each of source.chosen(work.resources)) {
    running.add(each.name);
    for (; each.parent; each = each.parent) running.add(each.parent.name);
  }
  const named: Named = mode === "drop_sources" ? () => true : (name) => running.has(name);
  const withData = tablesOfResources(schema, named).filter((name) => hasSeenData(schema.tables.get(name)!));
  forgetResources(state, schema.name, named);
  if (mode === "drop_sources") forgetSource(state, schema.name);
  if (mode === "drop_data") return { dropTables: [], truncateTables: withData };
  dropFromSchema(schema, tablesOfResources(schema, named));
  return { dropTables: withData, truncateTables: [] };
}

/** Takes tables out of the schema, and out of the normalizer's settings. */
export function dropFromSchema(schema: Schema, tables: readonly string[]): void {
  const propagated = relationalConfig(schema)?.propagation?.tables;
  for (const name of tables) {
    schema.tables.delete(name);
    delete propagated?.[name];
  }
}

/** Cursors and own state of resources; returns their names. */
export function forgetResources(state: PipelineState, sourceName: string, named: Named): string[] {
  const resources = state.sources?.[sourceName]?.resources as Record<string, unknown> | undefined;
  const forgotten = Object.keys(resources ?? {}).filter(named);
  for (const name of forgotten) delete resources![name];
  return forgotten;
}

function forgetSource(state: PipelineState, sourceName: string): void {
  const own = state.sources?.[sourceName];
  for (const key of Object.keys(own ?? {})) if (key !== "resources") delete own![key];
}
