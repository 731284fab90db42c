/** Cursors whose bounds or order come from outside: backfills, intervals of a scheduler, functions for the last value. */

import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type IncrementalOptions, incremental } from "../../src/engine/extract/incremental.ts";
import type { Row } from "../../src/engine/extract/page.ts";
import { type ResourceHints, resource, Source } from "../../src/engine/extract/resource.ts";
import { Shop, sourceOf, succeeded } from "../support/item-shop.ts";
import { testStores } from "../support/stores.ts";

const IDS = "select id from {}.items order by id";
const numbers = (from: number, to: number): Row[] =>
  Array.from({ length: to - from }, (_, i) => ({ id: from + i, v: "a" }));

const stores = await testStores("conformance_windows");

describe.each(stores)("on $name", (store) => {
  let shop: Shop;
  beforeEach(() => {
    shop = new Shop({ store });
  });
  afterEach(() => shop.remove());

  const merged = (options: IncrementalOptions = {}): ResourceHints => ({
    incremental: incremental("id", options),
    writeDisposition: "merge",
    primaryKey: "id",
  });
  const ids = async (): Promise<unknown[]> => (await shop.sql(IDS)).map(([id]) => id);

  describe("a backfill", () => {
    test("loads its window again and leaves the stored cursor alone", async () => {
      await shop.load(numbers(0, 10), merged());
      const changed = numbers(0, 20).map((row) => ({ ...row, v: "b" }));
      const report = await shop.load(changed, merged(), { backfill: { from: "3", to: "6" } });
      expect(report.packages[0]?.resources).toEqual([
        expect.not.objectContaining({ cursor: expect.anything() }),
      ]);
      expect((await shop.sql("select id from {}.items where v = 'b' order by id")).flat()).toEqual([3, 4, 5]);
      await shop.load(numbers(0, 12), merged());
      expect(await ids()).toEqual(numbers(0, 12).map(({ id }) => id));
      expect((await shop.sql("select id from {}.items where v = 'b' order by id")).flat()).toEqual([3, 4, 5]);
    });

    test("hands the bounds to the source in the type of the cursor, also on a fresh machine", async () => {
      await shop.load(numbers(0, 10), merged());
      const seen: unknown[] = [];
      const items = resource({ name: "items", ...merged() }, ({ cursor }) => {
        seen.push(cursor.lastValue, cursor.endValue);
        return [numbers(0, 10)];
      });
      const source = new Source({ name: "shop", resources: [items] });
      const elsewhere = shop.pipeline({ dir: `${shop.dir}/elsewhere` });
      succeeded(await elsewhere.run(source, { backfill: { from: "2", to: "4" } }));
      expect(seen).toEqual([2, 4]);
    });

    test("reads text bounds as what the first row has when nothing is known", async () => {
      const at = (day: number) => ({ id: day, at: new Date(`2024-01-0${day}T12:00:00Z`) });
      const hints: ResourceHints = { incremental: incremental("at") };
      await shop.load([at(1), at(2), at(3)], hints, { backfill: { from: "2024-01-02", to: "2024-01-03" } });
      expect(await ids()).toEqual([2]);
      await shop.load([at(1), at(2), at(3)], hints, {
        backfill: { from: "2024-01-03T00:00:00Z", to: "2024-02-01" },
      });
      expect(await ids()).toEqual([2, 3]);
      await shop.load([at(1), at(2)], { incremental: incremental("at") });
      expect(await ids()).toEqual([1, 2, 2, 3]);
    });

    test("is told where it would load rows twice, and refused where it would lose them", async () => {
      const window = { backfill: { from: "0", to: "5" } };
      await shop.load(numbers(0, 10), { incremental: incremental("id") });
      const appended = await shop.load(numbers(0, 10), { incremental: incremental("id") }, window);
      expect(appended.warnings).toContainEqual(expect.stringContaining("are there twice now"));
      const replace: ResourceHints = { incremental: incremental("id"), writeDisposition: "replace" };
      const scd2: ResourceHints = {
        ...merged(),
        writeDisposition: { disposition: "merge", strategy: "scd2" },
      };
      for (const hints of [replace, scd2, {}]) {
        const report = await shop.run(numbers(0, 10), hints, { ...window, resources: ["items"] });
        expect(report.error).toMatchObject({ code: "CONFIG_INVALID", details: { resource: "items" } });
      }
      expect(await shop.sql("select count(*) from {}.items")).toEqual([[15]]);
    });

    test("that ends before it begins is refused", async () => {
      await shop.load(numbers(0, 3), merged());
      const report = await shop.run(numbers(0, 3), merged(), { backfill: { from: "9", to: "1" } });
      expect(report.error).toMatchObject({ code: "CONFIG_INVALID", details: { cursor: "id" } });
    });

    test("takes only the resources that have a cursor", async () => {
      const source = new Source({
        name: "shop",
        resources: [
          resource({ name: "items", ...merged() }, [numbers(0, 5)]),
          resource({ name: "plain" }, [[{ id: 1 }]]),
        ],
      });
      const report = succeeded(await shop.pipeline().run(source, { backfill: { from: 1, to: 3 } }));
      expect(report.rows).toMatchObject({ items: 2 });
      expect(report.rows).not.toHaveProperty("plain");
    });
  });

  describe("the interval of a scheduler", () => {
    test("has bounds of text also where the cursor has a lag, which a window does without", async () => {
      const lagging = merged({ allowExternalSchedulers: true, initialValue: 1, lag: 2 });
      await shop.load(numbers(0, 10), lagging, { interval: { from: "4", to: "6" } });
      expect(await shop.sql(IDS)).toEqual([[4], [5]]);
    });

    test("bounds the cursors that allow it, within their own bounds, and leaves their state alone", async () => {
      const allowing = merged({ allowExternalSchedulers: true, initialValue: 3 });
      await shop.load(numbers(0, 20), allowing, { interval: { from: "0", to: "6" } });
      expect(await ids()).toEqual([3, 4, 5]);
      await shop.load(numbers(0, 20), allowing, { interval: { from: "8", to: "10" } });
      expect(await ids()).toEqual([3, 4, 5, 8, 9]);
      await shop.load(numbers(0, 12), allowing);
      expect((await ids()).at(-1)).toBe(11);
    });

    test("is no concern of the others", async () => {
      await shop.load(numbers(0, 5), merged(), { interval: { from: "2", to: "3" } });
      expect(await ids()).toEqual([0, 1, 2, 3, 4]);
    });
  });

  describe("a function for the last value", () => {
    test("moves the cursor as it says, over runs and machines", async () => {
      // by length, then text: neither max nor min
      const longest = ([value, last]: readonly [unknown, unknown?]): unknown => {
        const [a, b] = [String(value), last === undefined ? "" : String(last)];
        return a.length > b.length || (a.length === b.length && a > b) ? a : b;
      };
      const hints: ResourceHints = { incremental: incremental("code", { lastValueFunc: longest }) };
      await shop.load(
        [
          { id: 1, code: "zz" },
          { id: 2, code: "z" },
        ],
        hints,
      );
      const elsewhere = shop.pipeline({ dir: `${shop.dir}/elsewhere` });
      const rows = [
        { id: 1, code: "zz" },
        { id: 2, code: "z" },
        { id: 3, code: "aaa" },
        { id: 4, code: "zz" },
      ];
      succeeded(await elsewhere.run(sourceOf(rows, hints)));
      // 4 has the stored value but was not there before; it came behind a longer one, and is new all the same
      expect(await ids()).toEqual([1, 2, 3, 4]);
    });

    test("may keep an object: the newest of each kind", async () => {
      const newest = ([value, last]: readonly [unknown, unknown?]): unknown => {
        const event = value as { kind: string; at: string };
        const known = { ...(last as Record<string, string> | undefined) };
        if (event.at > (known[event.kind] ?? "")) known[event.kind] = event.at;
        return known;
      };
      const hints: ResourceHints = {
        incremental: incremental("$", { lastValueFunc: newest, primaryKey: [] }),
      };
      const first = [
        { id: 1, kind: "a", at: "2024-01-01" },
        { id: 2, kind: "b", at: "2024-01-05" },
      ];
      await shop.load(first, hints);
      await shop.load([...first, { id: 3, kind: "a", at: "2024-01-02" }], hints);
      expect((await ids()).at(-1)).toBe(3);
      const count = async () => (await shop.sql("select count(*) from {}.items where id = 3"))[0]![0];
      await shop.load([...first, { id: 3, kind: "a", at: "2024-01-02" }], hints);
      expect(await count()).toBe(1);
    });

    test("that answers what cannot be stored is refused", async () => {
      const hints: ResourceHints = { incremental: incremental("id", { lastValueFunc: () => () => 1 }) };
      expect((await shop.run(numbers(0, 1), hints)).error?.code).toBe("CURSOR_TYPE");
    });
  });
});
