/** Loading that begins while a package is still being normalized leaves what loading afterwards would leave. */

import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Log, ResourceOptions, Row } from "../../src/engine/index.ts";
import { Shop } from "../support/shop.ts";
import { testStores } from "../support/stores.ts";

const STORES = await testStores("conformance_load_ahead");

/** Enough for several jobs when each block ends one, and wide enough for them to come one after the other. */
const ROWS = 30_000;
const row = (id: number): Row => ({
  id,
  name: `n${id} `.repeat(40),
  tags: id % 1000 === 0 ? [{ tag: "a" }] : [],
});
const rows = (change: (row: Row, id: number) => Row = (same) => same): Row[] =>
  Array.from({ length: ROWS }, (_, id) => change(row(id), id));

describe.each(STORES)("$name", (store) => {
  let shop: Shop;
  let ahead: unknown;
  const log: Log = (_level, event, fields) => {
    if (event === "load.ahead") ahead = fields?.used;
  };
  const run = (hints: ResourceOptions, data: readonly Row[]) => shop.run(hints, data, { log });
  beforeEach(() => {
    shop = new Shop({ store, limits: { jobBytesMax: 1 } });
    ahead = undefined;
  });
  afterEach(async () => {
    await store.forget(shop.dataset);
    shop.remove();
  });

  const summary = async (): Promise<unknown> =>
    (
      await shop.query(
        `select (select count(*) from shop.items)::int, (select count(distinct id) from shop.items)::int,
        (select count(*) from shop.items__tags t join shop.items i on i._dlt_id = t._dlt_parent_id)::int,
        (select count(*) from shop._dlt_loads)::int`,
      )
    )[0];

  test("appended rows and their children are there once", async () => {
    const report = await run({ name: "items" }, rows());
    expect(report.error).toBeUndefined();
    expect(ahead).toBe(true);
    expect(report.packages[0]?.rows).toMatchObject({ items: ROWS, items__tags: ROWS / 1000 });
    expect(await summary()).toEqual([ROWS, ROWS, ROWS / 1000, 1]);
    expect((await run({ name: "items" }, rows())).error).toBeUndefined();
    expect(ahead).toBe(true);
    expect(await summary()).toEqual([ROWS * 2, ROWS, (ROWS / 1000) * 2, 2]);
  });

  test("rows come in the order in which they were yielded", async () => {
    await run({ name: "items" }, rows());
    expect(ahead).toBe(true);
    // where a row lies tells when it came
    const earlier = store.name === "DuckDB" ? "rowid" : "ctid";
    const moved = await shop.query(
      `select count(*)::int from (
       select id, row_number() over (order by ${earlier}) - 1 as place from shop.items
     ) as placed where place <> id`,
    );
    expect(moved).toEqual([[0]]);
  });

  test("a new nested table after the first job is made with the rest", async () => {
    await run(
      { name: "items" },
      rows((same, id) => (id === ROWS - 1 ? { ...same, parts: [{ part: 1 }] } : same)),
    );
    expect(ahead).toBe(true);
    expect(await shop.query("select count(*)::int from shop.items__parts")).toEqual([[1]]);
  });

  test.each([
    ["replace", { writeDisposition: "replace" }],
    ["merge", { writeDisposition: "merge", primaryKey: "id" }],
    ["upsert", { writeDisposition: { disposition: "merge", strategy: "upsert" }, primaryKey: "id" }],
  ] as const)("%s looks at all rows at once", async (_, hints) => {
    await run({ name: "items", ...hints }, rows());
    await run({ name: "items", ...hints }, rows());
    expect(await summary()).toEqual([ROWS, ROWS, ROWS / 1000, 2]);
  });

  test("of merged rows with one key the last wins, whichever job it is in", async () => {
    const hints: ResourceOptions = { name: "items", writeDisposition: "merge", primaryKey: "key" };
    const keyed = (from: number): Row[] =>
      rows((same, id) => ({ ...same, key: id % 10, version: from + id, tags: [{ tag: from + id }] }));
    await run(hints, keyed(0));
    await run(hints, keyed(ROWS));
    expect(await shop.query("select key::int, version::int from shop.items order by key")).toEqual(
      Array.from({ length: 10 }, (_, key) => [key, 2 * ROWS - 10 + key]),
    );
    expect(await shop.query("select count(*)::int from shop.items__tags")).toEqual([[10]]);
  });

  test.each(["version", "file_row_number"])(
    "of merged rows with one key and one row id the last wins, the version being in %s",
    async (column) => {
      const hints: ResourceOptions = { name: "items", writeDisposition: "merge", primaryKey: "key" };
      const versions = [1, 2, 3].map((version) => ({ key: 1, [column]: version, _dlt_id: "the same" }));
      await run(hints, versions);
      await run(hints, [...versions, { key: 2, [column]: 9, _dlt_id: "another" }]);
      expect(await shop.query(`select key::int, ${column}::int from shop.items order by key`)).toEqual([
        [1, 3],
        [2, 9],
      ]);
    },
  );

  test("a row that cannot be normalized leaves nothing of the rows before it", async () => {
    const hints: ResourceOptions = { name: "items", columns: { name: { nullable: false } } };
    const report = await run(
      hints,
      rows((same, id) => (id === ROWS - 1 ? { ...same, name: null } : same)),
    );
    expect(report.error?.code).toBe("NULL_IN_REQUIRED");
    expect(await shop.tables()).toEqual([]);
    expect((await run(hints, rows())).error).toBeUndefined();
    expect(await summary()).toEqual([ROWS, ROWS, ROWS / 1000, 1]);
  });
});
