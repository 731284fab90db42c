import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DuckDBConnection, DuckDBInstance, TIMESTAMPTZ } from "@duckdb/node-api";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { PlainWriter } from "../../src/engine/destinations/duckdb/plain-writer.ts";
import {
  type BlockWriter,
  VectorWriter,
  type WriterColumn,
} from "../../src/engine/destinations/duckdb/vector-writer.ts";
import { TableBuffer } from "../../src/engine/normalize/column-buffer.ts";
import { type Block, BlockFileWriter, readBlocks } from "../../src/engine/package/block-format.ts";

const COLUMNS = [
  { name: "flag", kind: "bool" },
  { name: "n", kind: "int64" },
  { name: "x", kind: "float64" },
  { name: "t", kind: "text" },
  { name: "u", kind: "text" },
  { name: "b", kind: "bytes" },
  { name: "at", kind: "timestamp" },
  { name: "zoned", kind: "timestamp", type: TIMESTAMPTZ },
  { name: "d", kind: "date" },
  { name: "clock", kind: "time" },
] as const satisfies WriterColumn[];

const CREATE = `(flag boolean, n bigint, x double, t varchar, u varchar, b blob, "at" timestamp,
  zoned timestamptz, d date, clock time)`;

const TEXTS = [
  "",
  "a",
  "twelve bytes",
  "13 bytes long",
  "grüße",
  "zwölf bytes",
  "ä".repeat(6),
  "ä".repeat(6) + "b",
  "漢字かな交じり文",
  "🚀🚀🚀",
  "🚀🚀🚀🚀",
  "\u0000nul\u0000 within a long text",
  "x".repeat(5000),
];

const utf8 = new TextEncoder();
let folder: string;
let connection: DuckDBConnection;
let instance: DuckDBInstance;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "writer-"));
  instance = await DuckDBInstance.create(":memory:");
  connection = await instance.connect();
  await connection.run("set timezone = 'UTC'");
});
afterEach(async () => {
  connection.closeSync();
  instance.closeSync();
  await rm(folder, { recursive: true });
});

/** Fills rows with every kind of value at uneven distances, so that nulls and values fall on all places. */
function fill(table: TableBuffer, rows: number, seed: number): void {
  for (const { name, kind } of COLUMNS) if (!table.byName.has(name)) table.addColumn(name, kind);
  const column = (name: string) => table.byName.get(name)!;
  for (let i = 0; i < rows; i++) {
    const k = i + seed;
    const row = table.beginRow();
    if (k % 3) column("flag").setBool(row, k % 2 === 0);
    column("n").setBigInt(row, k % 7 === 0 ? -(2n ** 63n) + BigInt(k) : BigInt(k));
    if (k % 5) column("x").setFloat(row, k / 7);
    const text = utf8.encode(TEXTS[k % TEXTS.length]!);
    if (k % 4) table.setBytes(column("t"), row, text, 0, text.length);
    const other = utf8.encode(`${TEXTS[(k * 7) % TEXTS.length]}${k}`);
    table.setBytes(column("u"), row, other, 0, other.length);
    const bytes = Uint8Array.from({ length: k % 40 }, (_, at) => (at * 37 + k) & 255);
    if (k % 6) table.setBytes(column("b"), row, bytes, 0, bytes.length);
    if (k % 9) column("at").setInt(row, (k - 1000) * 1_234_567_891);
    if (k % 8) column("zoned").setInt(row, (k - 1000) * 1_234_567_891);
    if (k % 10) column("d").setDays(row, k - 1000);
    if (k % 11) column("clock").setInt(row, (k * 1_234_567) % 86_400_000_000);
  }
}

async function jobFile(build: (writer: BlockFileWriter) => Promise<void>): Promise<string> {
  const path = join(folder, "job.lwb");
  const writer = await BlockFileWriter.create(path);
  await build(writer);
  await writer.close();
  return path;
}

type Append = (writer: BlockWriter, block: Block) => void;
const whole: Append = (writer, block) => writer.append(block, 0, block.rows);

/** Loads the file with both writers into tables `raw` and `plain`. */
async function loadBoth(path: string, append: Append = whole): Promise<void> {
  for (const [table, Writer] of [
    ["raw", VectorWriter],
    ["plain", PlainWriter],
  ] as const) {
    await connection.run(`create table ${table} ${CREATE}`);
    const appender = await connection.createAppender(table);
    const writer = new Writer(appender, COLUMNS);
    for await (const block of readBlocks(path)) append(writer, block);
    appender.closeSync();
    writer.dispose();
  }
}

async function expectSame(rows: number): Promise<void> {
  const read = async (table: string) =>
    (await connection.runAndReadAll(`select rowid, * from ${table} order by rowid`)).getRowsJson();
  const raw = await read("raw");
  const plain = await read("plain");
  expect(raw).toHaveLength(rows);
  expect(plain).toHaveLength(rows);
  for (let row = 0; row < rows; row++) expect(raw[row], `row ${row}`).toEqual(plain[row]);
}

describe("the raw and the plain writer fill the same tables", () => {
  test.each([1, 7, 8, 2047, 2048, 2049, 5000])("with %i rows", async (rows) => {
    const path = await jobFile(async (writer) => {
      const table = new TableBuffer("t");
      fill(table, rows, 0);
      await writer.append(table);
    });
    await loadBoth(path);
    await expectSame(rows);
  });

  test("with several blocks, of which some lack columns or nulls", async () => {
    const path = await jobFile(async (writer) => {
      const table = new TableBuffer("t");
      fill(table, 3000, 0);
      await writer.append(table);
      for (const name of ["n", "t", "zoned"] as const) {
        const kind = COLUMNS.find((column) => column.name === name)!.kind;
        const narrow = new TableBuffer("t");
        const column = narrow.addColumn(name, kind);
        for (let i = 0; i < 2500; i++) {
          const row = narrow.beginRow();
          if (kind === "text") narrow.setBytes(column, row, utf8.encode(`always here ${i}`), 0, 13);
          else column.setInt(row, i);
        }
        await writer.append(narrow);
      }
      fill(table, 3000, 5);
      await writer.append(table);
    });
    await loadBoth(path);
    await expectSame(13_500);
  });

  test("when blocks are cut at any row", async () => {
    const path = await jobFile(async (writer) => {
      const table = new TableBuffer("t");
      fill(table, 5000, 3);
      await writer.append(table);
    });
    await loadBoth(path, (writer, block) => {
      const cuts = [0, 1, 9, 16, 21, 2100, 4999, 5000];
      for (let i = 1; i < cuts.length; i++) writer.append(block, cuts[i - 1]!, cuts[i]!);
    });
    await expectSame(5000);
  });

  test("and the cells are the ones that were set", async () => {
    const path = await jobFile(async (writer) => {
      const table = new TableBuffer("t");
      fill(table, 60, 0);
      await writer.append(table);
    });
    await loadBoth(path);
    const rows = (
      await connection.runAndReadAll("select t, n, b, zoned::varchar as zoned from raw")
    ).getRows();
    expect(rows.map(([t]) => t)).toEqual(
      Array.from({ length: 60 }, (_, k) => (k % 4 ? TEXTS[k % TEXTS.length] : null)),
    );
    expect(rows[7]![1]).toBe(-(2n ** 63n) + 7n);
    expect(rows[13]![3]).toBe(
      new Date((13 - 1000) * 1_234_567.891).toISOString().slice(0, 19).replace("T", " ") +
        `.${String((((13 - 1000) * 1_234_567_891) % 1e6) + 1e6).padStart(6, "0")}+00`,
    );
  });
});

describe("a text that is not UTF-8 is refused, never loaded and never a crash", () => {
  const BROKEN: [string, number[]][] = [
    ["short", [0x61, 0xff]],
    ["short, beginning inside a character", [0x80, 0x61]],
    ["short, ending inside a character", [0x61, 0xc3]],
    ["of 12 bytes, ending inside a character", [...Array<number>(11).fill(0x61), 0xc3]],
    ["long", [...Array<number>(20).fill(0x61), 0xff]],
    ["long, ending inside a character", [...Array<number>(20).fill(0x61), 0xe2, 0x82]],
  ];
  test.each(BROKEN)("%s", async (_, bytes) => {
    for (const withBytesColumn of [false, true]) {
      const path = join(folder, `${withBytesColumn}.lwb`);
      const file = await BlockFileWriter.create(path);
      const table = new TableBuffer("t");
      const t = table.addColumn("t", "text");
      const b = table.addColumn("b", "bytes");
      for (let i = 0; i < 10; i++) {
        const row = table.beginRow();
        const value = i === 6 ? Uint8Array.from(bytes) : utf8.encode(`äöü ${"z".repeat(i * 3)}`);
        table.setBytes(t, row, value, 0, value.length);
        if (withBytesColumn) table.setBytes(b, row, new Uint8Array(20).fill(0xfe), 0, 20);
      }
      await file.append(table);
      await file.close();
      for (const Writer of [VectorWriter, PlainWriter]) {
        await connection.run(`create or replace table refused ${CREATE}`);
        const appender = await connection.createAppender("refused");
        const writer = new Writer(appender, COLUMNS);
        for await (const block of readBlocks(path)) {
          expect(() => writer.append(block, 0, block.rows)).toThrow(
            expect.objectContaining({
              code: "LOAD_VALUE",
              details: expect.objectContaining({ column: "t", row: 6 }),
            }),
          );
        }
        appender.closeSync();
        writer.dispose();
      }
    }
  });

  test("two texts that are valid only together", async () => {
    const path = await jobFile(async (file) => {
      const table = new TableBuffer("t");
      const t = table.addColumn("t", "text");
      const source = utf8.encode(`${"a".repeat(19)}äbcdefghijklmnopqrst`);
      table.setBytes(t, table.beginRow(), source, 0, 20);
      table.setBytes(t, table.beginRow(), source, 20, source.length);
      await file.append(table);
    });
    await connection.run(`create table refused ${CREATE}`);
    const appender = await connection.createAppender("refused");
    const writer = new VectorWriter(appender, COLUMNS);
    for await (const block of readBlocks(path)) {
      expect(() => writer.append(block, 0, 2)).toThrow(expect.objectContaining({ code: "LOAD_VALUE" }));
    }
    appender.closeSync();
  });
});

test("a column of another kind than expected is a corrupt package", async () => {
  const path = await jobFile(async (file) => {
    const table = new TableBuffer("t");
    table.addColumn("t", "int64").setInt(table.beginRow(), 1);
    await file.append(table);
  });
  await connection.run(`create table refused ${CREATE}`);
  const appender = await connection.createAppender("refused");
  const writer = new VectorWriter(appender, COLUMNS);
  for await (const block of readBlocks(path)) {
    expect(() => writer.append(block, 0, 1)).toThrow(expect.objectContaining({ code: "PACKAGE_CORRUPT" }));
  }
  appender.closeSync();
});
