import { parse } from "csv-parse/sync";
import fc from "fast-check";
import { expect, test } from "vitest";
import type { ByteSource } from "../../src/sources/filesystem/byte-source.ts";
import { memorySource } from "../../src/sources/filesystem/byte-source.ts";
import { type CsvOptions, readCsv } from "../../src/sources/filesystem/csv.ts";
import { inferCsv } from "../../src/sources/filesystem/csv-infer.ts";

type Cells = Record<string, string>;

async function read(content: string | Uint8Array | ByteSource, options: CsvOptions = {}) {
  const source =
    typeof content === "string" || content instanceof Uint8Array ? memorySource("a.csv", content) : content;
  const rows: Cells[] = [];
  const lines: number[] = [];
  let guesses: Readonly<Record<string, string>> = {};
  for await (const page of readCsv(source, options)) {
    guesses = page.guesses;
    for (const [i, line] of Buffer.from(page.lines().bytes).toString().split("\n").entries()) {
      if (line === "") continue;
      rows.push(JSON.parse(line));
      lines.push(page.origin.line + i);
    }
  }
  return { rows, lines, guesses };
}
const bytewise = (content: string) =>
  memorySource("a.csv", ...[...Buffer.from(content)].map((byte) => Uint8Array.of(byte)));
const types = async (...cells: string[]) =>
  (await read(`id,x\n${cells.map((cell) => `k,${cell}`).join("\n")}`)).guesses.x;

test("cells are strings under their header, an empty cell is left out, quoted or not", async () => {
  const { rows, guesses } = await read('id,name,note\n1,"a ""b"", c",\n2,"",x\n');
  expect(rows).toEqual([
    { id: "1", name: 'a "b", c' },
    { id: "2", note: "x" },
  ]);
  expect(guesses).toEqual({ id: "bigint", name: "text", note: "text" });
});

test("a quoted cell may span lines, and rows keep their line numbers", async () => {
  const content = 'id,t\r\n\r\n1,"a\r\nb\n"\r\n\r\n2,c\r\n3,"d"';
  for (const source of [memorySource("a.csv", content), bytewise(content)]) {
    for (const pageBytes of [1, 20, 1000]) {
      const { rows, lines } = await read(source, { pageBytes });
      expect(rows).toEqual([
        { id: "1", t: "a\r\nb\n" },
        { id: "2", t: "c" },
        { id: "3", t: "d" },
      ]);
      expect(lines).toEqual([3, 7, 8]);
    }
  }
});

test("the first 64 KB tell the delimiter, also where cells hold other delimiters", async () => {
  expect((await read("a;b\n1,5;2,5\n")).rows).toEqual([{ a: "1,5", b: "2,5" }]);
  expect((await read("a\tb\n1\t2,3\n")).rows).toEqual([{ a: "1", b: "2,3" }]);
  expect((await read('a|"x,y,z"|c\n1|2|3\n')).rows).toEqual([{ a: "1", "x,y,z": "2", c: "3" }]);
  expect((await read("only\n1\n2\n")).rows).toEqual([{ only: "1" }, { only: "2" }]);
  expect((await read("a;b\n1;2\n", { delimiter: "," })).rows).toEqual([{ "a;b": "1;2" }]);
});

test("a file that ends its lines with carriage returns only is read as lines", async () => {
  expect((await read("a,b\r1,2\r3,4\r")).rows).toEqual([
    { a: "1", b: "2" },
    { a: "3", b: "4" },
  ]);
});

test("empty and header-only files have no rows", async () => {
  for (const content of ["", "\n\n", "\ufeff", "a,b", "a,b\r\n"])
    expect((await read(content)).rows).toEqual([]);
});

test("repeated and empty header names are made unique, with a warning for the repeated", async () => {
  const warnings: string[] = [];
  const { rows } = await read("id,id,,id_1,id\n1,2,3,4,5\n", { warn: (message) => warnings.push(message) });
  expect(rows).toEqual([{ id: "1", id_2: "2", column_2: "3", id_1: "4", id_3: "5" }]);
  expect(warnings).toHaveLength(2);
});

test("without a header the columns are numbered", async () => {
  expect((await read("1,x\n2,y\n", { header: false })).rows).toEqual([
    { column_0: "1", column_1: "x" },
    { column_0: "2", column_1: "y" },
  ]);
});

test("a record of the wrong length is an error with line, expected and found", async () => {
  await expect(read('a,b\n1,"2\n"\n\n3\n')).rejects.toMatchObject({
    code: "FILE_FORMAT",
    details: { file: "a.csv", line: 5, expected: 2, found: 1 },
  });
  await expect(read("a,b\n1,2,3\n")).rejects.toMatchObject({ details: { line: 2, expected: 2, found: 3 } });
  expect((await read("a,b\n1\n2,3,\n", { ragged: "pad" })).rows).toEqual([{ a: "1" }, { a: "2", b: "3" }]);
  // Padding may not lose a cell.
  await expect(read("a,b\n1,2,3\n", { ragged: "pad" })).rejects.toMatchObject({ details: { found: 3 } });
});

test("broken quotes are errors with their line, also when they swallow the file", async () => {
  await expect(read('a,b\n1,2\n1,"2"x\n')).rejects.toMatchObject({
    code: "FILE_FORMAT",
    details: { line: 3, cell: 2 },
  });
  await expect(read('a,b\n1,"2\n3,4\n')).rejects.toMatchObject({ code: "FILE_FORMAT", details: { line: 2 } });
  const swallowed = memorySource(
    "a.csv",
    'a,b\n1,"2\n',
    ...Array.from({ length: 200 }, () => "3,4\n".repeat(10)),
  );
  await expect(read(swallowed, { recordBytesMax: 1000 })).rejects.toMatchObject({
    details: { line: 2, record_bytes_max: 1000 },
  });
  expect((await read('a,b\n1,"2\n', { quote: "" })).rows).toEqual([{ a: "1", b: '"2' }]);
});

test("bytes of other encodings reach the rows as they are meant", async () => {
  const latin = Buffer.from("id,name\n1,caf\xe9\n", "latin1");
  await expect(read(latin)).rejects.toMatchObject({ code: "FILE_ENCODING", details: { line: 2 } });
  expect((await read(latin, { encoding: "latin1" })).rows).toEqual([{ id: "1", name: "café" }]);
  expect((await read(Buffer.from('\ufeff"id",n\n1,é', "utf16le"))).rows).toEqual([{ id: "1", n: "é" }]);
  expect((await read('\ufeff"id",n\n1,é')).rows).toEqual([{ id: "1", n: "é" }]);
  await expect(read("id,n\n1,a\u0000b\n")).rejects.toMatchObject({
    code: "FILE_ENCODING",
    details: { line: 2 },
  });
});

test("a column gets the narrowest type that all its cells fit", async () => {
  expect(await types("1", "", "-5", "9223372036854775807", "-9223372036854775808")).toBe("bigint");
  expect(await types("9223372036854775808")).toBe("text");
  expect(await types("007")).toBe("text");
  expect(await types("1", "007.5")).toBe("text");
  expect(await types("1", "2.5", "1e5", "-0.1E-7", "-0")).toBe("double");
  // A double would change the digits.
  expect(await types("2.5", "12345678901234567")).toBe("text");
  expect(await types("1.")).toBe("text");
  expect(await types(".5")).toBe("text");
  expect(await types("1e400")).toBe("text");
  expect(await types("true", "FALSE", "True")).toBe("bool");
  expect(await types("true", "1")).toBe("text");
  expect(await types("2024-02-29")).toBe("date");
  expect(await types("2023-02-29")).toBe("text");
  expect(await types("2024-01-01T00:00:00Z", "2024-01-01 00:00:00.123456", "2024-01-01T00:00:00+05:30")).toBe(
    "timestamp",
  );
  expect(await types("2024-01-01", "2024-01-01T10:00:00")).toBe("timestamp");
  expect(await types("2024-01-01T25:00:00Z")).toBe("text");
  expect(await types("2024-01-01T00:00")).toBe("text");
  expect(await types("", "")).toBeUndefined();
  expect(await types('"1"', '"2"')).toBe("bigint");
});

test("null values are left out and do not widen the type", async () => {
  const { rows, guesses } = await read("id,x\n1,NULL\n2,7\n3,N/A\n", { null_values: ["NULL", "N/A"] });
  expect(rows).toEqual([{ id: "1" }, { id: "2", x: "7" }, { id: "3" }]);
  expect(guesses.x).toBe("bigint");
});

test("a source that can be read only once gives text, and says so", async () => {
  const warnings: string[] = [];
  const once: ByteSource = { ...memorySource("a.csv", "id\n1\n"), reopen: false };
  const { rows, guesses } = await read(once, { warn: (message) => warnings.push(message) });
  expect(rows).toEqual([{ id: "1" }]);
  expect(guesses).toEqual({ id: "text" });
  expect(warnings).toHaveLength(1);
});

test("the first pass counts the rows", async () => {
  expect((await inferCsv(memorySource("a.csv", "a,b\n1,2\n\n3,4")))?.rows).toBe(2);
});

test("well-formed CSV reads as csv-parse reads it, however it is cut into blocks", async () => {
  const cell = fc.oneof(
    fc.string({ unit: "grapheme", maxLength: 8 }),
    fc.string({
      unit: fc.constantFrom(",", ";", '"', "\n", "\r", "a", "\\", "\t", "1", " ", "\u0001"),
      maxLength: 6,
    }),
    fc.constantFrom("", "007", "1e5", "true"),
  );
  const file = fc.record({
    width: fc.integer({ min: 2, max: 5 }),
    cells: fc.array(cell, { maxLength: 60 }),
    delimiter: fc.constantFrom(",", ";", "\t", "|"),
    quoteAll: fc.boolean(),
    ending: fc.constantFrom("\n", "\r\n"),
    last: fc.boolean(),
    block: fc.integer({ min: 1, max: 40 }),
    pageBytes: fc.integer({ min: 1, max: 200 }),
  });
  await fc.assert(
    fc.asyncProperty(file, async ({ width, cells, delimiter, quoteAll, ending, last, block, pageBytes }) => {
      const clean = cells.map((text) => text.replaceAll("\0", "").toWellFormed());
      const table = [Array.from({ length: width }, (_, i) => `c${i}`)];
      for (let i = 0; i + width <= clean.length; i += width) table.push(clean.slice(i, i + width));
      const special = new RegExp(`["\\r\\n${delimiter === "|" ? "\\|" : delimiter}]`);
      const content =
        table
          .map((row) =>
            row
              .map((text) => (quoteAll || special.test(text) ? `"${text.replaceAll('"', '""')}"` : text))
              .join(delimiter),
          )
          .join(ending) + (last ? ending : "");
      const expected = (parse(content, { columns: true, delimiter }) as Cells[]).map((row) =>
        Object.fromEntries(Object.entries(row).filter(([, text]) => text !== "")),
      );
      const bytes = Buffer.from(content);
      const blocks: Uint8Array[] = [];
      for (let at = 0; at < bytes.length; at += block) blocks.push(bytes.subarray(at, at + block));
      const { rows } = await read(memorySource("a.csv", ...blocks), {
        delimiter,
        pageBytes,
        encoding: "utf-8",
      });
      expect(rows).toEqual(expected);
    }),
    { numRuns: 500 },
  );
});
