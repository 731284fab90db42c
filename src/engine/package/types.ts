/**
 * A package: what one run extracted from one source, the unit that is committed.
 *
 *   extracting --seal--> extracted --normalize--> normalized --commit--> loaded
 *        |                   |                        |
 *   (crash: removed)     (bad data)               (bad data)  --------->  failed
 *
 * Each stage is a folder, each transition one rename. A package is *pending* when it is extracted or
 * normalized. Its state.json is the pipeline state as of its end: the cursor moves when it commits.
 */

import type { ErrorEnvelope } from "../errors.ts";
import type { ContractMode, DataType, WriteDisposition } from "../schema/types.ts";
import type { JobFormat } from "./job-file.ts";

export type Stage = "extracted" | "normalized" | "loaded" | "failed";
export const STAGES: readonly Stage[] = ["extracted", "normalized", "loaded", "failed"];

/** A job: a file of rows of one table. Its name is `<table>.<file id>.<retry>.<format>`. */
export interface JobName {
  readonly table: string;
  /** 10 hex digits. */
  readonly fileId: string;
  readonly retry: number;
  /** `typed-jsonl`, or `blocks` with `JobInfo.columns` or `keys`: extracted rows; else normalized ones (see job-file.ts). */
  readonly format: "typed-jsonl" | JobFormat;
}

/** A column of extracted rows that are columns already. A `timestamp_ntz` is a timestamp that came without a zone. */
export interface ExtractedColumn {
  /** The key in the document. */
  readonly name: string;
  readonly type: DataType | "timestamp_ntz";
}

export interface JobInfo {
  readonly file: string;
  readonly table: string;
  readonly rows: number;
  readonly bytes: number;
  /** Of the whole file, of forms that have no checksums inside. */
  readonly crc32?: number;
  /**
   * Extracted jobs of files: from which byte of the job on, or from which row of blocks (0-based), the rows come from which file and
   * line (1-based).
   */
  readonly origins?: readonly (readonly [at: number, file: string, line: number])[];
  /** Extracted jobs: types for columns that nothing else gives a type; see JsonlPage. */
  readonly guesses?: Readonly<Record<string, DataType>>;
  /** Extracted jobs of blocks: all columns in the order of a row's keys, those without any value too. */
  readonly columns?: readonly ExtractedColumn[];
  /** Extracted jobs of blocks whose columns have no types, only the values of lines: the keys of every row. */
  readonly keys?: readonly string[];
  /** With `keys`: a row lacks those that it has no value for; else they are null in it. */
  readonly sparse?: true;
}

export interface ResourceInPackage {
  readonly name: string;
  readonly write_disposition: WriteDisposition;
  /** Root tables that the resource filled or will fill; a replace empties them even without rows. */
  readonly tables: readonly string[];
  readonly rows: number;
  /** The cursor before and after, as stored in state; absent without an incremental. */
  readonly cursor?: { readonly path: string; readonly before: unknown; readonly after: unknown };
  /** Why there was nothing more to read, as the source told it, and how often it said so. */
  readonly ended?: Readonly<Record<string, number>>;
}

/** manifest.json of a package. */
export interface Manifest {
  readonly format: 1;
  readonly load_id: string;
  readonly pipeline_name: string;
  readonly schema_name: string;
  readonly run_id: string;
  /** ISO time of creation. */
  readonly created_at: string;
  readonly resources: readonly ResourceInPackage[];
  /** Jobs of the present stage; kept after loading although the rows are gone. */
  readonly jobs: readonly JobInfo[];
  /** True when state.json differs from the state before this package. */
  readonly state_changed: boolean;
  /** Tables to drop before anything else; they are in the schema no more, or anew. */
  readonly drop_tables?: readonly string[];
  /** Tables to empty before anything else. */
  readonly truncate_tables?: readonly string[];
  /** Tables that their contract keeps out of the schema; rows of theirs are rejected. */
  readonly refused_tables?: Readonly<Record<string, ContractMode>>;
  /** What contracts discarded, per table. */
  readonly rejected?: Readonly<Record<string, { readonly rows: number; readonly values: number }>>;
  /** Filled by normalize: rows per table, nested ones included. */
  readonly rows?: Readonly<Record<string, number>>;
  /** Filled by normalize: what the package changes in the schema. */
  readonly schema_changes?: readonly SchemaChange[];
  /** Filled when the package is set aside. */
  readonly error?: ErrorEnvelope;
  /** Filled when the package is committed. */
  readonly loaded_at?: string;
}

/** One change of the schema, as data: what it is, where, and which load brought it. */
export type SchemaChange =
  | { readonly kind: "table_added"; readonly table: string; readonly parent?: string }
  | {
      readonly kind: "column_added";
      readonly table: string;
      readonly column: string;
      readonly data_type: string;
      readonly nullable: boolean;
      readonly variant?: boolean;
    }
  | {
      readonly kind: "column_changed";
      readonly table: string;
      readonly column: string;
      readonly hint: string;
      readonly before: unknown;
      readonly after: unknown;
    };

/** A package in the folder of its stage. */
export interface PackageRef {
  readonly load_id: string;
  readonly stage: Stage;
  readonly dir: string;
  readonly jobsDir: string;
}
