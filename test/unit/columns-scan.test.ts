/**
 * Rows that come as columns leave the same cells and the same schema as the lines that they stand for.
 *
 * Method: blocks of columns with nulls, odd values and types that differ from the table's are made at random. Each
 * goes through the columns' path, and as lines through the row path; then every cell is compared.
 */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ColumnsPage } from "../../src/engine/extract/page.ts";
import { parseJsonDocument, plainJson } from "../../src/engine/interop/json.ts";
import { kindOf, TableBuffer } from "../../src/engine/normalize/column-buffer.ts";
import { ColumnsScan } from "../../src/engine/normalize/columns-scan.ts";
import { Scanner } from "../../src/engine/normalize/scanner.ts";
import { viewOfBuffer } from "../../src/engine/package/column-lines.ts";
import type { ExtractedColumn } from "../../src/engine/package/types.ts";
import type { DataType } from "../../src/engine/schema/types.ts";
import { bumpSchema, schemaToStored } from "../../src/engine/schema/version.ts";
import { type Cells, type Declared, ROOT, setUp, take } from "../support/normalized.ts";

type Type = ExtractedColumn["type"];
type Value = number | bigint | boolean | string | Uint8Array | null;

const typeOf = (type: Type): DataType => (type === "timestamp_ntz" ? "timestamp" : type);

function pageOf(columns: readonly ExtractedColumn[], rows: readonly (readonly Value[])[]): ColumnsPage {
  const buffer = new TableBuffer(ROOT, 64);
  const cells = columns.map(({ name, type }) => buffer.addColumn(name, kindOf(typeOf(type))));
  for (const values of rows) {
    const row = buffer.beginRow();
    for (const [i, value] of values.entries()) {
      const target = cells[i]!;
      if (value === null) continue;
      if (typeof value === "boolean") target.setBool(row, value);
      else if (typeof value === "bigint") target.setBigInt(row, value);
      else if (typeof value === "number") {
        if (target.kind === "float64") target.setFloat(row, value);
        else if (target.kind === "date") target.setDays(row, value);
        else target.setInt(row, value);
      } else {
        const bytes = typeof value === "string" ? Buffer.from(value) : Buffer.from(value);
        target.setBytes(row, bytes, 0, bytes.length);
      }
    }
  }
  return new ColumnsPage(buffer, columns);
}

/** As a file of blocks has them: a column without any value is left out. */
function blockOf({ buffer }: ColumnsPage) {
  const view = viewOfBuffer(buffer);
  const filled = view.columns.filter((column) => column.valid?.some((byte) => byte !== 0));
  return { ...view, columns: filled };
}

interface Outcome {
  readonly rows: Cells[];
  readonly schema: string;
  readonly nullOnly: unknown;
  readonly error?: string;
  readonly slow: number;
}

function through(
  path: "columns" | "rows",
  columns: readonly ExtractedColumn[],
  blocks: readonly (readonly (readonly Value[])[])[],
  declared: Declared,
): Outcome {
  const { tables, rowPath } = setUp(declared);
  const scanner = new Scanner(tables, rowPath, ROOT);
  const scan = new ColumnsScan(tables, rowPath, scanner, ROOT);
  const out: Record<string, Cells[]> = {};
  let error: string | undefined;
  try {
    for (const rows of blocks) {
      const page = pageOf(columns, rows);
      if (path === "columns") {
        scan.scan(blockOf(page), columns, (_at, problem) => {
          throw problem;
        });
      } else {
        const lines = Buffer.from(page.lines().bytes).toString().split("\n").slice(0, -1);
        for (const line of lines) rowPath.add(ROOT, parseJsonDocument(Buffer.from(line)));
      }
      take(tables, out);
    }
  } catch (problem) {
    error = `${(problem as { code?: string }).code} ${(problem as Error).message}`;
  }
  const rows = error === undefined ? (out[ROOT] ?? []) : [];
  const ids = rows.map((cells) => cells._dlt_id);
  expect(new Set(ids).size).toBe(ids.length);
  bumpSchema(tables.schema);
  return {
    rows: rows.map(({ _dlt_id, ...cells }) => ({ ...cells, _dlt_id: String(_dlt_id).length })),
    schema: plainJson(schemaToStored(tables.schema)),
    nullOnly: [...rowPath.nullOnly].map(([table, names]) => [table, [...names].sort()]),
    error,
    slow: scanner.counts.slow,
  };
}

/** Returns how many rows took the row path. */
function same(
  columns: readonly ExtractedColumn[],
  blocks: readonly (readonly (readonly Value[])[])[],
  declared: Declared,
): number {
  const { slow, ...scanned } = through("columns", columns, blocks, declared);
  const { slow: _, ...wanted } = through("rows", columns, blocks, declared);
  expect(scanned).toEqual(wanted);
  return slow;
}

const DECLARED: Declared = {
  disposition: "append",
  columns: {
    id: { data_type: "bigint", nullable: false },
    note: { data_type: "text" },
    price: { data_type: "decimal" },
    at: { data_type: "timestamp" },
  },
};
const COLUMNS: readonly ExtractedColumn[] = [
  { name: "id", type: "bigint" },
  { name: "note", type: "text" },
  { name: "price", type: "decimal" },
  { name: "at", type: "timestamp" },
];

describe("rows that are columns", () => {
  it("take the row path once, and then none", () => {
    const rows = Array.from({ length: 50 }, (_, i) => [i, `a longer note of ${i}`, `${i}.50`, i * 1e6]);
    expect(same(COLUMNS, [rows, rows], DECLARED)).toBe(1);
  });

  it("with a null in a required column are refused", () => {
    const { error } = through("columns", COLUMNS, [[[1, "a", "1", 1]], [[null, "b", "2", 2]]], DECLARED);
    expect(error).toMatch(/^NULL_IN_REQUIRED/);
    same(COLUMNS, [[[1, "a", "1", 1]], [[null, "b", "2", 2]]], DECLARED);
  });

  it("without any value in a column are noted as such, and fill it when one comes", () => {
    const empty = [1, null, null, null];
    same(COLUMNS, [[empty, empty]], { disposition: "append", columns: {} });
    same(COLUMNS, [[empty, empty], [empty, [2, "x", "3.10", 5]], [empty]], {
      disposition: "append",
      columns: {},
    });
  });

  it("become what the table's columns are, where those are of other types", () => {
    const rows = [
      [1, "x", "1.5", 0],
      [2, "007", "2", 1],
    ];
    same(COLUMNS, [rows, rows], {
      disposition: "append",
      columns: {
        id: { data_type: "text" },
        note: { data_type: "bigint" },
        price: { data_type: "double" },
        at: { data_type: "text" },
      },
    });
  });

  it.each([
    ["a text with a type mark", 1, "\uf0261.5"],
    ["a decimal in another form", 2, "1e5"],
    ["a decimal with zeros in front", 2, "0012"],
    ["a decimal of six hundred digits", 2, `1${"0".repeat(600)}`],
  ])("hand %s to the row path", (_what, at, value) => {
    const odd = [1, "a", "1", 1].with(at as number, value as string);
    same(COLUMNS, [[[1, "b", "2", 2]], [[3, "c", "4", 4], odd]], DECLARED);
  });

  it("of keys that make one column take the row path", () => {
    const columns: readonly ExtractedColumn[] = [
      { name: "a b", type: "bigint" },
      { name: "a_b", type: "bigint" },
    ];
    same(columns, [[[1, null]], [[null, 2]], [[3, null]]], { disposition: "append", columns: {} });
  });

  const DAYS = { min: -719_162, max: 2_932_896 };
  const values: Record<Type, fc.Arbitrary<Value>> = {
    bigint: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    double: fc.double(),
    bool: fc.boolean(),
    text: fc.string({ unit: "grapheme", maxLength: 30 }).filter((text) => !text.includes("\0")),
    decimal: fc.oneof(
      fc.tuple(fc.bigInt(), fc.nat(9)).map(([whole, rest]) => `${whole}.${rest}`),
      fc.constantFrom("0", "-0.5", "-0", "00", "1.", "1e3"),
    ),
    wei: fc.constant(null),
    json: fc.jsonValue().map((value) => JSON.stringify(value)),
    binary: fc.uint8Array({ maxLength: 30 }),
    timestamp: fc.integer(DAYS).map((days) => BigInt(days) * 86_400_000_000n + 123_456n),
    timestamp_ntz: fc.integer(DAYS).map((days) => days * 86_400_000_000),
    date: fc.integer(DAYS),
    time: fc.integer({ min: 0, max: 86_400_000_000 }),
  };
  const types = Object.keys(values).filter((type) => type !== "wei") as Type[];
  const table = fc.array(fc.tuple(fc.constantFrom(...types), fc.boolean(), fc.constantFrom(...types)), {
    minLength: 1,
    maxLength: 6,
  });
  const cases = table.chain((drawn) => {
    const row = fc.tuple(...drawn.map(([type]) => fc.option(values[type], { freq: 4 })));
    const block = fc.array(row, { maxLength: 20 });
    return fc.tuple(fc.constant(drawn), fc.array(block, { maxLength: 3 }));
  });

  it("are the same as their lines, whatever they hold", () => {
    fc.assert(
      fc.property(cases, ([drawn, blocks]) => {
        const columns = drawn.map(([type], i) => ({ name: `c${i}`, type }));
        // as the sources declare them; some tables have a column of another type
        const declared = Object.fromEntries(
          drawn.map(([type, other, otherType], i) => [
            `c${i}`,
            { data_type: typeOf(other && i % 3 === 0 ? otherType : type) },
          ]),
        );
        same(columns, blocks, { disposition: "append", columns: declared });
      }),
      { numRuns: 300 },
    );
  });
});
