/**
 * What the process of a probe is asked and answers, as JSON over its IPC channel. A probe runs the code of a
 * source away from the server: it describes a source, reads a little of it into a scratch database, or asks a
 * database for its tables. Nothing of the pipeline (destination, state, packages) is opened.
 */

import type { ErrorEnvelope } from "../../engine/errors.ts";

interface Subject {
  readonly workspaceDir: string;
  /** Its secrets are looked up under this name first. */
  readonly pipeline: string;
  readonly source: string;
  readonly config: Readonly<Record<string, unknown>>;
}

export interface ReadBounds {
  readonly rows: number;
  readonly pages: number;
  readonly seconds: number;
}

export type ProbeRequest =
  | (Subject & { readonly kind: "describe" })
  | (Subject & {
      readonly kind: "read";
      readonly resources?: readonly string[];
      readonly bounds: ReadBounds;
      readonly sampleRows: number;
    })
  | (Subject & { readonly kind: "reflect" });

export interface DescribedResource {
  readonly name: string;
  readonly selected: boolean;
  readonly parent?: string;
  readonly write_disposition: string;
  readonly strategy?: string;
  readonly primary_key: readonly string[];
  readonly merge_key: readonly string[];
  readonly columns: readonly string[];
  readonly cursor?: {
    readonly path: string;
    readonly has_initial_value: boolean;
    readonly row_order?: string;
    readonly end_value?: boolean;
  };
}

export interface AskedSecret {
  readonly key: string;
  readonly set: boolean;
}

export interface Description {
  readonly name: string;
  /** Absent when only a connection would tell them. */
  readonly resources?: readonly DescribedResource[];
  readonly secrets: readonly AskedSecret[];
}

export interface ReadColumn {
  readonly name: string;
  readonly data_type: string;
  readonly nulls: number;
  readonly distinct: number;
}

export interface ReadTable {
  readonly name: string;
  readonly resource?: string;
  readonly parent?: string;
  readonly rows: number;
  readonly columns: readonly ReadColumn[];
  readonly sample: readonly Readonly<Record<string, unknown>>[];
  /** Rows whose primary key another row has as well. */
  readonly duplicate_keys?: { readonly key: readonly string[]; readonly rows: number };
}

export interface ReadResource {
  readonly name: string;
  readonly rows: number;
  /** Reason -> how often. */
  readonly ended: Readonly<Record<string, number>>;
  readonly stopped_by_bound: boolean;
  readonly cursor?: { readonly path: string; readonly before: unknown; readonly after: unknown };
}

export interface TracedRequest {
  readonly method: string;
  readonly url: string;
  readonly status?: number;
  readonly ms: number;
  readonly bytes: number;
  readonly attempt: number;
  readonly error?: string;
}

export interface PagingEnd {
  readonly resource: string;
  readonly pages: number;
  readonly rows: number;
  readonly reason: string;
}

export interface ReadOutcome {
  readonly resources: readonly ReadResource[];
  readonly tables: readonly ReadTable[];
  readonly requests: readonly TracedRequest[];
  readonly requests_total: number;
  readonly paging: readonly PagingEnd[];
  readonly recognised: readonly { readonly resource: string; readonly paginator: string }[];
  readonly warnings: readonly string[];
  readonly printed: readonly string[];
  readonly error?: ErrorEnvelope;
}

export interface ReflectedTable {
  readonly name: string;
  readonly kind: "table" | "view";
  readonly description?: string;
  readonly primary_key: readonly string[];
  readonly columns: readonly { readonly name: string; readonly type: string; readonly nullable: boolean }[];
}

export type ProbeValue = Description | ReadOutcome | { readonly tables: readonly ReflectedTable[] };

export type ProbeAnswer =
  | { readonly kind: "value"; readonly value: ProbeValue }
  | { readonly kind: "error"; readonly error: ErrorEnvelope };
