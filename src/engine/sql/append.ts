/** Append: the rows go straight into the table. */

import type { TableJobs } from "../destinations/plan-facts.ts";
import type { Dataset } from "./dialect.ts";
import type { LoadColumn, Step } from "./statement.ts";

export function appendSteps(
  dataset: Dataset,
  jobs: Pick<TableJobs, "table" | "files">,
  columns: readonly LoadColumn[],
): Step[] {
  const into = { ...dataset, table: jobs.table };
  return [{ kind: "load", table: jobs.table, into, columns, files: jobs.files, counts: "inserted" }];
}
