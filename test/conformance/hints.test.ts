/** Hints that dlt takes in another form: zod models, nested tables, and what to do without values. */

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { Shop } from "../support/shop.ts";
import { testStores } from "../support/stores.ts";

const stores = await testStores("conformance_hints");

describe.each(stores)("on $name", (store) => {
  let shop: Shop;
  beforeEach(() => {
    shop = new Shop({ store });
  });
  afterEach(() => shop.remove());

  const columns = async (table: string): Promise<unknown[][]> =>
    shop.query(
      `select column_name, data_type, is_nullable from information_schema.columns
     where table_schema = '${shop.dataset}' and table_name = '${table}' and left(column_name, 4) <> '_dlt'
     order by ordinal_position`,
    );

  async function storedTable(name: string): Promise<Record<string, unknown>> {
    const [row] = await shop.query("select schema from shop._dlt_version order by version desc limit 1");
    return JSON.parse(String(row![0])).tables[name];
  }

  it("a zod model gives types, nullability and descriptions", async () => {
    const model = z
      .object({
        id: z.int(),
        price: z.number().nullable(),
        paid: z.boolean().optional().describe("Has it been paid?"),
        at: z.iso.datetime(),
        day: z.iso.date(),
        kind: z.enum(["a", "b"]).default("a"),
        address: z.object({ city: z.string() }).nullish(),
        amount: z
          .string()
          .meta({ description: "Net", column: { data_type: "decimal", precision: 10, scale: 2 } }),
        any: z.unknown(),
      })
      .describe("Orders of the shop");
    const row = { id: 1, at: "2024-01-01T00:00:00Z", day: "2024-01-01", amount: "1.5", any: "x" };
    const report = await shop.run({ name: "orders", columns: model }, [
      { ...row, address: { city: "Bern" } },
    ]);
    expect(report.error).toBeUndefined();
    expect(await columns("orders")).toEqual([
      ["id", store.typeName("BIGINT"), "NO"],
      ["price", store.typeName("DOUBLE"), "YES"],
      ["paid", store.typeName("BOOLEAN"), "YES"],
      ["at", store.typeName("TIMESTAMP WITH TIME ZONE"), "NO"],
      ["day", store.typeName("DATE"), "NO"],
      ["kind", store.typeName("VARCHAR"), "YES"],
      ["address", store.typeName("JSON"), "YES"],
      ["amount", store.typeName("DECIMAL(10,2)"), "NO"],
      ["any", store.typeName("VARCHAR"), "YES"],
    ]);
    expect(await storedTable("orders")).toMatchObject({
      description: "Orders of the shop",
      columns: { paid: { description: "Has it been paid?" }, amount: { description: "Net" } },
    });
  });

  describe("nested hints", () => {
    it("cut a table with a key out of its chain, at any depth, and merge it by that key", async () => {
      const hints = {
        name: "orders",
        nestedHints: {
          "lines.codes": { primaryKey: "code", writeDisposition: "merge" as const },
          lines: { columns: { n: { data_type: "text" as const } }, description: "Lines of an order" },
        },
      };
      await shop.run(hints, [{ id: 1, lines: [{ n: 1, codes: [{ code: "a", v: 1 }] }] }]);
      const report = await shop.run(hints, [{ id: 2, lines: [{ n: 2, codes: [{ code: "a", v: 2 }] }] }]);
      expect(report.error).toBeUndefined();
      expect(await shop.query("select n from shop.orders__lines order by n")).toEqual([["1"], ["2"]]);
      expect(await shop.query("select code, v from shop.orders__lines__codes")).toEqual([["a", "2"]]);
      expect(await storedTable("orders__lines")).toMatchObject({
        parent: "orders",
        description: "Lines of an order",
      });
      expect(await storedTable("orders__lines__codes")).not.toHaveProperty("parent");
    });

    it("keep a table with a disposition of its own when its root is replaced", async () => {
      const hints = {
        name: "orders",
        writeDisposition: "replace" as const,
        nestedHints: { lines: { primaryKey: "n", writeDisposition: "merge" as const } },
      };
      await shop.run(hints, [{ id: 1, lines: [{ n: 1 }] }]);
      await shop.run(hints, [{ id: 2, lines: [{ n: 2 }] }]);
      expect(await shop.query("select id from shop.orders")).toEqual([["2"]]);
      expect(await shop.query("select n from shop.orders__lines order by n")).toEqual([["1"], ["2"]]);
    });
  });

  describe("without values", () => {
    it("a column of nulls becomes text when asked for, and no column by default", async () => {
      await shop.run({ name: "items" }, [{ id: 1, note: null }]);
      expect(await columns("items")).toEqual([["id", store.typeName("BIGINT"), "YES"]]);
      await shop
        .pipeline({ keepNullColumns: true })
        .run(shop.source({ name: "items" }, [{ id: 2, note: null }]));
      await shop.run({ name: "items" }, [{ id: 3, note: "x" }]);
      expect(await columns("items")).toEqual([
        ["id", store.typeName("BIGINT"), "YES"],
        ["note", store.typeName("VARCHAR"), "YES"],
      ]);
      expect(await shop.query("select id, note from shop.items order by id")).toEqual([
        ["1", null],
        ["2", null],
        ["3", "x"],
      ]);
    });

    it("a declared table is made when asked for, and no table by default", async () => {
      const declared = { name: "items", columns: { id: { data_type: "bigint" as const } } };
      await shop.run(declared, []);
      expect(await shop.tables()).toEqual([]);
      const report = await shop.pipeline({ createEmptyTables: true }).run(shop.source(declared, []));
      expect(report.error).toBeUndefined();
      expect(await shop.tables()).toEqual(["items"]);
      await shop.run(declared, [{ id: 1 }]);
      expect(await shop.query("select id from shop.items where _dlt_load_id is not null")).toEqual([["1"]]);
    });
  });
});
