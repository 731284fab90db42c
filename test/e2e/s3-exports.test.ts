/** Exports of a bucket into DuckDB: what is loaded when, and what a re-upload leaves behind. */

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { DuckDBInstance } from "@duckdb/node-api";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Source } from "../../src/engine/extract/resource.ts";
import type { RunOptions } from "../../src/engine/pipeline-options.ts";
import type { RunReport } from "../../src/engine/report.ts";
import { filesystemResources } from "../../src/sources/filesystem/resources.ts";
import { s3ExportsResources } from "../../src/sources/s3_exports/s3-exports.ts";
import { cli } from "../support/cli.ts";
import { Shop } from "../support/item-shop.ts";
import { S3Test, s3ErrorXml } from "../support/s3.ts";
import { makeWorkspace } from "../support/workspace.ts";

let s3: S3Test;
let shop: Shop;
beforeAll(async () => {
  s3 = await S3Test.start();
});
afterAll(() => s3.stop());
beforeEach(() => {
  shop = new Shop();
});
afterEach(() => {
  shop.remove();
  s3.reset();
});

const exports = (config: object = {}) =>
  new Source({
    name: "s3_exports",
    resources: s3ExportsResources({ ...s3.settings, ...config }, s3.secrets),
  });
const run = (config: object = {}, options: RunOptions = {}): Promise<RunReport> =>
  shop.pipeline().run(exports(config), options);
const load = async (config: object = {}, options: RunOptions = {}): Promise<RunReport> => {
  s3.seen.length = 0;
  const report = await run(config, options);
  expect(report.error).toBeUndefined();
  return report;
};
const rows = (columns: string, table = "exports") =>
  shop.sql(`select ${columns} from {}.${table} order by _file_name, _row_id`);
const csv = (ids: readonly number[]) => `id,v\n${ids.map((id) => `${id},v${id}\n`).join("")}`;

describe("a run", () => {
  test("loads every file, and a second run adds nothing and costs only listing calls", async () => {
    await s3.put("a/1.csv", csv([1, 2]));
    await s3.put("a/2.csv.gz", gzipSync(csv([3])));
    await s3.put("a/notes.txt", "not an export");
    await s3.put("b/_metadata.csv", "x");
    const report = await load();
    expect(report.rows).toMatchObject({ exports: 3 });
    expect(await rows("_file_name, _row_id, id, v")).toEqual([
      ["a/1.csv", 1, 1, "v1"],
      ["a/1.csv", 2, 2, "v2"],
      ["a/2.csv.gz", 1, 3, "v3"],
    ]);
    expect([s3.count("list"), s3.count("get")]).toEqual([1, 2]);
    const second = await load();
    expect(second.rows.exports ?? 0).toBe(0);
    expect([s3.count("list"), s3.count("get"), s3.count("head")]).toEqual([1, 0, 0]);
    expect(await rows("count(*)", "exports group by _file_name, _row_id")).toHaveLength(3);
  });

  test("picks up files that come late, also before the ones that are loaded", async () => {
    await s3.put("2024-01-02.csv", csv([2]));
    await load();
    await s3.put("2024-01-01.csv", csv([1]));
    await load();
    expect(s3.count("get")).toBe(1);
    expect(await rows("id")).toEqual([[1], [2]]);
  });

  test("tells rows and bytes of each file in the log, and keeps the rows in the state", async () => {
    await s3.put("1.csv", csv([1, 2]));
    await s3.put("2.csv", "id,v\n");
    const events: [string, unknown][] = [];
    await load({}, { log: (_, event, fields) => events.push([event, fields]) });
    expect(events.filter(([event]) => event === "file.loaded").map(([, fields]) => fields)).toEqual([
      { file: "s3://exports/1.csv", rows: 2, bytes: 15, rows_before: 0 },
      { file: "s3://exports/2.csv", rows: 0, bytes: 5, rows_before: 0 },
    ]);
  });

  test("that is cut off goes on behind the files that were committed, and loads no row twice", async () => {
    for (let i = 1; i <= 6; i++) await s3.put(`${i}.csv`, csv([i * 10, i * 10 + 1]));
    shop.remove();
    shop = new Shop({ limits: { packageRowsMax: 4 } });
    s3.fault = ({ kind, key }) =>
      kind === "get" && key === "5.csv" ? { status: 403, body: s3ErrorXml("AccessDenied") } : undefined;
    const failed = await run();
    expect(failed.error).toMatchObject({ code: "S3_ACCESS_DENIED", details: { file: "s3://exports/5.csv" } });
    expect(await rows("id")).toHaveLength(8);
    s3.fault = () => undefined;
    await load();
    expect(s3.seen.filter(({ kind }) => kind === "get").map(({ key }) => key)).toEqual(["5.csv", "6.csv"]);
    expect(await rows("id")).toEqual([10, 11, 20, 21, 30, 31, 40, 41, 50, 51, 60, 61].map((id) => [id]));
  });

  test("whose body breaks in the middle loads the file once", async () => {
    const ids = Array.from({ length: 50_000 }, (_, i) => i);
    await s3.put("big.csv", csv(ids));
    s3.fault = ({ kind, before }) => (kind === "get" && before === 0 ? { cutAfter: 100_000 } : undefined);
    await load();
    expect(s3.count("get")).toBe(2);
    expect(await shop.sql("select count(*), count(distinct id), max(_row_id) from {}.exports")).toEqual([
      [50_000, 50_000, 50_000],
    ]);
  });

  test("takes the new version of a file that is replaced between listing and reading", async () => {
    await s3.put("1.csv", csv([1]));
    s3.fault = ({ kind, before }) =>
      kind === "get" && before === 0 ? { first: () => s3.put("1.csv", csv([7, 8])) } : undefined;
    await load();
    expect(await rows("id")).toEqual([[7], [8]]);
    expect(s3.count("head")).toBe(1);
    await load();
    expect(s3.count("get")).toBe(0);
  });

  test("leaves a file out that is deleted between listing and reading, with a warning", async () => {
    await s3.put("1.csv", csv([1]));
    await s3.put("2.csv", csv([2]));
    s3.fault = ({ kind, key }) =>
      kind === "get" && key === "1.csv" ? { first: () => s3.remove("1.csv") } : undefined;
    const report = await load();
    expect(await rows("id")).toEqual([[2]]);
    expect(report.warnings.join()).toContain("s3://exports/1.csv was listed and is gone");
  });
});

describe("a file that is uploaded again", () => {
  test("replaces its own rows and no others; a shorter one leaves none behind", async () => {
    await s3.put("1.csv", csv([1, 2, 3]));
    await s3.put("2.csv", csv([4]));
    await load();
    await s3.put("1.csv", csv([9]));
    const report = await load();
    expect(s3.count("get")).toBe(1);
    expect(await rows("_file_name, _row_id, id")).toEqual([
      ["1.csv", 1, 9],
      ["2.csv", 1, 4],
    ]);
    expect(report.packages[0]!.merged).toMatchObject({ exports: { deleted: 3 } });
  });

  test("without rows takes its rows away", async () => {
    await s3.put("1.csv", csv([1, 2]));
    await s3.put("2.csv", csv([3]));
    await load();
    await s3.put("1.csv", "id,v\n");
    await load();
    expect(await rows("_file_name, id")).toEqual([["2.csv", 3]]);
    await load();
    expect(s3.count("get")).toBe(0);
    await s3.put("1.csv", csv([5]));
    await load();
    expect(await rows("_file_name, id")).toEqual([
      ["1.csv", 5],
      ["2.csv", 3],
    ]);
  });

  test("as an object of no bytes takes its rows away", async () => {
    await s3.put("1.csv", csv([1, 2]));
    await load();
    await s3.put("1.csv", "");
    await load();
    expect(await rows("id")).toEqual([]);
  });

  test("with the same content is not read again, nor is one that was deleted", async () => {
    await s3.put("1.csv", csv([1]));
    await load();
    await s3.put("1.csv", csv([1]));
    await load();
    expect(s3.count("get")).toBe(0);
    await s3.remove("1.csv");
    await load();
    expect(await rows("id")).toEqual([[1]]);
  });

  test("replaces nested rows too", async () => {
    await s3.put("1.jsonl", '{"id":1,"tags":["a","b"]}\n{"id":2,"tags":["c"]}\n');
    await load();
    await s3.put("1.jsonl", '{"id":1,"tags":["z"]}\n');
    await load();
    expect(await shop.sql("select value from {}.exports__tags")).toEqual([["z"]]);
  });
});

describe("columns", () => {
  test("are mapped by header, whatever their order, and may come and go between files", async () => {
    await s3.put("1.csv", "id,name\n1,a\n");
    await s3.put("2.csv", "name,id\nb,2\n");
    await s3.put("3.csv", "id,extra,name\n3,x,c\n");
    await s3.put("4.csv", "id\n4\n");
    await load();
    expect(await rows("id, name, extra")).toEqual([
      [1, "a", null],
      [2, "b", null],
      [3, "c", "x"],
      [4, null, null],
    ]);
  });

  test("with leading zeros are text; in a number column of an earlier file they go to its variant", async () => {
    await s3.put("1.csv", "zip,code\n007,12\n123,34\n");
    await load();
    expect(await rows("zip, code")).toEqual([
      ["007", 12],
      ["123", 34],
    ]);
    await s3.put("2.csv", "zip,code\n1,0815\n2,99\n");
    await load();
    expect(
      await shop.sql(
        "select zip, code, code__v_text from {}.exports where _file_name = '2.csv' order by zip",
      ),
    ).toEqual([
      ["1", null, "0815"],
      ["2", 99, null],
    ]);
  });

  test("that are declared have that type from the first file on", async () => {
    await s3.put("1.csv", "zip,amount\n10115,10\n");
    await s3.put("2.csv", "zip,amount\n01067,10.25\n");
    const columns = { zip: { data_type: "text" }, amount: { data_type: "decimal", precision: 18, scale: 2 } };
    await load({ resources: { sales: { columns } } });
    expect(await rows("zip, amount::varchar", "sales")).toEqual([
      ["10115", "10.00"],
      ["01067", "10.25"],
    ]);
  });

  test('are all text where types = "text" is set', async () => {
    await s3.put("1.csv", "id,day\n1,2024-01-02\n");
    await load({ csv: { types: "text" } });
    expect(await rows("id, day")).toEqual([["1", "2024-01-02"]]);
  });
});

describe("formats", () => {
  test("CSV, TSV, JSONL, JSON and Parquet, plain, gzip and zstd by their first bytes, UTF-16 and BOM", async () => {
    const folder = mkdtempSync(join(tmpdir(), "s3-"));
    const instance = await DuckDBInstance.create(":memory:");
    const connection = await instance.connect();
    await connection.run(`copy (select 6 as id, 'f' as v) to '${folder}/x.parquet' (format parquet)`);
    connection.closeSync();
    instance.closeSync();
    await s3.put("1.csv", zstdCompressSync('\ufeff"id";"v"\n1;a\n'));
    await s3.put("2.tsv", Buffer.from("\ufeffid\tv\n2\tb\n", "utf16le"));
    await s3.put("3.jsonl", gzipSync('{"id":3,"v":"c"}\n\n{"id":30,"v":"cc"}'));
    await s3.put("4.json", '[{"id":4,"v":"d"},\n{"id":5,"v":"e"}]');
    await s3.put("6.parquet", readFileSync(join(folder, "x.parquet")));
    rmSync(folder, { recursive: true });
    await load();
    expect(await rows("_file_name, _row_id, id, v")).toEqual([
      ["1.csv", 1, 1, "a"],
      ["2.tsv", 1, 2, "b"],
      ["3.jsonl", 1, 3, "c"],
      ["3.jsonl", 2, 30, "cc"],
      ["4.json", 1, 4, "d"],
      ["4.json", 2, 5, "e"],
      ["6.parquet", 1, 6, "f"],
    ]);
  });

  test("a cut gzip file and a broken line are coded errors that name the object, and nothing of it is loaded", async () => {
    const zipped = gzipSync(csv(Array.from({ length: 1000 }, (_, i) => i)));
    await s3.put("1.csv.gz", zipped.subarray(0, zipped.length - 20));
    expect((await run()).error).toMatchObject({
      code: "FILE_FORMAT",
      details: { file: "s3://exports/1.csv.gz" },
    });
    await s3.put("1.csv.gz", gzipSync("id,v\n1,2\n3\n"));
    expect((await run()).error).toMatchObject({ code: "FILE_FORMAT", details: { line: 3 } });
    await s3.put("1.csv.gz", zipped);
    expect((await load()).rows.exports).toBe(1000);
  });
});

describe("which files are due", () => {
  test("only objects of a minimum age", async () => {
    await s3.put("1.csv", csv([1]));
    const report = await load({ min_age_seconds: 3600 });
    expect(report.warnings.join()).toContain("1 objects wait");
    expect(s3.count("get")).toBe(0);
    await load({ min_age_seconds: 0 });
    expect(await rows("id")).toEqual([[1]]);
  });

  test("only files of folders with a success marker", async () => {
    await s3.put("d=1/a.csv", csv([1]));
    await s3.put("d=1/_SUCCESS", "");
    await s3.put("d=2/a.csv", csv([2]));
    await load({ success_marker: "_SUCCESS" });
    expect(await rows("id")).toEqual([[1]]);
    await s3.put("d=2/_SUCCESS", "");
    await load({ success_marker: "_SUCCESS" });
    expect(await rows("id")).toEqual([[1], [2]]);
  });

  test("listing by date starts some days before the newest one and keeps the ledger as short", async () => {
    const config = {
      prefix: "daily/",
      listing: "date_in_key",
      date_pattern: "YYYY/MM/DD",
      lookback_days: 2,
    };
    for (const day of ["01", "02", "10", "12"])
      await s3.put(`daily/2024/01/${day}/a.csv`, csv([Number(day)]));
    await load(config);
    expect(await rows("id")).toEqual([[1], [2], [10], [12]]);
    await s3.put("daily/2024/01/13/a.csv", csv([13]));
    await s3.put("daily/2024/01/10/late.csv", csv([100]));
    await s3.put("daily/2024/01/01/too-late.csv", csv([101]));
    await load(config);
    expect(s3.seen.find(({ kind }) => kind === "list")!.query.get("start-after")).toBe("daily/2024/01/09");
    expect(await rows("id")).toEqual([[1], [2], [10], [100], [12], [13]]);
    await load(config);
    expect(s3.count("get")).toBe(0);
    // the whole is listed once more when the ledger is asked for: what was forgotten replaces itself
    await load({ ...config, listing: "ledger" });
    expect(await rows("id")).toEqual([[1], [101], [2], [10], [100], [12], [13]]);
  });

  test("each resource has its prefix, glob, table and ledger", async () => {
    await s3.put("x/orders/1.csv", csv([1]));
    await s3.put("x/orders/old/2.csv", csv([2]));
    await s3.put("x/events/1.jsonl", '{"id":3}\n');
    await load({
      prefix: "x/",
      resources: {
        orders: { prefix: "orders/", glob: ["**/*.csv", "!old/**"], table_name: "shop_orders" },
        events: { prefix: "events/" },
      },
    });
    expect(await rows("_file_name, id", "shop_orders")).toEqual([["x/orders/1.csv", 1]]);
    expect(await rows("_file_name, id", "events")).toEqual([["x/events/1.jsonl", 3]]);
  });
});

test("a configuration that does not fit is refused with the setting's name", () => {
  const refused = (config: object) => {
    try {
      s3ExportsResources(config);
    } catch (error) {
      return error;
    }
  };
  expect(refused({ bucket: "b", regoin: "x" })).toMatchObject({
    code: "CONFIG_INVALID",
    hint: expect.stringContaining("region"),
  });
  expect(refused({})).toMatchObject({ code: "CONFIG_MISSING", details: { setting: "bucket" } });
  expect(refused({ bucket: "b", listing: "date_in_key" })).toMatchObject({ code: "CONFIG_MISSING" });
  expect(refused({ bucket: "b", date_pattern: "DD/MM/YYYY" })).toMatchObject({ code: "CONFIG_INVALID" });
  expect(refused({ bucket: "b", endpoint: "localhost:9000" })).toMatchObject({ code: "CONFIG_INVALID" });
});

test("the command line runs it with the workspace's secrets, and shows none of them", async () => {
  await s3.put("in/1.csv", csv([1, 2]));
  const workspace = makeWorkspace({
    "loadwright.toml": `
[pipelines.sales]
source = "s3_exports"

[pipelines.sales.config]
bucket = "exports"
prefix = "in/"
endpoint = "${s3.endpoint}"
max_attempts = 1
`,
    "secrets.toml": `
[sources.s3_exports.credentials]
aws_access_key_id = "AKIAEXAMPLE123"
aws_secret_access_key = "example/secret+key"
`,
  });
  try {
    const first = await cli(workspace.dir, "run", "sales");
    expect(first.code, first.stderr).toBe(0);
    const found = await cli(
      workspace.dir,
      "query",
      "sales",
      "select _file_name, _row_id, id from exports order by 2",
    );
    expect(found.stdout).toMatch(/in\/1\.csv/);
    s3.fault = () => ({
      status: 403,
      body: s3ErrorXml("InvalidAccessKeyId", "The key AKIAEXAMPLE123 with example/secret+key does not exist"),
    });
    const refused = await cli(workspace.dir, "run", "sales");
    expect(refused.code).not.toBe(0);
    expect(refused.stdout + refused.stderr).toContain("S3_CREDENTIALS");
    expect(refused.stdout + refused.stderr).not.toMatch(/AKIAEXAMPLE123|example\/secret/);
  } finally {
    workspace.remove();
  }
});

describe("the filesystem source over s3://", () => {
  const files = (config: object) =>
    new Source({
      name: "filesystem",
      resources: filesystemResources(
        { path: "s3://exports/in", s3: { endpoint: s3.endpoint, max_attempts: 3 }, ...config },
        ".",
        s3.secrets,
      ),
    });
  const loadFiles = async (config: object) => {
    s3.seen.length = 0;
    return shop.pipeline().run(files(config));
  };

  test("lists only below the folders that the glob names, and loads each object once", async () => {
    await s3.put("in/orders/2024/1.csv", csv([1]));
    await s3.put("in/orders/2024/1.txt", "x");
    await s3.put("in/other/1.csv", csv([2]));
    const config = {
      resources: {
        orders: {
          glob: "orders/**/*.csv",
          write_disposition: "merge",
          primary_key: "id",
          add_file_name: true,
        },
      },
    };
    expect((await loadFiles(config)).error).toBeUndefined();
    expect(s3.seen[0]!.query.get("prefix")).toBe("in/orders/");
    expect(await shop.sql("select id, v, _file_name from {}.orders")).toEqual([
      [1, "v1", "orders/2024/1.csv"],
    ]);
    await loadFiles(config);
    expect(s3.count("get")).toBe(0);
    await s3.put("in/orders/2024/1.csv", csv([1, 5]));
    await loadFiles(config);
    expect(await shop.sql("select id from {}.orders order by id")).toEqual([[1], [5]]);
  });

  test("refuses a changed object where its rows would be appended a second time", async () => {
    await s3.put("in/1.csv", csv([1]));
    await loadFiles({});
    await s3.put("in/1.csv", csv([1, 2]));
    expect((await loadFiles({})).error).toMatchObject({
      code: "FILE_CHANGED",
      details: { file: "s3://exports/in/1.csv" },
    });
  });

  test("replaces the table by what the bucket holds now", async () => {
    const config = { resources: { all: { write_disposition: "replace" } } };
    await s3.put("in/1.csv", csv([1]));
    await s3.put("in/2.csv", csv([2]));
    await loadFiles(config);
    await s3.remove("in/1.csv");
    await loadFiles(config);
    expect(await shop.sql("select id from {}.all")).toEqual([[2]]);
  });
});
