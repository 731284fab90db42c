import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DuckDBConnection, DuckDBInstance } from "@duckdb/node-api";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { bulkLoad } from "../../src/engine/destinations/duckdb/bulk-load.ts";
import { EngineError, toEnvelope } from "../../src/engine/errors.ts";
import { TableBuffer } from "../../src/engine/normalize/column-buffer.ts";
import { ParquetFileWriter } from "../../src/engine/package/parquet-writer.ts";
import type { LoadColumn } from "../../src/engine/sql/statement.ts";

const TARGET = { schema: "shop", table: "orders" };
let folder: string;
let instance: DuckDBInstance;
let connection: DuckDBConnection;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "bulk-load-"));
  instance = await DuckDBInstance.create(join(folder, "t.duckdb"));
  connection = await instance.connect();
  await connection.run("set timezone = 'UTC'");
  await connection.run("create schema shop");
});
afterEach(async () => {
  connection.closeSync();
  instance.closeSync();
  await rm(folder, { recursive: true });
});

type Value = string | number | null;

/** A job file with these rows, in blocks of `blockRows`. */
async function jobFile(
  name: string,
  columns: readonly LoadColumn[],
  rows: readonly (readonly Value[])[],
  blockRows = rows.length,
): Promise<string> {
  const path = join(folder, name);
  const file = await ParquetFileWriter.create(path);
  const table = new TableBuffer("orders");
  const buffers = columns.map(({ name, kind }) => table.addColumn(name, kind));
  for (const values of rows) {
    const row = table.beginRow();
    values.forEach((value, i) => {
      const column = buffers[i]!;
      if (typeof value === "string") {
        const bytes = Buffer.from(value);
        column.setBytes(row, bytes, 0, bytes.length);
      } else if (value !== null) {
        if (column.kind === "float64") column.setFloat(row, value);
        else column.setInt(row, value);
      }
    });
    if (table.rows === blockRows) await file.append(table);
  }
  await file.append(table);
  await file.close();
  return path;
}

async function read(sql: string): Promise<unknown[]> {
  return (await connection.runAndReadAll(sql)).getRowsJson();
}

async function refusal(columns: LoadColumn[], files: string[], signal?: AbortSignal): Promise<EngineError> {
  await connection.run("begin");
  const error = await bulkLoad(connection, TARGET, columns, files, { signal }).then(
    () => undefined,
    (error: unknown) => error,
  );
  await connection.run("rollback");
  expect(error).toBeInstanceOf(EngineError);
  return error as EngineError;
}

const ID: LoadColumn = { name: "id", kind: "int64", sqlType: "BIGINT" };

describe("bulkLoad", () => {
  test("loads all rows of all files in order, whatever the size of their row groups", async () => {
    const columns: LoadColumn[] = [ID, { name: "note", kind: "text", sqlType: "VARCHAR" }];
    await connection.run("create table shop.orders (id bigint, note varchar)");
    const rows = Array.from({ length: 9000 }, (_, i) => [i, i % 3 ? `a note that is long ${i}` : null]);
    const files = [
      await jobFile("a.parquet", columns, rows.slice(0, 5000), 1234),
      await jobFile("c.parquet", columns, rows.slice(5000)),
    ];
    await connection.run("begin");
    const loaded = await bulkLoad(connection, TARGET, columns, files);
    await connection.run("commit");
    expect(loaded).toEqual({ rows: 9000 });
    expect(await read("select id::integer, note from shop.orders order by rowid")).toEqual(rows);
  });

  test("leaves nothing behind when its transaction is rolled back", async () => {
    await connection.run("create table shop.orders (id bigint)");
    const file = await jobFile("a.parquet", [ID], [[1], [2]]);
    await connection.run("begin");
    await bulkLoad(connection, TARGET, [ID], [file]);
    await connection.run("rollback");
    expect(await read("select * from shop.orders")).toEqual([]);
  });

  test("converts to the target's types, in any column order, and leaves other columns to their default", async () => {
    await connection.run(`create table shop.orders ("the ""id""" integer, amount decimal(10, 2), wei hugeint,
      doc json, "at" timestamptz, local timestamp, small utinyint, extra varchar default 'x')`);
    const columns: LoadColumn[] = [
      { name: "doc", kind: "text", sqlType: "JSON" },
      { name: 'the "id"', kind: "int64", sqlType: "INTEGER" },
      { name: "at", kind: "timestamp", sqlType: "TIMESTAMP WITH TIME ZONE" },
      { name: "local", kind: "timestamp", sqlType: "TIMESTAMP" },
      { name: "amount", kind: "text", sqlType: "DECIMAL(10,2)" },
      { name: "wei", kind: "text", sqlType: "HUGEINT" },
      { name: "small", kind: "int64", sqlType: "UTINYINT" },
    ];
    const micros = Date.UTC(2024, 0, 2, 3, 4, 5) * 1000 + 6;
    const file = await jobFile("a.parquet", columns, [
      ['{"a": [1, 2]}', 7, micros, micros, "12345678.90", "170141183460469231731687303715884105727", 9],
      [null, null, null, null, null, null, null],
    ]);
    await connection.run("begin");
    await bulkLoad(connection, TARGET, columns, [file]);
    await connection.run("commit");
    expect(await read("select columns(*)::varchar from shop.orders")).toEqual([
      [
        "7",
        "12345678.90",
        "170141183460469231731687303715884105727",
        '{"a": [1, 2]}',
        "2024-01-02 03:04:05.000006+00",
        "2024-01-02 03:04:05.000006",
        "9",
        "x",
      ],
      [null, null, null, null, null, null, null, "x"],
    ]);
  });
});

describe("bulkLoad finds files", () => {
  test.each(["with 'quotes'", "a[b]c", "what?", "all*"])("in a folder called %s", async (name) => {
    folder = join(folder, name);
    await mkdir(folder);
    await connection.run("create table shop.orders (id bigint)");
    const file = await jobFile("a.parquet", [ID], [[1], [2]]);
    await mkdir(join(folder, "..", "abc"), { recursive: true });
    expect(await bulkLoad(connection, TARGET, [ID], [file])).toEqual({ rows: 2 });
    folder = join(folder, "..");
  });

  test("of which each lacks other columns", async () => {
    const columns: LoadColumn[] = [ID, ...["a", "b", "c"].map((name) => ({ ...ID, name }))];
    await connection.run("create table shop.orders (id bigint, a bigint, b bigint, c bigint)");
    const files = [
      await jobFile("1.parquet", [ID, columns[1]!], [[1, 10]]),
      await jobFile("2.parquet", [ID, columns[2]!], [[2, 20]]),
    ];
    await bulkLoad(connection, TARGET, columns, files);
    expect(await read("select columns(*)::varchar from shop.orders")).toEqual([
      ["1", "10", null, null],
      ["2", null, "20", null],
    ]);
  });
});

describe("bulkLoad names the column and never the value", () => {
  test.each([
    ["DECIMAL(5,2)", "text", "98765.43"],
    ["DECIMAL(5,2)", "text", "secret"],
    ["SMALLINT", "int64", 98765],
    ["JSON", "text", '{"secret'],
    ["HUGEINT", "text", "9876500000000000000000000000000000000000000"],
  ] as const)("that %s cannot hold", async (sqlType, kind, value) => {
    const columns: LoadColumn[] = [ID, { name: "amount", kind, sqlType }];
    await connection.run(`create table shop.orders (id bigint, amount ${sqlType})`);
    const good = Array.from({ length: 10 }, (_, i) => [i, kind === "text" ? "1" : 1]);
    const files = [
      await jobFile("a.parquet", columns, good, 3),
      await jobFile("b.parquet", columns, [...good, [10, value]], 3),
    ];
    const error = await refusal(columns, files);
    expect(error.code).toBe("LOAD_VALUE");
    expect(error.details).toMatchObject({ table: "orders", column: "amount", type: sqlType });
    expect(JSON.stringify(toEnvelope(error))).not.toMatch(/98765|secret/);
  });

  test("that may not be null", async () => {
    await connection.run("create table shop.orders (id bigint not null)");
    const error = await refusal([ID], [await jobFile("a.parquet", [ID], [[1], [null]])]);
    expect(error.code).toBe("LOAD_VALUE");
    expect(error.details).toMatchObject({ table: "orders", column: "id" });
  });

  test("that is there twice", async () => {
    await connection.run("create table shop.orders (id bigint primary key)");
    const error = await refusal([ID], [await jobFile("a.parquet", [ID], [[98765], [98765]])]);
    expect(error.code).toBe("LOAD_VALUE");
    expect(JSON.stringify(toEnvelope(error))).not.toContain("98765");
  });
});

describe("bulkLoad stops", () => {
  test("with PACKAGE_CORRUPT and the table at a cut file", async () => {
    await connection.run("create table shop.orders (id bigint)");
    const file = await jobFile("a.parquet", [ID], [[1], [2]]);
    await writeFile(file, (await readFile(file)).subarray(0, -4));
    const error = await refusal([ID], [file]);
    expect(error.code).toBe("PACKAGE_CORRUPT");
    expect(error.details).toMatchObject({ table: "orders" });
  });

  test("with CANCELLED when its signal is aborted", async () => {
    await connection.run("create table shop.orders (id bigint)");
    const file = await jobFile("a.parquet", [ID], [[1], [2]]);
    expect((await refusal([ID], [file], AbortSignal.abort())).code).toBe("CANCELLED");
    await connection.run("begin");
    expect(await bulkLoad(connection, TARGET, [ID], [file])).toEqual({ rows: 2 });
    await connection.run("commit");
  });

  test("with LOAD_FAILED and the cause when the table is missing", async () => {
    const error = await refusal([ID], [await jobFile("a.parquet", [ID], [[1]])]);
    expect(error.code).toBe("LOAD_FAILED");
    expect(error.details).toMatchObject({ table: "orders" });
    expect(String(error.cause)).toContain("orders");
  });
});
