/**
 * What type a value has when it arrives: dlt's runtime types on the values of our JSON model, and its only
 * active detector, ISO timestamps in text.
 */

import { PyFloat, TypedValue } from "../interop/json.ts";
import type { TypedKind } from "../interop/typed-value.ts";
import { dayOfInstant, formatDate, formatTime, formatTimestamp, instantOf, parseIso } from "./iso-time.ts";
import type { DataType } from "./types.ts";

export { formatDate, formatTime, formatTimestamp };

const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;
/** Digits that DuckDB's DECIMAL(38,0), the column of a `wei`, can hold. */
const WEI_LIMIT = 10n ** 38n;

const KIND_TYPES: Readonly<Record<TypedKind, DataType>> = {
  decimal: "decimal",
  datetime: "timestamp",
  date: "date",
  time: "time",
  uuid: "text",
  hexbytes: "binary",
  bytes: "binary",
  wei: "wei",
};

/** Does an integer fit a bigint column? */
export function isInt64(value: bigint): boolean {
  return value >= INT64_MIN && value <= INT64_MAX;
}

/**
 * The runtime type of a non-null value. Integers beyond 64 bits are `wei` up to 38 digits and `text` above:
 * dlt fails on these, we keep the row.
 */
export function inferType(value: unknown): DataType {
  switch (typeof value) {
    case "string":
      return "text";
    case "number":
      return Number.isSafeInteger(value) ? "bigint" : "double";
    case "bigint":
      if (isInt64(value)) return "bigint";
      return value < WEI_LIMIT && value > -WEI_LIMIT ? "wei" : "text";
    case "boolean":
      return "bool";
    default:
      if (value instanceof PyFloat) return "double";
      if (value instanceof TypedValue) return KIND_TYPES[value.kind];
      if (value instanceof Date) return "timestamp";
      if (value instanceof Uint8Array) return "binary";
      return "json";
  }
}

/** dlt's `iso_timestamp` detector: a date with a time. Dates, times and numbers alone are not timestamps. */
export function detectIsoTimestamp(text: string): boolean {
  const first = text.charCodeAt(0);
  if (text.length < 7 || first < 0x30 || first > 0x39) return false;
  return parseIso(text)?.kind === "datetime";
}

/** An ISO date or datetime as microseconds since the epoch; without a zone it is read as UTC. */
export function parseTimestampMicros(text: string): bigint | undefined {
  const instant = timestampMicros(text);
  return instant === undefined ? undefined : BigInt(instant);
}

/** As `parseTimestampMicros`, but a plain number while that is exact. */
export function timestampMicros(text: string): number | bigint | undefined {
  const parts = parseIso(text);
  return parts === undefined ? undefined : instantOf(parts);
}

/** An ISO date as days since the epoch; of a datetime the day in UTC. */
export function parseDateDays(text: string): number | undefined {
  const instant = timestampMicros(text);
  return instant === undefined ? undefined : dayOfInstant(instant);
}

/** An ISO time as microseconds since midnight; one with an offset is moved to UTC. */
export function parseTimeMicros(text: string): number | undefined {
  const parts = parseIso(text);
  if (parts?.kind !== "time") return undefined;
  const offset = parts.offsetSeconds ?? 0;
  if (Math.abs(offset) >= 86_400) return undefined;
  const day = 86_400_000_000;
  return (((parts.micros - offset * 1_000_000) % day) + day) % day;
}
