import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DuckDBConnection, DuckDBInstance } from "@duckdb/node-api";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { bulkLoad } from "../../src/engine/destinations/duckdb/bulk-load.ts";
import { type Kind, TableBuffer } from "../../src/engine/normalize/column-buffer.ts";
import { BlockFileWriter, dumpBlocks } from "../../src/engine/package/block-format.ts";
import { ParquetFileWriter } from "../../src/engine/package/parquet-writer.ts";

const COLUMNS: readonly (readonly [name: string, kind: Kind, type: string])[] = [
  ["flag", "bool", "boolean"],
  ["n", "int64", "bigint"],
  ["x", "float64", "double"],
  ["t", "text", "varchar"],
  ["u", "text", "varchar"],
  ["b", "bytes", "blob"],
  ["at", "timestamp", "timestamp"],
  ["zoned", "timestamp", "timestamptz"],
  ["d", "date", "date"],
  ["clock", "time", "time"],
  ["never", "text", "varchar"],
];

const TEXTS = [
  "",
  "a",
  "twelve bytes",
  "13 bytes long",
  "grüße",
  "ä".repeat(6),
  "ä".repeat(6) + "b",
  "漢字かな交じり文",
  "🚀🚀🚀",
  "🚀🚀🚀🚀",
  "\u0000nul\u0000 within a long text",
  "x".repeat(63),
  "x".repeat(64),
  "x".repeat(5000),
];

let folder: string;
let connection: DuckDBConnection;
let instance: DuckDBInstance;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "parquet-"));
  instance = await DuckDBInstance.create(":memory:");
  connection = await instance.connect();
  await connection.run("set timezone = 'UTC'");
});
afterEach(async () => {
  connection.closeSync();
  instance.closeSync();
  await rm(folder, { recursive: true });
});

/** Rows with every kind of value at uneven distances, so that nulls and values fall on all places. */
function filled(rows: number, seed: number): TableBuffer {
  const table = new TableBuffer("t");
  for (const [name, kind] of COLUMNS) table.addColumn(name, kind);
  const column = (name: string) => table.byName.get(name)!;
  for (let k = seed; k < seed + rows; k++) {
    const row = table.beginRow();
    if (k % 3) column("flag").setBool(row, k % 2 === 0);
    column("n").setBigInt(row, k % 7 === 0 ? -(2n ** 63n) + BigInt(k) : BigInt(k));
    if (k % 5) column("x").setFloat(row, k % 17 === 0 ? Number.NEGATIVE_INFINITY : k / 7);
    const text = Buffer.from(TEXTS[k % TEXTS.length]!);
    if (k % 4) column("t").setBytes(row, text, 0, text.length);
    const other = Buffer.from(`${TEXTS[(k * 7) % TEXTS.length]}${k}`);
    column("u").setBytes(row, other, 0, other.length);
    const bytes = Buffer.from(Array.from({ length: k % 40 }, (_, at) => (at * 37 + k) & 255));
    if (k % 6) column("b").setBytes(row, bytes, 0, bytes.length);
    if (k % 9) column("at").setInt(row, (k - 1000) * 1_234_567_891);
    if (k % 8) column("zoned").setInt(row, (k - 1000) * 1_234_567_891);
    if (k % 10) column("d").setDays(row, k - 1000);
    if (k % 11) column("clock").setInt(row, (k * 1_234_567) % 86_400_000_000);
  }
  return table;
}

/** The same blocks as a block file, whose cells are read back here, and as a Parquet file, which DuckDB loads. */
async function expectSame(blocks: readonly [rows: number, seed: number][]): Promise<void> {
  const plain = await BlockFileWriter.create(join(folder, "t.blocks"));
  const parquet = await ParquetFileWriter.create(join(folder, "t.parquet"));
  for (const [rows, seed] of blocks) {
    await plain.append(filled(rows, seed));
    await parquet.append(filled(rows, seed));
  }
  await plain.close();
  await parquet.close();
  const columns = COLUMNS.map(([name, kind, type]) => ({ name, kind, sqlType: type }));
  await connection.run(`create table t (${COLUMNS.map(([name, , type]) => `"${name}" ${type}`).join(", ")})`);
  await bulkLoad(connection, { schema: "main", table: "t" }, columns, [parquet.path]);
  const read = await connection.runAndReadAll(`select * replace (
      n::varchar as n, strftime("at", '%Y-%m-%dT%H:%M:%S.%fZ') as "at",
      strftime(zoned, '%Y-%m-%dT%H:%M:%S.%fZ') as zoned, d::varchar as d, strftime(date '2000-01-01' + clock, '%H:%M:%S.%f') as clock, hex(b) as b)
    from t order by rowid`);
  const loaded = read.getRowObjectsJS();
  const expected = await Array.fromAsync(dumpBlocks(plain.path));
  expect(loaded).toHaveLength(expected.length);
  const asLoaded = (name: string, value: unknown): unknown => {
    if (value === undefined || value === null) return null;
    if (value instanceof Uint8Array) return Buffer.from(value).toString("hex").toUpperCase();
    if (name === "n") return String(value);
    if (name === "clock") return String(value).replace(/^(\d\d:\d\d:\d\d)$/, "$1.000000");
    // a whole second is told without its fraction
    if (name === "at" || name === "zoned") return String(value).replace(/(:\d\d)Z$/, "$1.000000Z");
    return value;
  };
  for (const [row, dumped] of expected.entries()) {
    for (const [name] of COLUMNS) {
      expect(loaded[row]![name], `${name} of row ${row}`).toEqual(asLoaded(name, dumped[name]));
    }
  }
}

describe("DuckDB reads the cells that were written", () => {
  test.each([1, 7, 8, 9, 2047, 2048, 2049])("of %i rows", async (rows) => expectSame([[rows, 0]]));

  test("of several blocks", async () =>
    expectSame([
      [3000, 0],
      [1, 5],
      [700, 11],
    ]));
});

test("a file names its columns in their order", async () => {
  const file = await ParquetFileWriter.create(join(folder, "t.parquet"));
  await file.append(filled(1, 0));
  await file.close();
  const read = await connection.runAndReadAll(`select * from parquet_schema('${file.path}')`);
  expect(read.getRowObjectsJson().map((column) => column.name)).toEqual([
    "schema",
    ...COLUMNS.map(([name]) => name),
  ]);
});

test("a table that has got another column needs another file", async () => {
  const table = filled(3, 0);
  const file = await ParquetFileWriter.create(join(folder, "t.parquet"));
  expect(file.fits(table)).toBe(true);
  await file.append(table);
  table.addColumn("more", "int64");
  expect(file.fits(table)).toBe(false);
  await file.abort();
});

describe("a text that is not UTF-8 is refused, never loaded", () => {
  const BROKEN: [string, number[]][] = [
    ["short", [0x61, 0xff]],
    ["short, ending inside a character", [0x61, 0xc3]],
    ["long", [...Array<number>(20).fill(0x61), 0xff]],
    ["long, ending inside a character", [...Array<number>(20).fill(0x61), 0xe2, 0x82]],
  ];
  test.each(BROKEN)("%s", async (_, bytes) => {
    const table = new TableBuffer("t");
    const t = table.addColumn("t", "text");
    for (let i = 0; i < 10; i++) {
      const value = i === 6 ? Buffer.from(bytes) : Buffer.from(`äöü ${"z".repeat(i * 3)}`);
      t.setBytes(table.beginRow(), value, 0, value.length);
    }
    const file = await ParquetFileWriter.create(join(folder, "t.parquet"));
    await file.append(table);
    await file.close();
    await connection.run("create table refused (t varchar)");
    const columns = [{ name: "t", kind: "text", sqlType: "VARCHAR" } as const];
    const load = bulkLoad(connection, { schema: "main", table: "refused" }, columns, [file.path]);
    await expect(load).rejects.toMatchObject({ code: "LOAD_VALUE", details: { column: "t" } });
  });
});
