import { describe, expect, test } from "vitest";
import { RowHasher } from "../../src/engine/extract/row-hash.ts";
import { PyFloat, TypedValue } from "../../src/engine/interop/json.ts";

const hasher = new RowHasher();
const hashOf = (value: unknown): string => Buffer.from(hasher.of(value)).toString("hex");

describe("the hash of a row", () => {
  // From a MurmurHash3 x86_128 in Python that answers the published value for "The quick brown fox …". Datasets
  // hold these hashes: a change of the form needs another mark in the table.
  test.each([
    [12345, "d930dd5b9322d22988de7128"],
    ["MurmurHash3 x86_128", "9dee1c7fc25dd25a8292ab73"],
    [{ id: "a-17", day: 1 }, "7e12cf6e2d3f58e6b413834c"],
  ])("of %j is that of the words of its form", (value, hash) => {
    expect(hashOf(value)).toBe(hash);
  });

  test.each([
    ["keys in another order", { a: 1, b: { c: 2, d: 3 } }, { b: { d: 3, c: 2 }, a: 1 }],
    ["an absent and an undefined member", { a: 1, b: undefined }, { a: 1 }],
    [
      "one instant in two zones",
      new TypedValue("datetime", "2024-01-01T02:00:00+02:00"),
      new Date("2024-01-01"),
    ],
    ["a bigint and a number", 5n, 5],
    ["zero and minus zero", 0, -0],
    ["one float, parsed or not", new PyFloat(1e300), 1e300],
  ])("is the same for %s", (_, a, b) => {
    expect(hashOf(a)).toBe(hashOf(b));
  });

  test("differs for values that differ", () => {
    const values = [
      ...[
        null,
        true,
        false,
        0,
        1,
        -1,
        2 ** 31,
        2 ** 32,
        2 ** 53 - 1,
        2n ** 63n,
        0.1,
        new PyFloat(0),
        new PyFloat(1),
      ],
      ...[
        "",
        "0",
        "1",
        "a",
        "ab",
        "abc",
        "abcd",
        "abcde",
        "a\0",
        "\0",
        "\0\0",
        "ä",
        "ā",
        "日本",
        "a".repeat(5000),
        "true",
      ],
      ...[[], [[]], [null], [0], [0, 0], ["a", "b"], ["ab"], [["a"], "b"], [["a", "b"]]],
      ...[
        {},
        { a: null },
        { a: {} },
        { a: 0 },
        { b: 0 },
        { a: 0, b: 0 },
        { a: { b: 0 } },
        { ab: 0 },
        { a: [], b: [] },
      ],
      ...[
        new TypedValue("decimal", "1.50"),
        new TypedValue("date", "2024-01-01"),
        new Date(1),
        new Uint8Array([1]),
      ],
      ...Array.from({ length: 50 }, (_, i) => ({ [`key${i}`]: 0 })),
    ];
    expect(new Set(values.map(hashOf)).size).toBe(values.length);
    // what came before leaves nothing behind
    expect(values.map(hashOf)).toEqual([...values].reverse().map(hashOf).reverse());
  });

  test("refuses a value that contains itself", () => {
    const row: Record<string, unknown> = {};
    row.self = row;
    expect(() => hashOf(row)).toThrow("levels of nesting");
  });
});
