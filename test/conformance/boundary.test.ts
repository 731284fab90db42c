/**
 * Many rows that share the last value of a cursor (defect 1): the next run reads them again and must know them.
 * A few are remembered in the state as dlt does, many in the table `_loadwright_boundary`.
 */

import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { incremental } from "../../src/engine/extract/incremental.ts";
import type { Row } from "../../src/engine/extract/page.ts";
import { type ResourceHints, resource, Source } from "../../src/engine/extract/resource.ts";
import { digest128 } from "../../src/engine/interop/hash.ts";
import { plainJson } from "../../src/engine/interop/json.ts";
import { decodeStateBlob } from "../../src/engine/interop/state.ts";
import { Shop, sourceOf, succeeded } from "../support/item-shop.ts";
import { testStores } from "../support/stores.ts";

const BY_DAY: ResourceHints = { incremental: incremental("day") };
const onDay = (day: number, from: number, to: number): Row[] =>
  Array.from({ length: to - from }, (_, i) => ({ id: from + i, day }));
const COUNT = "select count(*), count(distinct id) from {}.items";
const CHUNKS = "select count(*), coalesce(max(chunk), -1) from {}._loadwright_boundary";

const stores = await testStores("conformance_boundary");

describe.each(stores)("on $name", (store) => {
  let shop: Shop;
  beforeEach(() => {
    shop = new Shop({ store });
  });
  afterEach(() => shop.remove());

  const cursor = async (): Promise<Record<string, unknown>> => {
    const [row] = await shop.sql("select state from {}._dlt_pipeline_state order by version desc limit 1");
    const state = decodeStateBlob(String(row![0]));
    const resources = state.sources!.shop!.resources as Record<
      string,
      { incremental: Record<string, object> }
    >;
    return resources.items!.incremental.day as Record<string, unknown>;
  };

  /** Changes the cursor's state as another program would. */
  const editCursor = (edit: (cursor: Record<string, unknown>) => void): void => {
    const file = join(shop.dir, "work", "state.json");
    const content = JSON.parse(readFileSync(file, "utf8"));
    edit(content.sources.shop.resources.items.incremental.day);
    content._state_version += 1;
    writeFileSync(file, JSON.stringify(content));
  };

  test("up to 1,000 rows are remembered in the state, in dlt's form", async () => {
    await shop.load(onDay(1, 0, 1000), BY_DAY);
    const { unique_hashes, loadwright_boundary } = await cursor();
    expect(unique_hashes).toHaveLength(1000);
    expect(unique_hashes).toContainEqual(expect.stringMatching(/^[A-Za-z0-9+/]{12}$/));
    expect(loadwright_boundary).toBeUndefined();
    const report = await shop.load(onDay(1, 0, 1000), BY_DAY);
    expect(report.packages).toEqual([]);
    expect(await shop.sql(COUNT)).toEqual([[1000, 1000]]);
  });

  test("more than that are remembered beside the state, and nothing is loaded twice", async () => {
    await shop.load(onDay(1, 0, 1500), BY_DAY);
    const { unique_hashes, loadwright_boundary } = await cursor();
    expect(unique_hashes).toEqual([]);
    expect(loadwright_boundary).toMatchObject({ rows: 1500, chunks: 1, bytes: 9, last_value: 1 });
    const again = await shop.load(onDay(1, 0, 1500), BY_DAY);
    expect(again.packages).toEqual([]);
    // only what is new is written
    await shop.load(onDay(1, 0, 1600), BY_DAY);
    expect(await shop.sql(CHUNKS)).toEqual([[2, 1]]);
    await shop.load(onDay(1, 0, 1600), BY_DAY);
    expect(await shop.sql(COUNT)).toEqual([[1600, 1600]]);
  });

  test("rows without a key are told apart by all that is in them", async () => {
    const rows = onDay(1, 0, 1200).map((row) => ({ ...row, tags: ["a", { b: row.id }] }));
    await shop.load(rows, BY_DAY);
    await shop.load([...rows, { id: 5000, day: 1, tags: [] }], BY_DAY);
    expect(await shop.sql(COUNT)).toEqual([[1201, 1201]]);
  });

  test("rows without a key that hold dates are known as rows of each", async () => {
    const rows = [1, 2]
      .flatMap(() => onDay(1, 0, 1500))
      .map((row, i) => ({ ...row, at: new Date(i * 1000) }));
    const pages = (): Source =>
      new Source({
        name: "shop",
        resources: [resource({ name: "items", ...BY_DAY }, () => [rows.slice(0, 1200), rows.slice(1200)])],
      });
    succeeded(await shop.pipeline().run(pages()));
    expect(succeeded(await shop.pipeline().run(pages())).rows.items).toBeUndefined();
    expect(await shop.sql(COUNT)).toEqual([[3000, 1500]]);
  });

  test("a moved cursor takes with it what was remembered of the old value", async () => {
    await shop.load(onDay(1, 0, 1500), BY_DAY);
    await shop.load([...onDay(1, 0, 1500), ...onDay(2, 1500, 1510)], BY_DAY);
    expect(await shop.sql(CHUNKS)).toEqual([[0, -1]]);
    expect((await cursor()).unique_hashes).toHaveLength(10);
    await shop.load([...onDay(1, 0, 1500), ...onDay(2, 1500, 3000)], BY_DAY);
    expect((await cursor()).loadwright_boundary).toMatchObject({ rows: 1500, last_value: 2 });
    await shop.load([...onDay(1, 0, 1500), ...onDay(2, 1500, 3000)], BY_DAY);
    expect(await shop.sql(COUNT)).toEqual([[3000, 3000]]);
  });

  test("a fresh machine takes it from the destination", async () => {
    await shop.load(onDay(1, 0, 1500), BY_DAY);
    rmSync(join(shop.dir, "work"), { recursive: true });
    await shop.load(onDay(1, 0, 1501), BY_DAY);
    expect(await shop.sql(COUNT)).toEqual([[1501, 1501]]);
  });

  test("a dropped package takes its rows back from it", async () => {
    await shop.load(onDay(1, 0, 1500), BY_DAY);
    succeeded(await shop.pipeline().extract(sourceOf(onDay(1, 0, 1700), BY_DAY)));
    await shop.pipeline().dropPending();
    await shop.load(onDay(1, 0, 1700), BY_DAY);
    expect(await shop.sql(COUNT)).toEqual([[1700, 1700]]);
  });

  test("pending packages count as what is there: extracted and normalized ones", async () => {
    await shop.load(onDay(1, 0, 1100), BY_DAY);
    succeeded(await shop.pipeline().extract(sourceOf(onDay(1, 0, 1200), BY_DAY)));
    succeeded(await shop.pipeline().normalize());
    succeeded(await shop.pipeline().extract(sourceOf(onDay(1, 0, 1300), BY_DAY)));
    succeeded(await shop.pipeline().extract(sourceOf(onDay(1, 0, 1400), BY_DAY)));
    await shop.load(onDay(1, 0, 1500), BY_DAY);
    expect(await shop.sql(COUNT)).toEqual([[1500, 1500]]);
  });

  test("a run that fails at the commit leaves it as it was", async () => {
    await shop.load(onDay(1, 0, 1500), BY_DAY);
    const crash = (name: string): void => {
      if (name === "load:commit") throw new Error("crash");
    };
    expect((await shop.run(onDay(1, 0, 1600), BY_DAY, { boundary: crash })).status).toBe("failed");
    await shop.load(onDay(1, 0, 1700), BY_DAY);
    expect(await shop.sql(COUNT)).toEqual([[1700, 1700]]);
  });

  test("one long run in several packages keeps what is remembered complete", async () => {
    await shop.remove();
    shop = new Shop({ store, limits: { packageRowsMax: 1500 } });
    const hints: ResourceHints = { incremental: incremental("day", { rowOrder: "asc" }) };
    const pages = Array.from({ length: 9 }, (_, i) => onDay(1, i * 500, i * 500 + 500));
    const { resource, Source } = await import("../../src/engine/extract/resource.ts");
    const source = new Source({ name: "shop", resources: [resource({ name: "items", ...hints }, pages)] });
    expect(succeeded(await shop.pipeline().run(source)).packages.length).toBeGreaterThan(2);
    expect((await cursor()).loadwright_boundary).toMatchObject({ rows: 4500 });
    succeeded(await shop.pipeline().run(source));
    expect(await shop.sql(COUNT)).toEqual([[4500, 4500]]);
  });

  test("without it, appending is refused rather than doubled; a merge by key goes on", async () => {
    await shop.load(onDay(1, 0, 1500), BY_DAY);
    await shop.sql("drop table {}._loadwright_boundary");
    const report = await shop.run(onDay(1, 0, 1501), BY_DAY);
    expect(report.error).toMatchObject({
      code: "CURSOR_BOUNDARY_MISSING",
      details: { rows: 1500, found: 0 },
    });
    await shop.load(onDay(1, 0, 1501), { ...BY_DAY, writeDisposition: "merge", primaryKey: "id" });
    expect(await shop.sql(COUNT)).toEqual([[1501, 1501]]);
  });

  test("what dlt remembered in its own list counts as well", async () => {
    await shop.load(onDay(1, 0, 1500), BY_DAY);
    // dlt reads past our mark: with the same last value it adds its own hashes
    const extra = digest128(plainJson({ day: 1, id: 9999 }, { sortKeys: true }), 9);
    editCursor((state) => {
      state.unique_hashes = [extra];
    });
    await shop.load([...onDay(1, 0, 1500), { id: 9999, day: 1 }, { id: 10_000, day: 1 }], BY_DAY);
    expect(await shop.sql("select count(*), max(id) from {}.items")).toEqual([[1501, 10_000]]);
    expect((await cursor()).loadwright_boundary).toMatchObject({ rows: 1502 });
  });

  test("rows that the state remembers go on counting when more come than it holds", async () => {
    await shop.load(onDay(1, 0, 600), BY_DAY);
    await shop.load(onDay(1, 500, 1200), BY_DAY);
    expect(await cursor()).toMatchObject({
      unique_hashes: [],
      loadwright_boundary: { rows: 1200, chunks: 2 },
    });
    expect((await shop.load(onDay(1, 0, 1200), BY_DAY)).packages).toEqual([]);
    await shop.load(onDay(1, 0, 1300), BY_DAY);
    expect(await shop.sql(COUNT)).toEqual([[1300, 1300]]);
  });

  test("rows that come twice in a run are remembered once, so that few stay in the state", async () => {
    await shop.load([...onDay(1, 0, 700), ...onDay(1, 0, 700)], BY_DAY);
    expect((await cursor()).unique_hashes).toHaveLength(700);
    await shop.load([...onDay(1, 0, 700), ...onDay(1, 0, 700)], BY_DAY);
    expect(await shop.sql(COUNT)).toEqual([[1400, 700]]);
  });

  test("a dataset whose table holds dlt's hashes goes on", async () => {
    await shop.load(onDay(1, 0, 1500), BY_DAY);
    const known = onDay(1, 0, 1500).map((row) =>
      Buffer.from(digest128(plainJson(row, { sortKeys: true }), 9), "base64"),
    );
    const digest = Buffer.alloc(9);
    for (const hash of known) for (let i = 0; i < 9; i++) digest[i]! ^= hash[i]!;
    await shop.sql(
      `update {}._loadwright_boundary set hashes = '${Buffer.concat(known).toString("base64")}'`,
    );
    editCursor((state) => {
      Object.assign(state.loadwright_boundary as object, { digest: digest.toString("hex") });
    });
    await shop.load(onDay(1, 0, 1500), BY_DAY);
    expect(await shop.sql(COUNT)).toEqual([[1500, 1500]]);
    expect(await shop.sql(CHUNKS)).toEqual([[1, 0]]);
    await shop.load(onDay(1, 0, 1600), BY_DAY);
    await shop.load(onDay(1, 0, 1601), BY_DAY);
    expect((await cursor()).loadwright_boundary).toMatchObject({ rows: 1601, chunks: 3 });
    expect(await shop.sql(COUNT)).toEqual([[1601, 1601]]);
  });

  test("coarse cursors are told with the number of rows, once a run", async () => {
    const coarse = (report: { warnings: readonly string[] }) =>
      report.warnings.filter((text) => text.includes("share one value"));
    expect(coarse(await shop.load(onDay(1, 0, 100), BY_DAY))).toEqual([]);
    expect(coarse(await shop.load(onDay(2, 0, 101), BY_DAY))).toEqual([
      expect.stringMatching(/^Resource items: 101 rows .* cursor day\..*file-level state/),
    ]);
    expect(coarse(await shop.load(onDay(3, 0, 1001), BY_DAY))).toEqual([
      expect.stringMatching(/1001 rows .*_loadwright_boundary/),
    ]);
    const open: ResourceHints = { incremental: incremental("day", { rangeStart: "open" }) };
    expect(coarse(await shop.load(onDay(4, 0, 2000), open))).toEqual([]);
  });
});
