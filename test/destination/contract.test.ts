/**
 * What every destination does with a package: the contract of destination.ts, held against real databases. What
 * only one of them does is in the file of its name.
 */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeAll, beforeEach, describe, expect, inject, test } from "vitest";
import { defaultContext, type RunContext } from "../../src/engine/context.ts";
import type { CommitReport, DestinationSession } from "../../src/engine/destinations/destination.ts";
import { duckdb } from "../../src/engine/destinations/duckdb/duckdb.ts";
import { postgres } from "../../src/engine/destinations/postgres/postgres.ts";
import { toEnvelope } from "../../src/engine/errors.ts";
import type { Schema } from "../../src/engine/schema/types.ts";
import { item, items, order, orders } from "../support/orders.ts";
import {
  LOAD_ID,
  PARENT_ID,
  packageOf,
  ROOT_ID,
  ROW_ID,
  schemaOf,
  table,
  type Value,
} from "../support/packages.ts";
import { createDatabase } from "../support/postgres-server.ts";
import { refusal } from "../support/refusal.ts";

let url: string;
let folder: string;
let session: DestinationSession;
let loads = 0;

beforeAll(async () => {
  url = await createDatabase(inject("postgresUrl"), "destination_contract");
});

const KINDS = [
  { name: "DuckDB", jobFormat: "parquet", destination: () => duckdb({ path: join(folder, "shop.duckdb") }) },
  { name: "Postgres", jobFormat: "blocks", destination: () => postgres({ url, ssl: "disable" }) },
] as const;

describe.each(KINDS)("$name", (kind) => {
  const open = (context: Partial<RunContext> = {}): Promise<DestinationSession> =>
    kind.destination().open("shop_data", defaultContext(context));

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "destination-"));
    session = await open();
    await session.query('drop schema if exists "shop_data" cascade');
  });
  afterEach(async () => {
    await session.close();
    await rm(folder, { recursive: true });
  });

  type Rows = Record<string, readonly Record<string, Value>[]>;

  async function load(
    schema: Schema,
    rows: Rows,
    replace: string[] = [],
    into = session,
  ): Promise<CommitReport> {
    loads += 1;
    return into.commitPackage(
      await packageOf(
        kind.jobFormat,
        folder,
        `17000000${String(loads).padStart(2, "0")}.5`,
        schema,
        rows,
        replace,
      ),
    );
  }

  async function rows(sql: string, from = session): Promise<unknown[][]> {
    return (await from.query(sql)).rows.map((row) => [...row]);
  }

  const ORDERS = 'select id, name from "shop_data"."orders" order by id, name';
  const ITEMS = 'select sku from "shop_data"."orders__items" order by sku';

  describe("tables", () => {
    test("dropped by hand are made again, columns too, although the schema is the same", async () => {
      const schema = schemaOf([
        orders({ write_disposition: "append", "x-normalizer": { "seen-data": true } }),
      ]);
      await load(schema, { orders: [order(1, "a")] });
      await session.query('alter table "shop_data"."orders" drop column "name"');
      await load(schema, { orders: [order(2, "b")] });
      expect(await rows(ORDERS)).toEqual([
        ["1", null],
        ["2", "b"],
      ]);
      await session.query('drop table "shop_data"."orders"');
      await load(schema, {});
      expect(await rows(ORDERS)).toEqual([]);
    });
  });

  describe("append and replace", () => {
    test("append keeps what is there", async () => {
      const schema = schemaOf([orders({ write_disposition: "append" })]);
      await load(schema, { orders: [order(1, "a")] });
      await load(schema, { orders: [order(1, "b")] });
      expect(await rows(ORDERS)).toEqual([
        ["1", "a"],
        ["1", "b"],
      ]);
    });

    test("replace empties the whole chain, even when nothing comes", async () => {
      const schema = schemaOf([orders({ write_disposition: "replace" }), items]);
      const first = { orders: [order(1, "a", "r1")], orders__items: [item("r1", 0, "x")] };
      await load(schema, first, ["orders"]);
      const second = await load(schema, { orders: [order(2, "b", "r2")] }, ["orders"]);
      expect(second.tables).toEqual({
        orders: { inserted: 1, deleted: 1 },
        orders__items: { inserted: 0, deleted: 1 },
      });
      expect(await rows(ITEMS)).toEqual([]);
      await load(schema, {}, ["orders"]);
      expect(await rows(ORDERS)).toEqual([]);
    });
  });

  describe("merge", () => {
    test("replaces rows by primary key; of a key twice in a load the last row wins", async () => {
      const schema = schemaOf([orders()]);
      await load(schema, { orders: [order(1, "old"), order(2, "kept")] });
      const report = await load(schema, { orders: [order(1, "first"), order(3, "new"), order(1, "last")] });
      expect(await rows(ORDERS)).toEqual([
        ["1", "last"],
        ["2", "kept"],
        ["3", "new"],
      ]);
      expect(report.tables).toEqual({ orders: { inserted: 2, deleted: 1, deduplicated: 1 } });
    });

    test("the last row wins across files and batches of rows", async () => {
      const schema = schemaOf([orders()]);
      const many = Array.from({ length: 300_000 }, (_, i) => order(i % 1000, String(i), `r${i}`));
      const report = await load(schema, { orders: many });
      expect(report.tables).toEqual({ orders: { inserted: 1000, deduplicated: 299_000 } });
      const stale = 'select count(*) from "shop_data"."orders" where name::bigint <> 299000 + id';
      expect(await rows(stale)).toEqual([["0"]]);
    });

    test("matches a composite key as a whole", async () => {
      const day = { data_type: "text", primary_key: true } as const;
      const schema = schemaOf([orders({}, { day })]);
      await load(schema, {
        orders: [order(1, "a", "r1", { day: "mon" }), order(1, "b", "r2", { day: "tue" })],
      });
      await load(schema, { orders: [order(1, "c", "r3", { day: "tue" })] });
      expect(await rows(ORDERS)).toEqual([
        ["1", "a"],
        ["1", "c"],
      ]);
    });

    test("a merge key replaces all its rows and drops no duplicates", async () => {
      const schema = schemaOf([orders({}, { id: "bigint", day: { data_type: "text", merge_key: true } })]);
      await load(schema, {
        orders: [
          order(1, "a", "r1", { day: "mon" }),
          order(2, "b", "r2", { day: "mon" }),
          order(3, "c", "r3", { day: "tue" }),
        ],
      });
      await load(schema, {
        orders: [order(4, "d", "r4", { day: "mon" }), order(4, "d", "r5", { day: "mon" })],
      });
      expect(await rows(ORDERS)).toEqual([
        ["3", "c"],
        ["4", "d"],
        ["4", "d"],
      ]);
    });

    test("primary key or merge key: either match replaces", async () => {
      const schema = schemaOf([orders({}, { day: { data_type: "text", merge_key: true } })]);
      await load(schema, {
        orders: [
          order(1, "a", "r1", { day: "mon" }),
          order(2, "b", "r2", { day: "tue" }),
          order(3, "c", "r3", { day: "wed" }),
        ],
      });
      const report = await load(schema, { orders: [order(1, "new", "r4", { day: "tue" })] });
      expect(await rows(ORDERS)).toEqual([
        ["1", "new"],
        ["3", "c"],
      ]);
      expect(report.tables.orders).toEqual({ inserted: 1, deleted: 2, deduplicated: 0 });
    });

    test("nested rows follow their root: lists shrink, losers' lists are dropped", async () => {
      const schema = schemaOf([orders(), items]);
      await load(schema, {
        orders: [order(1, "a", "r1"), order(2, "b", "r2")],
        orders__items: [item("r1", 0, "x"), item("r1", 1, "y"), item("r2", 0, "z")],
      });
      const report = await load(schema, {
        orders: [order(1, "loser", "r3"), order(1, "winner", "r4")],
        orders__items: [item("r3", 0, "lost"), item("r4", 0, "won")],
      });
      expect(await rows(ITEMS)).toEqual([["won"], ["z"]]);
      expect(report.tables).toEqual({
        orders: { inserted: 1, deleted: 1, deduplicated: 1 },
        orders__items: { inserted: 1, deleted: 2 },
      });
      await load(schema, { orders: [order(1, "empty", "r5")] });
      expect(await rows(ITEMS)).toEqual([["z"]]);
    });

    test.each([
      ["desc", "high"],
      ["asc", "low"],
    ] as const)(
      "dedup_sort %s keeps the row with the %s value; null never wins",
      async (direction, winner) => {
        const schema = schemaOf([orders({}, { seq: { data_type: "bigint", dedup_sort: direction } })]);
        await load(schema, {
          orders: [
            order(1, "high", "r1", { seq: 9 }),
            order(1, "low", "r2", { seq: 1 }),
            order(1, "none", "r3", { seq: null }),
          ],
        });
        expect(await rows(ORDERS)).toEqual([["1", winner]]);
      },
    );

    test.each([
      ["bool", true, false],
      ["text", "gone", null],
    ] as const)("hard_delete as %s removes the row and its nested rows", async (type, marked, unmarked) => {
      const schema = schemaOf([orders({}, { deleted: { data_type: type, hard_delete: true } }), items]);
      await load(schema, {
        orders: [order(1, "a", "r1", { deleted: unmarked }), order(2, "b", "r2", { deleted: null })],
        orders__items: [item("r1", 0, "x"), item("r2", 0, "y")],
      });
      await load(schema, {
        orders: [
          order(1, "a", "r3", { deleted: marked }),
          order(3, "never there", "r4", { deleted: marked }),
        ],
        orders__items: [item("r3", 0, "w")],
      });
      expect(await rows(ORDERS)).toEqual([["2", "b"]]);
      expect(await rows(ITEMS)).toEqual([["y"]]);
    });

    test("a null in the key matches nothing that is there", async () => {
      const schema = schemaOf([orders({}, { id: { data_type: "bigint", primary_key: true } })]);
      await load(schema, { orders: [{ name: "a", _dlt_load_id: "l", _dlt_id: "1" }] });
      await load(schema, {
        orders: [
          { name: "b", _dlt_load_id: "l", _dlt_id: "2" },
          { name: "c", _dlt_load_id: "l", _dlt_id: "3" },
        ],
      });
      expect(await rows(ORDERS)).toEqual([
        [null, "a"],
        [null, "c"],
      ]);
    });

    test("follows append on nested tables: root keys are filled from the parents", async () => {
      const deep = (root: boolean) =>
        table(
          "orders__items__tags",
          {
            value: "text",
            ...(root ? { _dlt_root_id: ROOT_ID } : {}),
            _dlt_parent_id: PARENT_ID,
            _dlt_id: ROW_ID,
          },
          { parent: "orders__items" },
        );
      const flat = table(
        "orders__items",
        { sku: "text", _dlt_parent_id: PARENT_ID, _dlt_id: ROW_ID },
        { parent: "orders" },
      );
      await load(schemaOf([orders({ write_disposition: "append" }), flat, deep(false)]), {
        orders: [order(1, "a", "r1"), order(2, "b", "r2")],
        orders__items: [
          { sku: "x", _dlt_parent_id: "r1", _dlt_id: "i1" },
          { sku: "y", _dlt_parent_id: "r2", _dlt_id: "i2" },
        ],
        orders__items__tags: [
          { value: "t1", _dlt_parent_id: "i1", _dlt_id: "t1" },
          { value: "t2", _dlt_parent_id: "i2", _dlt_id: "t2" },
        ],
      });
      await load(schemaOf([orders(), items, deep(true)], "hash-2"), { orders: [order(1, "new", "r3")] });
      expect(await rows(ORDERS)).toEqual([
        ["1", "new"],
        ["2", "b"],
      ]);
      expect(await rows(ITEMS)).toEqual([["y"]]);
      expect(await rows('select value, _dlt_root_id from "shop_data"."orders__items__tags"')).toEqual([
        ["t2", "r2"],
      ]);
    });

    test("without a key is refused, and nothing is written", async () => {
      const error = await refusal(
        load(schemaOf([orders({}, { id: "bigint" })]), { orders: [order(1, "a")] }),
      );
      expect(error.code).toBe("MERGE_WITHOUT_KEY");
      expect(await session.exists()).toBe(false);
    });
  });

  describe("a package", () => {
    test("is applied once, however often it is committed", async () => {
      const schema = schemaOf([orders({ write_disposition: "append" })]);
      const work = await packageOf(kind.jobFormat, folder, "1.5", schema, { orders: [order(1, "a")] });
      expect((await session.commitPackage(work)).alreadyCommitted).toBe(false);
      expect((await session.commitPackage(work)).alreadyCommitted).toBe(true);
      expect(await rows(ORDERS)).toEqual([["1", "a"]]);
      expect(await session.isCommitted("1.5")).toBe(true);
      expect(await session.isCommitted("2.5")).toBe(false);
      expect(await rows('select count(*) from "shop_data"."_dlt_loads"')).toEqual([["1"]]);
    });

    test("stopped at any boundary before its commit leaves nothing; after it everything", async () => {
      const schema = schemaOf([orders()]);
      await load(schema, { orders: [order(1, "before")] });
      const names: string[] = [];
      for (let stop = 1; stop <= 5; stop++) {
        let calls = 0;
        const crashing = await open({
          boundary: (name) => {
            calls += 1;
            if (calls === stop) {
              names.push(name);
              throw new Error("crash");
            }
          },
        });
        const changed = schemaOf([orders({}, { added: "text" })], `hash-${stop + 1}`);
        await expect(load(changed, { orders: [order(1, "after")] }, [], crashing)).rejects.toThrow("crash");
        await crashing.close();
        const left = await rows('select name from "shop_data"."orders"');
        const columns = [...(await session.catalogue()).get("orders")!.keys()];
        expect([left, columns.includes("added"), (await session.readLoads({ limit: 9 })).length]).toEqual(
          stop < 5 ? [[["before"]], false, 1] : [[["after"]], true, 2],
        );
      }
      expect(names).toEqual(["load:begin", "load:ddl", "load:table:orders", "load:commit", "load:committed"]);
    });

    test("with a value its column cannot hold is undone; the error names table and load, not the value", async () => {
      const schema = schemaOf([
        table("good", { x: "text" }),
        table("bad", { d: { data_type: "decimal", precision: 5, scale: 2 } }),
      ]);
      const error = await refusal(load(schema, { good: [{ x: "a" }], bad: [{ d: "123456.5" }] }));
      expect(error.code).toBe("LOAD_VALUE");
      expect(error.details).toMatchObject({ load_id: expect.any(String), column: "d" });
      expect(JSON.stringify(toEnvelope(error))).not.toContain("123456");
      expect(await session.exists()).toBe(false);
    });

    test("is cancelled by the signal", async () => {
      const abort = new AbortController();
      const cancelled = await open({
        signal: abort.signal,
        boundary: (name) => name === "load:ddl" && abort.abort(),
      });
      const error = await refusal(load(schemaOf([orders()]), { orders: [order(1, "a")] }, [], cancelled));
      expect(error.code).toBe("CANCELLED");
      expect(await session.exists()).toBe(false);
      await cancelled.close();
    });

    test("of two sessions at once both are applied", async () => {
      const other = await open();
      const schema = schemaOf([orders({ write_disposition: "append" })]);
      await Promise.all([
        load(schema, { orders: [order(1, "a")] }),
        load(schema, { orders: [order(2, "b")] }, [], other),
      ]);
      expect(await rows(ORDERS)).toEqual([
        ["1", "a"],
        ["2", "b"],
      ]);
      await other.close();
    });
  });

  describe("metadata", () => {
    test("one version per hash, one row per load, newest first", async () => {
      expect(await session.readLoads({ limit: 5 })).toEqual([]);
      expect(await session.readSchema("shop")).toBeUndefined();
      const now = Date.parse("2026-01-02T03:04:05.678Z");
      const timed = await open({ now: () => now });
      const schema = schemaOf([orders({ write_disposition: "append" })]);
      await load(schema, { orders: [order(1, "a")] }, [], timed);
      await load(schema, { orders: [order(2, "b")] }, [], timed);
      await timed.close();
      const later = { ...schema, version: 2, version_hash: "hash-2" };
      await load(later, { orders: [order(3, "c")] });
      const stored = await session.readSchemaVersions();
      expect(stored.map((row) => row.version_hash)).toEqual(["hash-2", "hash-1"]);
      expect((await session.readSchema("shop"))?.version).toBe(2);
      expect(await session.readSchema("shop", "hash-1")).toEqual({
        version: 1,
        engine_version: 11,
        inserted_at: "2026-01-02T03:04:05.678000Z",
        schema_name: "shop",
        version_hash: "hash-1",
        schema: '{"name":"shop"}',
      });
      const [newest, second] = await session.readLoads({ limit: 2 });
      expect(newest).toMatchObject({ schema_name: "shop", status: 0, schema_version_hash: "hash-2" });
      expect(await session.readLoads({ limit: 9, before: second!.load_id })).toHaveLength(1);
      expect(await session.readLoads({ limit: 9, schemaName: "other" })).toEqual([]);
    });

    test("the state restored is the newest of a complete load", async () => {
      const state = table(
        "_dlt_pipeline_state",
        {
          version: { data_type: "bigint", nullable: false },
          engine_version: { data_type: "bigint", nullable: false },
          pipeline_name: { data_type: "text", nullable: false },
          state: { data_type: "text", nullable: false },
          created_at: { data_type: "timestamp", nullable: false },
          version_hash: "text",
          _dlt_load_id: { ...LOAD_ID, precision: 64 },
          _dlt_id: ROW_ID,
        },
        { write_disposition: "append" },
      );
      const schema = schemaOf([state]);
      expect(await session.readState("p")).toBeUndefined();
      const row = (version: number, loadId: string) => ({
        version,
        engine_version: 4,
        pipeline_name: "p",
        state: `blob${version}`,
        created_at: 1_500_000,
        version_hash: `h${version}`,
        _dlt_load_id: loadId,
        _dlt_id: `s${version}`,
      });
      await session.commitPackage(
        await packageOf(kind.jobFormat, folder, "1.1", schema, { _dlt_pipeline_state: [row(1, "1.1")] }),
      );
      const unfinished = [row(2, "1.2"), row(3, "1.9")];
      await session.commitPackage(
        await packageOf(kind.jobFormat, folder, "1.2", schema, { _dlt_pipeline_state: unfinished }),
      );
      expect(await session.readState("p")).toEqual({
        version: 2,
        engine_version: 4,
        version_hash: "h2",
        created_at: "1970-01-01T00:00:01.500000Z",
        load_id: "1.2",
        state: "blob2",
      });
      expect(await session.readState("other")).toBeUndefined();
    });
  });
});
