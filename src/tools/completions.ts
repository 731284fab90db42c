/**
 * Values for arguments of prompts and variables of resource URIs. All come from the workspace's folders: no
 * database is opened while somebody types.
 */

import { ERRORS } from "../engine/errors.ts";
import { RunFolder } from "../engine/package/trace.ts";
import { isSystemTable } from "../engine/schema/tables.ts";
import { listSources } from "../sources/registry.ts";
import { docSlugs } from "./docs.ts";
import { inspectionOf } from "./inspection.ts";
import { pipelineInfo, storedSchemas } from "./pipeline-info.ts";
import type { Workspace } from "./workspace.ts";

/** At most so many values are answered, as the protocol says. */
const VALUES_MAX = 100;
const NEWEST = 50;

/** What a name stands for, wherever it is an argument; those below `pipeline` belong to the one given. */
type Values = (workspace: Workspace, pipeline: string) => readonly string[] | Promise<readonly string[]>;

const OF_WORKSPACE = {
  pipeline: (workspace) => workspace.pipelineNames(),
  source: (workspace) => listSources(workspace.dir).map((each) => each.name),
  code: () => Object.keys(ERRORS),
  slug: () => docSlugs(),
  level: () => ["debug", "info", "warn", "error"],
  destination: (workspace) => ["duckdb", "postgres", ...workspace.config.destinations.keys()],
} satisfies Record<string, Values>;

const OF_PIPELINE = {
  resource: resources,
  table: tables,
  version: async (workspace, pipeline) =>
    (await schemas(workspace, pipeline)).map((schema) => String(schema.version)),
  run_id: async (workspace, pipeline) =>
    (await new RunFolder(workspace.pipelineDir(pipeline)).runIds()).reverse().slice(0, NEWEST),
  load_id: async (workspace, pipeline) => {
    const { store } = inspectionOf(workspace, pipeline);
    const ids = await Promise.all(
      (["extracted", "normalized", "loaded", "failed"] as const).map((stage) => store.list(stage)),
    );
    return ids
      .flat()
      .map((each) => each.load_id)
      .sort()
      .reverse()
      .slice(0, NEWEST);
  },
} satisfies Record<string, Values>;

export type CompletableName = keyof typeof OF_WORKSPACE | keyof typeof OF_PIPELINE;

export function isCompletable(name: string): name is CompletableName {
  return name in OF_WORKSPACE || name in OF_PIPELINE;
}

/** Values that begin with what is typed, then those that contain it. Nothing where the pipeline is not known yet. */
export async function complete(
  workspace: Workspace,
  name: CompletableName,
  typed: string,
  given: Readonly<Record<string, string>> = {},
): Promise<string[]> {
  const values = await valuesOf(workspace, name, given.pipeline);
  const wanted = typed.toLowerCase();
  const starting = values.filter((value) => value.toLowerCase().startsWith(wanted));
  const containing = values.filter(
    (value) => !starting.includes(value) && value.toLowerCase().includes(wanted),
  );
  return [...starting, ...containing].slice(0, VALUES_MAX);
}

async function valuesOf(
  workspace: Workspace,
  name: CompletableName,
  pipeline = "",
): Promise<readonly string[]> {
  if (name in OF_WORKSPACE) return (OF_WORKSPACE as Record<string, Values>)[name]?.(workspace, "") ?? [];
  if (!workspace.config.pipelines.has(pipeline)) return [];
  try {
    return await ((OF_PIPELINE as Record<string, Values>)[name]?.(workspace, pipeline) ?? []);
  } catch {
    // Nothing to suggest is not an error: the pipeline may never have run.
    return [];
  }
}

interface StoredSchema {
  readonly version: number;
  readonly tables: Readonly<Record<string, { readonly resource?: string }>>;
}

async function schemas(workspace: Workspace, pipeline: string): Promise<StoredSchema[]> {
  return Object.values(await storedSchemas(workspace, pipeline)).map(
    (text) => JSON.parse(text) as StoredSchema,
  );
}

async function tables(workspace: Workspace, pipeline: string): Promise<string[]> {
  const names = (await schemas(workspace, pipeline)).flatMap((schema) => Object.keys(schema.tables));
  return [...new Set(names)].filter((table) => !isSystemTable(table));
}

async function resources(workspace: Workspace, pipeline: string): Promise<string[]> {
  const [stored, info] = await Promise.all([
    schemas(workspace, pipeline).catch(() => []),
    pipelineInfo(workspace, pipeline),
  ]);
  const ofTables = stored.flatMap((schema) =>
    Object.entries(schema.tables)
      .filter(([table]) => !isSystemTable(table))
      .flatMap(([, table]) => (table.resource === undefined ? [] : [table.resource])),
  );
  return [...new Set([...ofTables, ...info.cursors.map((cursor) => cursor.resource)])];
}
