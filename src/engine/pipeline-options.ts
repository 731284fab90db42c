/** What a pipeline and a run are told. The class itself is in pipeline.ts. */

import type { Limits, Log, ProgressEvent } from "./context.ts";
import type { Destination } from "./destinations/destination.ts";
import type { Window } from "./extract/window.ts";
import type { StateDifference } from "./inspect/state-difference.ts";
import type { Permit } from "./permission.ts";
import type { RunReport } from "./report.ts";
import type { RefreshMode } from "./reset/refresh.ts";
import type { Contract, ContractMode } from "./schema/types.ts";

export interface PipelineOptions {
  /** Names the state at the destination; letters, digits and underscores. */
  readonly name: string;
  readonly destination: Destination;
  /** Schema in the database; default `<name>_dataset`. */
  readonly dataset?: string;
  /** Working folder of this pipeline (packages, state, runs, lock). */
  readonly dir: string;
  readonly limits?: Partial<Limits>;
  /** False: what contracts discard is only counted, not kept in `_loadwright_rejected`. */
  readonly keepRejected?: boolean;
  /** True: a column that had only nulls becomes a text column. */
  readonly keepNullColumns?: boolean;
  /** True: a table with declared columns is made although no row has come for it. */
  readonly createEmptyTables?: boolean;
  /**
   * How source names become table and column names: `snake_case` (default), `duck_case`, `direct`, `sql_cs_v1`,
   * `sql_ci_v1`. A schema with data keeps its own; another one is refused with NAMING_CHANGED.
   */
  readonly naming?: string;
  /**
   * Folder with `<schema>.schema.yaml` for people to edit: written after the first extract, and when it was
   * edited it takes the place of the stored schema.
   */
  readonly importSchemaPath?: string;
  /** Folder to write `<schema>.schema.yaml` to after each load. Not the import folder. */
  readonly exportSchemaPath?: string;
  /** True: every Pipeline object begins anew, in a dataset with the time in its name. */
  readonly devMode?: boolean;
  /** Asked before anything is changed; everything is permitted without it. */
  readonly permit?: Permit;
}

export interface RunOptions {
  /** Names the run's folder under `<dir>/runs`; made when absent. */
  readonly runId?: string;
  /** Only these resources of the source. */
  readonly resources?: readonly string[];
  /** At most so many rows of each resource; for a first look. The cursor moves only over the rows taken. */
  readonly rowsMax?: number;
  /**
   * Only tell what the run would do: nothing is written at the destination, state, schemas and pending packages
   * stay as they are. Not with `extract`, `normalize` or `load` alone.
   */
  readonly dryRun?: boolean;
  /** Replaces the contracts of the source and its resources. It is stored with their tables. */
  readonly schemaContract?: Contract | ContractMode;
  /**
   * Loads a window of cursor values again, `from` to before `to`, without moving the stored cursors. Resources
   * without a cursor do not take part; those that replace or keep history are refused.
   */
  readonly backfill?: Window;
  /** Bounds from a scheduler, for the cursors that say `allowExternalSchedulers`. */
  readonly interval?: Window;
  /** Begin anew: drop or empty tables and forget state, in the transaction that loads the new rows. */
  readonly refresh?: RefreshMode;
  readonly signal?: AbortSignal;
  readonly log?: Log;
  readonly onProgress?: (event: ProgressEvent) => void;
  /** Takes secrets out of whatever the run writes: its log, its trace, its reports. */
  readonly mask?: <T>(value: T) => T;
  /** See RunContext.boundary. */
  readonly boundary?: (name: string) => void;
  /** The report as it grows: after each step and each package. */
  readonly onReport?: (report: RunReport) => void;
}

/** What to drop of a source that has been loaded. */
export interface DropOptions {
  /** Resources whose tables and state go: names, or regular expressions after `re:`. */
  readonly resources?: readonly string[];
  /** All resources. */
  readonly all?: boolean;
  /** Parts of the source's state by path: `token`, `pages[*]`, `resources.orders.calls`. */
  readonly statePaths?: readonly string[];
  /** Leave the tables; only state goes. */
  readonly stateOnly?: boolean;
  /** The source's schema; default the pipeline's first. */
  readonly schema?: string;
}

/** What such a drop would do or did. */
export interface ResourceDropPlan {
  readonly pipeline_name: string;
  readonly schema_name: string;
  readonly resources: readonly string[];
  readonly tables: readonly string[];
  readonly resource_states: readonly string[];
  readonly state_paths: readonly string[];
  /** Of what the source remembers. */
  readonly changes: readonly StateDifference[];
}

/** What a refresh would do, by what is known before the source has run. */
export interface RefreshPlan {
  readonly pipeline_name: string;
  readonly refresh: RefreshMode;
  /** Tables that are dropped, or emptied by drop_data. */
  readonly tables: readonly string[];
  /** Resources whose cursors and state go. */
  readonly resource_states: readonly string[];
}

/** What dropping pending packages would do or did. */
export interface DropPlan {
  readonly pipeline_name: string;
  /** Oldest first. Dropping a package drops all later ones: their cursors build on it. */
  readonly packages: readonly {
    readonly load_id: string;
    readonly stage: "extracted" | "normalized";
    readonly rows: number;
    readonly bytes: number;
    /** Cursors that go back, so that these rows are fetched again. */
    readonly cursors: readonly {
      readonly resource: string;
      readonly path: string;
      readonly from: unknown;
      readonly to: unknown;
    }[];
  }[];
  /** Where the dropped packages are kept, relative to the pipeline's folder. */
  readonly backup: string;
}
