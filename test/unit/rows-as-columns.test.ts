/** Which rows are extracted as columns, in how many blocks and files, and that none is lost or moved on the way. */

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { JobWriter } from "../../src/engine/extract/job-writer.ts";
import type { Row } from "../../src/engine/extract/page.ts";
import { RowColumns } from "../../src/engine/extract/row-columns.ts";
import { dumpBlocks } from "../../src/engine/package/block-format.ts";
import { SpareMemory } from "../../src/engine/package/spare-memory.ts";
import type { JobInfo } from "../../src/engine/package/types.ts";

const folder = mkdtempSync(join(tmpdir(), "rows-as-columns-"));
afterAll(() => rmSync(folder, { recursive: true }));

async function write(pages: readonly (readonly Row[])[], table = () => "items"): Promise<readonly JobInfo[]> {
  const writer = new JobWriter({ dir: folder, jobBytesMax: 1 << 30, sync: false });
  for (const page of pages) await writer.writeRows(table(), page);
  return writer.finish();
}

async function idsIn(jobs: readonly JobInfo[]): Promise<unknown[]> {
  const ids: unknown[] = [];
  for (const { file, keys } of jobs) {
    const path = join(folder, file);
    if (keys) for await (const { id } of dumpBlocks(path)) ids.push(id);
    else for (const line of readFileSync(path, "utf8").trim().split("\n")) ids.push(JSON.parse(line).id);
  }
  return ids;
}

const page = (count: number, row: (i: number) => Row, from = 0): Row[] =>
  Array.from({ length: count }, (_, i) => row(from + i));
const plain = (id: number): Row => ({ id, name: `name ${id}` });

describe("a page of rows", () => {
  const of = (odd: unknown): Row[] => page(300, (id) => (id === 200 ? { id, v: odd } : { id, v: "text" }));

  it.each([
    ["texts", "other"],
    ["texts and nulls", null],
    ["texts that JSON escapes", 'a"\n\0'],
  ])("becomes columns with %s", async (_what, value) => {
    expect(await write([of(value)])).toMatchObject([{ rows: 300, keys: ["id", "v"] }]);
  });

  it.each([
    ["another kind of value", 5],
    ["a value without", undefined],
    ["a list", []],
    ["an object", { a: 1 }],
    ["a date among texts", new Date(0)],
    ["a bigint", 5n],
    ["what tells JSON something else", Object.assign(() => 1, { toJSON: () => 1 })],
  ])("stays lines with %s", async (_what, value) => {
    const written = write([of(value)]);
    if (typeof value === "function")
      await expect(written).rejects.toMatchObject({ code: "VALUE_UNSUPPORTED" });
    else expect((await written)[0]).toMatchObject({ rows: 300, file: expect.stringMatching(/jsonl$/) });
  });

  it("stays lines where its rows differ in their keys, or in the order of them", async () => {
    for (const odd of [{ id: 1 }, { v: "a", id: 1 }, { id: 1, v: "a", more: 1 }, { id: 1, w: "a" }]) {
      const jobs = await write([[...page(300, (id) => ({ id, v: "text" })), odd]]);
      expect(jobs.map(({ keys }) => keys)).toEqual([undefined]);
    }
  });

  it("stays lines where rows are of a class", async () => {
    class Item {
      id = 1;
    }
    const jobs = await write([page(300, () => new Item() as unknown as Row)]);
    expect(jobs.map(({ keys }) => keys)).toEqual([undefined]);
  });

  it("stays lines where it is small", async () => {
    expect((await write([page(20, plain)]))[0]?.keys).toBeUndefined();
  });

  it("is refused for half of a surrogate pair, as lines are", async () => {
    await expect(write([of("\ud800")])).rejects.toMatchObject({ code: "VALUE_UNSUPPORTED" });
    await expect(write([page(300, (id) => ({ id, "\ud800": 1 }))])).rejects.toMatchObject({
      code: "VALUE_UNSUPPORTED",
    });
  });
});

describe("blocks", () => {
  const blocksOf = (rows: readonly Row[]): number[] => {
    const columns = RowColumns.like(rows[0], new SpareMemory())!;
    const counts: number[] = [];
    for (let from = 0; from < rows.length; from += counts.at(-1)!)
      counts.push(columns.encode(rows, from)!.rows);
    return counts;
  };

  it("are bounded by rows, and of wide rows by cells", () => {
    expect(Math.max(...blocksOf(page(30_000, plain)))).toBe(12_288);
    const keys = Array.from({ length: 400 }, (_, i) => `k${i}`);
    const wide = page(3000, () => Object.fromEntries(keys.map((key) => [key, 1])));
    expect(Math.max(...blocksOf(wide)) * 400).toBeLessThanOrEqual(1 << 19);
  });

  it("are bounded by the length of texts, of all columns together", () => {
    const text = "x".repeat(300_000);
    const counts = blocksOf(page(100, (id) => ({ id, a: text, b: text })));
    expect(Math.max(...counts) * 600_000).toBeLessThanOrEqual(1 << 22);
    expect(counts.length).toBeLessThan(30);
    expect(counts.reduce((sum, count) => sum + count)).toBe(100);
  });

  it("leave a row to lines that has more alone", () => {
    const columns = RowColumns.like({ a: "" }, new SpareMemory())!;
    expect(columns.encode([{ a: "x".repeat(3 << 20) }], 0)?.rows).toBe(1);
    expect(columns.encode([{ a: "x".repeat(5 << 20) }], 0)).toBeUndefined();
  });
});

describe("a table whose rows come in both forms", () => {
  it("keeps its rows in their order", async () => {
    const pages = Array.from({ length: 12 }, (_, n) =>
      page(300, (id) => (n % 3 === 1 ? { ...plain(id), tags: [] } : plain(id)), n * 300),
    );
    const jobs = await write(pages);
    expect(jobs.some(({ keys }) => keys)).toBe(true);
    expect(await idsIn(jobs)).toEqual(Array.from({ length: 12 * 300 }, (_, id) => id));
  });

  it("gives columns up sooner than it fills the folder with files", async () => {
    const pages = Array.from({ length: 200 }, (_, n) =>
      page(256, (id) => (n % 2 === 1 ? { ...plain(id), tags: [] } : plain(id))),
    );
    expect((await write(pages)).length).toBeLessThan(20);
  });

  it("begins another file where the keys change, but not often", async () => {
    const pages = Array.from({ length: 200 }, (_, n) => page(256, (id) => ({ id, [`k${n}`]: 1 })));
    expect((await write(pages)).length).toBeLessThan(20);
  });

  it("is one of many that take turns, and none is lost", async () => {
    let turn = 0;
    const pages = Array.from({ length: 60 }, (_, n) => page(256, plain, n * 256));
    const jobs = await write(pages, () => `t${turn++ % 20}`);
    const ids = (await idsIn(jobs)) as number[];
    expect(ids.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 60 * 256 }, (_, id) => id));
  });
});
