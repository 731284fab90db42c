/** What is other in two copies of a state. */

import type { JsonValue } from "./query-values.ts";

export interface StateDifference {
  readonly path: string;
  readonly committed: JsonValue;
  readonly other: JsonValue;
}

const ABSENT = "(absent)";

/** Leaves (lists count as one) that differ, by dotted path. */
export function differences(committed: JsonValue, other: JsonValue, path = ""): StateDifference[] {
  if (isObject(committed) && isObject(other)) {
    const keys = new Set([...Object.keys(committed), ...Object.keys(other)]);
    return [...keys].flatMap((key) =>
      differences(committed[key] ?? ABSENT, other[key] ?? ABSENT, path === "" ? key : `${path}.${key}`),
    );
  }
  return JSON.stringify(committed) === JSON.stringify(other) ? [] : [{ path, committed, other }];
}

export function isObject(value: JsonValue | undefined): value is { readonly [key: string]: JsonValue } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
