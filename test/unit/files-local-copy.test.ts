/** Parquet that is not on this machine is read through a temporary file, and CSV is kept in one; neither stays. */

import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { DuckDBInstance } from "@duckdb/node-api";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { thisProcess } from "../../src/engine/package/process-identity.ts";
import { type ByteSource, memorySource } from "../../src/sources/filesystem/byte-source.ts";
import { readCsv } from "../../src/sources/filesystem/csv.ts";
import { copiedWhileRead } from "../../src/sources/filesystem/local-copy.ts";
import { readParquet } from "../../src/sources/filesystem/parquet.ts";

const work = mkdtempSync(join(tmpdir(), "loadwright-copy-"));
const temporary = mkdtempSync(join(tmpdir(), "loadwright-copies-"));
const before = process.env.TMPDIR;
let bytes: Buffer;

beforeAll(async () => {
  const instance = await DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  const path = join(work, "rows.parquet");
  await connection.run(`copy (select i as id, repeat('x', 50) as text from range(50000) t(i)) to '${path}'`);
  connection.closeSync();
  instance.closeSync();
  bytes = readFileSync(path);
  process.env.TMPDIR = temporary;
});
afterAll(() => {
  if (before === undefined) delete process.env.TMPDIR;
  else process.env.TMPDIR = before;
  rmSync(work, { recursive: true });
  rmSync(temporary, { recursive: true });
});
afterEach(() => {
  expect(readdirSync(temporary)).toEqual([]);
});

const object = (source: Partial<ByteSource>): ByteSource => ({
  ...memorySource("s3://lake/rows.parquet", bytes),
  ...source,
});

test("a file is there while it is read, and gone afterwards", async () => {
  let lines = 0;
  for await (const page of readParquet(object({}))) {
    expect(readdirSync(temporary)).toHaveLength(1);
    lines += Buffer.from(page.bytes).toString().split("\n").length - 1;
  }
  expect(lines).toBe(50_000);
});

test("a reader that stops early leaves no file", async () => {
  for await (const _page of readParquet(object({}))) break;
});

test("what a killed process left is removed by the next copy, and nothing of a process that lives", async () => {
  const left = (name: string, owner: object): string => {
    const folder = join(temporary, `loadwright-copy-${name}`);
    mkdirSync(folder);
    writeFileSync(join(folder, "owner.json"), JSON.stringify(owner));
    writeFileSync(join(folder, "file"), "x");
    return folder;
  };
  const { pid } = spawnSync("true");
  left("ended", { ...thisProcess(), pid });
  const kept = [
    left("living", thisProcess()),
    left("elsewhere", { ...thisProcess(), pid, host: "another" }),
    mkdtempSync(join(temporary, "loadwright-copy-")),
  ];
  for await (const _page of readParquet(object({}))) break;
  expect(readdirSync(temporary).sort()).toEqual(kept.map((path) => basename(path)).sort());
  for (const path of kept) rmSync(path, { recursive: true });
});

test("a transfer that fails, and a file that is no Parquet, leave no file", async () => {
  const broken = object({
    async *open() {
      yield bytes.subarray(0, 1000);
      throw new Error("the connection broke");
    },
  });
  await expect(readParquet(broken).next()).rejects.toThrow("the connection broke");
  const cut = object({
    async *open() {
      yield bytes.subarray(0, 1000);
    },
  });
  await expect(readParquet(cut).next()).rejects.toMatchObject({ code: "FILE_FORMAT" });
});

test("an object larger than the room there is, is refused before it is transferred, with what to do", async () => {
  let asked = 0;
  const large = object({
    size: 2 ** 52,
    async *open() {
      asked++;
      yield bytes;
    },
  });
  const refused = readParquet(large).next();
  await expect(refused).rejects.toMatchObject({
    code: "EXTRACT_FAILED",
    retry: "after_fix",
    hint: expect.stringContaining("TMPDIR"),
    details: expect.objectContaining({ file: "s3://lake/rows.parquet", folder: temporary, bytes: 2 ** 52 }),
  });
  expect(asked).toBe(0);
});

test("a disk that fills up meanwhile is told in the same way", async () => {
  const full = object({
    async *open() {
      yield bytes.subarray(0, 1000);
      throw Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
    },
  });
  await expect(readParquet(full).next()).rejects.toMatchObject({
    code: "EXTRACT_FAILED",
    hint: expect.stringContaining("TMPDIR"),
  });
});

const CSV = `id,name\n${Array.from({ length: 200_000 }, (_, id) => `${id},"n ${id}"\n`).join("")}`;

/** As it comes from a bucket, in pieces; with how often it was asked for. */
function csvObject(source: Partial<ByteSource> = {}): { source: ByteSource; asked: () => number } {
  let asked = 0;
  const content = Buffer.from(CSV);
  return {
    asked: () => asked,
    source: {
      ...memorySource("s3://lake/rows.csv", content),
      remote: true,
      async *open() {
        asked++;
        for (let at = 0; at < content.length; at += 65_536) yield content.subarray(at, at + 65_536);
      },
      ...source,
    },
  };
}

async function idsOf(source: ByteSource): Promise<number> {
  let rows = 0;
  for await (const page of readCsv(source, { recycle: true })) {
    expect(page.guesses).toEqual({ id: "bigint", name: "text" });
    const lines = Buffer.from(page.lines().bytes).toString().trimEnd().split("\n");
    for (const line of lines) expect(JSON.parse(line)).toEqual({ id: `${rows}`, name: `n ${rows++}` });
  }
  return rows;
}

test("a CSV object is transferred once, and its copy is gone afterwards", async () => {
  const { source, asked } = csvObject();
  expect(await idsOf(source)).toBe(200_000);
  expect(asked()).toBe(1);
});

test("without room for a copy a CSV object is transferred twice", async () => {
  const { source, asked } = csvObject({ size: 2 ** 52 });
  expect(await idsOf(source)).toBe(200_000);
  expect(asked()).toBe(2);
});

test("a CSV object whose copy cannot be written is transferred twice", async () => {
  const { source, asked } = csvObject();
  const copied = await copiedWhileRead(source);
  try {
    for await (const _bytes of copied.source.open()) {
      // somebody takes the folder away before the first megabyte is written
      rmSync(join(temporary, readdirSync(temporary)[0] ?? "gone"), { recursive: true, force: true });
    }
    for await (const _bytes of copied.source.open()) break;
    expect(asked()).toBe(2);
  } finally {
    await copied[Symbol.asyncDispose]();
  }
});

test("a CSV reader that stops early, and a transfer that fails, leave no copy", async () => {
  for await (const _page of readCsv(csvObject().source)) break;
  const { source } = csvObject({
    async *open() {
      yield Buffer.from("id,name\n1,a\n");
      throw new Error("the connection broke");
    },
  });
  await expect(readCsv(source).next()).rejects.toThrow("the connection broke");
});
