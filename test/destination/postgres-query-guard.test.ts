/** What query_data lets through to a real Postgres server, and what it does not. */

import pg from "pg";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { defaultContext } from "../../src/engine/context.ts";
import { EngineError } from "../../src/engine/errors.ts";
import { queryPostgres } from "../../src/engine/inspect/postgres-query.ts";
import type { QueryOptions } from "../../src/engine/inspect/query.ts";
import { createDatabase } from "../support/postgres-server.ts";
import {
  ANALYTIC_QUERIES,
  duckdbEscapes,
  ONLY_POSTGRES_ESCAPES,
  POSTGRES_ESCAPES,
} from "../support/query-corpus.ts";

let url: string;
let owner: pg.Client;
beforeAll(async () => {
  url = await createDatabase(inject("postgresUrl"), "query_guard");
  owner = new pg.Client({ connectionString: url });
  await owner.connect();
  await owner.query(`
    create schema shop;
    create table shop.orders as
      select i as id, i % 7 as customer_id, (i * 1.25)::numeric(18, 3) as amount, 'note ' || i as note,
             timestamp '2024-01-01' + i * interval '1 hour' as created_at, 9007199254740993 + i as big,
             '\\x6162'::bytea as raw, '{"k": 1}'::jsonb as doc, array[i, i + 1] as items
      from generate_series(0, 4999) i;
    create table shop.customers as select i as id, 'c' || i as name from generate_series(0, 6) i;
    create sequence shop.seq;
    create schema secret_place;
    create table secret_place.passwords as select 'TOP-SECRET'::text as password;
    create function shop.leak() returns text language sql stable security definer
      as 'select password from secret_place.passwords';
    create function shop.leak_of(shop.customers) returns text language sql immutable
      as 'select ''TOP-SECRET''';
    create view shop.shown as select id, name from shop.customers;
    create type shop.size as enum ('small', 'big');`);
});
afterAll(() => owner.end());

function query(sql: string, options: QueryOptions = {}, signal?: AbortSignal) {
  const context = defaultContext(signal === undefined ? {} : { signal });
  return queryPostgres({ options: { url }, dataset: "shop" }, sql, { rowsMax: 50, ...options }, context);
}

const ESCAPES = [
  ...duckdbEscapes({
    dir: "/tmp/x",
    path: "/tmp/x/warehouse.duckdb",
    secretFile: "/tmp/x/secret.csv",
    outFile: "/tmp/x/out.csv",
  }),
  ...POSTGRES_ESCAPES,
  ...ONLY_POSTGRES_ESCAPES,
  "select leak()",
  "select shop.leak()",
  "select customers.leak_of from customers",
  "select leak_of(customers) from customers",
  "select (customers).leak_of from customers",
  "select 1::secret_place.passwords",
];

/** The same on DuckDB, where it is no escape: nothing that Postgres has answers to it. */
const HARMLESS_HERE =
  /does not exist|syntax error|trailing junk|is not supported|invalid input|cannot be|must be|has no|no .* support/;

describe("the query guard on Postgres", () => {
  for (const sql of ESCAPES) {
    it(`refuses ${JSON.stringify(sql)}`, async () => {
      const error = await query(sql).then(
        () => undefined,
        (caught: unknown) => caught,
      );
      expect(error).toBeInstanceOf(EngineError);
      const { code, message } = error as EngineError;
      expect(message).not.toContain("TOP-SECRET");
      if (code === "QUERY_FAILED" || code === "TABLE_NOT_FOUND") expect(message).toMatch(HARMLESS_HERE);
      else expect(["NOT_READ_ONLY", "MULTI_STATEMENT"]).toContain(code);
    });
  }

  it("has changed nothing", async () => {
    const { rows } = await owner.query(`select (select count(*)::int from shop.orders) as orders,
      (select last_value::int from shop.seq) as seq, (select is_called from shop.seq) as called,
      (select count(*)::int from pg_class c join pg_namespace n on n.oid = c.relnamespace
       where n.nspname = 'shop' and relkind in ('r', 'v', 'm')) as tables,
      (select count(*)::int from pg_roles where rolname = 'mallory') as roles,
      (select count(*)::int from pg_largeobject_metadata) as objects`);
    expect(rows).toEqual([{ orders: 5000, seq: 1, called: false, tables: 3, roles: 0, objects: 0 }]);
  });

  for (const sql of [
    ...ANALYTIC_QUERIES,
    "select * from shop.customers",
    "select * from shown",
    "select 'big'::shop.size",
    "select doc ->> 'k', jsonb_path_query(doc, '$.k') from orders limit 1",
    "select unnest(items), * from orders limit 2",
    "select pg_size_pretty(pg_total_relation_size('orders'))",
    "select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = 'shop'",
    "select random() < 2, gen_random_uuid() is not null, clock_timestamp() is not null",
    "select o.id, o.note, o.big from orders o limit 1",
    "select (o).id from orders o limit 1",
    "select * from orders tablesample system (10)",
    "select json_agg(c) from customers c",
    "select to_char(created_at, 'YYYY-MM') from orders limit 1",
  ]) {
    it(`accepts ${JSON.stringify(sql)}`, async () => {
      expect((await query(sql)).columns.length).toBeGreaterThan(0);
    });
  }
});

describe("a query on Postgres", () => {
  it("answers values as JSON that loses nothing", async () => {
    const { columns, rows } = await query(
      `select id, amount, created_at, created_at::timestamptz as at, big, raw, doc, items, 'NaN'::float8 as odd,
              null as nothing, true as yes from orders where id = 3`,
    );
    expect(columns.slice(0, 3)).toEqual([
      { name: "id", type: "int4" },
      { name: "amount", type: "numeric" },
      { name: "created_at", type: "timestamp" },
    ]);
    expect(rows).toEqual([
      [
        3,
        "3.750",
        "2024-01-01T03:00:00",
        "2024-01-01T03:00:00Z",
        "9007199254740996",
        "YWI=",
        { k: 1 },
        "{3,4}",
        "NaN",
        null,
        true,
      ],
    ]);
  });

  it("binds parameters by position, and says that it takes no names", async () => {
    const { rows } = await query("select note from orders where id = $1", { params: [7] });
    expect(rows).toEqual([["note 7"]]);
    const hostile = "x'; drop table shop.orders; --";
    expect((await query("select note from orders where note = $1", { params: [hostile] })).rows).toEqual([]);
    await expect(query("select $1::int", { params: { a: 1 } })).rejects.toMatchObject({
      code: "ARGUMENTS_INVALID",
    });
  });

  it("stops reading at the row cap and at the byte cap, and says so", async () => {
    const byRows = await query("select id from orders order by id", { rowsMax: 10 });
    expect([byRows.rows.length, byRows.truncated, byRows.truncated_by]).toEqual([10, true, "rows"]);
    const exact = await query("select id from customers", { rowsMax: 7 });
    expect([exact.rows.length, exact.truncated]).toEqual([7, false]);
    const many = await query("select id from orders order by id", { rowsMax: 5000 });
    expect([many.rows.length, many.rows[4999]]).toEqual([5000, [4999]]);
    const byBytes = await query("select repeat('x', 1000) from orders", { bytesMax: 20_000 });
    expect([byBytes.truncated, byBytes.truncated_by]).toEqual([true, "bytes"]);
    const longCell = await query("select repeat('x', 5000)", { cellCharsMax: 100 });
    expect(longCell.cells_cut).toBe(1);
    await expect(query("select repeat('x', 200000000)")).rejects.toThrow(/too large/);
  });

  it("ends at the time limit and when cancelled, and the server stops working on it", async () => {
    const endless = "select count(*) from generate_series(1, 1000000) a, generate_series(1, 1000000) b";
    await expect(query(endless, { timeoutMs: 300 })).rejects.toMatchObject({ code: "TIMEOUT" });
    const stop = new AbortController();
    setTimeout(() => stop.abort(), 300);
    await expect(query(endless, {}, stop.signal)).rejects.toMatchObject({ code: "CANCELLED" });
    await expect
      .poll(
        async () => {
          const { rows } = await owner.query(
            "select count(*)::int as busy from pg_stat_activity where query like '%generate_series(1, 1000000) a%' and pid <> pg_backend_pid() and state = 'active'",
          );
          return rows[0].busy as number;
        },
        { timeout: 20_000 },
      )
      .toBe(0);
  });

  it("survives a statement that is nested beyond reason, and goes on afterwards", async () => {
    const deep = `select ${"(".repeat(30_000)}1${")".repeat(30_000)}`;
    await expect(query(deep)).rejects.toBeInstanceOf(EngineError);
    expect((await query("select 1")).rows).toEqual([[1]]);
  });

  it("keeps cells out of messages", async () => {
    const error = await query("select note::int from orders").catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: "QUERY_FAILED" });
    expect(String(error)).not.toContain("note 0");
    await expect(query("select * from nosuch")).rejects.toMatchObject({ code: "TABLE_NOT_FOUND" });
    await expect(query("select nosuch from orders")).rejects.toThrow(/nosuch/);
  });
});
