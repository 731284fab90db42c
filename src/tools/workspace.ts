/**
 * A workspace: the folder with loadwright.toml, its pipelines, secrets and working folders. Nothing here
 * runs a user's code; that happens in the child process of a run.
 */

import { existsSync, readFileSync, realpathSync, statSync } from "node:fs";
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from "node:path";
import type { Limits } from "../engine/context.ts";
import type { Destination } from "../engine/destinations/destination.ts";
import { duckdb } from "../engine/destinations/duckdb/duckdb.ts";
import type { PostgresOptions } from "../engine/destinations/postgres/postgres.ts";
import { EngineError } from "../engine/errors.ts";
import type { Source } from "../engine/extract/resource.ts";
import { didYouMean } from "../engine/nearest.ts";
import type { Permit } from "../engine/permission.ts";
import { Pipeline } from "../engine/pipeline.ts";
import { namingByName } from "../engine/schema/naming.ts";
import { type Dataset, type Dialect, duckdbDialect, postgresDialect } from "../engine/sql/dialect.ts";
import { createSource } from "../sources/registry.ts";
import { CONFIG_FILE, type PipelineConfig, parseConfig, type WorkspaceConfig } from "./config.ts";
import { postgresDestination, postgresOptions } from "./postgres-destination.ts";
import { Secrets } from "./secrets.ts";

export const WORKING_DIR = ".loadwright";

export interface OpenedPipeline {
  readonly config: PipelineConfig;
  readonly pipeline: Pipeline;
  /** Of this pipeline: knows what was resolved, and masks it. */
  readonly secrets: Secrets;
  /** Loads and calls the source's code: only in the child process of a run. */
  readonly createSource: () => Promise<Source>;
}

/** The nearest folder at or above `start` with loadwright.toml; `explicit` is that folder or the file itself. */
export function findWorkspace(start: string, explicit?: string): Workspace {
  if (explicit !== undefined) {
    const path = resolve(start, explicit);
    const dir = basename(path) === CONFIG_FILE ? dirname(path) : path;
    if (existsSync(join(dir, CONFIG_FILE))) return new Workspace(dir);
    throw new EngineError("NO_WORKSPACE", `${dir} has no ${CONFIG_FILE}`, {
      hint: `Run \`loadwright init ${explicit}\`, or pass the folder that holds ${CONFIG_FILE}.`,
      details: { folder: dir },
    });
  }
  for (let dir = resolve(start); ; dir = dirname(dir)) {
    if (existsSync(join(dir, CONFIG_FILE))) return new Workspace(dir);
    if (dirname(dir) === dir) break;
  }
  throw new EngineError("NO_WORKSPACE", `No ${CONFIG_FILE} in ${resolve(start)} or any folder above it`, {
    details: { folder: resolve(start) },
  });
}

export class Workspace {
  /** Without symbolic links, so that "inside" can be decided. */
  readonly dir: string;
  readonly config: WorkspaceConfig;

  /** Handed to every pipeline that is opened: the engine asks it before it changes anything. */
  readonly permit: Permit;

  constructor(dir: string, permit: Permit = () => {}) {
    this.dir = realpathSync(dir);
    this.permit = permit;
    this.config = parseConfig(readFileSync(join(this.dir, CONFIG_FILE), "utf8"), join(this.dir, CONFIG_FILE));
  }

  /** The same folder, read anew: loadwright.toml may have changed. Errors: CONFIG_INVALID. */
  reopened(permit: Permit = this.permit): Workspace {
    return new Workspace(this.dir, permit);
  }

  /** Another one when loadwright.toml was written again. */
  configStamp(): string {
    const stat = statSync(join(this.dir, CONFIG_FILE), { throwIfNoEntry: false });
    return stat === undefined ? "absent" : `${stat.ino} ${stat.size} ${stat.mtimeMs}`;
  }

  pipelineNames(): string[] {
    return [...this.config.pipelines.keys()];
  }

  pipelineConfig(name: string): PipelineConfig {
    const config = this.config.pipelines.get(name);
    if (config !== undefined) return config;
    const names = this.pipelineNames();
    const known =
      names.length === 0 ? `${CONFIG_FILE} names no pipelines.` : `There are: ${names.join(", ")}.`;
    const guess = didYouMean(name, names);
    throw new EngineError(
      "PIPELINE_NOT_FOUND",
      `There is no pipeline ${JSON.stringify(name)}. ${guess || known}`,
      {
        hint: `Use one of the names in ${CONFIG_FILE}, or add [pipelines.${name}] with its source.`,
        details: { pipeline: name, pipelines: names },
      },
    );
  }

  /** Packages, state, runs and lock of a pipeline; need not exist. */
  pipelineDir(name: string): string {
    return join(this.dir, WORKING_DIR, "pipelines", this.pipelineConfig(name).name);
  }

  /** Folder of all runs of a pipeline; need not exist. */
  runsDir(name: string): string {
    return join(this.pipelineDir(name), "runs");
  }

  secrets(pipelineName?: string): Secrets {
    return new Secrets({ workspaceDir: this.dir, pipelineName, configs: this.#sourceConfigs() });
  }

  /** A secret that somebody wrote into loadwright.toml is not shown either. */
  #sourceConfigs(): unknown[] {
    return [...this.config.pipelines.values()].map((pipeline) => pipeline.config);
  }

  /** The destination of a pipeline, not opened. */
  destination(name: string, secrets = this.secrets(name)): Destination {
    const pipeline = this.pipelineConfig(name);
    const named = this.config.destinations.get(pipeline.destination);
    if (this.destinationType(name) === "postgres") {
      return postgresDestination(named?.type === "postgres" ? named : undefined, secrets, this.dir);
    }
    return duckdb({
      path: this.databasePath(pipeline),
      name: named?.name,
      replaceStrategy: named?.type === "duckdb" ? named.replace_strategy : undefined,
    });
  }

  /** Errors: CONFIG_MISSING, CONFIG_INVALID. */
  postgresOptions(name: string): PostgresOptions {
    const named = this.config.destinations.get(this.pipelineConfig(name).destination);
    return postgresOptions(named?.type === "postgres" ? named : undefined, this.secrets(name), this.dir);
  }

  destinationType(name: string): "duckdb" | "postgres" {
    const { destination } = this.pipelineConfig(name);
    return (
      this.config.destinations.get(destination)?.type ?? (destination === "postgres" ? destination : "duckdb")
    );
  }

  /** The schema in the database that a pipeline writes to, as the engine names it. */
  dataset(name: string): string {
    const written = this.pipelineConfig(name).dataset ?? `${name}_dataset`;
    const { naming } = this.pipelineConfig(name);
    return namingByName(naming ?? "snake_case", this.destination(name).capabilities.identifierLengthMax).path(
      written,
    );
  }

  /** Dialect and place of a pipeline's tables, for statements to show. */
  schemaPlace(name: string): { readonly dialect: Dialect; readonly dataset: Dataset } {
    const schema = this.dataset(name);
    return this.destinationType(name) === "postgres"
      ? { dialect: postgresDialect(), dataset: { schema } }
      : { dialect: duckdbDialect, dataset: { schema } };
  }

  /** The pipeline with its destination, without touching either the source's code or the destination. */
  openPipeline(name: string, limits: Partial<Limits> = {}): OpenedPipeline {
    const config = this.pipelineConfig(name);
    const secrets = this.secrets(name);
    const pipeline = new Pipeline({
      name,
      destination: this.destination(name, secrets),
      dataset: this.dataset(name),
      dir: this.pipelineDir(name),
      limits: { ...config.limits, ...limits },
      naming: config.naming,
      importSchemaPath: config.import_schema_path && this.inside(config.import_schema_path),
      exportSchemaPath: config.export_schema_path && this.inside(config.export_schema_path),
      permit: this.permit,
      keepRejected: config.keep_rejected,
      keepNullColumns: config.keep_null_columns,
      createEmptyTables: config.create_empty_tables,
    });
    return {
      config,
      pipeline,
      secrets,
      createSource: () =>
        createSource(config.source, {
          config: config.config,
          secrets: secrets.forSource(config.source),
          workspaceDir: this.dir,
        }),
    };
  }

  /**
   * An absolute path for one that a tool was given, refused with PATH_OUTSIDE when it leaves the workspace,
   * also by way of a symbolic link.
   */
  inside(path: string): string {
    // no file has such a name
    if (path.includes("\0")) throw this.#outside(path.replaceAll("\0", ""));
    const absolute = resolve(this.dir, path);
    let existing = absolute;
    while (!existsSync(existing) && dirname(existing) !== existing) existing = dirname(existing);
    const real = join(realpathSync(existing), relative(existing, absolute));
    const fromHere = relative(this.dir, real);
    if (fromHere === ".." || fromHere.startsWith(".." + sep) || isAbsolute(fromHere)) {
      throw this.#outside(path);
    }
    return real;
  }

  #outside(path: string): EngineError {
    return new EngineError("PATH_OUTSIDE", `${path} is outside the workspace ${this.dir}`, {
      details: { path, workspace: this.dir },
    });
  }

  /** The default is one file per pipeline, or per named destination, beside loadwright.toml. */
  databasePath(pipeline: PipelineConfig): string {
    const destination = this.config.destinations.get(pipeline.destination);
    const path = destination?.type === "duckdb" ? destination.path : undefined;
    const written = path ?? `${destination === undefined ? pipeline.name : destination.name}.duckdb`;
    return resolve(this.dir, written);
  }
}
