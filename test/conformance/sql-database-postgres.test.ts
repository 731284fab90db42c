/**
 * Postgres as a source, against a real server: what is loaded, in which runs, and that every value arrives as
 * it was. The destination is a DuckDB file, except where values go back into Postgres.
 */

import { createServer, type Server } from "node:net";
import pg from "pg";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, test } from "vitest";
import { createDatabase, freePort } from "../support/postgres-server.ts";
import { Copy, loaded, refusal } from "../support/sql-database.ts";

let url: string;
let client: pg.Client;
let copy: Copy;

beforeAll(async () => {
  url = await createDatabase(inject("postgresUrl"), "sql_source");
  client = new pg.Client({ connectionString: url });
  await client.connect();
});
afterAll(async () => client.end());
beforeEach(async () => {
  await client.query("drop schema public cascade; create schema public");
  copy = new Copy(url);
});
afterEach(() => copy.remove());

const ORDERS = "create table orders (id int primary key, note text, updated_at timestamptz not null)";
const MERGED = {
  resources: { orders: { incremental: { cursor: "updated_at" } } },
};
const insert = (id: number, note: string, at: string) =>
  client.query(
    "insert into orders values ($1, $2, $3) on conflict (id) do update set note = $2, updated_at = $3",
    [id, note, at],
  );

describe("which rows are loaded", () => {
  test("without a cursor a table is replaced by what it holds now", async () => {
    await client.query(ORDERS);
    await insert(1, "a", "2024-01-01");
    await insert(2, "b", "2024-01-02");
    expect(loaded(await copy.run())).toEqual({ orders: 2 });
    await client.query("delete from orders where id = 1");
    expect(loaded(await copy.run())).toEqual({ orders: 1 });
    expect(await copy.rows("select id, note from orders")).toEqual([["2", "b"]]);
  });

  test("with a cursor the second run loads nothing, then what is new, restated and late", async () => {
    await client.query(ORDERS);
    await insert(1, "first", "2024-01-01T00:00:00.000001Z");
    await insert(2, "second", "2024-01-02T00:00:00.123456Z");
    expect(loaded(await copy.run(MERGED))).toEqual({ orders: 2 });
    expect(loaded(await copy.run(MERGED))).toEqual({});
    await insert(1, "restated", "2024-01-03T00:00:00Z");
    await insert(3, "third", "2024-01-02T12:00:00Z");
    expect(loaded(await copy.run(MERGED))).toEqual({ orders: 2 });
    // late: its cursor is that of the last row, which the first run had seen already
    await insert(4, "late", "2024-01-03T00:00:00Z");
    expect(loaded(await copy.run(MERGED))).toEqual({ orders: 1 });
    expect(await copy.rows("select id, note from orders order by id")).toEqual([
      ["1", "restated"],
      ["2", "second"],
      ["3", "third"],
      ["4", "late"],
    ]);
  });

  test("a row that was changed without its cursor moving is loaded when it lies at the boundary", async () => {
    await client.query(ORDERS);
    await insert(1, "before", "2024-01-01");
    await copy.run(MERGED);
    await client.query("update orders set note = 'after'");
    expect(loaded(await copy.run(MERGED))).toEqual({ orders: 1 });
    expect(await copy.rows("select id, note from orders")).toEqual([["1", "after"]]);
  });

  test("a lag reads again behind the cursor, so that rows committed late are found", async () => {
    await client.query(ORDERS);
    await insert(1, "a", "2024-01-10T00:00:00Z");
    const config = { resources: { orders: { incremental: { cursor: "updated_at", lag: 3600 } } } };
    await copy.run(config);
    await insert(2, "an hour ago", "2024-01-09T23:30:00Z");
    await copy.run(config);
    expect(await copy.rows("select count(*) from orders")).toEqual([["2"]]);
  });

  test("initial_value and end_value bound what is loaded; a window does not move the cursor", async () => {
    await client.query(ORDERS);
    for (let day = 1; day <= 9; day++) await insert(day, "", `2024-01-0${day}`);
    const from = { cursor: "updated_at", initial_value: "2024-01-05" };
    expect(loaded(await copy.run({ resources: { orders: { incremental: from } } }))).toEqual({ orders: 5 });
    const window = { cursor: "updated_at", initial_value: "2024-01-02", end_value: "2024-01-04" };
    expect(loaded(await copy.run({ resources: { orders: { incremental: window } } }))).toEqual({ orders: 2 });
    expect(loaded(await copy.run({ resources: { orders: { incremental: from } } }))).toEqual({});
    expect(await copy.rows("select min(id), count(*) from orders")).toEqual([["2", "7"]]);
  });

  test.each([
    ["integer", "bigint", (i: number) => String(i)],
    ["decimal", "numeric(20,4)", (i: number) => `${i}.5`],
    ["date", "date", (i: number) => `2024-01-${String(i).padStart(2, "0")}`],
    [
      "timestamp without zone",
      "timestamp",
      (i: number) => `2024-01-01 00:00:${String(i).padStart(2, "0")}.5`,
    ],
    ["text", "text", (i: number) => "aBcDeFgHiJkLmNoPq"[i]!],
    ["uuid", "uuid", (i: number) => `00000000-0000-0000-0000-0000000000${String(i).padStart(2, "0")}`],
    ["double", "float8", (i: number) => String(i + 0.25)],
  ])("a cursor of type %s goes on where it stopped", async (_name, type, value) => {
    await client.query(`create table t (c ${type})`);
    const add = async (from: number, to: number) => {
      for (let i = from; i <= to; i++) await client.query("insert into t values ($1)", [value(i)]);
    };
    const config = { resources: { t: { incremental: { cursor: "c" } } } };
    await add(1, 6);
    expect(loaded(await copy.run(config))).toEqual({ t: 6 });
    expect(loaded(await copy.run(config))).toEqual({});
    await add(7, 9);
    const expected =
      type === "text"
        ? (
            await client.query(
              `select count(*)::int as n from t where c collate "C" > (select max(x collate "C") from unnest(array['B','c','D','e','F','g']) x)`,
            )
          ).rows[0].n
        : 3;
    expect(loaded(await copy.run(config))).toEqual(expected === 0 ? {} : { t: expected });
  });

  test("rows without a cursor are refused, left out or loaded, as configured", async () => {
    await client.query("create table t (id int, c int); insert into t values (1, 1), (2, null)");
    const config = (missing?: string) => ({
      resources: { t: { incremental: { cursor: "c", on_cursor_value_missing: missing } } },
    });
    expect((await refusal(copy.run(config()))).code).toBe("CURSOR_MISSING");
    expect(loaded(await copy.run(config("exclude")))).toEqual({ t: 1 });
    copy.remove();
    copy = new Copy(url);
    expect(loaded(await copy.run(config("include")))).toEqual({ t: 2 });
  });

  test("a table in the order of its cursor is split into packages, each committed by itself", async () => {
    await client.query(
      "create table t as select i as id, repeat('x', 200) as note from generate_series(1, 60000) i",
    );
    const split = new Copy(url, { limits: { packageRowsMax: 10_000 } });
    const report = await split.run({ resources: { t: { incremental: { cursor: "id" } } } });
    expect(report.packages.length).toBeGreaterThan(2);
    expect(await split.rows("select count(*), count(distinct id), sum(id)::bigint from t")).toEqual([
      ["60000", "60000", "1800030000"],
    ]);
    split.remove();
  });

  test("a run that loses its connection goes on from the last committed package", async () => {
    await client.query(
      "create table t as select i as id, repeat('x', 300) as note from generate_series(1, 100000) i",
    );
    const proxy = await cuttingProxy(new URL(url).port, 15_000_000);
    const through = new URL(url);
    through.port = String(proxy.port);
    through.searchParams.set("sslmode", "disable");
    const name = { resources: { t: { incremental: { cursor: "id" } } } };
    const cut = new Copy(through.toString(), { limits: { packageRowsMax: 10_000 } });
    const error = await refusal(cut.run(name));
    expect(error).toMatchObject({ code: "SOURCE_UNREACHABLE", retry: "yes" });
    const [[before]] = (await cut.rows("select count(*) from t")) as [[string]];
    expect(Number(before)).toBeGreaterThan(0);
    expect(Number(before)).toBeLessThan(100_000);
    proxy.bytesMax = Number.POSITIVE_INFINITY;
    const report = await cut.run(name);
    expect(loaded(report)).toEqual({ t: 100_000 - Number(before) });
    expect(await cut.rows("select count(*), count(distinct id) from t")).toEqual([["100000", "100000"]]);
    proxy.server.close();
    cut.remove();
  });

  test("all tables of a run are read from one snapshot, whatever is written meanwhile", async () => {
    await client.query("create table a (id int); create table b (id int)");
    await client.query("insert into a values (1); insert into b values (1)");
    let written: Promise<unknown> | undefined;
    const one = new Copy(url, { limits: { parallelResourcesMax: 1 } });
    await one.run(
      {},
      {
        // the first table has been read, the second has not
        onProgress: ({ table, step }) => {
          if (table === "a" && step === "extract") written ??= client.query("insert into b values (2)");
        },
        boundary: () => {},
      },
    );
    expect(written).toBeDefined();
    await written;
    expect(await one.rows("select count(*) from b")).toEqual([["1"]]);
    one.remove();
  });

  test("parallel ranges of a table have each row once", async () => {
    await client.query(
      "create table t as select i as id, repeat('x', 100) as note from generate_series(1, 50000) i",
    );
    await client.query("delete from t where id % 7 = 0");
    expect(loaded(await copy.run({ parallel_ranges: 3 }))).toEqual({ t: 42_858 });
    expect(await copy.rows("select count(distinct id) from t")).toEqual([["42858"]]);
  });
});

interface Proxy {
  readonly server: Server;
  readonly port: number;
  bytesMax: number;
}

/** Passes on what the server sends until one connection has had so many bytes, then cuts it. */
async function cuttingProxy(targetPort: string, bytesMax: number): Promise<Proxy> {
  const { connect } = await import("node:net");
  const proxy: { bytesMax: number } = { bytesMax };
  const server = createServer((socket) => {
    const target = connect(Number(targetPort), "127.0.0.1");
    let bytes = 0;
    socket.on("error", () => {}).pipe(target.on("error", () => socket.destroy()));
    target.on("data", (chunk) => {
      bytes += chunk.length;
      if (bytes > proxy.bytesMax) {
        socket.destroy();
        target.destroy();
      } else if (!socket.write(chunk)) {
        target.pause();
        socket.once("drain", () => target.resume());
      }
    });
    target.on("close", () => socket.destroy());
    socket.on("close", () => target.destroy());
  });
  const port = await freePort();
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  return Object.assign(proxy, { server, port });
}

describe("what is read", () => {
  test("keys, comments and types are reflected into the schema", async () => {
    await client.query(`create table t (b int, a int, price numeric(12,3), primary key (a, b));
      comment on table t is 'prices'; comment on column t.price is 'in euros'`);
    await client.query("insert into t values (1, 2, 3.5)");
    const report = await copy.run({ write_disposition: "merge" });
    expect(report.status).toBe("succeeded");
    const [[schema]] = (await copy.rows("select schema from _dlt_version order by version desc limit 1")) as [
      [string],
    ];
    const table = JSON.parse(schema).tables.t;
    expect(table.description).toBe("prices");
    expect(table.columns.price).toMatchObject({
      data_type: "decimal",
      precision: 12,
      scale: 3,
      description: "in euros",
    });
    expect(Object.keys(table.columns).filter((name) => table.columns[name].primary_key)).toEqual(["b", "a"]);
  });

  test("views are read when asked for, excluded tables and columns are not", async () => {
    await client.query(`create table orders (id int, secret text); create table log_a (id int); create table log_b (id int);
      create view open_orders as select id from orders; insert into orders values (1, 'x'); insert into log_a values (1);
      insert into log_b values (1)`);
    expect(loaded(await copy.run({ exclude_tables: ["log_*"], resources: { orders: {} } }))).toEqual({
      orders: 1,
    });
    const report = await copy.run({
      tables: ["o*"],
      include_views: true,
      resources: { orders: { excluded_columns: ["secret"], table_name: "plain_orders" } },
    });
    expect(loaded(report)).toEqual({ plain_orders: 1, open_orders: 1 });
    expect(
      await copy.rows(
        "select column_name from duckdb_columns() where table_name = 'plain_orders' order by 1",
      ),
    ).toEqual([["_dlt_id"], ["_dlt_load_id"], ["id"]]);
  });

  test("partitions are read once, through their table", async () => {
    await client.query(`create table p (id int) partition by range (id);
      create table p1 partition of p for values from (0) to (10); insert into p values (1), (2)`);
    expect(loaded(await copy.run())).toEqual({ p: 2 });
  });
});

describe("a schema that changes", () => {
  test("new columns are added, removed ones stay with nulls", async () => {
    await client.query(
      "create table t (id int primary key, old text not null); insert into t values (1, 'x'), (2, 'y')",
    );
    const config = { resources: { t: { incremental: { cursor: "id" } } } };
    await copy.run(config);
    await client.query(
      "alter table t drop column old; alter table t add column fresh numeric(8,2); insert into t values (3, 1.25)",
    );
    expect((await copy.run(config)).status).toBe("succeeded");
    expect(await copy.rows("select id, old, fresh from t order by id")).toEqual([
      ["1", "x", null],
      // the row at the cursor is read again, and has no such column any more
      ["2", null, null],
      ["3", null, "1.25"],
    ]);
  });

  test("a wider type is followed, another one is refused with what to do", async () => {
    await client.query(
      "create table t (id int primary key, amount numeric(6,2)); insert into t values (1, 1.25)",
    );
    const config = { resources: { t: { incremental: { cursor: "id" } } } };
    await copy.run(config);
    await client.query(
      "alter table t alter amount type numeric(12,4); insert into t values (2, 12345678.1234)",
    );
    await copy.run(config);
    expect(await copy.rows("select amount from t order by id")).toEqual([["1.2500"], ["12345678.1234"]]);
    await client.query("alter table t alter amount type text; insert into t values (3, 'much')");
    const error = await refusal(copy.run(config));
    expect(error).toMatchObject({ code: "TYPE_CHANGE_REFUSED", retry: "after_fix" });
    expect(error.details).toMatchObject({ table: "t", column: "amount" });
  });
});

describe("faults end in coded errors", () => {
  beforeEach(async () => {
    await client.query(`${ORDERS}; insert into orders values (1, 'x', now())`);
  });

  test.each<[string, string, Record<string, unknown>]>([
    ["a misspelt table", "SOURCE_TABLE_NOT_FOUND", { tables: ["order"] }],
    ["a misspelt resource", "SOURCE_TABLE_NOT_FOUND", { resources: { ordres: {} } }],
    ["a misspelt schema", "SOURCE_TABLE_NOT_FOUND", { schema: "pubic" }],
    [
      "a misspelt column",
      "SOURCE_COLUMN_NOT_FOUND",
      { resources: { orders: { excluded_columns: ["nte"] } } },
    ],
    [
      "a misspelt cursor",
      "SOURCE_COLUMN_NOT_FOUND",
      { resources: { orders: { incremental: { cursor: "update_at" } } } },
    ],
  ])("%s is %s with the nearest name", async (_what, code, config) => {
    const error = await refusal(copy.run(config));
    expect(error.code).toBe(code);
    expect(error.hint).toMatch(/Did you mean "(orders|public|note|updated_at)"/);
  });

  test("an unknown setting and a password in the configuration are refused", async () => {
    expect((await refusal(copy.run({ tabels: [] }))).hint).toContain('"tables"');
    const other = new Copy(url);
    const { createSource } = await import("../../src/sources/registry.ts");
    const error = await refusal(
      createSource("sql_database", {
        config: { url: "postgresql://u:geheim@h/d" },
        secrets: {},
        workspaceDir: ".",
      }) as Promise<unknown>,
    );
    expect(error.code).toBe("CONFIG_INVALID");
    expect(JSON.stringify(error.details) + error.message + error.hint).not.toContain("geheim");
    other.remove();
  });

  test("a wrong password, a wrong database, no server", async () => {
    const at = (change: (url: URL) => void): Copy => {
      const changed = new URL(url);
      change(changed);
      return new Copy(changed.toString());
    };
    const wrong = at((address) => {
      address.password = "wrong-password";
    });
    const refused = await refusal(wrong.run());
    expect(refused).toMatchObject({ code: "SOURCE_LOGIN_REFUSED", retry: "after_fix" });
    expect(`${refused.message}${refused.hint}`).not.toContain("wrong-password");
    expect(
      await refusal(
        at((address) => {
          address.pathname = "/nowhere";
        }).run(),
      ),
    ).toMatchObject({ code: "CONFIG_INVALID" });
    const port = await freePort();
    const none = await refusal(
      at((address) => {
        address.port = String(port);
      }).run(),
    );
    expect(none).toMatchObject({ code: "SOURCE_UNREACHABLE", retry: "yes" });
  });

  test("a table that the user may not read", async () => {
    await client.query("drop role if exists stranger");
    await client.query(
      "create role stranger login password 'stranger-1'; grant usage on schema public to stranger",
    );
    const address = new URL(url);
    address.username = "stranger";
    address.password = "stranger-1";
    const error = await refusal(new Copy(address.toString()).run());
    expect(error).toMatchObject({ code: "SOURCE_ACCESS_DENIED", retry: "after_fix" });
    expect(error.details).toMatchObject({ table: "orders" });
    await client.query("drop owned by stranger; drop role stranger");
  });

  test("a statement that takes too long", async () => {
    await client.query("create view slow as select 1 as id, pg_sleep(5)::text as nothing");
    const error = await refusal(copy.run({ tables: ["slow"], statement_timeout_ms: 100 }));
    expect(error).toMatchObject({ code: "SOURCE_TIMEOUT", retry: "after_fix" });
  });

  test("a connection that the server ends while it is read", async () => {
    await client.query(
      "create table t as select i as id, repeat('x', 1000) as note from generate_series(1, 50000) i",
    );
    const ended = copy.run(
      { tables: ["t"] },
      {
        onProgress: () =>
          void client.query(
            "select pg_terminate_backend(pid) from pg_stat_activity where query like 'copy (%'",
          ),
      },
    );
    expect(await refusal(ended)).toMatchObject({ code: "SOURCE_UNREACHABLE", retry: "yes" });
  });

  test("a run that is cancelled ends, and leaves no connection behind", async () => {
    await client.query(
      "create view slow as select i as id, pg_sleep(0.01)::text as n from generate_series(1, 100000) i",
    );
    const abort = new AbortController();
    const running = copy.run({ tables: ["slow"] }, { signal: abort.signal });
    setTimeout(() => abort.abort(), 500);
    expect((await refusal(running)).code).toBe("CANCELLED");
    const left = "select count(*)::int as n from pg_stat_activity where application_name = 'loadwright'";
    await expect.poll(async () => (await client.query(left)).rows[0].n, { timeout: 10_000 }).toBe(0);
  });
});
