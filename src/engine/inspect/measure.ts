/** What the measuring of tables shares: quoting, and how the two engines count and print. */

import type { JsonValue } from "./query-values.ts";
import type { ReadQuery } from "./reader.ts";
import type { ColumnView } from "./schema.ts";

export type SqlKind = "duckdb" | "postgres";

/** A destination that is read: `read` resolves bare names in the pipeline's dataset. */
export interface Measured {
  readonly read: ReadQuery;
  readonly kind: SqlKind;
}

export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** Types whose values have an order that says something. */
export function hasOrder({ data_type }: ColumnView): boolean {
  return ["bigint", "double", "decimal", "wei", "timestamp", "date", "time", "text"].includes(data_type);
}

/** Types that can be counted as distinct and grouped. */
export function isComparable({ data_type }: ColumnView): boolean {
  return data_type !== "json" && data_type !== "binary";
}

/** The number of a count, which may come as text. */
export function numberOf(value: JsonValue | undefined): number {
  return Number(value ?? 0);
}
