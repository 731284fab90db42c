/**
 * Replace: every table of the chain is emptied, whether rows come for it or not, then filled. Readers see
 * the old rows until the package commits, because both happen in its transaction.
 *
 * dlt has three strategies that differ in when readers see a gap and in what a failure leaves behind. Here all
 * three mean this one: no gap, and after a failure the old rows. They are accepted so that a setting made for
 * dlt can stay, and so that a destination for which they differ can tell them apart.
 */

import { type Dataset, type Dialect, qualified } from "./dialect.ts";
import type { Step } from "./statement.ts";

export const REPLACE_STRATEGIES = [
  "truncate-and-insert",
  "insert-from-staging",
  "staging-optimized",
] as const;
export type ReplaceStrategy = (typeof REPLACE_STRATEGIES)[number];

/** `tables` are those of the chain that exist already. */
export function emptySteps(dialect: Dialect, dataset: Dataset, tables: readonly string[]): Step[] {
  return [...tables].reverse().map((table) => ({
    kind: "sql",
    table,
    sql: dialect.emptyTable(qualified(dialect, { ...dataset, table })),
    counts: "deleted",
  }));
}
