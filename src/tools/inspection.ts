/** A pipeline of a workspace as the inspecting tools need it: its store and a reader of its destination. */

import { existsSync } from "node:fs";
import { duckdbReader, type ReadQuery } from "../engine/inspect/reader.ts";
import { PackageStore } from "../engine/package/store.ts";
import type { PipelineConfig } from "./config.ts";
import type { Workspace } from "./workspace.ts";

export interface Inspection {
  readonly config: PipelineConfig;
  readonly store: PackageStore;
  readonly read: ReadQuery;
  readonly databasePath: string;
  readonly dataset: string;
  readonly databaseExists: boolean;
}

/** Opens nothing yet. Errors: PIPELINE_NOT_FOUND. */
export function inspectionOf(workspace: Workspace, pipeline: string, signal?: AbortSignal): Inspection {
  const config = workspace.pipelineConfig(pipeline);
  const databasePath = workspace.databasePath(config);
  const dataset = workspace.dataset(pipeline);
  return {
    config,
    store: new PackageStore(workspace.pipelineDir(pipeline), { boundary: () => {} }),
    read: duckdbReader(databasePath, dataset, signal),
    databasePath,
    dataset,
    databaseExists: existsSync(databasePath),
  };
}

export function rowsTotal(rows: Readonly<Record<string, number>>): number {
  return Object.values(rows).reduce((sum, count) => sum + count, 0);
}
