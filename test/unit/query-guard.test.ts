import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DuckDBInstance } from "@duckdb/node-api";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EngineError } from "../../src/engine/errors.ts";
import { queryReadOnly } from "../../src/engine/inspect/query.ts";
import { splitExplain } from "../../src/engine/inspect/query-guard.ts";
import { cleanMessage } from "../../src/engine/inspect/query-message.ts";
import { onLockedConnection, runGuarded } from "../../src/engine/inspect/query-run.ts";
import { holdDatabase } from "../support/hold-database.ts";
import { ANALYTIC_QUERIES, duckdbEscapes, POSTGRES_ESCAPES } from "../support/query-corpus.ts";

const dir = mkdtempSync(join(tmpdir(), "loadwright-guard-"));
const path = join(dir, "warehouse.duckdb");
const secretFile = join(dir, "secret.csv");
const outFile = join(dir, "out.csv");

beforeAll(async () => {
  writeFileSync(secretFile, "a,b\n1,TOP-SECRET\n");
  const instance = await DuckDBInstance.create(path);
  const connection = await instance.connect();
  await connection.run("create schema shop");
  await connection.run(`create table shop.orders as
    select i as id, i % 7 as customer_id, (i * 1.25)::decimal(18, 3) as amount, 'note ' || i as note,
           timestamp '2024-01-01' + interval (i) hour as created_at, i * 9007199254740993::hugeint as big,
           timestamptz '2024-01-01 00:00:00+00' as loaded_at, 'ab'::blob as raw, [i, i + 1] as items,
           {'x': i, 'y': null} as point, '{"k": 1}'::json as doc
    from range(5000) r (i)`);
  await connection.run("create table shop.customers as select i as id, 'c' || i as name from range(7) r (i)");
  await connection.run("create sequence shop.seq");
  connection.closeSync();
  instance.closeSync();
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** In this process, which is faster: one child per statement would test the same layers. */
async function guarded(sql: string) {
  return runGuarded({
    path,
    dataset: "shop",
    sql,
    params: [],
    rowsMax: 50,
    bytesMax: 1_000_000,
    timeoutMs: 5000,
    memoryBytesMax: 256 * 1024 ** 2,
    cellCharsMax: 500,
  });
}

const ESCAPES = [...duckdbEscapes({ dir, path, secretFile, outFile }), ...POSTGRES_ESCAPES];

/** In DuckDB's own words. */
const LEGITIMATE: readonly string[] = [
  ...ANALYTIC_QUERIES,
  "select * from orders",
  "SELECT count(*) FROM orders;",
  "select customer_id, sum(amount) as total from orders group by all order by total desc limit 5",
  "with big as (select * from orders where amount > 100) select count(*) from big",
  "with recursive n(i) as (select 1 union all select i + 1 from n where i < 5) select * from n",
  "select o.id, c.name from orders o join customers c on c.id = o.customer_id",
  "select id, row_number() over (partition by customer_id order by created_at) as nth from orders qualify nth = 1",
  "select date_trunc('day', created_at) as day, count(*) from orders group by 1 order by 1",
  "from orders select id limit 3",
  "from customers",
  "values (1, 'a'), (2, 'b')",
  "table customers",
  "describe orders",
  "describe select id from orders",
  "summarize orders",
  "show tables",
  "show all tables",
  "explain select * from orders",
  "explain analyze select count(*) from orders",
  "/* why */ explain\n select 1",
  "select * from (values (1), (2)) v (x)",
  "select unnest(items) from orders limit 4",
  "select * from orders, unnest(items) u (item) limit 3",
  "select * from range(10)",
  "select * from generate_series(date '2024-01-01', date '2024-01-05', interval 1 day)",
  "select json_extract_string(doc, '$.k') from orders limit 1",
  "select * from json_each('{\"a\": 1}')",
  "select list_transform(items, lambda x: x * 2) from orders limit 1",
  "select regexp_extract(note, '\\d+')::int from orders limit 2",
  "select * from shop.customers",
  "select * from customers c where exists (select 1 from orders o where o.customer_id = c.id)",
  "select * from orders using sample 5 rows",
  "pivot customers on id in (1, 2) using count(*)",
  "select * exclude (raw), columns('i.*') from orders limit 1",
  "select table_name, column_name from information_schema.columns where table_schema = 'shop'",
  "select * from duckdb_tables()",
  "select * from pragma_table_info('orders')",
  "select 'drop table orders; -- read_csv(' as harmless_text",
  'select 1 as "insert"',
  "select median(amount), quantile_cont(amount, [0.5, 0.9]), approx_count_distinct(id) from orders",
  "select id from orders except select id from customers limit 3",
  "select * from orders asof join customers on orders.id >= customers.id limit 2",
  "select case when amount > 10 then 'big' else 'small' end as size, count(*) from orders group by cube (1)",
  "unpivot customers on id into name k value v",
];

describe("the query guard", () => {
  it(`has a corpus worth the name`, () => {
    expect(ESCAPES.length).toBeGreaterThanOrEqual(150);
    expect(ANALYTIC_QUERIES.length).toBeGreaterThanOrEqual(50);
  });

  for (const sql of ESCAPES) {
    it(`refuses ${JSON.stringify(sql.replaceAll(dir, "…"))}`, async () => {
      const error = await guarded(sql).then(
        () => undefined,
        (caught: unknown) => caught,
      );
      expect(error).toBeInstanceOf(Error);
      expect(String(error)).not.toContain("TOP-SECRET");
      // Refused by us before anything runs; a parser error of the database is as good.
      if (error instanceof EngineError) {
        expect(["NOT_READ_ONLY", "MULTI_STATEMENT", "QUERY_FAILED"]).toContain(error.code);
      } else {
        expect(String(error)).toMatch(/does not exist|syntax error|disabled by configuration|Binder Error/);
      }
    });
  }

  it("has left nothing on disk and everything in the database", async () => {
    expect(readdirSync(dir).sort()).toEqual(["secret.csv", "warehouse.duckdb"]);
    const counted = await guarded("select count(*) from orders");
    expect(counted.rows).toEqual([[5000]]);
    expect(readFileSync(secretFile, "utf8")).toContain("TOP-SECRET");
  });

  for (const sql of LEGITIMATE) {
    it(`accepts ${JSON.stringify(sql)}`, async () => {
      const result = await guarded(sql);
      expect(result.columns.length).toBeGreaterThan(0);
    });
  }
});

describe("the lock-down behind the guard", () => {
  const HOLES = [
    "insert into orders (id) values (1)",
    "drop table orders",
    `select * from '${secretFile}'`,
    `select * from read_csv('${secretFile}')`,
    "select * from read_text('/etc/passwd')",
    "select * from glob('/*')",
    `copy orders to '${outFile}'`,
    `export database '${dir}/dump'`,
    `attach '${dir}/other.duckdb' as other`,
    "install httpfs",
    "load httpfs",
    "set enable_external_access = true",
    "set lock_configuration = false",
    "set memory_limit = '100GB'",
    "reset enable_external_access",
  ];
  for (const sql of HOLES) {
    it(`stops by itself ${JSON.stringify(sql.replaceAll(dir, "…"))}`, async () => {
      const target = { path, dataset: "shop", memoryBytesMax: 256 * 1024 ** 2 };
      await expect(onLockedConnection(target, (connection) => connection.run(sql))).rejects.toThrow();
    });
  }

  it("takes explain off only as a whole word at the start", () => {
    expect(splitExplain("explain select 1")).toEqual({ prefix: "explain ", body: "select 1" });
    expect(splitExplain("/* a */ -- b\n EXPLAIN  ANALYZE\tselect 1").prefix).toBe("explain analyze ");
    expect(splitExplain("explained select 1").prefix).toBe("");
    expect(splitExplain("select 'explain x'").prefix).toBe("");
  });
});

describe("queryReadOnly", () => {
  it("answers values as JSON that loses nothing", async () => {
    const { rows, columns } = await queryReadOnly(
      { path, dataset: "shop" },
      `select id, amount, created_at, big, loaded_at, raw, items, point, 'nan'::double as odd, null as nothing
       from orders where id = 3`,
    );
    expect(columns.map((column) => column.name)).toContain("amount");
    expect(rows).toEqual([
      [
        3,
        "3.750",
        "2024-01-01T03:00:00",
        "27021597764222979",
        "2024-01-01T00:00:00Z",
        "YWI=",
        [3, 4],
        { x: 3, y: null },
        "NaN",
        null,
      ],
    ]);
  });

  it("finds bare table names even where the file is named like its dataset", async () => {
    const namesake = join(dir, "shop.duckdb");
    copyFileSync(path, namesake);
    const answer = await queryReadOnly({ path: namesake, dataset: "shop" }, "select count(*) from orders");
    expect(answer.rows).toEqual([[5000]]);
  });

  it("binds parameters by position and by name", async () => {
    const target = { path, dataset: "shop" };
    const byPosition = await queryReadOnly(target, "select note from orders where id = $1", { params: [7] });
    expect(byPosition.rows).toEqual([["note 7"]]);
    const byName = await queryReadOnly(target, "select note from orders where note = $note", {
      params: { note: "note 8'; drop table orders; --" },
    });
    expect(byName.rows).toEqual([]);
  });

  it("stops reading at the row cap and at the byte cap, and says so", async () => {
    const target = { path, dataset: "shop" };
    const byRows = await queryReadOnly(target, "select id from orders order by id", { rowsMax: 10 });
    expect([byRows.rows.length, byRows.truncated, byRows.truncated_by]).toEqual([10, true, "rows"]);
    const exact = await queryReadOnly(target, "select id from customers", { rowsMax: 7 });
    expect([exact.rows.length, exact.truncated]).toEqual([7, false]);
    const byBytes = await queryReadOnly(target, "select repeat('x', 1000) from orders", { bytesMax: 20_000 });
    expect([byBytes.truncated, byBytes.truncated_by]).toEqual([true, "bytes"]);
    expect(JSON.stringify(byBytes.rows).length).toBeLessThan(21_000);
    const longCell = await queryReadOnly(target, "select repeat('x', 5000)", { cellCharsMax: 100 });
    expect(longCell.cells_cut).toBe(1);
  });

  it("ends at the time limit, and at once when cancelled", async () => {
    const endless = "select count(*) from range(100000000000) a, range(1000) b";
    const startedAt = Date.now();
    await expect(queryReadOnly({ path }, endless, { timeoutMs: 500 })).rejects.toMatchObject({
      code: "TIMEOUT",
    });
    expect(Date.now() - startedAt).toBeLessThan(4000);
    const stop = new AbortController();
    setTimeout(() => stop.abort(), 400);
    await expect(queryReadOnly({ path }, endless, { signal: stop.signal })).rejects.toMatchObject({
      code: "CANCELLED",
    });
  });

  it("says that a run holds the file, without naming the path", async () => {
    const held = await holdDatabase(path);
    try {
      const error = await queryReadOnly({ path }, "select 1").catch((caught: unknown) => caught);
      expect(error).toMatchObject({ code: "DESTINATION_LOCKED", retry: "yes" });
      expect(JSON.stringify({ ...(error as object) }) + String(error)).not.toContain(dir);
    } finally {
      await held.release();
    }
  });

  it("leaves the file to whoever writes, as soon as it has answered", async () => {
    for (let i = 0; i < 3; i++) {
      await queryReadOnly({ path, dataset: "shop" }, "select count(*) from orders");
      const writer = await holdDatabase(path);
      await writer.release();
    }
  });

  it("answers each of several at once, and after a query that was stopped", async () => {
    const ask = async (i: number) =>
      (await queryReadOnly({ path }, "select $1::int + 0", { params: [i] })).rows[0]?.[0];
    const numbers = [1, 2, 3, 4, 5, 6, 7, 8, 9];
    expect(await Promise.all(numbers.map(ask))).toEqual(numbers);
    const endless = queryReadOnly({ path }, "select count(*) from range(100000000000)", { timeoutMs: 100 });
    const stopped = expect(endless).rejects.toMatchObject({ code: "TIMEOUT" });
    expect(await Promise.all(numbers.map(ask))).toEqual(numbers);
    await stopped;
    expect(await Promise.all(numbers.map(ask))).toEqual(numbers);
  });

  it("lets one go that waits for its turn", async () => {
    const endless = Array.from({ length: 4 }, () =>
      queryReadOnly({ path }, "select count(*) from range(100000000000)", { timeoutMs: 1000 }).catch(
        (error: unknown) => error,
      ),
    );
    const stop = new AbortController();
    const fifth = queryReadOnly({ path }, "select 1", { signal: stop.signal });
    const sixth = queryReadOnly({ path }, "select 6");
    stop.abort();
    await expect(fifth).rejects.toMatchObject({ code: "CANCELLED" });
    expect((await sixth).rows).toEqual([[6]]);
    for (const error of await Promise.all(endless)) expect(error).toMatchObject({ code: "TIMEOUT" });
  });

  it("keeps questions apart whatever characters they hold", async () => {
    for (const text of ["a\u2028b\u2029c", '\n{"path":"x"}\n', "\r\n1\r\n", "\u0085"]) {
      const { rows } = await queryReadOnly({ path }, `select $1::varchar, '\u2028'`, { params: [text] });
      expect(rows).toEqual([[text, "\u2028"]]);
    }
  });

  it("keeps paths and cells out of messages", async () => {
    const target = { path, dataset: "shop" };
    await expect(queryReadOnly(target, "select note::int from orders")).rejects.toThrow(/'…'/);
    await expect(queryReadOnly(target, "select * from nosuch")).rejects.toMatchObject({
      code: "TABLE_NOT_FOUND",
    });
    await expect(queryReadOnly({ path, dataset: "nosuch" }, "select 1")).rejects.toMatchObject({
      code: "PIPELINE_NEVER_RAN",
    });
    await expect(queryReadOnly({ path: join(dir, "no.duckdb") }, "select 1")).rejects.toMatchObject({
      code: "PIPELINE_NEVER_RAN",
    });
    for (const failing of [
      "select strptime(note, '%Y') from orders",
      "select regexp_matches(note, note || '(') from orders",
      "select strftime(now(), note || '%') from orders",
      "select timezone(note, now()) from orders",
      "select (id + 4711000)::utinyint from orders",
      "select 9223372036854775807 - id + id + id from orders",
      "select note::json from orders",
      "select amount::decimal(4, 3) * 1000 from orders where id > 10",
    ]) {
      const error = await queryReadOnly(target, failing).catch((caught: unknown) => caught);
      expect(error, failing).toMatchObject({ code: "QUERY_FAILED" });
      // the statement's own line may be repeated
      const said = String(error).replace(/\nLINE 1:.*/s, "");
      expect(said, failing).not.toMatch(/note \d|4711\d|\d{3}\.\d|922337203685477\d+/);
    }
    expect(cleanMessage(`cannot open ${path} or /srv/data/file.db`, { path, sql: "" })).toBe(
      "cannot open <database> or <path>",
    );
  });
});
