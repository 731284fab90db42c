import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { expect, test } from "vitest";
import type { JsonlPage } from "../../src/engine/extract/page.ts";
import { localFile, memorySource } from "../../src/sources/filesystem/byte-source.ts";
import { countLines, readText } from "../../src/sources/filesystem/decode.ts";
import { readJson } from "../../src/sources/filesystem/json.ts";
import { readJsonl } from "../../src/sources/filesystem/jsonl.ts";
import { withFileName } from "../../src/sources/filesystem/row-fields.ts";

const text = async (blocks: AsyncIterable<{ bytes: Uint8Array }>) => {
  const parts: Uint8Array[] = [];
  for await (const { bytes } of blocks) parts.push(bytes.slice());
  return Buffer.concat(parts).toString();
};
const rows = async (pages: AsyncIterable<JsonlPage>) =>
  (await text(pages))
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line) => JSON.parse(line));
/** Each line that has a row, by the number that its page says it has. */
const lines = async (pages: AsyncIterable<JsonlPage>) => {
  const found: [number, unknown][] = [];
  for await (const page of pages) {
    for (const [i, line] of Buffer.from(page.bytes).toString().split("\n").entries()) {
      if (line.trim() !== "") found.push([page.origin!.line + i, JSON.parse(line)]);
    }
  }
  return found;
};
const bytewise = (name: string, content: Uint8Array | string) =>
  memorySource(name, ...[...Buffer.from(content)].map((byte) => Uint8Array.of(byte)));
const failure = async (pages: AsyncIterable<unknown>) => {
  try {
    for await (const _ of pages);
  } catch (error) {
    return error as { code: string; message: string; hint: string; details: Record<string, unknown> };
  }
  throw new Error("expected an error");
};

test("a byte order mark is dropped, UTF-16 is decoded with and without one", async () => {
  const content = 'id,name\n1,"é€😀"\n';
  const le = Buffer.from(content, "utf16le");
  const be = Buffer.from(le).swap16();
  for (const bytes of [
    Buffer.from(`\ufeff${content}`),
    Buffer.concat([Buffer.of(0xff, 0xfe), le]),
    Buffer.concat([Buffer.of(0xfe, 0xff), be]),
    le,
    be,
  ]) {
    expect(await text(readText(memorySource("a.csv", bytes)))).toBe(content);
    expect(await text(readText(bytewise("a.csv", bytes)))).toBe(content);
  }
});

test("gzip and zstd are told by their first bytes, not by the name", async () => {
  const content = '{"a":1}\n'.repeat(1000);
  expect(await text(readText(memorySource("a.jsonl", gzipSync(content))))).toBe(content);
  expect(await text(readText(memorySource("a.jsonl", zstdCompressSync(content))))).toBe(content);
  expect(await text(readText(memorySource("plain.jsonl.gz", content)))).toBe(content);
  const two = Buffer.concat([gzipSync(content), gzipSync(content)]);
  expect(await text(readText(memorySource("two-members.gz", two)))).toBe(content + content);
});

test("a gzip file that was cut off is an error after the rows it has, never a short file", async () => {
  const whole = gzipSync(Array.from({ length: 9000 }, (_, i) => `{"a":${i * 7919}}\n`).join(""));
  const error = await failure(readJsonl(memorySource("cut.jsonl.gz", whole.subarray(0, whole.length - 20))));
  expect(error).toMatchObject({
    code: "FILE_FORMAT",
    details: { file: "cut.jsonl.gz", compression: "gzip" },
  });
  expect(error.message).toContain("cut off");
});

test("bytes that only start like gzip, and other containers, are named for what they are", async () => {
  const fake = Buffer.concat([Buffer.of(0x1f, 0x8b, 0x08, 0x00), Buffer.from("not gzip at all, sorry")]);
  expect(await failure(readText(memorySource("fake.gz", fake)))).toMatchObject({ code: "FILE_FORMAT" });
  const zip = Buffer.concat([Buffer.of(0x50, 0x4b, 3, 4), Buffer.alloc(20)]);
  expect((await failure(readText(memorySource("a.csv", zip)))).message).toContain("zip file");
  const parquet = await failure(readText(memorySource("a.csv", Buffer.from("PAR1...."))));
  expect(parquet.hint).toContain('format = "parquet"');
});

test("an error of the source itself is not blamed on the compression", async () => {
  const source = {
    name: "a.gz",
    async *open() {
      yield gzipSync("hello").subarray(0, 12);
      throw new Error("connection reset");
    },
  };
  await expect(text(readText(source))).rejects.toThrow("connection reset");
});

test("whatever ends the reading, the source is closed", async () => {
  const reading = async (
    first: Uint8Array | string,
    use: (blocks: AsyncGenerator<unknown>) => Promise<void>,
    encoding?: string,
  ) => {
    let closed = false;
    const source = {
      name: "a",
      async *open() {
        try {
          yield Buffer.from(first);
          while (true) yield Buffer.alloc(100_000, "x");
        } finally {
          closed = true;
        }
      },
    };
    await use(readText(source, { encoding })).catch(() => {});
    await new Promise((done) => setTimeout(done, 20));
    return closed;
  };
  const drain = async (blocks: AsyncGenerator<unknown>) => {
    for await (const _ of blocks);
  };
  const one = async (blocks: AsyncGenerator<unknown>) => {
    for await (const _ of blocks) break;
  };
  expect(await reading(Buffer.of(0x50, 0x4b, 3, 4), drain)).toBe(true);
  expect(await reading("abc", drain, "klingon")).toBe(true);
  expect(await reading("a\0b", drain)).toBe(true);
  expect(await reading("abc", one)).toBe(true);
  expect(await reading(gzipSync("abc".repeat(500_000)), one)).toBe(true);
});

test("bytes that are not UTF-8 are an error with line, byte and the likely encoding", async () => {
  const bytes = Buffer.from("id,name\n1,ok\n2,caf\xe9\n", "latin1");
  for (const source of [memorySource("a.csv", bytes), bytewise("a.csv", bytes)]) {
    const error = await failure(readText(source));
    expect(error).toMatchObject({ code: "FILE_ENCODING", details: { file: "a.csv", line: 3, byte: 18 } });
    expect(error.hint).toContain("latin1");
  }
  expect(await text(readText(memorySource("a.csv", bytes), { encoding: "latin1" }))).toContain("2,café");
  // What Excel calls latin1 is windows-1252.
  expect(await text(readText(memorySource("a", Buffer.of(0x80)), { encoding: "latin1" }))).toBe("€");
  expect(await failure(readText(memorySource("a", bytes), { encoding: "klingon" }))).toMatchObject({
    code: "CONFIG_INVALID",
  });
  expect(
    await failure(readText(memorySource("a", Buffer.from("x\ny"), Buffer.of(0xe2, 0x82)))),
  ).toMatchObject({
    code: "FILE_ENCODING",
    details: { line: 2, byte: 3 },
  });
});

test("a raw NUL is an error; an escaped one is the destination's business", async () => {
  const error = await failure(readText(memorySource("a.jsonl", '{"a":1}\n{"a":"\u0000"}\n')));
  expect(error).toMatchObject({ code: "FILE_ENCODING", details: { line: 2, byte: 14 } });
  expect(error.hint).toContain("utf-16le");
  expect(await rows(readJsonl(memorySource("a.jsonl", '{"a":"\\u0000"}')))).toEqual([{ a: "\0" }]);
});

test("lines are counted right at any alignment", () => {
  const bytes = Buffer.from("ab\n\n\ncdefg\n".repeat(777) + "\x8a\x8b\n\x0b");
  for (let from = 0; from < 9; from++) {
    const part = bytes.subarray(from);
    expect(countLines(part)).toBe([...part].filter((byte) => byte === 10).length);
  }
});

test("JSON Lines come as whole lines with the line they start on", async () => {
  const content = '{"a":1}\r\n\n{"a":2}\n   \n{"a":3}';
  for (const source of [memorySource("a.jsonl", content), bytewise("a.jsonl", content)]) {
    for (const pageBytes of [1, 9, 12, 1000]) {
      const found = await lines(readJsonl(source, { pageBytes }));
      expect(found).toEqual([
        [1, { a: 1 }],
        [3, { a: 2 }],
        [5, { a: 3 }],
      ]);
    }
  }
  for await (const page of readJsonl(bytewise("a", content), { pageBytes: 1 }))
    expect(page.bytes.at(-1)).toBe(10);
});

test("an empty JSON Lines file has no rows, an endless line is an error", async () => {
  expect(await rows(readJsonl(memorySource("a.jsonl")))).toEqual([]);
  expect(await rows(readJsonl(memorySource("a.jsonl", "\n\n")))).toEqual([]);
  const long = memorySource(
    "a",
    `{"a":1}\n{"b":"${"x".repeat(70_000)}`,
    "y".repeat(70_000),
    "z".repeat(70_000),
  );
  expect(await failure(readJsonl(long, { pageBytes: 10, lineBytesMax: 100_000 }))).toMatchObject({
    code: "FILE_FORMAT",
    details: { line: 2 },
  });
  const array = await failure(readJsonl(memorySource("a", '\n[{"a":1}]')));
  expect(array).toMatchObject({ code: "FILE_FORMAT", details: { line: 2 } });
  expect(array.hint).toContain('format = "json"');
});

test("the rows of a JSON document keep the lines they start on", async () => {
  const content = `\ufeff[\n  {"a": 1,\n   "s": "x]},\\"\\\\"},\n  {"a": {"b": [1, {"c": 2}]}},\n\n  {}\n]\n`;
  const expected = [
    [2, { a: 1, s: 'x]},"\\' }],
    [4, { a: { b: [1, { c: 2 }] } }],
    [6, {}],
  ];
  for (const source of [memorySource("a.json", content), bytewise("a.json", content)]) {
    expect(await lines(readJson(source))).toEqual(expected);
    expect(await lines(readJson(source, { pageBytes: 1 }))).toEqual(expected);
  }
});

test("a JSON document may be one object, an empty array, or hold its rows at a path", async () => {
  expect(await rows(readJson(memorySource("a", '{"a":[1,2]}')))).toEqual([{ a: [1, 2] }]);
  expect(await rows(readJson(memorySource("a", "[]")))).toEqual([]);
  expect(await rows(readJson(memorySource("a", "")))).toEqual([]);
  const nested =
    '{"x":{"items":[{"no":1}]},"n":[1,{"data":"]"}],"da\\u0074a":{"m":1.5,"items":[{"a":1},{"a":2}],"t":[]},"z":1}';
  for (const source of [memorySource("a", nested), bytewise("a", nested)]) {
    expect(await rows(readJson(source, { path: "data.items" }))).toEqual([{ a: 1 }, { a: 2 }]);
    expect(await rows(readJson(source, { path: "x" }))).toEqual([{ items: [{ no: 1 }] }]);
    expect(await failure(readJson(source, { path: "data.rows" }))).toMatchObject({ code: "FILE_FORMAT" });
  }
});

test.each([
  ['[\n{"a":1},\n{"a":2', 3],
  ['[\n{"a":1}\n{"a":2}]', 3],
  ['[{"a":1},\n]', 2],
  ['[{"a":[1,2}]', 1],
  ['[{"a":"x\n"}]', 1],
  ["[1, 2]", 1],
  ['[{"a":1}] x', 1],
  ["<!DOCTYPE html>", 1],
  ['[{"a":1}', 1],
])("broken JSON structure %j is an error on its line", async (content, line) => {
  for (const source of [memorySource("a.json", content), bytewise("a.json", content)]) {
    expect(await failure(readJson(source))).toMatchObject({
      code: "FILE_FORMAT",
      details: { file: "a.json", line },
    });
  }
});

test("JSON Lines read as JSON are recognized", async () => {
  expect((await failure(readJson(memorySource("a.json", '{"a":1}\n{"a":2}\n')))).hint).toContain('"jsonl"');
});

test("the file's name becomes the last key of each row", async () => {
  for await (const page of readJsonl(memorySource("a", '{"a":{}}\n\n{} \r\n{"b":2}'))) {
    const named = Buffer.from((withFileName(page, 'x/"1".csv') as JsonlPage).bytes).toString();
    const field = '"_file_name":"x/\\"1\\".csv"}';
    expect(named).toBe(`{"a":{},${field}\n\n{${field} \r\n{"b":2,${field}\n`);
  }
});

test("a local file that is not there is FILE_NOT_FOUND with its path", async () => {
  const folder = mkdtempSync(join(tmpdir(), "files-"));
  try {
    expect(await failure(readText(localFile(join(folder, "no.csv"))))).toMatchObject({
      code: "FILE_NOT_FOUND",
    });
    writeFileSync(join(folder, "a.jsonl"), '{"a":1}\n');
    expect(await rows(readJsonl(localFile(join(folder, "a.jsonl"))))).toEqual([{ a: 1 }]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
