/** Values of typed JSON (exact integers, floats, marked values) as JSON that any reader understands. */

import { PyFloat, TypedValue } from "../interop/json.ts";
import type { JsonValue } from "./query-values.ts";

/** Integers beyond 2^53 and values without a JSON token become text. */
export function plainOf(value: unknown): JsonValue {
  if (value === null || value === undefined) return null;
  if (typeof value === "string" || typeof value === "boolean") return value;
  if (typeof value === "number") return Number.isFinite(value) ? value : String(value);
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (value instanceof PyFloat) return plainOf(value.value);
  if (value instanceof TypedValue) return value.text;
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return value.map(plainOf);
  if (value instanceof Map) {
    return Object.fromEntries([...value].map(([key, inner]) => [String(key), plainOf(inner)]));
  }
  if (typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plainOf(inner)]));
  }
  return String(value);
}
