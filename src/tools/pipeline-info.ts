/** What can be told of pipelines from the workspace's folders alone, without opening a destination. */

import { defaultContext } from "../engine/context.ts";
import { EngineError, type ErrorEnvelope } from "../engine/errors.ts";
import { parseTypedJson } from "../engine/interop/json.ts";
import { lockHolder } from "../engine/package/lock.ts";
import { PackageStore } from "../engine/package/store.ts";
import { RunFolder } from "../engine/package/trace.ts";
import type { Manifest, Stage } from "../engine/package/types.ts";
import type { RunReport, RunStatus } from "../engine/report.ts";
import { plainJson } from "./run-protocol.ts";
import type { Workspace } from "./workspace.ts";

const RUNS_SHOWN = 5;

export interface PipelineListing {
  readonly name: string;
  readonly source: string;
  readonly destination: string;
  readonly description?: string;
  readonly pending_packages: number;
  readonly running: boolean;
  readonly last_run?: RunSummary;
}

export interface RunSummary {
  readonly run_id: string;
  readonly status: RunStatus;
  readonly started_at: string;
  readonly duration_ms: number;
  readonly rows: number;
  readonly error?: string;
}

export interface CursorInfo {
  readonly source: string;
  readonly resource: string;
  readonly path: string;
  readonly last_value: unknown;
}

export interface PackageSummary {
  readonly load_id: string;
  readonly stage: Stage;
  readonly created_at?: string;
  readonly rows?: Readonly<Record<string, number>>;
  readonly error?: ErrorEnvelope;
}

export interface PipelineInfo {
  readonly name: string;
  readonly description?: string;
  readonly source: string;
  readonly destination: string;
  readonly dataset: string;
  readonly dir: string;
  readonly lock?: {
    readonly run_id: string;
    readonly pid: number;
    readonly started_at: string;
    readonly stale: boolean;
  };
  readonly pending_packages: readonly PackageSummary[];
  readonly failed_packages: number;
  readonly loaded_packages: number;
  readonly last_loaded?: string;
  /** As of the newest pending package, else as committed. */
  readonly cursors: readonly CursorInfo[];
  readonly last_runs: readonly RunSummary[];
}

export async function listPipelines(workspace: Workspace): Promise<PipelineListing[]> {
  return Promise.all(
    workspace.pipelineNames().map(async (name) => {
      const { source, description } = workspace.pipelineConfig(name);
      const [last] = (await runFolder(workspace, name).listRuns({ limit: 1 })).runs;
      const holder = lockHolder(workspace.pipelineDir(name));
      return {
        name,
        source,
        destination: workspace.destination(name).displayName,
        description,
        pending_packages: (await packageStore(workspace, name).pendingPackages()).length,
        running: holder !== undefined && !holder.stale,
        last_run: last === undefined ? undefined : runSummary(last),
      };
    }),
  );
}

export async function pipelineInfo(workspace: Workspace, name: string): Promise<PipelineInfo> {
  const config = workspace.pipelineConfig(name);
  const dir = workspace.pipelineDir(name);
  const store = packageStore(workspace, name);
  const holder = lockHolder(dir);
  const loaded = await store.list("loaded");
  const { runs } = await runFolder(workspace, name).listRuns({ limit: RUNS_SHOWN });
  return {
    name,
    description: config.description,
    source: config.source,
    destination: workspace.destination(name).displayName,
    dataset: workspace.dataset(name),
    dir,
    lock:
      holder === undefined
        ? undefined
        : {
            run_id: holder.info.run_id,
            pid: holder.info.pid,
            started_at: holder.info.started_at,
            stale: holder.stale,
          },
    pending_packages: await Promise.all(
      (await store.pendingPackages()).map((ref) => packageSummary(store, ref)),
    ),
    failed_packages: (await store.list("failed")).length,
    loaded_packages: loaded.length,
    last_loaded: loaded.at(-1)?.load_id,
    cursors: cursorsOf(await store.currentState()),
    last_runs: runs.map(runSummary),
  };
}

/** Packages that were set aside because their data cannot be loaded, with the error of each. */
export async function failedPackages(workspace: Workspace, name: string): Promise<PackageSummary[]> {
  const store = packageStore(workspace, name);
  return Promise.all((await store.list("failed")).map((ref) => packageSummary(store, ref)));
}

/** The run of that id, or the newest. Errors: RUN_NOT_FOUND, PIPELINE_NEVER_RAN. */
export async function pipelineTrace(workspace: Workspace, name: string, runId?: string): Promise<RunReport> {
  const runs = runFolder(workspace, name);
  if (runId !== undefined) return runs.readTrace(runId);
  const [newest] = (await runs.listRuns({ limit: 1 })).runs;
  if (newest === undefined) throw neverRan(name);
  return newest;
}

/** Stored schemas by name, as JSON. Error: PIPELINE_NEVER_RAN. */
export async function storedSchemas(workspace: Workspace, name: string): Promise<Record<string, string>> {
  const store = packageStore(workspace, name);
  const schemas: Record<string, string> = {};
  for (const schema of await store.committedSchemaNames()) {
    const text = await store.committedSchema(schema);
    if (text !== undefined) schemas[schema] = text;
  }
  if (Object.keys(schemas).length === 0) throw neverRan(name);
  return schemas;
}

export function packageStore(workspace: Workspace, name: string): PackageStore {
  return new PackageStore(workspace.pipelineDir(name), defaultContext());
}

export function runFolder(workspace: Workspace, name: string): RunFolder {
  return new RunFolder(workspace.pipelineDir(name));
}

export function runSummary(report: RunReport): RunSummary {
  return {
    run_id: report.run_id,
    status: report.status,
    started_at: report.started_at,
    duration_ms: report.duration_ms,
    rows: sum(report.rows),
    error: report.error === undefined ? undefined : `${report.error.code}: ${report.error.message}`,
  };
}

/** Rows of all tables but the engine's own, which nobody asked to load. */
export function sum(rows: Readonly<Record<string, number>>): number {
  return Object.entries(rows).reduce(
    (total, [table, count]) => (isOwnTable(table) ? total : total + count),
    0,
  );
}

export function isOwnTable(table: string): boolean {
  return table.startsWith("_dlt_") || table.startsWith("_loadwright_");
}

async function packageSummary(
  store: PackageStore,
  ref: Parameters<PackageStore["readManifest"]>[0],
): Promise<PackageSummary> {
  let manifest: Manifest;
  try {
    manifest = await store.readManifest(ref);
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    const { code, message, hint, retry } = error;
    return { load_id: ref.load_id, stage: ref.stage, error: { code, message, hint, retry } };
  }
  const rows = manifest.rows ?? rowsOfJobs(manifest);
  return {
    load_id: ref.load_id,
    stage: ref.stage,
    created_at: manifest.created_at,
    rows,
    error: manifest.error,
  };
}

function rowsOfJobs(manifest: Manifest): Record<string, number> {
  const rows: Record<string, number> = {};
  for (const job of manifest.jobs) rows[job.table] = (rows[job.table] ?? 0) + job.rows;
  return rows;
}

/** Cursors in dlt's state: sources.<source>.resources.<resource>.incremental.<path>.last_value. */
function cursorsOf(text: string | undefined): CursorInfo[] {
  if (text === undefined) return [];
  const cursors: CursorInfo[] = [];
  const state: unknown = plainJson(parseTypedJson(text));
  for (const [source, ofSource] of entries(child(state, "sources"))) {
    for (const [resource, ofResource] of entries(child(ofSource, "resources"))) {
      for (const [path, incremental] of entries(child(ofResource, "incremental"))) {
        cursors.push({ source, resource, path, last_value: child(incremental, "last_value") });
      }
    }
  }
  return cursors;
}

function child(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[key] : undefined;
}

function entries(value: unknown): [string, unknown][] {
  return typeof value === "object" && value !== null ? Object.entries(value) : [];
}

function neverRan(name: string): EngineError {
  return new EngineError("PIPELINE_NEVER_RAN", `The pipeline ${name} has not loaded anything yet.`, {
    hint: `Run it once: loadwright run ${name}`,
    details: { pipeline: name },
  });
}
