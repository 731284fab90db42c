/** What is normalized and loaded while its source still yields is what it would be afterwards. */

import { readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Log, ResourceOptions, Row, RunReport, Yielded } from "../../src/engine/index.ts";
import { resource, Source } from "../../src/engine/index.ts";
import { Shop } from "../support/shop.ts";
import { testStores } from "../support/stores.ts";

const STORES = await testStores("conformance_extract_ahead");

/** Enough for several jobs of each step when each block ends one. */
const ROWS = 30_000;
const PAGE = 3_000;
const row = (id: number): Row => ({
  id,
  name: `n${id} `.repeat(20),
  seen: id % 3 === 0 ? null : "2026-03-04T05:06:07Z",
  tags: id % 1000 === 0 ? [{ tag: "a" }] : [],
});

/** Pages with a moment between them: a source that is not read as fast as files are copied. */
async function* slowly(
  make: (id: number) => Row,
  { from = 0, to = ROWS, ms = 8 } = {},
): AsyncGenerator<Yielded> {
  for (let at = from; at < to; at += PAGE) {
    await setTimeout(ms);
    yield Array.from({ length: Math.min(PAGE, to - at) }, (_, i) => make(at + i));
  }
}

describe.each(STORES)("$name", (store) => {
  let shop: Shop;
  let events: string[];
  beforeEach(() => {
    events = [];
    shop = new Shop({ store, limits: { jobBytesMax: 1 } });
  });
  afterEach(() => shop.remove());

  const log: Log = (_level, event, fields) => {
    events.push(fields?.used === undefined ? event : `${event} ${fields.used ? "used" : "not used"}`);
  };
  const sourceOf = (hints: ResourceOptions, data: () => AsyncIterable<Yielded>): Source =>
    new Source({ name: "shop", resources: [resource(hints, data)] });
  const run = (hints: ResourceOptions, data: () => AsyncIterable<Yielded>): Promise<RunReport> =>
    shop.pipeline().run(sourceOf(hints, data), { log });
  const count = async (from: string): Promise<unknown> =>
    (await shop.query(`select count(*)::int from ${from}`))[0]?.[0];
  /** The pages, and no end before loading has begun. */
  async function* untilLoading(pages: AsyncIterable<Yielded>): AsyncGenerator<Yielded> {
    yield* pages;
    for (const begun = performance.now(); !events.includes("load:begin"); await setTimeout(10)) {
      if (performance.now() - begun > 10_000) throw new Error("loading did not begin ahead");
    }
  }

  test("both begin before the last page, and the dataset is the one of steps done one after the other", async () => {
    const other = new Shop({ store, limits: { jobBytesMax: 1 }, dataset: "other_data" });
    const hints: ResourceOptions = { name: "items", columns: { amount: { data_type: "double" } } };
    try {
      const steps = other.pipeline();
      await steps.extract(sourceOf(hints, () => slowly(row)));
      await steps.load();
      const pipeline = shop.pipeline();
      const boundaries = (name: string): void => void events.push(name);
      events = [];
      const report = await pipeline.run(
        sourceOf(hints, () => untilLoading(slowly(row))),
        { log, boundary: boundaries },
      );
      expect(report.error).toBeUndefined();
      expect(events).toContain("normalize.ahead used");
      expect(events).toContain("load.ahead used");
      const both = (sql: string) =>
        Promise.all([
          store.sql(join(shop.folder, "shop.duckdb"), "shop_data", [sql]),
          store.sql(join(other.folder, "shop.duckdb"), "other_data", [sql]),
        ]);
      for (const sql of [
        `select i.id, i.name, i.seen::text, t.tag, t._dlt_list_idx from {}.items i
         left join {}.items__tags t on t._dlt_parent_id = i._dlt_id order by 1`,
        "select version, version_hash, schema from {}._dlt_version",
        "select count(*), count(distinct _dlt_id), count(distinct _dlt_load_id) from {}.items",
      ]) {
        const [ours, theirs] = await both(sql);
        expect(ours!.length).toBeGreaterThan(0);
        expect(ours).toEqual(theirs);
      }
    } finally {
      await store.forget("other_data");
      other.remove();
    }
  });

  test("a second run goes on from the schema of the first", async () => {
    await run({ name: "items" }, () => slowly(row));
    const report = await run({ name: "items" }, () =>
      slowly((id) => ({ ...row(id), ...(id === 2 * ROWS - 1 ? { note: "new" } : {}) }), {
        from: ROWS,
        to: 2 * ROWS,
      }),
    );
    expect(report.error).toBeUndefined();
    expect(events).toContain("normalize.ahead used");
    expect([await count("shop.items"), await count("shop.items where note is not null")]).toEqual([
      2 * ROWS,
      1,
    ]);
    expect(await count("shop._dlt_version")).toBe(2);
  });

  test("tables that rows name as they come are made as they come", async () => {
    const hints: ResourceOptions = {
      name: "items",
      tableName: (each) => `kind_${Number(each.id) >= ROWS / 2}`,
    };
    const report = await run(hints, () => slowly(row));
    expect(report.error).toBeUndefined();
    expect(events).toContain("normalize.ahead used");
    expect([await count("shop.kind_false"), await count("shop.kind_true")]).toEqual([ROWS / 2, ROWS / 2]);
  });

  test.each([
    ["replace", { writeDisposition: "replace" }],
    ["merge", { writeDisposition: "merge", primaryKey: "id" }],
  ] as const)("%s leaves each row once", async (_, hints) => {
    await run({ name: "items", ...hints }, () => slowly(row));
    await run({ name: "items", ...hints }, () => slowly(row));
    expect(events.filter((each) => each === "normalize.ahead used")).toHaveLength(2);
    expect([await count("shop.items"), await count("shop.items__tags")]).toEqual([ROWS, ROWS / 1000]);
  });

  test("tables that a contract keeps out stay out, and their rows are kept as rejected ones", async () => {
    const hints: ResourceOptions = { name: "items", schemaContract: { tables: "discard_row" } };
    await run({ name: "items" }, () => slowly(row, { to: 1 }));
    const report = await run({ ...hints, tableName: () => "others" }, () => slowly(row));
    expect(report.error).toBeUndefined();
    expect(await shop.tables()).toEqual(["_loadwright_rejected", "items", "items__tags"]);
    expect(report.rejected).toEqual({ others: { rows: ROWS, values: 0 } });
  });

  test("a source that fails at last leaves nothing of what was loaded", async () => {
    async function* failing(): AsyncGenerator<Yielded> {
      yield* untilLoading(slowly(row));
      throw new Error("the API is down");
    }
    const report = await shop
      .pipeline()
      .run(sourceOf({ name: "items" }, failing), { log, boundary: (name) => void events.push(name) });
    expect(report.error?.message).toContain("the API is down");
    expect(await shop.tables()).toEqual([]);
    const work = readdirSync(join(shop.folder, "work"), { recursive: true }).map(String);
    expect(work.filter((path) => /^(extract|normaliz)/.test(path) && /\//.test(path))).toEqual([]);
    expect((await run({ name: "items" }, () => slowly(row))).error).toBeUndefined();
    expect(await count("shop.items")).toBe(ROWS);
  });

  test("a row that cannot be normalized is told of, and the package set aside, as from a sealed package", async () => {
    const report = await run({ name: "items", columns: { name: { nullable: false } } }, () =>
      slowly((id) => (id === 20_000 ? { ...row(id), name: null } : row(id))),
    );
    expect(report.error).toMatchObject({ code: "NULL_IN_REQUIRED" });
    expect(report.packages).toMatchObject([{ status: "failed" }]);
    expect(await shop.tables()).toEqual([]);
  });

  test("a source that pauses gives the destination free, and all of it is loaded in the end", async () => {
    let free: unknown;
    async function* pausing(): AsyncGenerator<Yielded> {
      yield* untilLoading(slowly(row));
      await setTimeout(2500);
      // Postgres: nothing is locked; DuckDB: the transaction is over, else its tables could not be made here
      free = await store.sql(join(shop.folder, "shop.duckdb"), "probe", [
        "create schema {}",
        "create table {}.items (id int)",
        "drop schema {} cascade",
        store.name === "DuckDB"
          ? "select count(*) from duckdb_tables() where schema_name = 'shop_data'"
          : "select count(*)::int from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())",
      ]);
      yield* slowly(row, { from: ROWS, to: 2 * ROWS });
    }
    const report = await shop
      .pipeline()
      .run(sourceOf({ name: "items" }, pausing), { log, boundary: (name) => void events.push(name) });
    expect(report.error).toBeUndefined();
    expect(free).toEqual([[0]]);
    expect(await count("shop.items")).toBe(2 * ROWS);
  });
});
