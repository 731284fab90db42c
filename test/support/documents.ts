/** Random nested documents whose fields change their type, and what a database must give back for them. */

import fc from "fast-check";
import type { Row } from "../../src/engine/extract/page.ts";

/** Few names, so that documents share fields and their types meet. Short: Postgres has 63 bytes for a path. */
const NAMES = ["a", "b", "cD", "e f", "x1"] as const;
/** Only this one has bools: dlt takes any number in a column of bools as true, and so do we. */
const FLAG = "y";
const COLUMN_NAMES: Readonly<Record<string, string>> = { cD: "c_d", "e f": "e_f" };

const scalar = fc.oneof(
  fc.integer({ min: -1_000_000, max: 1_000_000 }),
  // never integral: JavaScript cannot tell 1.0 from 1
  fc.integer({ min: -9999, max: 9999 }).map((n) => n + 0.5),
  // nothing that reads as a number, a bool or a date: a column of such a type would take it as that
  fc.string({ unit: fc.constantFrom(..."ghij \"'\\,\n\tßé€😀_"), maxLength: 6 }).map((text) => `t${text}`),
  fc.constant(null),
);

const objectOf = (value: fc.Arbitrary<unknown>, keys: number): fc.Arbitrary<Record<string, unknown>> =>
  fc
    .tuple(
      fc.dictionary(fc.constantFrom(...NAMES), value, { maxKeys: keys, noNullPrototype: true }),
      fc.option(fc.boolean(), { nil: undefined, freq: 1 }),
    )
    .map(([fields, flag]) => (flag === undefined ? fields : { ...fields, [FLAG]: flag }));

const { value } = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: "small", maxDepth: 4, withCrossShrink: true },
    scalar,
    scalar,
    fc.array(tie("value"), { maxLength: 3 }),
    objectOf(tie("value"), 3),
  ),
}));

/** Documents with a number each, so that a row can be found again. */
export const documents: fc.Arbitrary<Row[]> = fc
  .array(objectOf(value as fc.Arbitrary<unknown>, 5), { minLength: 1, maxLength: 8 })
  .map((rows) => rows.map((row, n) => ({ n, ...row })));

/** The same document with the keys of each object the other way round. */
export function keysReversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(keysReversed);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([name, member]) => [name, keysReversed(member)]),
  );
}

/**
 * What of a document comes back: each value with the way to it, objects by `__`, lists by `[position]`. Nulls,
 * empty lists and empty objects have no cell and leave no trace.
 */
export function leaves(value: unknown, path = ""): string[] {
  if (value === null || value === undefined) return [];
  if (Array.isArray(value)) {
    return value.flatMap((item, i) => {
      const name = Array.isArray(item) ? "list" : typeof item === "object" ? "" : "value";
      return leaves(item, `${path}[${i}]${name}`);
    });
  }
  if (typeof value === "object") {
    return Object.entries(value).flatMap(([name, member]) => {
      const column = COLUMN_NAMES[name] ?? name;
      return leaves(member, path === "" || path.endsWith("]") ? path + column : `${path}__${column}`);
    });
  }
  return [`${path}=${comparable(value)}`];
}

/** A value whatever type its column had. */
export function comparable(value: unknown): string {
  return String(value);
}
