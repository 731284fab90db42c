import { appendFileSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { DuckDBInstance } from "@duckdb/node-api";
import { afterEach, beforeEach, expect, test } from "vitest";
import { checkpoint, JsonlPage, TextsPage } from "../../src/engine/extract/page.ts";
import type { ResourceContext } from "../../src/engine/extract/resource-context.ts";
import { localFile, memorySource } from "../../src/sources/filesystem/byte-source.ts";
import {
  filesystem,
  formatOf,
  type ReadFilesConfig,
  readFiles,
} from "../../src/sources/filesystem/filesystem.ts";
import { listFiles } from "../../src/sources/filesystem/list.ts";
import { readParquet } from "../../src/sources/filesystem/parquet.ts";
import { LocalStore } from "../../src/sources/filesystem/store.ts";

let folder: string;
let warnings: string[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "files-"));
  warnings = [];
});
afterEach(() => rmSync(folder, { recursive: true }));

const write = (name: string, content: string | Uint8Array) => {
  mkdirSync(join(folder, name, ".."), { recursive: true });
  writeFileSync(join(folder, name), content);
};
const context = (
  state: Record<string, unknown> = {},
  signal = new AbortController().signal,
): ResourceContext => ({
  state,
  sourceState: {},
  run: { atEnd: () => {} },
  get cursor(): never {
    throw new Error("no cursor");
  },
  signal,
  log: () => {},
  warn: (message) => warnings.push(message),
  ended: () => {},
});
const jsonOf = (page: JsonlPage | TextsPage) =>
  Buffer.from((page instanceof TextsPage ? page.lines() : page).bytes)
    .toString()
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line) => JSON.parse(line));
/** Rows and `checkpoint`s as they come. */
async function run(config: ReadFilesConfig, state: Record<string, unknown> = {}) {
  const found: unknown[] = [];
  for await (const item of readFiles(new LocalStore(folder), config, context(state))) {
    if (item instanceof JsonlPage || item instanceof TextsPage) found.push(...jsonOf(item));
    else found.push(item === checkpoint ? "checkpoint" : item);
  }
  return found;
}

test("files are listed by relative path in one order, with size and time", async () => {
  write("b/x.csv", "12345");
  write("a.csv", "1");
  write("B.csv", "");
  write("a.txt", "");
  const files = await listFiles(folder, "**/*.csv");
  expect(files.map(({ relative_path, size }) => [relative_path, size])).toEqual([
    ["B.csv", 0],
    ["a.csv", 1],
    ["b/x.csv", 5],
  ]);
  expect(files[2]).toMatchObject({ path: join(folder, "b", "x.csv"), mtime_ms: expect.any(Number) });
  expect((await listFiles(join(folder, "a.csv"))).map((file) => file.relative_path)).toEqual(["a.csv"]);
});

test("a folder that is not there is an error, a pattern without match is a warning", async () => {
  await expect(listFiles(join(folder, "no"))).rejects.toMatchObject({
    code: "FILE_NOT_FOUND",
    details: { path: join(folder, "no") },
  });
  write("sub/x.csv", "1");
  for (const pattern of ["../*.csv", "/etc/*", "a/../../*"]) {
    write("a.csv", "1");
    await expect(listFiles(join(folder, "sub"), pattern)).rejects.toMatchObject({ code: "CONFIG_INVALID" });
  }
  expect(await listFiles(folder, "subs/*.csv", (message) => warnings.push(message))).toEqual([]);
  expect(warnings[0]).toContain("there is no folder subs");
});

test("the format is told by the name, compression put aside", () => {
  expect(["a.csv.gz", "b.TSV", "c.ndjson", "d.json.zst", "e.parquet"].map(formatOf)).toEqual([
    "csv",
    "csv",
    "jsonl",
    "json",
    "parquet",
  ]);
  expect(() => formatOf("a.xls")).toThrow(expect.objectContaining({ code: "FILE_FORMAT" }));
});

test("each file is read once, in order, with a checkpoint after it", async () => {
  write("1.csv", "a\n1\n");
  write("2.jsonl.gz", gzipSync('{"a":2}\n'));
  write("3.json", '[{"a":3}]');
  const state: Record<string, unknown> = {};
  expect(await run({}, state)).toEqual([
    { a: "1" },
    "checkpoint",
    { a: 2 },
    "checkpoint",
    { a: 3 },
    "checkpoint",
  ]);
  expect(Object.keys(state.files as object)).toEqual(["1.csv", "2.jsonl.gz", "3.json"]);
  write("4.csv", "a\n4\n");
  const stored = JSON.parse(JSON.stringify(state));
  expect(await run({ add_file_name: true }, stored)).toEqual([{ a: "4", _file_name: "4.csv" }, "checkpoint"]);
  expect(await run({}, stored)).toEqual([]);
});

test("a file that failed has no entry, those before it have", async () => {
  write("1.csv", "a,b\n1,2\n");
  write("2.csv", "a,b\n1\n");
  const state: Record<string, unknown> = {};
  await expect(run({}, state)).rejects.toMatchObject({ code: "FILE_FORMAT" });
  expect(Object.keys(state.files as object)).toEqual(["1.csv"]);
});

test("a changed file is an error for append, is read again for merge, and on_changed decides otherwise", async () => {
  write("1.jsonl", '{"a":1}\n');
  const state: Record<string, unknown> = {};
  await run({}, state);
  write("1.jsonl", '{"a":1}\n{"a":2}\n');
  const again = () => JSON.parse(JSON.stringify(state)) as Record<string, unknown>;
  await expect(run({ write_disposition: "append" }, again())).rejects.toMatchObject({
    code: "FILE_CHANGED",
    retry: "after_fix",
    message: expect.stringContaining("second time"),
  });
  const rows = [{ a: 1 }, { a: 2 }, "checkpoint"];
  expect(await run({ write_disposition: "merge" }, again())).toEqual(rows);
  expect(await run({ on_changed: "reload" }, again())).toEqual(rows);
  expect(await run({ on_changed: "skip" }, again())).toEqual([]);
  expect(warnings.at(-1)).toContain("skipped");
  // Same size, other time: changed.
  write("1.jsonl", '{"a":7}\n');
  utimesSync(join(folder, "1.jsonl"), 1, 1);
  await expect(run({}, again())).rejects.toMatchObject({ code: "FILE_CHANGED" });
});

test("replace reads all files each time, without checkpoints, and forgets files that are gone", async () => {
  write("1.csv", "a\n1\n");
  write("2.csv", "a\n2\n");
  const state: Record<string, unknown> = { files: { "gone.csv": { size: 1, mtime_ms: 1 } } };
  for (const _ of [1, 2]) {
    expect(await run({ write_disposition: "replace" }, state)).toEqual([{ a: "1" }, { a: "2" }]);
    expect(Object.keys(state.files as object)).toEqual(["1.csv", "2.csv"]);
  }
});

test("a file that changes while it is read is FILE_CHANGED and gets no entry", async () => {
  write("1.jsonl", '{"a":1}\n');
  const state: Record<string, unknown> = {};
  const items = readFiles(new LocalStore(folder), {}, context(state));
  await items.next();
  appendFileSync(join(folder, "1.jsonl"), '{"a":2}\n');
  await expect(items.next()).rejects.toMatchObject({ code: "FILE_CHANGED", retry: "yes" });
  expect(state.files).toEqual({});
});

test("a cancelled run stops between pages", async () => {
  write("1.jsonl", '{"a":1}\n');
  const controller = new AbortController();
  controller.abort();
  await expect(readFiles(new LocalStore(folder), {}, context({}, controller.signal)).next()).rejects.toThrow(
    "abort",
  );
});

test("a configuration describes resources, which take what they do not set from the source", async () => {
  write("in/orders/1.csv", "id;name\n1;x\n");
  const resources = filesystem(
    {
      path: "in",
      csv: { delimiter: ";" },
      add_file_name: true,
      resources: {
        orders: {
          glob: "orders/*.csv",
          table_name: "shop_orders",
          write_disposition: "merge",
          primary_key: "id",
        },
        rest: { glob: "rest/*.csv" },
      },
    },
    { workspaceDir: folder },
  );
  expect(resources.map(({ name, hints }) => [name, hints])).toEqual([
    ["orders", { table_name: "shop_orders", write_disposition: "merge", primary_key: "id" }],
    ["rest", {}],
  ]);
  const rows = [];
  for await (const item of resources[0]!.read(context()))
    if (item instanceof JsonlPage || item instanceof TextsPage) rows.push(...jsonOf(item));
  expect(rows).toEqual([{ id: "1", name: "x", _file_name: "orders/1.csv" }]);
  expect(filesystem({ path: "in" }).map(({ name }) => name)).toEqual(["files"]);
});

test.each([
  [{ path: "x", globb: "*" }, "CONFIG_INVALID", '"globb"', '"glob"'],
  [{ path: "x", csv: { delimeter: ";" } }, "CONFIG_INVALID", '"csv.delimeter"', '"csv.delimiter"'],
  [
    { path: "x", resources: { o: { primarykey: "a" } } },
    "CONFIG_INVALID",
    '"resources.o.primarykey"',
    "primary_key",
  ],
  [{ path: "x", format: "xls" }, "CONFIG_INVALID", '"format"', ""],
  [{}, "CONFIG_MISSING", '"path"', ""],
])("the configuration %j is refused by name", (config, code, named, hinted) => {
  expect(() => filesystem(config)).toThrow(
    expect.objectContaining({
      code,
      message: expect.stringContaining(named),
      hint: expect.stringContaining(hinted),
    }),
  );
});

const parquet = async (name: string, select: string) => {
  const instance = await DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  await connection.run(`copy (${select}) to '${join(folder, name)}' (format parquet)`);
  connection.closeSync();
  instance.closeSync();
  return localFile(join(folder, name));
};
const parquetRows = async (name: string, select: string) => {
  const rows = [];
  for await (const page of readParquet(await parquet(name, select), {
    warn: (message) => warnings.push(message),
  })) {
    rows.push(...jsonOf(page));
  }
  return rows;
};

test("Parquet values that JSON has no form for carry dlt's marks", async () => {
  const rows = await parquetRows(
    "a[1].parquet",
    `select 1::integer as "i ""d'", 9007199254740993::bigint as big, 18446744073709551615::ubigint as huge,
       1.50::decimal(10, 2) as price, 1::double as d, 1e20::double as e, 0.1::float as f, true as flag,
       timestamp '2024-01-02 03:04:05.000006' as t, timestamptz '2024-01-02 03:04:05+02' as tz,
       timestamp_ns '2024-01-02 03:04:05.123456789' as ns, date '2024-01-02' as day, time '03:04:05.5' as clock,
       '\\x00\\xFF'::blob as bytes, '550e8400-e29b-41d4-a716-446655440000'::uuid as id,
       'a"b' || chr(10) || 'é' as text, null::integer as nothing, [1, 2] as list, {'a': 1.0::double, 'b': null} as struct,
       map {'k': [date '2024-01-02']} as map`,
  );
  expect(rows).toEqual([
    {
      "i \"d'": 1,
      big: 9007199254740992,
      huge: "\uf02618446744073709551615",
      price: "\uf0261.50",
      d: 1,
      e: 1e20,
      f: 0.10000000149011612,
      flag: true,
      t: "\uf0272024-01-02T03:04:05.000006+00:00",
      tz: "\uf0272024-01-02T01:04:05+00:00",
      ns: "\uf0272024-01-02T03:04:05.123456+00:00",
      day: "\uf0282024-01-02",
      clock: "\uf02d03:04:05.5",
      bytes: "\uf02bAP8=",
      id: "550e8400-e29b-41d4-a716-446655440000",
      text: 'a"b\né',
      list: [1, 2],
      struct: { a: 1, b: null },
      map: { k: ["2024-01-02"] },
    },
  ]);
});

test("doubles stay doubles and big integers keep their digits in the bytes", async () => {
  const source = await parquet(
    "a.parquet",
    "select 9007199254740993 as big, 1::double as d, 1e20::double as e",
  );
  for await (const page of readParquet(source)) {
    expect(Buffer.from(page.bytes).toString()).toBe('{"big":9007199254740993,"d":1.0,"e":1e+20}\n');
  }
});

test("Parquet comes in pages that know their first row; rows of nulls are empty objects", async () => {
  const source = await parquet("a.parquet", "select range as n from range(10000)");
  const starts: number[] = [];
  let next = 0;
  for await (const page of readParquet(source, { pageBytes: 20_000 })) {
    starts.push(page.origin!.line);
    for (const row of jsonOf(page)) expect(row.n).toBe(next++);
  }
  expect(next).toBe(10000);
  expect(starts.slice(0, 2)).toEqual([1, 2049]);
  expect(await parquetRows("n.parquet", "select null::integer as a")).toEqual([{}]);
  expect(await parquetRows("e.parquet", "select 1 as a where false")).toEqual([]);
});

test("NaN and infinite values are read as null with a warning", async () => {
  expect(
    await parquetRows("a.parquet", "select 1 as id, 'nan'::double as x, 'inf'::float as y, 1.5::float as z"),
  ).toEqual([{ id: 1, z: 1.5 }]);
  expect(warnings).toHaveLength(1);
});

test("nested NaN and infinite values are null too, words in strings stay", async () => {
  const select = `select {'x': 'nan'::double, 'y': ['-inf'::float, 'nan'::float, 2.5::float], 'z': 'a",NaN,'} as s`;
  expect(await parquetRows("a.parquet", select)).toEqual([
    { s: { x: null, y: [null, null, 2.5], z: 'a",NaN,' } },
  ]);
  expect(warnings).toHaveLength(1);
});

test("a reader of Parquet may stop early", async () => {
  for await (const _ of readParquet(await parquet("a.parquet", "select range as n from range(100000)")))
    break;
});

test("what is not Parquet, or not a local file, is FILE_FORMAT", async () => {
  write("bad.parquet", "hello, this is not parquet");
  const read = async (source: Parameters<typeof readParquet>[0]) => {
    for await (const _ of readParquet(source));
  };
  await expect(read(localFile(join(folder, "bad.parquet")))).rejects.toMatchObject({ code: "FILE_FORMAT" });
  await expect(read(localFile(join(folder, "no.parquet")))).rejects.toMatchObject({ code: "FILE_NOT_FOUND" });
  await expect(read(memorySource("s3://b/a.parquet", "PAR1"))).rejects.toMatchObject({ code: "FILE_FORMAT" });
});
