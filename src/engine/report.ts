/** What a run answers and leaves as trace.json: one JSON that people, agents and tests read alike. */

import type { StepName } from "./context.ts";
import type { ErrorEnvelope } from "./errors.ts";
import type { ResourceInPackage, SchemaChange } from "./package/types.ts";

export type RunStatus = "running" | "succeeded" | "failed" | "cancelled";

export interface StepReport {
  readonly step: StepName;
  readonly load_id?: string;
  readonly started_at: string;
  readonly duration_ms: number;
  /** Rows per table that went through this step. */
  readonly rows: Readonly<Record<string, number>>;
  readonly bytes: number;
  readonly error?: ErrorEnvelope;
}

export interface PackageReport {
  readonly load_id: string;
  readonly schema_name: string;
  readonly status: "loaded" | "extracted" | "normalized" | "failed";
  /** True when the package was left over from an earlier run. */
  readonly recovered: boolean;
  readonly rows: Readonly<Record<string, number>>;
  /** Merge work per table: rows deleted before inserting, duplicates dropped. */
  readonly merged?: Readonly<Record<string, { deleted: number; deduplicated: number }>>;
  /** What contracts discarded, per table. */
  readonly rejected?: Readonly<Record<string, { readonly rows: number; readonly values: number }>>;
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
  readonly warnings: readonly string[];
  readonly error?: ErrorEnvelope;
}
