/** What the steps of a run are handed. */

import type { RunContext } from "../context.ts";
import type { Destination } from "../destinations/destination.ts";
import type { PackageStore } from "../package/store.ts";
import type { RunFolder } from "../package/trace.ts";
import type { PipelineOptions, RunOptions } from "../pipeline-options.ts";
import type { RunRecorder } from "./run-recorder.ts";

/** A pipeline as its steps see it. */
export interface PipelineParts {
  readonly name: string;
  readonly dataset: string;
  readonly destination: Destination;
  readonly dir: string;
  readonly runs: RunFolder;
  readonly options: PipelineOptions;
}

/** What one run passes along. */
export interface Run {
  readonly pipeline: PipelineParts;
  /** The packages on disk; calls the boundaries of the context. */
  readonly store: PackageStore;
  readonly context: RunContext;
  readonly recorder: RunRecorder;
  readonly options: RunOptions;
  /** The packages made are to stay for a later call, so their rows must be on the disk when they are sealed. */
  readonly durable: boolean;
}
