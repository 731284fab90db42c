/** A pipeline of a workspace as the inspecting tools need it: its store and a reader of its destination. */

import { existsSync } from "node:fs";
import { basename } from "node:path";
import { defaultContext } from "../engine/context.ts";
import { postgresReader } from "../engine/destinations/postgres/reader.ts";
import { queryPostgres } from "../engine/inspect/postgres-query.ts";
import { type QueryOptions, queryReadOnly, type ReadOnlyResult } from "../engine/inspect/query.ts";
import { duckdbReader, type ReadQuery } from "../engine/inspect/reader.ts";
import { findSchema, type SchemaView, viewOf } from "../engine/inspect/schema.ts";
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
  readonly kind: "duckdb" | "postgres";
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
      kind: "postgres",
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
    kind: "duckdb",
    databaseExists: existsSync(databasePath),
  };
}

/** The newest schema of a pipeline. Errors: PIPELINE_NEVER_RAN. */
export async function schemaViewOf({ store, destination }: Inspection): Promise<SchemaView> {
  return viewOf(await findSchema(store, destination, {}));
}

/**
 * One statement of somebody else's, behind the guard of its engine. Bare names mean the pipeline's dataset; on
 * Postgres the datasets of the other pipelines there can be read as well, and nothing else.
 */
export async function queryGuarded(
  workspace: Workspace,
  pipeline: string,
  sql: string,
  options: QueryOptions,
): Promise<ReadOnlyResult> {
  const { databasePath, dataset, config } = inspectionOf(workspace, pipeline);
  if (databasePath !== undefined) return queryReadOnly({ path: databasePath, dataset }, sql, options);
  const beside = workspace
    .pipelineNames()
    .filter((name) => workspace.pipelineConfig(name).destination === config.destination);
  const target = {
    options: workspace.postgresOptions(pipeline),
    dataset,
    datasets: beside.map((name) => workspace.dataset(name)),
  };
  const context = defaultContext(options.signal === undefined ? {} : { signal: options.signal });
  return queryPostgres(target, sql, options, context);
}
