/**
 * Rows that are extracted as columns leave the same cells and the same schema as their lines.
 *
 * Method: pages of plain rows whose keys keep a kind of value and sometimes change it, over tables that know some of
 * the columns, as other types too. Each page goes through columns (or lines, where it has to), and each row as a line
 * through the row path; then every cell is compared, the schema, and what is noted for the report.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { RowColumns, type ValuesBlock } from "../../src/engine/extract/row-columns.ts";
import { parseJsonDocument, plainJson } from "../../src/engine/interop/json.ts";
import { rowJson } from "../../src/engine/interop/row-json.ts";
import { Scanner } from "../../src/engine/normalize/scanner.ts";
import { ValuesScan } from "../../src/engine/normalize/values-scan.ts";
import { type Block, BlockFileWriter, readBlocks } from "../../src/engine/package/block-format.ts";
import { SpareMemory } from "../../src/engine/package/spare-memory.ts";
import { DATA_TYPES } from "../../src/engine/schema/types.ts";
import { bumpSchema, schemaToStored } from "../../src/engine/schema/version.ts";
import { type Cells, type Declared, PLAIN, ROOT, setUp, take } from "../support/normalized.ts";

type Row = Readonly<Record<string, unknown>>;
type Page = readonly Row[];

const folder = mkdtempSync(join(tmpdir(), "values-scan-"));
afterAll(() => rmSync(folder, { recursive: true }));

let files = 0;

/** Through a file, as rows go: a copy of its one block. */
async function blockOf(bytes: Buffer, rows: number): Promise<Block> {
  const path = join(folder, `${files++}.lwb`);
  const writer = await BlockFileWriter.create(path);
  await writer.appendCopy(bytes, rows);
  await writer.close({ sync: false });
  for await (const block of readBlocks(path)) return block;
  throw new Error("no block");
}

/** A page as one block, or, where it cannot be one, as lines. */
function extract(page: Page, path: "columns" | "rows"): { block?: ValuesBlock; lines: string[] } {
  const block = path === "columns" ? RowColumns.like(page[0], new SpareMemory())?.encode(page, 0) : undefined;
  if (block === undefined) return { lines: page.map(rowJson) };
  expect(block.rows).toBe(page.length);
  return { block, lines: [] };
}

interface Outcome {
  readonly rows: Cells[];
  readonly schema: string;
  readonly changes: unknown;
  readonly nullOnly: unknown;
  readonly error: string | undefined;
  /** Rows before the one at fault. */
  readonly counted: number;
}

async function through(
  path: "columns" | "rows",
  pages: readonly Page[],
  declared: Declared,
): Promise<{ outcome: Outcome; asColumns: number; slow: number }> {
  const { tables, rowPath } = setUp(declared);
  const scanner = new Scanner(tables, rowPath, ROOT);
  const out: Record<string, Cells[]> = {};
  let error: string | undefined;
  let asColumns = 0;
  let counted = 0;
  const failed = (problem: unknown): never => {
    throw problem;
  };
  try {
    // all of a package is extracted before any of it is normalized
    const extracted = pages.map((page) => extract(page, path));
    for (const { block, lines } of extracted) {
      if (block) {
        const scan = new ValuesScan(tables, rowPath, scanner, ROOT, { keys: block.keys, sparse: false });
        scan.scan(await blockOf(block.bytes, block.rows), (_row, problem) => failed(problem));
        asColumns += block.rows;
      } else if (path === "columns") {
        const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(""));
        scanner.scan(bytes, 0, bytes.length, (_at, problem) => failed(problem));
      } else {
        for (const line of lines) {
          rowPath.add(ROOT, parseJsonDocument(Buffer.from(line)));
          counted++;
        }
      }
      take(tables, out);
    }
  } catch (problem) {
    error = `${(problem as { code?: string }).code} ${(problem as Error).message}`;
  }
  if (path === "columns") counted = scanner.counts.rows;
  const rows = error === undefined ? (out[ROOT] ?? []) : [];
  const ids = rows.map((cells) => cells._dlt_id);
  expect(new Set(ids).size).toBe(ids.length);
  bumpSchema(tables.schema);
  const outcome = {
    rows: rows.map((cells) => ({ ...cells, _dlt_id: String(cells._dlt_id).length })),
    schema: plainJson(schemaToStored(tables.schema)),
    changes: rowPath.changes,
    nullOnly: [...rowPath.nullOnly].map(([table, names]) => [table, [...names].sort()]),
    error,
    counted,
  };
  return { outcome, asColumns, slow: scanner.counts.slow };
}

/** Returns how many rows were columns, and how many of all took the row path. */
async function same(
  pages: readonly Page[],
  declared: Declared = PLAIN,
): Promise<{ asColumns: number; slow: number; error: string | undefined }> {
  const { outcome, asColumns, slow } = await through("columns", pages, declared);
  const wanted = await through("rows", pages, declared);
  expect(outcome).toEqual(wanted.outcome);
  return { asColumns, slow, error: outcome.error };
}

const many = (count: number, row: (i: number) => Row): Row[] =>
  Array.from({ length: count }, (_, i) => row(i));

it("a key that is named as the variant its row fills keeps each text in its row", async () => {
  const rows = [{ price: 1 }, { price: "x", price__v_text: "y" }, { price: 2, price__v_text: "z" }];
  const { outcome } = await through("rows", [rows], PLAIN);
  expect(outcome.rows.map((cells) => cells.price__v_text)).toEqual([undefined, "y", "z"]);
});

describe("rows that are extracted as columns", () => {
  it("take the row path where a column is new, and nowhere else", async () => {
    const rows = many(500, (i) => ({
      id: i,
      price: i + 0.5,
      at: new Date(i * 1e9).toISOString(),
      note: i % 10 === 0 ? null : `größe ${i}`,
      active: i % 2 === 0,
      never: null,
    }));
    // the first row, and the first that has a note
    expect(await same([rows, rows])).toMatchObject({ asColumns: 1000, slow: 2 });
  });

  it("fill a column of integers and its variant of floats side by side", async () => {
    const rows = many(300, (i) => ({ price: i % 3 === 0 ? 10 : 9.99 }));
    expect(await same([rows, rows])).toMatchObject({ asColumns: 600, slow: 2 });
  });

  it("take integers and floats into a column of floats", async () => {
    const rows = many(300, (i) => ({ price: i % 3 === 0 ? 9.99 : 10 }));
    expect(await same([rows])).toMatchObject({ slow: 1 });
  });

  it("become what the table's columns are, where those are of other types", async () => {
    const rows = many(100, (i) => ({
      a: `${i}.50`,
      b: i,
      c: i / 4,
      d: "2024-01-02",
      e: "true",
      f: 1.7e9 + i,
      g: i,
    }));
    const columns = {
      a: { data_type: "decimal" },
      b: { data_type: "text" },
      c: { data_type: "decimal" },
      d: { data_type: "date" },
      e: { data_type: "bool" },
      f: { data_type: "timestamp" },
      g: { data_type: "double" },
    } as const;
    expect(await same([rows, rows], { disposition: "append", columns })).toMatchObject({ slow: 1 });
  });

  it.each([
    ["a type mark", "\uf0261.5"],
    ["a mark that nothing is marked with", "\uf02ex"],
    ["a mark of nothing", "\uf026"],
    ["a byte order mark", "\ufeffx"],
    ["a character that stands for what was none", "\ufffd"],
    ["a NUL", "a\0\0\0\0b"],
    ["an escape", 'a"\\\n\u2028'],
    ["characters of two units", "😀"],
  ])("keep texts with %s", async (_what, text) => {
    const rows = many(40, (i) => ({
      id: i,
      note: i === 20 ? text : `${i}ö`,
      at: i === 21 ? text : "2024-01-02T03:04:05Z",
    }));
    expect(await same([rows, rows])).toMatchObject({ asColumns: 80 });
  });

  it.each([-0, 2 ** 53, 1e20, 1e300, 5e-324, 1e-7, 0.1 + 0.2, Number.MAX_SAFE_INTEGER, -(2 ** 60)])(
    "keep the number %d",
    async (value) => {
      for (const first of [1, 1.5]) {
        const rows = many(20, (i) => ({ v: i === 0 ? first : value }));
        expect(await same([rows, rows])).toMatchObject({ asColumns: 40 });
      }
      expect(await same([[{ v: value }, { v: value }]])).toMatchObject({ asColumns: 2 });
    },
  );

  it("keep dates, to the millisecond", async () => {
    const rows = many(40, (i) => ({
      at: new Date((i - 20) * 1e10 + i),
      late: i % 2 === 0 ? new Date(9e12) : null,
    }));
    expect(await same([rows, rows])).toMatchObject({ asColumns: 80, slow: 1 });
    const columns = { at: { data_type: "text" }, late: { data_type: "date" } } as const;
    expect(await same([rows], { disposition: "append", columns })).toMatchObject({ slow: 1 });
    expect(await same([many(40, () => ({ at: new Date(1e13) }))])).toMatchObject({ asColumns: 0 });
  });

  it("with a null in a required column are refused, and the row is counted", async () => {
    const columns = { id: { data_type: "bigint", nullable: false } } as const;
    const rows = many(50, (i) => ({ id: i === 33 ? null : i }));
    const { error } = await same([rows], { disposition: "append", columns });
    expect(error).toMatch(/^NULL_IN_REQUIRED/);
    await same([many(5, () => ({ id: null, other: 1 }))], { disposition: "append", columns });
  });

  it("of keys that make one column, or one of the engine's own, take the row path", async () => {
    await same([many(10, (i) => ({ "a b": i % 2 ? i : null, a_b: i % 2 ? null : i }))]);
    await same([many(10, (i) => ({ id: i, _dlt_load_id: "x" }))]);
    const rows = [
      { price: "x", price__v_text: "y" },
      { price: "z", price__v_text: null },
    ];
    await same([many(10, (i) => ({ price: i, price__v_text: "v" })), rows, rows]);
  });

  it("that are to be merged by the hash of a key take the row path", async () => {
    const columns = { id: { data_type: "bigint", primary_key: true, nullable: false } } as const;
    await same([many(30, (i) => ({ id: i, v: "x" }))], { disposition: "merge", columns });
  });

  const texts = fc.oneof(
    fc.string({ unit: "grapheme", maxLength: 12 }),
    fc.string({
      unit: fc.constantFrom("a", '"', "\\", "\n", "ö", "\0", "\ud800", "\udc00", "\uf026", "\uf027", "1"),
      maxLength: 4,
    }),
    fc.constantFrom(
      "1",
      "007",
      "1.50",
      "-3",
      "1e5",
      "true",
      "2024-01-02",
      "2024-01-02T03:04:05.678Z",
      "12:30:00",
      "0x1f",
      "{}",
    ),
    fc.date({ min: new Date(0), max: new Date(4e12), noInvalidDate: true }).map((date) => date.toISOString()),
  );
  const kinds: Record<string, fc.Arbitrary<unknown>> = {
    text: texts,
    integer: fc.oneof(fc.integer(), fc.maxSafeInteger()),
    number: fc.oneof(
      { weight: 3, arbitrary: fc.integer() },
      fc.double(),
      fc.constantFrom(1.5, -0, 2 ** 53, 1e20, 1e-7),
    ),
    boolean: fc.boolean(),
    date: fc.oneof(
      { weight: 9, arbitrary: fc.date({ noInvalidDate: true, min: new Date(0), max: new Date(7e12) }) },
      fc.date({ noInvalidDate: true, min: new Date(-6e13), max: new Date(2e14) }),
      fc.date(),
    ),
    null: fc.constant(null),
    any: fc.oneof(
      texts,
      fc.double(),
      fc.boolean(),
      fc.constantFrom(undefined, [], {}, { a: 1 }, new Date(0), 5n),
    ),
  };
  const kind = fc.constantFrom(
    "text",
    "integer",
    "number",
    "boolean",
    "date",
    "null",
    "text",
    "number",
    "any",
  );
  const pageOf = (drawn: readonly string[]) =>
    fc.array(fc.tuple(...drawn.map((each) => fc.option(kinds[each]!, { freq: 6 }))), {
      minLength: 1,
      maxLength: 24,
    });
  const keys = ["id", "Price", "a b", "größe", "_note", "k2"];
  const cases = fc.integer({ min: 1, max: keys.length }).chain((width) => {
    const drawn = fc.array(kind, { minLength: width, maxLength: width });
    return fc.tuple(
      // most pages keep their kinds
      drawn.chain((first) =>
        fc.array(fc.oneof({ weight: 3, arbitrary: pageOf(first) }, drawn.chain(pageOf)), {
          minLength: 1,
          maxLength: 4,
        }),
      ),
      fc.array(fc.option(fc.constantFrom(...DATA_TYPES), { freq: 3 }), {
        minLength: width,
        maxLength: width,
      }),
    );
  });

  it("are the same as their lines, whatever they hold", async () => {
    let asColumns = 0;
    await fc.assert(
      fc.asyncProperty(cases, async ([drawn, declared]) => {
        const pages = drawn.map((page) =>
          page.map((row) => Object.fromEntries(row.map((value, i) => [keys[i]!, value]))),
        );
        const columns = Object.fromEntries(
          declared.flatMap((type, i) =>
            type === null ? [] : [[keys[i]!.toLowerCase().replace(" ", "_"), { data_type: type }]],
          ),
        );
        asColumns += (await same(pages, { disposition: "append", columns })).asColumns;
      }),
      { numRuns: 400 },
    );
    expect(asColumns).toBeGreaterThan(1000);
  });
});
