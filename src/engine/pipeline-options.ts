/** What a pipeline and a run are told. The class itself is in pipeline.ts. */

import type { Limits, Log, ProgressEvent } from "./context.ts";
import type { Destination } from "./destinations/destination.ts";
import type { RunReport } from "./report.ts";

export interface PipelineOptions {
  /** Names the state at the destination; letters, digits and underscores. */
  readonly name: string;
  readonly destination: Destination;
  /** Schema in the database; default `<name>_dataset`. */
  readonly dataset?: string;
  /** Working folder of this pipeline (packages, state, runs, lock). */
  readonly dir: string;
  readonly limits?: Partial<Limits>;
}

export interface RunOptions {
  /** Names the run's folder under `<dir>/runs`; made when absent. */
  readonly runId?: string;
  /** Only these resources of the source. */
  readonly resources?: readonly string[];
  /** At most so many rows of each resource; for a first look. The cursor moves only over the rows taken. */
  readonly rowsMax?: number;
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
