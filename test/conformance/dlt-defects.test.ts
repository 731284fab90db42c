/**
 * Where Python dlt goes wrong, and what happens here instead: one short case for each known defect of dlt, under its number.
 * Most have more cases elsewhere; those files are named.
 */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Destination } from "../../src/engine/destinations/destination.ts";
import { EngineError } from "../../src/engine/errors.ts";
import { incremental } from "../../src/engine/extract/incremental.ts";
import type { Row } from "../../src/engine/extract/page.ts";
import { type ResourceHints, resource, Source } from "../../src/engine/extract/resource.ts";
import { Pipeline } from "../../src/engine/pipeline.ts";
import type { RunOptions } from "../../src/engine/pipeline-options.ts";
import { Secrets } from "../../src/tools/secrets.ts";
import { Shop, sourceOf, succeeded } from "../support/item-shop.ts";
import { testStores } from "../support/stores.ts";

const stores = await testStores("conformance_defects");

describe.each(stores)("on $name", (store) => {
  let shop: Shop;
  beforeEach(() => {
    shop = new Shop({ store });
  });
  afterEach(() => shop.remove());

  const IDS = "select id from {}.items order by id";
  const CURSOR: ResourceHints = { incremental: incremental("id") };
  const MERGE: ResourceHints = { writeDisposition: "merge", primaryKey: "id" };
  /** Fails like a crash does: at that point, and without any tidying up after it. */
  const crashAt = (boundary: string): RunOptions => ({
    boundary: (name) => {
      if (name === boundary) throw new Error(`crash at ${boundary}`);
    },
  });

  // on both databases, with restarts and dropped packages: test/conformance/boundary.test.ts
  test("1: rows that share one cursor value are known again whatever their number, and the state stays small", async () => {
    const rows = Array.from({ length: 20_000 }, (_, id) => ({ id, day: "2024-01-01" }));
    const hints: ResourceHints = { incremental: incremental("day"), primaryKey: "id" };
    const report = await shop.load(rows, hints);
    expect(report.warnings.join()).toContain("20000 rows share one value of the cursor day");
    await shop.load([...rows, { id: 20_000, day: "2024-01-01" }], hints);
    expect(await shop.sql("select count(*), count(distinct id) from {}.items")).toEqual([[20_001, 20_001]]);
    const [state] = await shop.sql("select max(length(state)) from {}._dlt_pipeline_state");
    expect(state![0]).toBeLessThan(2000);
  });

  test("2: a pending package is loaded, and the new data in the same run; the report has both", async () => {
    succeeded(await shop.pipeline().extract(sourceOf([{ id: 1 }])));
    const report = await shop.load([{ id: 2 }]);
    expect(await shop.sql(IDS)).toEqual([[1], [2]]);
    expect(report.packages.map(({ status, recovered }) => [status, recovered])).toEqual([
      ["loaded", true],
      ["loaded", false],
    ]);
  });

  test("3: bad data found in normalize fails the run, says where, and does not block the next one", async () => {
    const hints: ResourceHints = { ...CURSOR, primaryKey: "key" };
    const report = await shop.run(
      [
        { id: 1, key: "a" },
        { id: 2, key: null },
      ],
      hints,
    );
    expect(report.error).toMatchObject({
      code: "NULL_IN_REQUIRED",
      details: { table: "items", column: "key", load_id: expect.any(String) },
    });
    expect(report.packages.map(({ status }) => status)).toEqual(["failed"]);
    await shop.load(
      [
        { id: 1, key: "a" },
        { id: 2, key: "b" },
      ],
      hints,
    );
    expect(await shop.sql(IDS)).toEqual([[1], [2]]);
  });

  test("4: a cursor advances only with the package that carries it", async () => {
    await shop.load([{ id: 1, v: 1 }], CURSOR);
    await shop.sql("alter table {}.items alter column v type smallint");
    const failed = await shop.run([{ id: 2, v: 100_000 }], CURSOR);
    expect(failed.error?.code).toBe("LOAD_VALUE");
    await shop.load([{ id: 2, v: 100 }], CURSOR);
    expect(await shop.sql(IDS)).toEqual([[1], [2]]);
  });

  // also test/mcp/drop-tool.test.ts
  test("5: dropping a package takes its cursor back, and says from where to where", async () => {
    await shop.load([{ id: 1 }], CURSOR);
    const next = sourceOf([{ id: 1 }, { id: 2 }], CURSOR);
    succeeded(await shop.pipeline().extract(next));
    const plan = await shop.pipeline().dropPending();
    expect(plan.packages[0]?.cursors).toEqual([{ resource: "items", path: "id", from: 2, to: 1 }]);
    succeeded(await shop.pipeline().run(next));
    expect(await shop.sql(IDS)).toEqual([[1], [2]]);
  });

  test("6: a failed extract leaves no folder", async () => {
    const items = resource({ name: "items" }, function* () {
      yield [{ id: 1 }];
      throw new Error("the service is down");
    });
    const report = await shop.pipeline().run(new Source({ name: "shop", resources: [items] }));
    expect(report.error?.code).toBe("EXTRACT_FAILED");
    const left = readdirSync(shop.dir, { recursive: true }).map(String);
    expect(left.filter((path) => /items\.|manifest|jobs/.test(path))).toEqual([]);
  });

  test("7: a merge whose insert fails has deleted nothing", async () => {
    await shop.load(
      [
        { id: 1, v: "a" },
        { id: 2, v: "b" },
      ],
      MERGE,
    );
    await shop.sql("alter table {}.items alter column v set not null");
    const report = await shop.run(
      [
        { id: 1, v: "new" },
        { id: 2, v: null },
      ],
      MERGE,
    );
    expect(report.status).toBe("failed");
    expect(await shop.sql("select id, v from {}.items order by id")).toEqual([
      [1, "a"],
      [2, "b"],
    ]);
  });

  // killed processes: the crash tests; this is the same point without one
  test("8: a load that committed before a crash is not applied again", async () => {
    const report = await shop.run([{ id: 1 }], {}, crashAt("load:committed"));
    expect(report.status).toBe("failed");
    const next = await shop.load([{ id: 2 }]);
    expect(next.packages[0]).toMatchObject({ recovered: true, status: "loaded" });
    expect(await shop.sql(IDS)).toEqual([[1], [2]]);
    expect(await shop.sql("select count(*), count(distinct load_id) from {}._dlt_loads")).toEqual([[2, 2]]);
  });

  // also test/conformance/merge-strategies.test.ts
  test("9: a replace that fails leaves the old rows, and readers see them until it commits", async () => {
    const hints: ResourceHints = { writeDisposition: "replace" };
    await shop.load([{ id: 1, tags: ["a"] }], hints);
    expect((await shop.run([{ id: 2 }], hints, crashAt("load:table:items"))).status).toBe("failed");
    expect(await shop.sql(IDS)).toEqual([[1]]);
    expect(await shop.sql("select value from {}.items__tags")).toEqual([["a"]]);
  });

  // also test/conformance/merge-strategies.test.ts
  test("10: upsert of one key twice in a load keeps the last row, and says how many it dropped", async () => {
    const writeDisposition = { disposition: "merge", strategy: "upsert" } as const;
    const rows = [
      { id: 1, v: "x" },
      { id: 1, v: "y" },
    ];
    const report = await shop.load(rows, { writeDisposition, primaryKey: "id" });
    expect(await shop.sql("select id, v from {}.items")).toEqual([[1, "y"]]);
    expect(report.packages[0]?.merged?.items?.deduplicated).toBe(1);
  });

  // deeper levels and other strategies: test/conformance/migrations.test.ts
  test("11: a table with nested tables that was appended to can be merged", async () => {
    await shop.load([
      { id: 1, tags: ["x"] },
      { id: 2, tags: ["z"] },
    ]);
    await shop.load([{ id: 1, tags: ["y"] }], MERGE);
    expect(await shop.sql("select value from {}.items__tags order by 1")).toEqual([["y"], ["z"]]);
    expect(await shop.sql("select count(*) from {}.items__tags where _dlt_root_id is null")).toEqual([[0]]);
  });

  test("12: a merge without a key is refused before extraction, with two ways out", async () => {
    let fetched = false;
    const items = resource({ name: "items", writeDisposition: "merge" }, function* () {
      fetched = true;
      yield [{ id: 1 }];
    });
    const report = await shop.pipeline().run(new Source({ name: "shop", resources: [items] }));
    expect(report.error).toMatchObject({ code: "MERGE_WITHOUT_KEY", details: { resource: "items" } });
    expect(report.error?.hint).toMatch(/primaryKey or a mergeKey, or use write disposition append/);
    expect(fetched).toBe(false);
  });

  // every change of type: test/conformance/migrations.test.ts
  test("13: a hint that widens a type migrates the table, another one is refused", async () => {
    await shop.load([{ id: 1, v: 1 }]);
    await shop.load([{ id: 2, v: 2 }], { columns: { v: { data_type: "text" } } });
    expect((await shop.types("items")).v).toBe(store.typeName("VARCHAR"));
    const report = await shop.run([{ id: 3, v: 3 }], { columns: { v: { data_type: "bigint" } } });
    expect(report.error?.code).toBe("TYPE_CHANGE_REFUSED");
    expect(await shop.sql("select v from {}.items order by 1")).toEqual([["1"], ["2"]]);
  });

  // foreign changes: test/conformance/migrations.test.ts
  test("14: a table dropped by hand is made again although the schema has not changed", async () => {
    await shop.load([{ id: 1 }]);
    await shop.sql("drop table {}.items");
    await shop.load([{ id: 2 }]);
    expect(await shop.sql(IDS)).toEqual([[2]]);
  });

  // other modes, and on Postgres: test/conformance/refresh.test.ts
  test("15: drop_data empties all tables of the resource, also those that get no row in this load", async () => {
    await shop.load([{ id: 1, tags: ["a"] }]);
    await shop.load([{ id: 2 }], {}, { refresh: "drop_data" });
    expect(await shop.sql(IDS)).toEqual([[2]]);
    expect(await shop.sql("select count(*) from {}.items__tags")).toEqual([[0]]);
  });

  test("16: two fields of a row that become one column are refused, not overwritten", async () => {
    const report = await shop.run([{ userId: 1, user_id: 2 }]);
    expect(report.error).toMatchObject({
      code: "NAME_COLLISION",
      details: { table: "items", column: "user_id" },
    });
  });

  test("17: the class of an error decides about a retry, retries wait longer each time", async () => {
    const attempts: number[] = [];
    const real = shop.destination;
    const refusing = (code: "DESTINATION_LOCKED" | "DESTINATION_INVALID", times: number): Destination => ({
      ...real,
      open: async (dataset, context) => {
        attempts.push(performance.now());
        if (attempts.length <= times) throw new EngineError(code, "no");
        return real.open(dataset, context);
      },
    });
    const pipeline = (destination: Destination) =>
      new Pipeline({ name: "shop", dataset: "data", destination, dir: join(shop.dir, "work") });

    succeeded(await pipeline(refusing("DESTINATION_LOCKED", 2)).run(sourceOf([{ id: 1 }])));
    const [first, second, third] = attempts;
    expect(second! - first!).toBeGreaterThanOrEqual(190);
    expect(third! - second!).toBeGreaterThan((second! - first!) * 0.9);

    attempts.length = 0;
    const report = await pipeline(refusing("DESTINATION_INVALID", 1)).run(sourceOf([{ id: 2 }]));
    expect(report.error?.code).toBe("DESTINATION_INVALID");
    expect(attempts).toHaveLength(1);
  });

  test("18: jobs and packages are bounded without being asked", async () => {
    await shop.remove();
    shop = new Shop({ store, limits: { jobBytesMax: 4096, packageRowsMax: 600 } });
    const pages = Array.from({ length: 10 }, (_, page) =>
      Array.from({ length: 200 }, (_, n): Row => ({ id: page * 200 + n, text: "x".repeat(20) })),
    );
    const items = resource({ name: "items", incremental: incremental("id", { rowOrder: "asc" }) }, pages);
    const report = succeeded(await shop.pipeline().run(new Source({ name: "shop", resources: [items] })));
    expect(report.packages.length).toBeGreaterThanOrEqual(3);
    const packages = shop.pipeline().store();
    const [loaded] = await packages.list("loaded");
    expect((await packages.readManifest(loaded!)).rows?.items).toBeLessThanOrEqual(800);
    expect(await shop.sql("select count(*), count(distinct id) from {}.items")).toEqual([[2000, 2000]]);
  });

  test("19: a run leaves one JSON trace, which is its report", async () => {
    const report = await shop.load([{ id: 1 }]);
    const trace = join(shop.dir, "work", "runs", report.run_id, "trace.json");
    expect(JSON.parse(readFileSync(trace, "utf8"))).toEqual(JSON.parse(JSON.stringify(report)));
  });

  // other processes: test/unit/package/lock.test.ts
  test("20: a second run of a pipeline is told who holds the lock, and touches nothing", async () => {
    const seen: unknown[] = [];
    const items = resource({ name: "items" }, async function* () {
      seen.push((await shop.run([{ id: 2 }])).error);
      yield [{ id: 1 }];
    });
    const report = await shop.pipeline().run(new Source({ name: "shop", resources: [items] }));
    expect(succeeded(report).rows.items).toBe(1);
    expect(seen).toMatchObject([{ code: "LOCKED", details: { run_id: report.run_id } }]);
    expect(await shop.sql(IDS)).toEqual([[1]]);
  });

  test.runIf(store.name === "DuckDB")("21: a database file may be named as its dataset", async () => {
    await shop.remove();
    shop = new Shop({ store, dataset: "shop", file: "shop.duckdb" });
    await shop.load([{ id: 1, v: "a", tags: ["x"] }], MERGE);
    await shop.load([{ id: 1, v: "b", tags: ["y"] }], MERGE);
    expect(await shop.sql("select v from {}.items")).toEqual([["b"]]);
  });

  // every form of time: test/golden/cases/types
  test("22: datetimes with and without a zone are one column of one kind, by one rule", async () => {
    const report = await shop.load([
      { id: 1, seen: new Date("2024-01-02T03:04:05Z") },
      { id: 2, seen: "2024-01-02T03:04:05" },
      { id: 3, seen: "2024-01-02T05:04:05+02:00" },
    ]);
    expect(report.warnings).toEqual([]);
    expect((await shop.types("items")).seen).toBe(store.typeName("TIMESTAMP WITH TIME ZONE"));
    expect(await shop.sql("select count(*), count(distinct seen) from {}.items")).toEqual([[3, 1]]);
    const naive: ResourceHints = {
      tableName: "naive",
      columns: { seen: { data_type: "timestamp", timezone: false } },
    };
    await shop.load(
      [{ seen: "2024-01-02T05:04:05+02:00" }, { seen: new Date("2024-01-02T03:04:05Z") }],
      naive,
    );
    expect(await shop.sql("select distinct seen::varchar from {}.naive")).toEqual([["2024-01-02 03:04:05"]]);
  });

  test("22: a cursor with a zone and rows without one compare as the same moments", async () => {
    const rows = [
      { id: 1, n: "2023-12-31T00:00:00" },
      { id: 2, n: "2024-01-02T00:00:00" },
    ];
    await shop.load(rows, { incremental: incremental("n", { initialValue: "2024-01-01T00:00:00+00:00" }) });
    expect(await shop.sql(IDS)).toEqual([[2]]);
  });

  // also test/unit/secrets.test.ts
  test("23: a missing secret names what to set and what was found close to it", () => {
    const secrets = new Secrets({
      workspaceDir: shop.dir,
      environment: { SOURCES__SHOP__APIKEY: "abc" },
    });
    try {
      void secrets.forSource("shop").api_key;
      expect.unreachable();
    } catch (error) {
      const { code, hint, message } = error as EngineError;
      expect(code).toBe("CONFIG_MISSING");
      expect(hint).toContain("SOURCES__SHOP__API_KEY");
      expect(message).toContain("SOURCES__SHOP__APIKEY");
    }
    expect(existsSync(shop.database)).toBe(false);
  });
});
