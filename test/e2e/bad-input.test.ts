/**
 * Files as they come: each defect is an error that names the file, the place and what to do, or a conversion
 * that is written down here and reported. Nothing of a package with a bad file is loaded, and once the file is
 * repaired the next run loads it.
 */

import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type ErrorEnvelope, Source } from "../../src/engine/index.ts";
import { filesystemResources } from "../../src/sources/filesystem/resources.ts";
import { pipelineIn, withDatabase } from "../support/crash-scenarios.ts";
import { holdDatabase } from "../support/hold-database.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "loadwright-bad-"));
  mkdirSync(join(dir, "in"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const write = (name: string, content: string | Uint8Array) => writeFileSync(join(dir, "in", name), content);

function run(config: Record<string, unknown> = {}) {
  const resources = filesystemResources({ path: join(dir, "in"), glob: "*", ...config });
  return pipelineIn(dir, {}).run(new Source({ name: "files", resources }));
}

async function succeeded(config: Record<string, unknown> = {}) {
  const report = await run(config);
  expect(report.error).toBeUndefined();
  return report;
}

const query = (sql: string) => withDatabase(dir, (rows) => rows(sql));

/** Everything that a run could change: rows, loads, state, schema versions. */
async function dataset(): Promise<unknown> {
  return Promise.all(
    ["files", "_dlt_loads", "_dlt_pipeline_state", "_dlt_version"].map((table) =>
      query(`select * from shop_data.${table} order by all`),
    ),
  );
}

const GOOD = '{"id":1,"name":"one"}\n';

/**
 * Loads a good file, then `content` as well: must be refused and change nothing; then the same file repaired.
 * Answers the error.
 */
async function refused(
  name: string,
  content: string | Uint8Array,
  repaired: { readonly content: string | Uint8Array; readonly rows: number },
  config: Record<string, unknown> = {},
): Promise<ErrorEnvelope> {
  write("a.jsonl", GOOD);
  await succeeded();
  const before = await dataset();
  write(name, content);
  const report = await run(config);
  expect(report.status).toBe("failed");
  expect(await dataset()).toEqual(before);
  // what is wrong with a file must not block: a good file beside a repaired one is loaded by the next run
  write(name, repaired.content);
  await succeeded(config);
  expect(await query("select count(*) as n from shop_data.files")).toEqual([{ n: `${1 + repaired.rows}` }]);
  expect((await succeeded(config)).packages).toEqual([]);
  const error = report.error!;
  expect(error.hint.length).toBeGreaterThan(10);
  return error;
}

describe("a JSON Lines file", () => {
  it("with a malformed line is refused with file, line and column", async () => {
    const error = await refused("b.jsonl", '{"id":2}\n{"id":3}\n{"id":4,}\n', {
      content: '{"id":2}\n',
      rows: 1,
    });
    expect(error).toMatchObject({ code: "FILE_FORMAT", details: { line: 3 } });
    expect(error.message).toContain("b.jsonl, line 3");
  });

  it("that breaks off in its last line is refused", async () => {
    const error = await refused("b.jsonl", '{"id":2}\n{"id":3,"na', {
      content: '{"id":2}\n{"id":3}',
      rows: 2,
    });
    expect(error).toMatchObject({ code: "FILE_FORMAT", details: { line: 2 } });
  });

  it("set aside with its package stays in failed/ and blocks nobody", async () => {
    await refused("b.jsonl", '{"id":2}\n{"id":\n', { content: '{"id":2}\n', rows: 1 });
    const failed = readdirSync(join(dir, "work", "failed"));
    expect(failed.length).toBe(1);
    const [ref] = await pipelineIn(dir).store().list("failed");
    const manifest = await pipelineIn(dir).store().readManifest(ref!);
    expect(manifest.error).toMatchObject({ code: "FILE_FORMAT", details: { line: 2 } });
    expect(readdirSync(ref!.jobsDir).length).toBeGreaterThan(0);
  });

  it("with a raw NUL is refused with the line", async () => {
    const error = await refused("b.jsonl", '{"id":2}\n{"id":3,"name":"a\0b"}\n', {
      content: '{"id":2}\n',
      rows: 1,
    });
    expect(error.code).toMatch(/^FILE_(ENCODING|FORMAT)$/);
    expect(error.message).toMatch(/b\.jsonl.*line 2/);
  });

  it("with the escape of NUL keeps the character", async () => {
    write("a.jsonl", '{"id":1,"name":"a\\u0000b"}\n');
    await succeeded();
    expect(await query("select length(name) as n, ascii(name[2]) as c from shop_data.files")).toEqual([
      { n: "3", c: 0 },
    ]);
  });

  it("with bytes of Latin-1 is refused with the line, and read when the encoding is set", async () => {
    const latin1 = Buffer.from('{"id":2,"name":"M\xfcller"}\n', "latin1");
    const error = await refused("b.jsonl", latin1, { content: '{"id":2,"name":"Müller"}\n', rows: 1 });
    expect(error.code).toBe("FILE_ENCODING");
    expect(error.message).toMatch(/b\.jsonl.*line 1/);
    expect(error.hint).toMatch(/encoding/);
    write("c.jsonl", latin1);
    await succeeded({ encoding: "latin1" });
    expect(await query("select count(*) as n from shop_data.files where name = 'Müller'")).toEqual([
      { n: "2" },
    ]);
  });

  it("with a byte order mark, or in UTF-16 with one, is read", async () => {
    write("a.jsonl", `\ufeff${GOOD}`);
    write("b.jsonl", Buffer.from('\ufeff{"id":2,"name":"zwei €"}\n', "utf16le"));
    await succeeded();
    expect(await query("select name from shop_data.files order by id")).toEqual([
      { name: "one" },
      { name: "zwei €" },
    ]);
  });

  it("with integers beyond 64 bits loads them into a column of their own and reports it", async () => {
    write("a.jsonl", GOOD);
    await succeeded();
    write("b.jsonl", '{"id":9223372036854775808,"name":"big"}\n');
    const report = await succeeded();
    expect(report.packages[0]!.schema_changes).toMatchObject([
      { kind: "column_added", table: "files", column: "id__v_wei", data_type: "wei", variant: true },
    ]);
    expect(await query("select id, id__v_wei from shop_data.files where name = 'big'")).toEqual([
      { id: null, id__v_wei: "9223372036854775808" },
    ]);
  });

  it("that is empty has no rows and is not asked for again", async () => {
    write("a.jsonl", GOOD);
    write("b.jsonl", "");
    write("c.csv", "");
    await succeeded();
    expect((await succeeded()).packages).toEqual([]);
    expect(await query("select count(*) as n from shop_data.files")).toEqual([{ n: "1" }]);
  });
});

describe("a CSV file", () => {
  const fixed = { content: "id,name\n2,two\n3,three\n", rows: 2 };

  it("with a row that is too long or too short is refused with its line", async () => {
    const error = await refused("b.csv", "id,name\n2,two\n3\n", fixed);
    expect(error).toMatchObject({ code: "FILE_FORMAT", details: { line: 3 } });
    expect(error.message).toContain("b.csv");
  });

  it("with a row that is too long is refused with its line", async () => {
    const error = await refused("b.csv", "id,name\n2,two,2\n3,three\n", fixed);
    expect(error).toMatchObject({ code: "FILE_FORMAT", details: { line: 2 } });
  });

  it("with two columns of one name keeps both, numbers the later one and reports it", async () => {
    write("a.csv", "id,name,name\n1,one,eins\n");
    const report = await succeeded();
    expect(report.warnings.join()).toMatch(/a\.csv.*name/);
    expect(await query("select name, name_1 from shop_data.files")).toEqual([
      { name: "one", name_1: "eins" },
    ]);
  });

  it("with a quote that never closes is refused", async () => {
    const error = await refused("b.csv", 'id,name\n2,"two\n3,three\n', fixed);
    expect(error.code).toBe("FILE_FORMAT");
    expect(error.message).toMatch(/b\.csv.*line 2/);
  });

  it("with a byte order mark has a clean first column", async () => {
    write("a.csv", "\ufeffid,name\r\n1,one\r\n");
    await succeeded();
    expect(await query("select id, name from shop_data.files")).toEqual([{ id: "1", name: "one" }]);
  });
});

describe("compressed and other files", () => {
  it("a gzip file that was cut off is refused", async () => {
    const whole = gzipSync(Buffer.from('{"id":2}\n'.repeat(50)));
    const error = await refused("b.jsonl.gz", whole.subarray(0, -12), { content: whole, rows: 50 });
    expect(error).toMatchObject({ code: "FILE_FORMAT", details: { compression: "gzip" } });
    expect(error.message).toContain("b.jsonl.gz");
  });

  it("a folder that does not exist is named", async () => {
    const report = await run({ path: join(dir, "nowhere") });
    expect(report.error).toMatchObject({ code: "FILE_NOT_FOUND" });
    expect(report.error!.message).toContain("nowhere");
  });

  it("a path that is a file instead of a folder is that one file", async () => {
    write("a.jsonl", GOOD);
    write("b.jsonl", GOOD);
    await succeeded({ path: join(dir, "in", "a.jsonl") });
    expect(await query("select count(*) as n from shop_data.files")).toEqual([{ n: "1" }]);
  });

  it("a folder whose name is that of a file is passed over", async () => {
    write("a.jsonl", GOOD);
    mkdirSync(join(dir, "in", "b.jsonl"));
    await succeeded();
    expect(await query("select count(*) as n from shop_data.files")).toEqual([{ n: "1" }]);
  });
});

describe("a DuckDB file", () => {
  it("that another program holds is named with who holds it", async () => {
    write("a.jsonl", GOOD);
    await succeeded();
    const holder = await holdDatabase(join(dir, "shop.duckdb"));
    write("b.jsonl", '{"id":2}\n');
    const report = await run();
    await holder.release();
    expect(report.error).toMatchObject({
      code: "DESTINATION_LOCKED",
      retry: "yes",
      details: { pid: holder.pid },
    });
    await succeeded();
    expect(await query("select count(*) as n from shop_data.files")).toEqual([{ n: "2" }]);
  });

  it("that is none, or a folder, is named", async () => {
    write("a.jsonl", GOOD);
    writeFileSync(join(dir, "shop.duckdb"), "not a database at all".repeat(1000));
    const report = await run();
    expect(report.error).toMatchObject({ code: "DESTINATION_INVALID" });
    expect(report.error!.message).toContain("shop.duckdb");
    rmSync(join(dir, "shop.duckdb"));
    mkdirSync(join(dir, "shop.duckdb"));
    expect((await run()).error).toMatchObject({ code: "DESTINATION_INVALID" });
    rmSync(join(dir, "shop.duckdb"), { recursive: true });
    await succeeded();
    expect(await query("select count(*) as n from shop_data.files")).toEqual([{ n: "1" }]);
  });
});
