/**
 * What a destination does for the engine. A destination is opened once a run; everything that a package
 * writes (DDL, rows, `_dlt_version`, `_dlt_pipeline_state`, `_dlt_loads`) goes through one `commitPackage`,
 * which is one transaction: after it returned the package is there whole, after it threw nothing is.
 */

import type { RunContext } from "../context.ts";
import type { LoadPlan } from "../load/plan.ts";
import type { JobFormat } from "../package/job-file.ts";
import type { Schema } from "../schema/types.ts";
import type { LiveCatalogue, TableJobs } from "./plan-facts.ts";

export type { LiveCatalogue, TableJobs } from "./plan-facts.ts";

export interface Capabilities {
  /** Longest identifier in bytes; names are shortened to it (DuckDB 65536, Postgres 63). */
  readonly identifierLengthMax: number;
  /** The form of normalized jobs that it loads. */
  readonly jobFormat: JobFormat;
  /** When loading begins while a source still yields. */
  readonly ahead: {
    /**
     * Milliseconds. It is undone when no rows have come for so long: it keeps others from a database file, or from
     * tables that it changes.
     */
    readonly pauseMs: number;
    /** A source that is read faster than this is not worth it. */
    readonly bytesPerSecondMax: number;
  };
}

export interface Destination {
  readonly kind: "duckdb" | "postgres";
  /** As stored in dlt's state: `dlt.destinations.duckdb`. */
  readonly type: string;
  /** As stored in dlt's state: the name given by the user, else null. */
  readonly name: string | null;
  readonly capabilities: Capabilities;
  /** For messages and traces; never a secret. */
  readonly displayName: string;
  /**
   * Opens for one dataset. The dataset need not exist. With `create: false` the database is not made either:
   * one that is not there is a session without data. Errors: DESTINATION_LOCKED, DESTINATION_INVALID, …
   */
  open(
    dataset: string,
    context: RunContext,
    options?: { readonly create?: boolean },
  ): Promise<DestinationSession>;
}

export interface StoredStateRow {
  readonly version: number;
  readonly engine_version: number;
  readonly version_hash: string | null;
  readonly created_at: string;
  readonly load_id: string;
  /** Still encoded; see interop/state.ts. */
  readonly state: string;
}

export interface LoadRow {
  readonly load_id: string;
  readonly schema_name: string | null;
  readonly status: number;
  readonly inserted_at: string;
  readonly schema_version_hash: string | null;
}

export interface SchemaVersionRow {
  readonly version: number;
  readonly engine_version: number;
  readonly inserted_at: string;
  readonly schema_name: string;
  readonly version_hash: string;
  /** Stored JSON text. */
  readonly schema: string;
}

/** What is known of a package before its rows are normalized. */
export interface PackageStart {
  readonly loadId: string;
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  /** The schema as of the last load; absent for the first. Tells a changed hint from a column altered by others. */
  readonly previousSchema?: Schema | undefined;
  /** Root tables of replace resources in this package: emptied with their nested tables even without a job. */
  readonly replaceTables: readonly string[];
  /** Tables to drop before the DDL; the stored versions of the schema go with them. */
  readonly dropTables?: readonly string[];
  /** Tables to empty before rows are loaded. */
  readonly truncateTables?: readonly string[];
  /** Folder for the destination's own spill files; exists, is emptied by the engine afterwards. */
  readonly scratchDir: string;
}

export interface PackageToCommit extends PackageStart {
  /** The schema after this package; its name, version and version_hash go to `_dlt_version` and `_dlt_loads`. */
  readonly schema: Schema;
  /** That schema as `_dlt_version` stores it: dlt's JSON. */
  readonly schemaJson: string;
  readonly jobs: readonly TableJobs[];
}

/** A package whose jobs are handed over one by one. Ended by `commit` or `abandon`, exactly once. */
export interface PackageLoad {
  /** A job that is complete, with the schema as it is now. Does what it can in the background and never fails. */
  add(schema: Schema, job: TableJobs): void;
  /** Returns when no file is being read any more. Jobs that had not begun by then may be left to the commit. */
  idle(): Promise<void>;
  /** As `commitPackage`; the files may have been moved to another folder. */
  commit(work: PackageToCommit): Promise<CommitReport>;
  /** Leaves nothing behind. */
  abandon(): Promise<void>;
}

export interface CommitReport {
  /** True: the load id was there already, nothing was done and the rest of the report is empty. */
  readonly alreadyCommitted: boolean;
  /** Statements of DDL that were run. */
  readonly ddl: readonly string[];
  /**
   * Per table: rows inserted, and for a merge the rows that they replaced (deleted, updated in place, or
   * retired) and the duplicates dropped.
   */
  readonly tables: Readonly<Record<string, { inserted: number; deleted?: number; deduplicated?: number }>>;
  /** Live tables or columns that the schema does not know: reported, never touched. */
  readonly foreign: readonly string[];
  /** Live columns of another type than the schema's: rows are cast to the live type. */
  readonly mismatched: readonly {
    readonly table: string;
    readonly column: string;
    readonly live: string;
    readonly schema: string;
  }[];
  /** Columns whose type was widened from `live` to `schema`, because a hint was changed. */
  readonly widened?: CommitReport["mismatched"];
  /** Cells from which NUL characters were removed, because the destination cannot hold them. */
  readonly nulsRemoved?: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

/** Values as JSON has them: bigint, decimal and timestamp are text, so nothing is lost. */
export interface QueryResult {
  readonly columns: readonly { readonly name: string; readonly type: string }[];
  readonly rows: readonly (readonly unknown[])[];
}

export interface DestinationSession {
  /** Does the dataset (schema) exist? */
  exists(): Promise<boolean>;
  isCommitted(loadId: string): Promise<boolean>;
  /** Newest committed state of a pipeline (load_id descending, joined to `_dlt_loads` with status 0). */
  readState(pipelineName: string): Promise<StoredStateRow | undefined>;
  /** Newest stored schema of that name, or the one with that hash. */
  readSchema(schemaName: string, versionHash?: string): Promise<SchemaVersionRow | undefined>;
  readSchemaVersions(schemaName?: string): Promise<SchemaVersionRow[]>;
  /** Newest first. */
  readLoads(options: { schemaName?: string; limit: number; before?: string }): Promise<LoadRow[]>;
  /** Boundary hashes of one cursor by chunk, base64; see schema/boundary-table.ts. None without the table. */
  readBoundary(key: readonly string[]): Promise<{ readonly chunk: number; readonly hashes: string }[]>;
  catalogue(): Promise<LiveCatalogue>;
  /** What committing would do, by reading only. */
  planPackage(work: PackageToCommit): Promise<LoadPlan>;
  commitPackage(work: PackageToCommit): Promise<CommitReport>;
  /** Of destinations that can begin to load before a package is complete. */
  beginPackage?(start: PackageStart): PackageLoad;
  /** For tests and inspection inside the engine; not the guarded query of the tools. */
  query(sql: string, parameters?: readonly unknown[]): Promise<QueryResult>;
  close(): Promise<void>;
}
