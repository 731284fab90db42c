/** Schema contracts where we do more than dlt: a frozen schema never blocks, and nothing discarded is lost. */

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { JsonlPage, resource, Source } from "../../src/engine/index.ts";
import { Shop } from "../support/shop.ts";
import { testStores } from "../support/stores.ts";

const stores = await testStores("conformance_contracts");

describe.each(stores)("on $name", (store) => {
  let shop: Shop;
  beforeEach(() => {
    shop = new Shop({ store });
  });
  afterEach(() => shop.remove());

  const items = { name: "items" };
  const first = [{ id: 1, v: 1 }];

  describe("a frozen schema fails the run, sets the package aside and never blocks (defect 3)", () => {
    it.each([
      ["columns", { id: 3, w: "new" }, { table: "items", column: "w", value_type: "text" }],
      ["data_type", { id: 3, v: "abc" }, { table: "items", column: "v", value_type: "text" }],
      ["tables", { id: 3, l: ["x"] }, { table: "items__l" }],
    ])("%s", async (part, bad, details) => {
      await shop.run(items, first);
      const rows = [{ id: 2, v: 2 }, bad];
      const report = await shop.run({ ...items, schemaContract: { [part]: "freeze" } }, rows);
      expect(report.status).toBe("failed");
      expect(report.error).toMatchObject({ code: "CONTRACT_VIOLATION", details: { ...details, row: 2 } });
      expect(report.packages).toMatchObject([{ status: "failed" }]);
      expect(await shop.query("select id from shop.items")).toEqual([["1"]]);

      const next = await shop.run(items, [{ id: 4, v: 4 }]);
      expect(next.status).toBe("succeeded");
      expect(await shop.query("select id from shop.items order by id")).toEqual([["1"], ["4"]]);
    });

    it("names the new root table, and only once there are rows for it", async () => {
      const frozen = { ...items, schemaContract: { tables: "freeze" as const } };
      expect((await shop.run(frozen, [])).status).toBe("succeeded");
      const report = await shop.run(frozen, first);
      expect(report.error).toMatchObject({
        code: "CONTRACT_VIOLATION",
        details: { table: "items", row: 1, resource: "items" },
      });
      expect((await shop.run(items, first)).status).toBe("succeeded");
    });

    it("takes back the cursor of the package that was set aside", async () => {
      const { incremental } = await import("../../src/engine/index.ts");
      const hints = { ...items, incremental: incremental("id") };
      await shop.run(hints, first);
      await shop.run({ ...hints, schemaContract: "freeze" }, [{ id: 5, v: 1, w: 1 }]);
      await shop.run(hints, [{ id: 5, v: 5 }]);
      expect(await shop.query("select id from shop.items order by id")).toEqual([["1"], ["5"]]);
    });

    it("refuses a declared column that is new, before anything is fetched", async () => {
      await shop.run(items, first);
      let fetched = false;
      const source = new Source({
        name: "shop",
        resources: [
          resource(
            { ...items, columns: { w: { data_type: "text" } }, schemaContract: { columns: "freeze" } },
            () => {
              fetched = true;
              return [];
            },
          ),
        ],
      });
      const report = await shop.pipeline().run(source);
      expect(report.error).toMatchObject({ code: "CONTRACT_VIOLATION", details: { column: "w" } });
      expect(fetched).toBe(false);
    });
  });

  it("a null where a value is required does not block later runs either (defect 3)", async () => {
    const hints = { ...items, columns: { v: { nullable: false } } };
    await shop.run(hints, first);
    const report = await shop.run(hints, [
      { id: 2, v: 2 },
      { id: 3, v: null },
    ]);
    expect(report.error).toMatchObject({
      code: "NULL_IN_REQUIRED",
      details: { table: "items", column: "v", row: 2 },
    });
    expect((await shop.run(hints, [{ id: 4, v: 4 }])).status).toBe("succeeded");
    expect(await shop.query("select id from shop.items order by id")).toEqual([["1"], ["4"]]);
  });

  describe("what a contract discards", () => {
    const REJECTED =
      "select table_name, path, reason, row::varchar from shop._loadwright_rejected order by 1";
    /** The row as what it says: jsonb has an order of keys of its own. */
    const rejected = async () =>
      (await shop.query(REJECTED)).map(([table, path, reason, row]) => [
        table,
        path,
        reason,
        JSON.parse(String(row)),
      ]);

    it("is kept as whole rows, with what is nested in them", async () => {
      await shop.run(items, first);
      const rows = [
        { id: 2, v: 2, w: "new", l: [{ a: 1 }] },
        { id: 3, v: 3 },
      ];
      const report = await shop.run({ ...items, schemaContract: { columns: "discard_row" } }, rows);
      expect(await shop.query("select id from shop.items order by id")).toEqual([["1"], ["3"]]);
      expect(await shop.tables()).toEqual(["_loadwright_rejected", "items"]);
      const row = { id: 2, v: 2, w: "new", l: [{ a: 1 }] };
      expect(await rejected()).toEqual([["items", "w", "columns: discard_row", row]]);
      expect(report.packages[0]?.rejected).toEqual({ items: { rows: 1, values: 0 } });
      const loads =
        "select count(*) from shop._loadwright_rejected r join shop._dlt_loads l on l.load_id = r.load_id";
      expect(await shop.query(loads)).toEqual([["1"]]);
      const versions = "select count(*) from shop._dlt_version where schema like '%rejected%'";
      expect(await shop.query(versions)).toEqual([["0"]]);
    });

    it("is kept as values that can be joined to their row", async () => {
      await shop.run(items, first);
      const contract = { columns: "discard_value", data_type: "discard_value" } as const;
      const report = await shop.run({ ...items, schemaContract: contract }, [{ id: 2, v: "abc", w: 7 }]);
      expect(await shop.query("select id, v from shop.items where id = 2")).toEqual([["2", null]]);
      const joined = `select r.path, r.reason, r.row->>r.path from shop._loadwright_rejected r
      join shop.items i on i._dlt_id = (r.row->>'_dlt_id') order by 1`;
      expect(await shop.query(joined)).toEqual([
        ["v", "data_type: discard_value", "abc"],
        ["w", "columns: discard_value", "7"],
      ]);
      expect(report.packages[0]?.rejected).toEqual({ items: { rows: 0, values: 2 } });
    });

    it("is only the nested row where the nested table is at fault", async () => {
      await shop.run(items, [{ id: 1, l: [{ a: 1 }] }]);
      const contract = { columns: "discard_row", tables: "discard_row" } as const;
      const rows = [{ id: 2, l: [{ a: 2, b: 1 }, { a: 3 }], m: [{ deep: [1] }] }];
      await shop.run({ ...items, schemaContract: contract }, rows);
      expect(await shop.query("select a from shop.items__l order by a")).toEqual([["1"], ["3"]]);
      expect(await shop.query("select count(*) from shop.items")).toEqual([["2"]]);
      expect(await rejected()).toEqual([
        ["items__l", "b", "columns: discard_row", { a: 2, b: 1 }],
        ["items__m", null, "tables: discard_row", { deep: [1] }],
      ]);
    });

    it("is a whole new root table", async () => {
      const report = await shop.run({ ...items, schemaContract: { tables: "discard_value" } }, first);
      expect(await shop.tables()).toEqual(["_loadwright_rejected"]);
      expect(await rejected()).toEqual([["items", null, "tables: discard_row", { id: 1, v: 1 }]]);
      expect(report.packages[0]?.rejected).toEqual({ items: { rows: 1, values: 0 } });
    });

    it("is only counted when rejected rows are not kept", async () => {
      await shop.remove();
      shop = new Shop({ store, keepRejected: false });
      await shop.run(items, first);
      const report = await shop.run({ ...items, schemaContract: { columns: "discard_row" } }, [
        { id: 2, w: 1 },
        { id: 3 },
      ]);
      expect(await shop.tables()).toEqual(["items"]);
      expect(report.packages[0]?.rejected).toEqual({ items: { rows: 1, values: 0 } });
    });

    it("is the same in the middle of many rows that take the fast path", async () => {
      await shop.run(items, first);
      const lines = Array.from({ length: 5000 }, (_, i) =>
        JSON.stringify(
          i % 1000 === 7 ? { id: i, v: i, w: i } : i % 1000 === 8 ? { id: i, v: "x" } : { id: i, v: i },
        ),
      );
      const page = new JsonlPage(Buffer.from(`${lines.join("\n")}\n`));
      const contract = { columns: "discard_row", data_type: "discard_value" } as const;
      const source = new Source({
        name: "shop",
        resources: [resource({ ...items, schemaContract: contract }, [page])],
      });
      const report = await shop.pipeline().run(source);
      expect(report.packages[0]?.rejected).toEqual({ items: { rows: 5, values: 5 } });
      expect(await shop.query("select count(*), count(v) from shop.items")).toEqual([["4996", "4991"]]);
      expect(await shop.query(`select count(*) from shop._loadwright_rejected`)).toEqual([["10"]]);
    });
  });

  describe("whose contract holds", () => {
    const bad = [{ id: 2, v: 2, w: 1 }];

    it("the source's, for resources that have none; the resource's own otherwise", async () => {
      await shop.run(items, first);
      const source = { schemaContract: "freeze" as const };
      expect((await shop.run(items, bad, { source })).error?.code).toBe("CONTRACT_VIOLATION");
      expect((await shop.run({ ...items, schemaContract: "evolve" }, bad, { source })).status).toBe(
        "succeeded",
      );
    });

    it("the run's over both, and it stays with the table", async () => {
      await shop.run(items, first);
      const own = { ...items, schemaContract: "evolve" as const };
      expect((await shop.run(own, first, { schemaContract: "freeze" })).status).toBe("succeeded");
      expect((await shop.run(items, bad)).error?.code).toBe("CONTRACT_VIOLATION");
      expect((await shop.run(own, bad)).status).toBe("succeeded");
    });

    it("a new table takes any column in its first package", async () => {
      const contract = { columns: "freeze" } as const;
      const rows = [{ id: 1 }, { id: 2, later: true }];
      expect((await shop.run({ ...items, schemaContract: contract }, rows)).status).toBe("succeeded");
      expect((await shop.run({ ...items, schemaContract: contract }, bad)).status).toBe("failed");
    });

    it("an unknown mode is refused", async () => {
      const report = await shop.run({ ...items, schemaContract: "forbid" as "freeze" }, first);
      expect(report.error?.code).toBe("SOURCE_INVALID");
    });
  });
});
