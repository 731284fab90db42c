import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RowBlocks } from "../../src/engine/extract/row-blocks.ts";
import { PyFloat, TypedValue, typedJson } from "../../src/engine/interop/json.ts";
import { rowJson } from "../../src/engine/interop/row-json.ts";

/** The text, or the code of the error. */
const outcome = (write: (row: unknown) => string, row: unknown): string => {
  try {
    return write(row);
  } catch (error) {
    return `error ${(error as { code?: string }).code}`;
  }
};

class Priced {
  readonly price = 1.5;

  toJSON(): string {
    return "not this";
  }
}

describe("rowJson writes what typedJson writes", () => {
  it("for any value that rows may hold", () => {
    const scalar = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.string({ unit: fc.constantFrom("a", '"', "\\", "\n", "ö", "\ud800", "\udc00", "\uf026") }),
      fc.integer(),
      fc.double(),
      fc.constantFrom(0.000001, 1e-5, 1e16, 1e20, -0, 2 ** 53, 5e-324),
      fc.boolean(),
      fc.constantFrom(null, undefined, 10n, new PyFloat(1), new TypedValue("decimal", "1.50"), new Priced()),
      fc.date({ min: new Date(0), noInvalidDate: true }),
      fc.uint8Array({ maxLength: 5 }),
    );
    const { row } = fc.letrec((tie) => ({
      row: fc.dictionary(fc.string(), tie("value")),
      value: fc.oneof(
        { depthSize: "small" },
        scalar,
        fc.array(tie("value")),
        tie("row"),
        fc.array(fc.tuple(fc.string(), scalar)).map((entries) => new Map(entries)),
      ),
    }));
    fc.assert(
      fc.property(row, (value) => {
        expect(outcome(rowJson, value)).toBe(outcome(typedJson, value));
      }),
      { numRuns: 2000 },
    );
  });

  it("for rows that are no plain objects", () => {
    const nested = (depth: number): unknown => (depth === 0 ? 1 : { a: nested(depth - 1) });
    const itself: Record<string, unknown> = {};
    itself.self = itself;
    for (const row of [new Priced(), [1, 2], new Map([["a", 1]]), { of: new Priced() }, nested(30), itself]) {
      expect(outcome(rowJson, row)).toBe(outcome(typedJson, row));
    }
  });
});

describe("RowBlocks", () => {
  it("holds every row once and in order, whatever its length", () => {
    const rows = [10, 300_000, 2_000_000, 5, 900_000, 900_000, 1].map((length, id) => ({
      id,
      text: (id % 2 === 0 ? "ö" : "x").repeat(length),
    }));
    const blocks = [...new RowBlocks().of(rows)];
    const lines = Buffer.concat(blocks.map(({ bytes }) => bytes)).toString("utf8");
    expect(lines).toBe(rows.map((row) => `${typedJson(row)}\n`).join(""));
    for (const { bytes, rows } of blocks) {
      expect(Buffer.from(bytes).toString("utf8").split("\n").length - 1).toBe(rows);
    }
  });
});
