/** A pipeline of a workspace as the inspecting tools need it: its store and a reader of its destination. */

import { existsSync } from "node:fs";
import { basename } from "node:path";
import { defaultContext } from "../engine/context.ts";
import { postgresReader } from "../engine/destinations/postgres/reader.ts";
import { EngineError } from "../engine/errors.ts";
import { duckdbReader, type ReadQuery } from "../engine/inspect/reader.ts";
import type { HistoryDestination } from "../engine/inspect/schema-history.ts";
import { PackageStore } from "../engine/package/store.ts";
import { duckdbDialect, postgresDialect } from "../engine/sql/dialect.ts";
import type { PipelineConfig } from "./config.ts";
import type { Workspace } from "./workspace.ts";

export interface Inspection {
  readonly config: PipelineConfig;
  readonly store: PackageStore;
  readonly read: ReadQuery;
  /** Of DuckDB; a Postgres database has none. */
  readonly databasePath: string | undefined;
  readonly dataset: string;
  /** What schema questions need of the destination. */
  readonly destination: HistoryDestination;
  /** A Postgres database is not asked for this: it counts as there. */
  readonly databaseExists: boolean;
}

/** Opens nothing yet. Errors: PIPELINE_NOT_FOUND. */
export function inspectionOf(workspace: Workspace, pipeline: string, signal?: AbortSignal): Inspection {
  const config = workspace.pipelineConfig(pipeline);
  const dataset = workspace.dataset(pipeline);
  const store = new PackageStore(workspace.pipelineDir(pipeline), { boundary: () => {} });
  if (workspace.destinationType(pipeline) === "postgres") {
    const context = defaultContext(signal === undefined ? {} : { signal });
    const read = postgresReader(() => workspace.postgresOptions(pipeline), dataset, context);
    return {
      config,
      store,
      read,
      databasePath: undefined,
      dataset,
      destination: { read, dialect: postgresDialect(), dataset: { schema: dataset } },
      databaseExists: true,
    };
  }
  const databasePath = workspace.databasePath(config);
  const read = duckdbReader(databasePath, dataset, signal);
  const catalog = basename(databasePath).replace(/\..*$/, "");
  return {
    config,
    store,
    read,
    destination: { read, dialect: duckdbDialect, dataset: { catalog, schema: dataset } },
    databasePath,
    dataset,
    databaseExists: existsSync(databasePath),
  };
}

/** The DuckDB file of a pipeline, for what only reads DuckDB. Errors: NOT_ALLOWED. */
export function duckdbFileOf({ config, databasePath }: Inspection): string {
  if (databasePath !== undefined) return databasePath;
  throw new EngineError(
    "NOT_ALLOWED",
    `Pipeline ${config.name} loads into Postgres, and queries are answered on DuckDB only.`,
    {
      hint: "Query the database with its own client, with a role that may only read.",
      details: { pipeline: config.name },
    },
  );
}

export function rowsTotal(rows: Readonly<Record<string, number>>): number {
  return Object.values(rows).reduce((sum, count) => sum + count, 0);
}
