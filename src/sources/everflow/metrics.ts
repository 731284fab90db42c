/**
 * Metrics of a report as columns. Counts and money add up and are loaded; ratios do not and are left out: they
 * are made of sums. A metric that is not known here becomes a column of its own.
 * https://helpdesk.everflow.io/customer/everflow-metrics-dictionary
 */

import type { DeclaredColumns } from "../../engine/extract/resource.ts";
import { countOf, decimalOf } from "../daily-report/exact.ts";
import type { JsonObject } from "../daily-report/whole-list.ts";

export const COUNTS = [
  "imp",
  "total_click",
  "unique_click",
  "invalid_click",
  "duplicate_click",
  "gross_click",
  "cv",
  "invalid_cv_scrub",
  "view_through_cv",
  "total_cv",
  "event",
] as const;

export const MONEY = [
  "payout",
  "revenue",
  "event_revenue",
  "gross_sales",
  "profit",
  "media_buying_cost",
] as const;

export const RATIOS = [
  "ctr",
  "cvr",
  "evr",
  "cpc",
  "cpm",
  "cpa",
  "epc",
  "rpc",
  "rpa",
  "rpm",
  "avg_sale_value",
  "roas",
  "margin",
] as const;

const COUNT_NAMES: ReadonlySet<string> = new Set(COUNTS);
const RATIO_NAMES: ReadonlySet<string> = new Set(RATIOS);

export const METRIC_COLUMNS: DeclaredColumns = {
  ...Object.fromEntries(COUNTS.map((name) => [name, { data_type: "bigint" as const }])),
  ...Object.fromEntries(MONEY.map((name) => [name, { data_type: "decimal" as const }])),
};

/** Numbers of unknown metrics are decimals, so that a whole one on the first day does not decide the type. */
export function metricsOf(reporting: JsonObject): Record<string, unknown> {
  const metrics: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(reporting)) {
    if (RATIO_NAMES.has(name) || value === null) continue;
    metrics[name] = (COUNT_NAMES.has(name) ? countOf(value) : decimalOf(value)) ?? value;
  }
  return metrics;
}
