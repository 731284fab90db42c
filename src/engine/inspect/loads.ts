/** Packages and loads of a pipeline: what is on disk, joined with `_dlt_loads` at the destination. */

import { type ErrorEnvelope, toEnvelope } from "../errors.ts";
import type { PackageRef, PackageStore } from "../package/store.ts";
import { type Manifest, STAGES } from "../package/types.ts";
import { type DestinationView, type ReadQuery, readIfPossible } from "./reader.ts";

/** `partial`: the destination lists the load with a status other than 0 (written by dlt). */
export type LoadStatus = "extracted" | "normalized" | "loaded" | "failed" | "partial";
export const LOAD_STATUSES: readonly LoadStatus[] = [
  "extracted",
  "normalized",
  "loaded",
  "failed",
  "partial",
];

export interface LoadEntry {
  readonly load_id: string;
  readonly status: LoadStatus;
  readonly schema_name: string | null;
  readonly schema_version_hash?: string | null;
  readonly run_id?: string;
  readonly created_at?: string;
  readonly loaded_at?: string;
  /** Absent for loads of which only the destination knows. */
  readonly rows?: Readonly<Record<string, number>>;
  readonly bytes?: number;
  readonly resources?: readonly string[];
  readonly schema_changes?: number;
  readonly known_to: "disk" | "destination" | "both";
  readonly error?: ErrorEnvelope;
}

export interface LoadsView {
  /** Newest first. */
  readonly loads: readonly LoadEntry[];
  readonly destination: DestinationView;
}

export interface LoadsFilter {
  readonly status?: LoadStatus;
  readonly table?: string;
  readonly load_id?: string;
}

export async function inspectLoads(
  store: PackageStore,
  read: ReadQuery,
  filter: LoadsFilter = {},
): Promise<LoadsView> {
  const entries = new Map<string, LoadEntry>();
  for (const stage of STAGES) {
    for (const ref of await store.list(stage)) entries.set(ref.load_id, await entryOf(store, ref));
  }
  const answer = await readIfPossible(() =>
    read(
      `select load_id, schema_name, status, inserted_at, schema_version_hash
       from _dlt_loads order by load_id desc limit 5000`,
    ),
  );
  for (const row of answer.view === "read" ? answer.value : []) {
    const loadId = String(row.load_id);
    const local = entries.get(loadId);
    const facts = {
      schema_version_hash: row.schema_version_hash === null ? null : String(row.schema_version_hash),
      loaded_at: String(row.inserted_at),
    };
    const status: LoadStatus = Number(row.status) === 0 ? "loaded" : "partial";
    entries.set(
      loadId,
      local === undefined
        ? {
            load_id: loadId,
            status,
            schema_name: row.schema_name === null ? null : String(row.schema_name),
            ...facts,
            known_to: "destination",
          }
        : // A package that is still normalized here but listed there: the run crashed after its commit.
          { ...local, ...facts, status, known_to: "both" },
    );
  }
  const loads = [...entries.values()]
    .filter((entry) => filter.status === undefined || entry.status === filter.status)
    .filter((entry) => filter.load_id === undefined || entry.load_id === filter.load_id)
    .filter((entry) => filter.table === undefined || entry.rows?.[filter.table] !== undefined)
    .sort((a, b) => (a.load_id < b.load_id ? 1 : a.load_id > b.load_id ? -1 : 0));
  return { loads, destination: answer.view };
}

async function entryOf(store: PackageStore, ref: PackageRef): Promise<LoadEntry> {
  let manifest: Manifest;
  try {
    manifest = await store.readManifest(ref);
  } catch (error) {
    const { code, message, hint, retry } = toEnvelope(error);
    return {
      load_id: ref.load_id,
      status: ref.stage,
      schema_name: null,
      known_to: "disk",
      error: { code, message, hint, retry },
    };
  }
  return {
    load_id: ref.load_id,
    status: ref.stage,
    schema_name: manifest.schema_name,
    run_id: manifest.run_id,
    created_at: manifest.created_at,
    ...(manifest.loaded_at === undefined ? {} : { loaded_at: manifest.loaded_at }),
    rows: manifest.rows ?? rowsOfJobs(manifest),
    bytes: manifest.jobs.reduce((sum, job) => sum + job.bytes, 0),
    resources: manifest.resources.map((resource) => resource.name),
    schema_changes: manifest.schema_changes?.length ?? 0,
    known_to: "disk",
    ...(manifest.error === undefined ? {} : { error: manifest.error }),
  };
}

function rowsOfJobs(manifest: Manifest): Record<string, number> {
  const rows: Record<string, number> = {};
  for (const job of manifest.jobs) rows[job.table] = (rows[job.table] ?? 0) + job.rows;
  return rows;
}
