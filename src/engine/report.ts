/** What a run answers and leaves as trace.json: one JSON that people, agents and tests read alike. */

import type { StepName } from "./context.ts";
import type { CommitReport } from "./destinations/destination.ts";
import type { ErrorEnvelope } from "./errors.ts";
import type { SampleRow } from "./package/sample.ts";
import type { ResourceInPackage, SchemaChange } from "./package/types.ts";

export type RunStatus = "running" | "succeeded" | "failed" | "cancelled";

export interface StepReport {
  readonly step: StepName;
  readonly load_id?: string;
  readonly started_at: string;
  /**
   * Rows are normalized, and loaded, while more are extracted: what normalizing takes of that time is counted as its
   * own; of loading, what is left when all rows are there.
   */
  readonly duration_ms: number;
  /** Rows per table that went through this step. */
  readonly rows: Readonly<Record<string, number>>;
  readonly bytes: number;
  readonly error?: ErrorEnvelope;
}

export interface PackageReport {
  readonly load_id: string;
  readonly schema_name: string;
  /** `planned`: what a dry run would have loaded. */
  readonly status: "loaded" | "extracted" | "normalized" | "failed" | "planned";
  /** True when the package was left over from an earlier run. */
  readonly recovered: boolean;
  readonly rows: Readonly<Record<string, number>>;
  /** Merge work per table: rows deleted before inserting, duplicates dropped. */
  readonly merged?: Readonly<Record<string, { deleted: number; deduplicated: number }>>;
  /** What contracts discarded, per table. */
  readonly rejected?: Readonly<Record<string, { readonly rows: number; readonly values: number }>>;
  /** Cells from which the destination removed NUL characters, per table and column. */
  readonly nul_removed?: CommitReport["nulsRemoved"];
  readonly schema_changes: readonly SchemaChange[];
  readonly resources: readonly ResourceInPackage[];
  readonly warnings: readonly string[];
  readonly error?: ErrorEnvelope;
}

export interface RunReport {
  readonly run_id: string;
  readonly pipeline_name: string;
  readonly dataset_name: string;
  readonly destination: string;
  readonly status: RunStatus;
  readonly pid: number;
  /** With `pid`, which process it is (see package/process-identity.ts): tells a run that was killed. */
  readonly host?: string;
  readonly process_start?: string;
  readonly started_at: string;
  readonly finished_at?: string;
  readonly duration_ms: number;
  readonly peak_memory_bytes?: number;
  readonly steps: readonly StepReport[];
  readonly packages: readonly PackageReport[];
  /** Rows per table over all packages that this run committed. */
  readonly rows: Readonly<Record<string, number>>;
  /** Rows and values that contracts discarded, per table over the same packages. */
  readonly rejected?: NonNullable<PackageReport["rejected"]>;
  /** As of the packages, per table. */
  readonly nul_removed?: Readonly<Record<string, number>>;
  /** Present in the report of a dry run, which commits nothing. */
  readonly dry_run?: DryRunPlan;
  readonly warnings: readonly string[];
  readonly error?: ErrorEnvelope;
}

/** What a run would have done at the destination. */
export interface DryRunPlan {
  /** In the order in which they would run, inside the transactions of the packages. */
  readonly ddl: readonly { readonly kind: string; readonly table: string; readonly sql: string }[];
  /** Rows per table that would be loaded; for a merge, before it replaces anything. */
  readonly rows: Readonly<Record<string, number>>;
  /** Live columns of another type than the schema's, to which values would be cast. */
  readonly mismatched: CommitReport["mismatched"];
  /** The first rows per table; absent in traces. */
  readonly samples?: Readonly<Record<string, readonly SampleRow[]>>;
}
