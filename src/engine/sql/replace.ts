/**
 * Replace: every table of the chain is emptied, whether rows come for it or not, then filled. Readers see
 * the old rows until the package commits, because both happen in its transaction.
 */

import { type Dataset, type Dialect, qualified } from "./dialect.ts";
import type { Step } from "./statement.ts";

/** `tables` are those of the chain that exist already. */
export function emptySteps(dialect: Dialect, dataset: Dataset, tables: readonly string[]): Step[] {
  return [...tables].reverse().map((table) => ({
    kind: "sql",
    table,
    sql: dialect.emptyTable(qualified(dialect, { ...dataset, table })),
    counts: "deleted",
  }));
}
