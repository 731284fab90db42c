/** Beginning anew: refresh modes, drop and dev mode, each in the transaction of a package. */

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { incremental, Pipeline, type Row, type RunReport, resource, Source } from "../../src/engine/index.ts";
import { REFRESH_MODES } from "../../src/engine/reset/refresh.ts";
import { Shop } from "../support/shop.ts";
import { testStores } from "../support/stores.ts";

const stores = await testStores("conformance_refresh");

describe.each(stores)("on $name", (store) => {
  let shop: Shop;
  beforeEach(() => {
    shop = new Shop({ store });
  });
  afterEach(() => shop.remove());

  function source(orders: readonly Row[], users: readonly Row[] = []): Source {
    return new Source({
      name: "shop",
      resources: [
        resource({ name: "orders", incremental: incremental("id") }, [orders]),
        resource({ name: "users" }, ({ state, sourceState }) => {
          state.runs = Number(state.runs ?? 0) + 1;
          sourceState.token ??= "first";
          return [users];
        }),
      ],
    });
  }

  const orders = [{ id: 1, lines: [{ n: 1 }] }, { id: 2 }];
  const ids = (): Promise<unknown[][]> => shop.query("select id from shop.orders order by id");

  describe("refresh", () => {
    it("drop_data empties all tables of the resource, those without new rows too (defect 15)", async () => {
      await shop.pipeline().run(source(orders, [{ id: 1 }]));
      const report = await shop.pipeline().run(source([]), { refresh: "drop_data", resources: ["orders"] });
      expect(report.error).toBeUndefined();
      expect(await ids()).toEqual([]);
      expect(await shop.query("select count(*) from shop.orders__lines")).toEqual([["0"]]);
      expect(await shop.query("select count(*) from shop.users")).toEqual([["1"]]);
      await shop.pipeline().run(source(orders), { resources: ["orders"] });
      expect(await ids()).toEqual([["1"], ["2"]]);
    });

    it("changes nothing when the new rows cannot be loaded", async () => {
      await shop.pipeline().run(source(orders));
      const frozen = source([{ id: 5, extra: 1 }]);
      const failed = await shop.pipeline().run(frozen, {
        refresh: "drop_data",
        schemaContract: { columns: "freeze" },
      });
      expect(failed.error?.code).toBe("CONTRACT_VIOLATION");
      expect(await ids()).toEqual([["1"], ["2"]]);
      await shop.pipeline().run(source([{ id: 2 }, { id: 3 }]));
      expect(await ids()).toEqual([["1"], ["2"], ["3"]]);
    });

    it("drop_resources makes the tables anew with the new types", async () => {
      await shop.pipeline().run(source(orders, [{ id: 1 }]));
      await shop.pipeline().run(source([{ id: "a" }]), { refresh: "drop_resources", resources: ["orders"] });
      expect(await ids()).toEqual([["a"]]);
      expect(await shop.tables()).toEqual(["orders", "users"]);
    });

    it("drop_sources drops tables of resources that do not run", async () => {
      await shop.pipeline().run(source(orders, [{ id: 1 }]));
      await shop.pipeline().run(source([{ id: 9 }]), { refresh: "drop_sources", resources: ["orders"] });
      expect(await shop.tables()).toEqual(["orders"]);
      expect(await ids()).toEqual([["9"]]);
    });

    it.each(REFRESH_MODES)(
      "%s is one package, so a source that fails half-way takes nothing away",
      async (refresh) => {
        const events = async function* (): AsyncGenerator<Row> {
          for (let n = 1; n <= 4; n++) yield { n };
          if (failing) throw new Error("no more");
        };
        let failing = false;
        const feed = new Source({
          name: "shop",
          resources: [
            resource({ name: "events", incremental: incremental("n", { rowOrder: "asc" }) }, events),
            resource({ name: "users", writeDisposition: "replace" }, [{ id: 1 }]),
          ],
        });
        const run = (options = {}): Promise<RunReport> =>
          shop.pipeline({ limits: { packageRowsMax: 2 } }).run(feed, options);
        expect((await run()).packages).toHaveLength(3);
        failing = true;
        expect((await run({ refresh })).status).toBe("failed");
        expect(await shop.query("select count(*) from shop.events")).toEqual([["4"]]);
        expect(await shop.query("select count(*) from shop.users")).toEqual([["1"]]);
        failing = false;
        expect((await run({ refresh })).packages).toHaveLength(1);
        expect(await shop.query("select count(*) from shop.events")).toEqual([["4"]]);
      },
    );

    it("is no more than a first run on an empty dataset", async () => {
      const report = await shop.pipeline().run(source(orders), { refresh: "drop_sources" });
      expect(report.status).toBe("succeeded");
      expect(await ids()).toEqual([["1"], ["2"]]);
    });
  });

  describe("drop", () => {
    it("drops tables and cursor of a resource, and leaves the others", async () => {
      await shop.pipeline().run(source(orders, [{ id: 1 }]));
      const planned = await shop.pipeline().planResourceDrop({ resources: ["orders"] });
      expect(await shop.tables()).toEqual(["orders", "orders__lines", "users"]);
      const done = await shop.pipeline().drop({ resources: ["orders"] });
      expect(done).toEqual(planned);
      expect(done).toMatchObject({
        resources: ["orders"],
        tables: ["orders__lines", "orders"],
        resource_states: ["orders"],
        state_paths: [],
      });
      expect(await shop.tables()).toEqual(["users"]);
      expect(await shop.query("select count(*) from shop._dlt_loads")).toEqual([["2"]]);
      expect(await shop.query("select count(*) from shop._dlt_version")).toEqual([["1"]]);
      // also where nothing is known but what the destination says
      await shop.pipeline({ dir: `${shop.folder}/elsewhere` }).run(source(orders));
      expect(await ids()).toEqual([["1"], ["2"]]);
    });

    it("drops parts of the source's state alone", async () => {
      await shop.pipeline().run(source(orders, [{ id: 1 }]));
      const done = await shop.pipeline().drop({ statePaths: ["token"] });
      expect(done).toMatchObject({ tables: [], resource_states: [], state_paths: ["token"] });
      const only = await shop.pipeline().drop({ resources: ["re:us.*"], stateOnly: true });
      expect(only).toMatchObject({ tables: [], resource_states: ["users"] });
      expect(await shop.tables()).toEqual(["orders", "orders__lines", "users"]);
    });

    it("drops members of lists and parts of what a resource remembers", async () => {
      await shop.pipeline().run(source(orders));
      const state = async (): Promise<unknown> => {
        const text = readFileSync(join(shop.folder, "work/state.json"), "utf8");
        return (JSON.parse(text) as { sources: { shop: unknown } }).sources.shop;
      };
      const remembers = resource({ name: "pages" }, ({ state, sourceState }) => {
        sourceState.list = [1, 2, 3, 4];
        state.inner = { a: 1, b: 2 };
        return [[{ id: 1 }]];
      });
      await shop.pipeline().run(new Source({ name: "shop", resources: [remembers] }));
      const dropping = async (...statePaths: string[]): Promise<unknown> =>
        (await shop.pipeline().drop({ statePaths })).state_paths;
      expect(await dropping("list[-1]", "resources.pages.inner.a")).toEqual([
        "list[3]",
        "resources.pages.inner.a",
      ]);
      expect(await state()).toMatchObject({ list: [1, 2, 3], resources: { pages: { inner: { b: 2 } } } });
      expect(await dropping("list[*]", "token.never", "resources")).toEqual([
        "list[0]",
        "list[1]",
        "list[2]",
      ]);
      expect(await state()).toMatchObject({ list: [], resources: { pages: {}, orders: {} } });
    });

    it("loads nothing when there is nothing to drop", async () => {
      await shop.pipeline().run(source(orders));
      await shop.pipeline().drop({ resources: ["nobody"] });
      expect(await shop.query("select count(*) from shop._dlt_loads")).toEqual([["1"]]);
    });

    it("is refused while packages are pending, and before the first load", async () => {
      await expect(shop.pipeline().drop({ all: true })).rejects.toMatchObject({ code: "PIPELINE_NEVER_RAN" });
      await shop.pipeline().run(source(orders));
      await shop.pipeline().extract(source([{ id: 3 }]));
      await expect(shop.pipeline().drop({ all: true })).rejects.toMatchObject({ code: "PACKAGE_SUPERSEDED" });
    });
  });

  it("plans by what the destination has, on a machine that has nothing", async () => {
    await shop.pipeline().run(source(orders));
    const fresh = (): Pipeline => shop.pipeline({ dir: `${shop.folder}/fresh` });
    expect(await fresh().planRefresh("drop_sources")).toMatchObject({
      tables: ["orders__lines", "orders"],
      resource_states: ["orders", "users"],
    });
    expect((await fresh().planResourceDrop({ resources: ["orders"] })).tables).toHaveLength(2);
    const rewind = { kind: "set_cursor", resource: "orders", value: 1 } as const;
    expect((await fresh().planStateReset(rewind)).changes).not.toEqual([]);
    expect(existsSync(`${shop.folder}/fresh`)).toBe(false);
    // and by what another machine has loaded since
    await fresh().run(source(orders, [{ id: 1 }]));
    const stale = await shop.pipeline().planResourceDrop({ all: true });
    expect(stale.tables).toContain("users");
    await fresh().drop({ resources: ["orders"] });
    await expect(shop.pipeline().dropWithBackup({ all: true, expected: [] })).rejects.toMatchObject({
      code: "CONFIRM_EXPIRED",
    });
    expect(await shop.tables()).toEqual(["users"]);
  });

  it("dev mode begins anew in a dataset of its own, and so does the first run after it", async () => {
    const dev = shop.pipeline({ devMode: true });
    expect(dev.dataset).toMatch(/^shop_data_\d{14}$/);
    expect((await dev.run(source(orders))).status).toBe("succeeded");
    expect((await dev.run(source([{ id: 2 }, { id: 3 }]))).rows.orders).toBe(1);
    expect((await shop.pipeline({ devMode: true }).run(source(orders))).status).toBe("succeeded");
    const plan = await shop.pipeline().planRefresh("drop_sources");
    expect(plan).toMatchObject({ tables: [], resource_states: [] });
    const report = await shop.pipeline().run(source(orders));
    expect(report.rows.orders).toBe(2);
    expect(dev).toBeInstanceOf(Pipeline);
  });
});
