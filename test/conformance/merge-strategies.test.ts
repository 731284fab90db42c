/** What the golden cases of dlt leave open: duplicates, hard deletes, nested rows, and changes of strategy. */

import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { ResourceHints } from "../../src/engine/extract/resource.ts";
import { duckdb } from "../../src/engine/index.ts";
import { Shop } from "../support/item-shop.ts";
import { testStores } from "../support/stores.ts";

const stores = await testStores("conformance_strategies");

describe.each(stores)("on $name", (store) => {
  let shop: Shop;
  beforeEach(() => {
    shop = new Shop({ store });
  });
  afterEach(() => shop.remove());

  const UPSERT: ResourceHints = {
    writeDisposition: { disposition: "merge", strategy: "upsert" },
    primaryKey: "id",
  };
  const INSERT_ONLY: ResourceHints = {
    writeDisposition: { disposition: "merge", strategy: "insert-only" },
    primaryKey: "id",
  };
  const scd2 = (day: string, more: object = {}): ResourceHints => ({
    writeDisposition: { disposition: "merge", strategy: "scd2", boundaryTimestamp: day, ...more },
  });
  const ITEMS = "select id, v from {}.items order by id";
  const TAGS = "select value from {}.items__tags order by value";
  /** Nested rows whose root is not there. */
  const ORPHANS =
    "select count(*) from {}.items__tags where _dlt_root_id not in (select _dlt_id from {}.items)";
  const day = (column: string): string =>
    store.name === "DuckDB" ? `strftime(${column}, '%d')` : `to_char(${column}, 'DD')`;
  const HISTORY = `select id, v, ${day("_dlt_valid_from")}, ${day("_dlt_valid_to")} from {}.items order by id, 3, v`;

  describe("upsert", () => {
    test("takes the last of several rows with one key, with its nested rows only, and counts the others", async () => {
      const report = await shop.load(
        [
          { id: 1, v: "first", tags: ["a", "b", "c"] },
          { id: 2, v: "other", tags: ["d"] },
          { id: 1, v: "last", tags: ["x"] },
        ],
        UPSERT,
      );
      expect(await shop.sql(ITEMS)).toEqual([
        [1, "last"],
        [2, "other"],
      ]);
      expect(await shop.sql(TAGS)).toEqual([["d"], ["x"]]);
      expect(report.packages[0]?.merged?.items).toEqual({ deleted: 0, deduplicated: 1 });
    });

    test("takes the row that dedup_sort puts first, and its list even when that is empty", async () => {
      const hints: ResourceHints = {
        ...UPSERT,
        columns: { at: { data_type: "bigint", dedup_sort: "desc" } },
      };
      await shop.load(
        [
          { id: 1, at: 2, v: "newest", tags: [] },
          { id: 1, at: 1, v: "late", tags: ["old"] },
          { id: 2, at: null, v: "without", tags: ["w"] },
          { id: 2, at: 1, v: "with", tags: ["t"] },
        ],
        hints,
      );
      expect(await shop.sql(ITEMS)).toEqual([
        [1, "newest"],
        [2, "with"],
      ]);
      expect(await shop.sql(TAGS)).toEqual([["t"]]);
    });

    test("updates in place: a column that somebody else added keeps its value", async () => {
      await shop.load([{ id: 1, v: "a" }], UPSERT);
      await shop.sql("alter table {}.items add column note text", "update {}.items set note = 'mine'");
      const report = await shop.load(
        [
          { id: 1, v: "b" },
          { id: 2, v: "c" },
        ],
        UPSERT,
      );
      expect(await shop.sql("select id, v, note from {}.items order by id")).toEqual([
        [1, "b", "mine"],
        [2, "c", null],
      ]);
      expect(report.packages[0]?.merged?.items).toEqual({ deleted: 1, deduplicated: 0 });
    });

    test("a row marked as deleted goes with its nested rows, and is not inserted when it was not there", async () => {
      const hints: ResourceHints = { ...UPSERT, columns: { gone: { data_type: "bool", hard_delete: true } } };
      await shop.load(
        [
          { id: 1, v: "a", gone: false, tags: ["a"] },
          { id: 2, v: "b", tags: ["b"] },
        ],
        hints,
      );
      await shop.load(
        [
          { id: 1, gone: true, tags: ["late"] },
          { id: 3, gone: true, tags: ["never"] },
        ],
        hints,
      );
      expect(await shop.sql(ITEMS)).toEqual([[2, "b"]]);
      expect(await shop.sql(TAGS)).toEqual([["b"]]);
    });

    test("of a table that was appended to replaces the nested rows below the old row ids", async () => {
      await shop.load([
        { id: 1, v: "a", tags: ["a1", "a2"] },
        { id: 2, v: "b", tags: ["b1"] },
      ]);
      await shop.load([{ id: 1, v: "a2", tags: ["a3"] }], UPSERT);
      expect(await shop.sql(ITEMS)).toEqual([
        [1, "a2"],
        [2, "b"],
      ]);
      expect(await shop.sql(TAGS)).toEqual([["a3"], ["b1"]]);
      expect(await shop.sql(ORPHANS)).toEqual([[0]]);
    });

    test("takes a column that is new in the same load", async () => {
      await shop.load([{ id: 1, v: "a" }], UPSERT);
      await shop.load([{ id: 1, v: "b", more: 7 }], UPSERT);
      expect(await shop.sql("select v, more from {}.items")).toEqual([["b", 7]]);
    });

    test("with a key of two columns and lists in lists", async () => {
      const hints: ResourceHints = { ...UPSERT, primaryKey: ["shop", "id"] };
      const row = (id: number, sku: string) => ({ shop: "s", id, lines: [{ sku, parts: [`${sku}-1`] }] });
      await shop.load([row(1, "a"), row(2, "b")], hints);
      await shop.load([row(2, "b2")], hints);
      expect(await shop.sql("select value from {}.items__lines__parts order by 1")).toEqual([
        ["a-1"],
        ["b2-1"],
      ]);
    });
  });

  describe("insert-only", () => {
    test("never changes what is there, and takes the first of several rows in one load", async () => {
      await shop.load([{ id: 1, v: "a" }], INSERT_ONLY);
      await shop.load(
        [
          { id: 1, v: "changed" },
          { id: 2, v: "first", tags: ["one"] },
          { id: 2, v: "second", tags: ["two", "three"] },
        ],
        INSERT_ONLY,
      );
      expect(await shop.sql(ITEMS)).toEqual([
        [1, "a"],
        [2, "first"],
      ]);
      expect(await shop.sql(TAGS)).toEqual([["one"]]);
    });

    test("leaves out rows marked as deleted, and deletes none", async () => {
      const hints: ResourceHints = {
        ...INSERT_ONLY,
        columns: { gone: { data_type: "bool", hard_delete: true } },
      };
      await shop.load([{ id: 1, v: "a", gone: false }], hints);
      await shop.load(
        [
          { id: 1, gone: true },
          { id: 2, gone: true, tags: ["x"] },
        ],
        hints,
      );
      expect(await shop.sql(ITEMS)).toEqual([[1, "a"]]);
    });

    test("adds no nested rows below a row that has an id of another kind", async () => {
      await shop.load([{ id: 1, v: "a", tags: ["a"] }]);
      await shop.load([{ id: 1, v: "b", tags: ["b", "c"] }], INSERT_ONLY);
      expect(await shop.sql(TAGS)).toEqual([["a"]]);
      expect(await shop.sql(ORPHANS)).toEqual([[0]]);
    });
  });

  describe("scd2", () => {
    test("a version that comes back after it was retired is active again, with its nested rows once", async () => {
      const rows = [{ id: 1, v: "a", tags: ["t"] }];
      await shop.load(rows, scd2("2024-01-01"));
      await shop.load([{ id: 2, v: "b" }], scd2("2024-01-02"));
      await shop.load(rows, scd2("2024-01-03"));
      expect(await shop.sql(HISTORY)).toEqual([
        [1, "a", "01", "02"],
        [1, "a", "03", null],
        [2, "b", "02", "03"],
      ]);
      expect(await shop.sql(TAGS)).toEqual([["t"]]);
    });

    test("a row that comes twice in one load is one version", async () => {
      const row = { id: 1, v: "a", tags: ["t"] };
      const report = await shop.load([row, row], scd2("2024-01-01"));
      expect(await shop.sql(HISTORY)).toEqual([[1, "a", "01", null]]);
      expect(await shop.sql(TAGS)).toEqual([["t"]]);
      expect(report.packages[0]?.merged?.items?.deduplicated).toBe(1);
    });

    test("with a row version of the user an unchanged row keeps its id and its nested rows", async () => {
      const hints = (day: string) => scd2(day, { rowVersionColumnName: "version" });
      await shop.load([{ id: 1, v: "a", version: "1", tags: ["t"] }], hints("2024-01-01"));
      await shop.load([{ id: 1, v: "ignored", version: "1", tags: ["ignored"] }], hints("2024-01-02"));
      expect(await shop.sql(TAGS)).toEqual([["t"]]);
      await shop.load([{ id: 1, v: "b", version: "2", tags: ["u"] }], hints("2024-01-03"));
      expect(await shop.sql(HISTORY)).toEqual([
        [1, "a", "01", "03"],
        [1, "b", "03", null],
      ]);
      expect(await shop.sql(TAGS)).toEqual([["t"], ["u"]]);
    });

    test("a row marked as deleted retires its group and is not inserted", async () => {
      const hints = (day: string): ResourceHints => ({
        ...scd2(day),
        mergeKey: "id",
        columns: { gone: { data_type: "bool", hard_delete: true } },
      });
      await shop.load(
        [
          { id: 1, v: "a", gone: false },
          { id: 2, v: "b" },
        ],
        hints("2024-01-01"),
      );
      await shop.load([{ id: 1, v: "a", gone: true, tags: ["x"] }], hints("2024-01-02"));
      expect(await shop.sql(HISTORY)).toEqual([
        [1, "a", "01", "02"],
        [2, "b", "01", null],
      ]);
    });

    test("an active record timestamp stands where null would", async () => {
      const hints = (day: string) => scd2(day, { activeRecordTimestamp: new Date("9999-12-31") });
      await shop.load([{ id: 1, v: "a" }], hints("2024-01-01"));
      await shop.load([{ id: 1, v: "b" }], hints("2024-01-02T00:00:00+00:00"));
      expect(await shop.sql(HISTORY)).toEqual([
        [1, "a", "01", "02"],
        [1, "b", "02", "31"],
      ]);
    });

    test("of a table that was appended to retires the rows without a version", async () => {
      await shop.load([{ id: 1, v: "a" }]);
      await shop.load([{ id: 1, v: "a" }], scd2("2024-01-02"));
      expect(await shop.sql(HISTORY)).toEqual([
        [1, "a", "02", null],
        [1, "a", null, "02"],
      ]);
    });
  });

  describe("refused before anything is fetched", () => {
    const refusal = async (hints: ResourceHints) => {
      let fetched = false;
      const { resource, Source } = await import("../../src/engine/extract/resource.ts");
      const items = resource({ name: "items", ...hints }, function* () {
        fetched = true;
        yield [{ id: 1 }];
      });
      const report = await shop.pipeline().run(new Source({ name: "shop", resources: [items] }));
      expect(fetched).toBe(false);
      return [report.error?.code, report.error?.message];
    };
    const merge = (more: object) => ({ disposition: "merge", ...more }) as ResourceHints["writeDisposition"];

    test.each([
      [
        "upsert without a primary key",
        { writeDisposition: merge({ strategy: "upsert" }) },
        "MERGE_WITHOUT_KEY",
      ],
      [
        "upsert with only a merge key",
        { writeDisposition: merge({ strategy: "upsert" }), mergeKey: "id" },
        "MERGE_WITHOUT_KEY",
      ],
      [
        "insert-only without a key",
        { writeDisposition: merge({ strategy: "insert-only" }) },
        "MERGE_WITHOUT_KEY",
      ],
      ["delete-insert without a key", { writeDisposition: merge({}) }, "MERGE_WITHOUT_KEY"],
      [
        "another strategy",
        { writeDisposition: merge({ strategy: "cdc" }), primaryKey: "id" },
        "SOURCE_INVALID",
      ],
      [
        "an option of another strategy",
        {
          writeDisposition: merge({ strategy: "upsert", boundaryTimestamp: "2024-01-01" }),
          primaryKey: "id",
        },
        "SOURCE_INVALID",
      ],
      [
        "a time that cannot be read",
        { writeDisposition: merge({ strategy: "scd2", boundaryTimestamp: "yesterday" }) },
        "SOURCE_INVALID",
      ],
    ] as [string, ResourceHints, string][])("%s", async (_name, hints, code) => {
      const [found, message] = await refusal(hints);
      expect(found).toBe(code);
      expect(message).toContain("items");
    });
  });

  describe.runIf(store.name === "DuckDB")("replace", () => {
    test.each(["truncate-and-insert", "insert-from-staging", "staging-optimized"] as const)(
      "by %s leaves the same tables, the old ones until the load commits",
      async (replaceStrategy) => {
        const { sourceOf, succeeded } = await import("../support/item-shop.ts");
        const pipeline = shop.pipeline({ destination: duckdb({ path: shop.database, replaceStrategy }) });
        const hints: ResourceHints = { writeDisposition: "replace" };
        succeeded(await pipeline.run(sourceOf([{ id: 1, v: "a", tags: ["x"] }], hints)));
        const crash = await pipeline.run(sourceOf([{ id: 2, v: "b" }], hints), {
          boundary: (name) => {
            if (name === "load:commit") throw new Error("crash");
          },
        });
        expect(crash.status).toBe("failed");
        expect(await shop.sql(ITEMS)).toEqual([[1, "a"]]);
        expect(await shop.sql(TAGS)).toEqual([["x"]]);
        succeeded(await pipeline.run(sourceOf([{ id: 3, v: "c" }], hints)));
        expect(await shop.sql(ITEMS)).toEqual([[3, "c"]]);
        expect(await shop.sql(TAGS)).toEqual([]);
      },
    );

    test("by another word is refused", () => {
      expect(() => duckdb({ path: shop.database, replaceStrategy: "drop" as "staging-optimized" })).toThrow(
        "not a replace strategy",
      );
    });
  });
});
