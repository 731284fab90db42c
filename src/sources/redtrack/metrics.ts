/**
 * Fields of a report row that are loaded. Each of up to 40 conversion types brings nine fields, mostly zero, so
 * the common ones and those that the configuration names are taken. Ratios do not add up and are left out.
 */

import type { DeclaredColumns } from "../../engine/extract/resource.ts";
import { countOf, decimalOf } from "../daily-report/exact.ts";
import type { JsonObject } from "../daily-report/whole-list.ts";

export const TEXTS = ["source", "source_alias"] as const;

export const COUNTS = [
  "impressions",
  "clicks",
  "unique_clicks",
  "lp_views",
  "lp_clicks",
  "conversions",
  "total_conversions",
  "approved",
  "pending",
  "declined",
] as const;

export const MONEY = ["revenue", "total_revenue", "cost", "profit"] as const;

const KNOWN: ReadonlySet<string> = new Set(["date", "source_id", ...TEXTS, ...COUNTS, ...MONEY]);
const CONVERSION_TYPE = /^(?:convtype|revenuetype)\d+$/;

export function metricColumns(extra: readonly string[]): DeclaredColumns {
  return {
    ...Object.fromEntries(TEXTS.map((name) => [name, { data_type: "text" as const }])),
    ...Object.fromEntries(COUNTS.map((name) => [name, { data_type: "bigint" as const }])),
    ...Object.fromEntries(MONEY.map((name) => [name, { data_type: "decimal" as const }])),
    // whether one is money or a count does not show in its name
    ...Object.fromEntries(
      extra.filter((name) => !KNOWN.has(name)).map((name) => [name, { data_type: "decimal" as const }]),
    ),
  };
}

/** The values of a row's metrics; null and absent ones are left out. */
export function metricsOf(row: JsonObject, extra: readonly string[]): Record<string, unknown> {
  const metrics: Record<string, unknown> = {};
  const take = (name: string, read: (value: unknown) => unknown): void => {
    const value = row[name];
    if (value !== undefined && value !== null) metrics[name] = read(value) ?? value;
  };
  for (const name of TEXTS) take(name, () => undefined);
  for (const name of COUNTS) take(name, countOf);
  for (const name of MONEY) take(name, decimalOf);
  for (const name of extra) if (!KNOWN.has(name)) take(name, decimalOf);
  return metrics;
}

/** Conversion types with values that are not loaded: the configuration may want them. */
export function passedOver(row: JsonObject, extra: readonly string[]): string[] {
  return Object.entries(row).flatMap(([name, value]) =>
    CONVERSION_TYPE.test(name) && Number(value) !== 0 && !extra.includes(name) ? [name] : [],
  );
}
