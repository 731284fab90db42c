/** Types, dispositions and tables that change between two runs (defects 11, 13 and 14 of dlt). */

import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { ResourceHints } from "../../src/engine/extract/resource.ts";
import type { Column } from "../../src/engine/schema/types.ts";
import { Shop, sourceOf } from "../support/item-shop.ts";
import { type Cell, testStores } from "../support/stores.ts";

const stores = await testStores("conformance_migrations");

describe.each(stores)("on $name", (store) => {
  let shop: Shop;
  beforeEach(() => {
    shop = new Shop({ store });
  });
  afterEach(() => shop.remove());

  const column = (v: Partial<Column>): ResourceHints => ({ columns: { v } });
  const VALUES = "select id, v::varchar from {}.items order by id";
  /** A type with what it has in brackets, as a catalogue prints it. */
  const withPrecision = (type: string): string =>
    store.typeName(type) + (store.name === "DuckDB" ? "" : (/\(.*/.exec(type)?.[0] ?? ""));

  describe("a widened type is migrated with the rows that are there", () => {
    test.each([
      [{ data_type: "bigint" }, { data_type: "double" }, "DOUBLE", "1.0", 2.5, "2.5"],
      [{ data_type: "bigint" }, { data_type: "decimal" }, "DECIMAL(38,9)", "1.000000000", 2, "2.000000000"],
      [{ data_type: "bigint" }, { data_type: "text" }, "VARCHAR", "1", "two", "two"],
      [{ data_type: "bigint", precision: 16 }, { precision: 64 }, "BIGINT", "1", 5_000_000_000, "5000000000"],
      [
        { data_type: "decimal", precision: 10, scale: 2 },
        { data_type: "decimal", precision: 20, scale: 4 },
        "DECIMAL(20,4)",
        "1.0000",
        2,
        "2.0000",
      ],
    ] as [Partial<Column>, Partial<Column>, string, string, Cell, string][])(
      "%j to %j",
      async (before, after, type, one, second, two) => {
        await shop.load([{ id: 1, v: 1 }], column(before));
        const report = await shop.load([{ id: 2, v: second }], column({ ...before, ...after }));
        expect((await shop.types("items")).v).toBe(store.typeName(type));
        expect(await shop.sql(VALUES)).toEqual([
          // Postgres writes no fraction that is zero
          [1, store.name === "DuckDB" ? one : one.replace(/\.0$/, "")],
          [2, two],
        ]);
        expect(report.packages[0]?.schema_changes).toMatchObject([
          { kind: "column_changed", table: "items", column: "v", hint: "type", after: withPrecision(type) },
        ]);
        expect(report.warnings).toEqual([]);
        // and stays: nothing is left to migrate
        const again = await shop.load([{ id: 3, v: null }], column({ ...before, ...after }));
        expect(again.packages[0]?.schema_changes).toEqual([]);
      },
    );

    test.each(["append", "replace", "merge", "upsert"])("also where rows are written by %s", async (how) => {
      const writeDisposition = (
        how === "upsert" ? { disposition: "merge", strategy: how } : how
      ) as ResourceHints["writeDisposition"];
      const hints = { primaryKey: "id", writeDisposition };
      await shop.load([{ id: 1, v: 1, tags: ["x"] }], hints);
      await shop.load([{ id: 1, v: "one", tags: ["y"] }], { ...hints, ...column({ data_type: "text" }) });
      const rows = how === "append" ? [["1"], ["one"]] : [["one"]];
      expect(await shop.sql("select v from {}.items order by 1")).toEqual(rows);
      expect((await shop.types("items")).v).toBe(store.typeName("VARCHAR"));
    });

    test("together with the package or not at all", async () => {
      await shop.load([{ id: 1, v: 1 }]);
      const report = await shop.run([{ id: 2, v: "two" }], column({ data_type: "text" }), {
        boundary: (name) => {
          if (name === "load:commit") throw new Error("crash");
        },
      });
      expect(report.status).toBe("failed");
      expect((await shop.types("items")).v).toBe(store.typeName("BIGINT"));
      await shop.load([{ id: 3, v: "three" }], column({ data_type: "text" }));
      expect(await shop.sql(VALUES)).toEqual([
        [1, "1"],
        [2, "two"],
        [3, "three"],
      ]);
    });
  });

  describe("any other change is refused and nothing is written", () => {
    test.each([
      [{ data_type: "bigint" }, { data_type: "bool" }],
      [{ data_type: "bigint" }, { data_type: "bigint", precision: 16 }],
      [{ data_type: "text" }, { data_type: "bigint" }],
      [{ data_type: "double" }, { data_type: "bigint" }],
      [
        { data_type: "decimal", precision: 20, scale: 4 },
        { data_type: "decimal", precision: 20, scale: 2 },
      ],
      [{ data_type: "bigint" }, { data_type: "decimal", precision: 10, scale: 0 }],
    ] as [Partial<Column>, Partial<Column>][])("%j to %j", async (before, after) => {
      await shop.load([{ id: 1, v: 1 }], column(before));
      const types = await shop.types("items");
      const report = await shop.run([{ id: 2, v: 0 }], column(after));
      expect(report.error).toMatchObject({
        code: "TYPE_CHANGE_REFUSED",
        details: { table: "items", column: "v" },
      });
      expect(report.error?.hint).toMatch(/variant column.*new column.*refresh/);
      expect(await shop.types("items")).toEqual(types);
      expect(await shop.sql("select count(*) from {}.items")).toEqual([[1]]);
      // with the old hint it goes on
      await shop.load([{ id: 3, v: 1 }], column(before));
      expect(await shop.sql("select count(*) from {}.items")).toEqual([[2]]);
    });

    test("another type is found before anything is fetched", async () => {
      await shop.load([{ id: 1, v: 1 }]);
      let fetched = false;
      const rows = {
        *[Symbol.iterator]() {
          fetched = true;
          yield { id: 2, v: true };
        },
      };
      const { resource, Source } = await import("../../src/engine/extract/resource.ts");
      const items = resource({ name: "items", ...column({ data_type: "bool" }) }, () => rows);
      const report = await shop.pipeline().run(new Source({ name: "shop", resources: [items] }));
      expect(report.error?.code).toBe("TYPE_CHANGE_REFUSED");
      expect(fetched).toBe(false);
    });
  });

  describe("a table that was appended to is merged", () => {
    const order = (id: number, sku: string) => ({
      id,
      lines: [{ sku, parts: [{ part: `${sku}-p`, bolts: [`${sku}-b1`, `${sku}-b2`] }] }],
    });
    const LEVELS = ["items__lines", "items__lines__parts", "items__lines__parts__bolts"];
    const counts = async () =>
      (await Promise.all(LEVELS.map((table) => shop.sql(`select count(*) from {}.${table}`)))).map(
        ([row]) => row![0],
      );

    test.each(["delete-insert", "upsert", "insert-only"] as const)(
      "by %s, with three levels of nested tables: each row knows its root",
      async (strategy) => {
        await shop.load([order(1, "a"), order(2, "b")]);
        const hints: ResourceHints = {
          writeDisposition: { disposition: "merge", strategy },
          primaryKey: "id",
        };
        await shop.load([order(2, "c"), order(3, "d")], hints);
        for (const table of LEVELS) {
          expect(
            await shop.sql(
              `select count(*) from {}.${table} where _dlt_root_id is null or _dlt_root_id not in (select _dlt_id from {}.items)`,
            ),
          ).toEqual([[0]]);
        }
        const second = strategy === "insert-only" ? "b" : "c";
        expect(await shop.sql("select value from {}.items__lines__parts__bolts order by 1")).toEqual(
          ["a", second, "d"].flatMap((sku) => [[`${sku}-b1`], [`${sku}-b2`]]),
        );
        expect(await counts()).toEqual([3, 3, 6]);
        // and a merge after that finds all levels
        await shop.load([{ id: 1, lines: [] }], hints);
        expect(await counts()).toEqual(strategy === "insert-only" ? [3, 3, 6] : [2, 2, 4]);
      },
    );

    test("also where the load has no rows for the levels below", async () => {
      await shop.load([order(1, "a"), order(2, "b")]);
      const merge: ResourceHints = { writeDisposition: "merge", primaryKey: "id" };
      await shop.load([{ id: 1, lines: [{ sku: "c" }] }, { id: 3 }], merge);
      expect(await counts()).toEqual([2, 1, 2]);
      await shop.load([order(2, "d")], merge);
      expect(await counts()).toEqual([2, 1, 2]);
      expect(await shop.sql("select part from {}.items__lines__parts")).toEqual([["d-p"]]);
    });

    test("and replaced, and appended to again", async () => {
      await shop.load([order(1, "a")], { writeDisposition: "merge", primaryKey: "id" });
      await shop.load([order(1, "b")], { writeDisposition: "append" });
      expect(await counts()).toEqual([2, 2, 4]);
      await shop.load([order(5, "c")], { writeDisposition: "replace" });
      expect(await counts()).toEqual([1, 1, 2]);
      await shop.load([order(5, "d")], { writeDisposition: "merge", primaryKey: "id" });
      expect(await shop.sql("select sku from {}.items__lines")).toEqual([["d"]]);
      expect(await counts()).toEqual([1, 1, 2]);
    });
  });

  describe("the live catalogue is looked at before each load", () => {
    const rows = (id: number) => [{ id, v: `v${id}`, tags: [`t${id}`] }];

    test("a table and a nested table dropped by hand are made again", async () => {
      await shop.load(rows(1));
      await shop.sql("drop table {}.items", "drop table {}.items__tags");
      await shop.load(rows(2));
      expect(await shop.sql(VALUES)).toEqual([[2, "v2"]]);
      expect(await shop.sql("select value from {}.items__tags")).toEqual([["t2"]]);
    });

    test("a column dropped by hand is made again, old rows have null in it", async () => {
      await shop.load(rows(1));
      await shop.sql("alter table {}.items drop column v");
      await shop.load(rows(2));
      expect(await shop.sql(VALUES)).toEqual([
        [1, null],
        [2, "v2"],
      ]);
    });

    test("a column that somebody else altered is reported and kept, values are cast", async () => {
      await shop.load(rows(1));
      await shop.sql("alter table {}.items alter column id type integer");
      const report = await shop.load(rows(2));
      expect((await shop.types("items")).id).toBe(store.typeName("INTEGER"));
      expect(report.warnings.join()).toContain(`Column id of table items is ${store.typeName("INTEGER")}`);
      expect(await shop.sql("select id from {}.items order by 1")).toEqual([[1], [2]]);
    });

    test("tables and columns of somebody else stay", async () => {
      await shop.load(rows(1));
      await shop.sql(
        "create table {}.notes (note text)",
        "insert into {}.notes values ('mine')",
        "alter table {}.items add column note text",
      );
      await shop.load(rows(2), { writeDisposition: "replace" });
      expect(await shop.sql("select note from {}.notes")).toEqual([["mine"]]);
      expect(await shop.sql("select id, note from {}.items")).toEqual([[2, null]]);
    });

    test("a type mismatch does not turn into a migration when a hint says what the schema said before", async () => {
      await shop.load(rows(1));
      await shop.sql("alter table {}.items alter column id type double precision");
      const report = await shop
        .pipeline()
        .run(sourceOf(rows(2), { columns: { id: { data_type: "bigint" } } }));
      expect(report.status).toBe("succeeded");
      expect((await shop.types("items")).id).toBe(store.typeName("DOUBLE"));
    });
  });
});
