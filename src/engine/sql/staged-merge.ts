/** A merge by delete and insert whose rows go through staging, and what either way of staging makes of it. */

import type { MergeInput, MergeTable } from "./merge.ts";
import type { Step } from "./statement.ts";

/** A merge whose rows go through staging. */
export interface StagedMerge extends MergeInput {
  /** The root, and the tables that get rows. */
  readonly filled: readonly [MergeTable, ...MergeTable[]];
  readonly primaryKey: readonly string[];
  readonly mergeKey: readonly string[];
  /** Is only one row of each primary key kept? */
  readonly deduplicates: boolean;
  /** Tells the rows of the root that are marked as deleted. */
  readonly marked: string | undefined;
}

/** What happens around the deletion of the rows that were there; each step in its order. */
export interface StagedSteps {
  /** Fills the staging table of the root, and others. */
  readonly stage: readonly Step[];
  /** Drops what is not to be inserted, inserts the rest and drops the staging tables. */
  readonly insert: readonly Step[];
}
