/** Several pipelines fill one dataset: at once, from its first load on, and also the same table. */

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Row } from "../../src/engine/extract/page.ts";
import { type ResourceHints, resource, Source } from "../../src/engine/extract/resource.ts";
import type { Pipeline } from "../../src/engine/pipeline.ts";
import type { RunReport } from "../../src/engine/report.ts";
import { Shop, succeeded } from "../support/item-shop.ts";
import { testStores } from "../support/stores.ts";

const PIPELINES = ["north", "south", "east", "west"] as const;
const MERGE: ResourceHints = { writeDisposition: "merge", primaryKey: "id" };

const stores = await testStores("conformance_shared");

describe.each(stores)("on $name", (store) => {
  let shop: Shop;
  beforeEach(() => {
    shop = new Shop({ store });
  });
  afterEach(() => shop.remove());

  const pipelineOf = (name: string): Pipeline => {
    const dir = join(shop.dir, name);
    mkdirSync(dir, { recursive: true });
    return shop.pipeline({ name, dir });
  };
  const sourceOf = (name: string, table: string, rows: readonly Row[], hints: ResourceHints = {}): Source =>
    new Source({ name, resources: [resource({ name: table, ...hints }, [[...rows]])] });
  const all = async (run: (name: string) => Promise<RunReport>): Promise<void> => {
    for (const report of await Promise.all(PIPELINES.map(run))) succeeded(report);
  };

  test("first loads at the same time make the dataset and its own tables once", async () => {
    await all((name) => pipelineOf(name).run(sourceOf(name, name, [{ id: 1, tags: ["a"] }])));
    for (const name of PIPELINES) expect(await shop.sql(`select id from {}.${name}`)).toEqual([[1]]);
    expect(await shop.sql("select count(*), count(distinct schema_name) from {}._dlt_loads")).toEqual([
      [4, 4],
    ]);
    expect(await shop.sql("select count(distinct pipeline_name) from {}._dlt_pipeline_state")).toEqual([[4]]);
    expect(await shop.sql("select count(distinct schema_name) from {}._dlt_version")).toEqual([[4]]);
    // each goes on from its own state, also on a fresh machine
    for (const name of PIPELINES) {
      const elsewhere = shop.pipeline({ name, dir: join(shop.dir, `${name}-elsewhere`) });
      expect(await elsewhere.sync()).toMatchObject({ restored: true, schemas: [name] });
    }
  });

  test("merges into one table at the same time leave one row per key", async () => {
    const rows = Array.from({ length: 200 }, (_, id) => ({ id, tags: [`t${id}`] }));
    await all((name) => pipelineOf(name).run(sourceOf(name, "items", rows, MERGE)));
    await all((name) => pipelineOf(name).run(sourceOf(name, "items", rows, MERGE)));
    expect(await shop.sql("select count(*), count(distinct id) from {}.items")).toEqual([[200, 200]]);
    expect(await shop.sql("select count(*) from {}.items__tags")).toEqual([[200]]);
  });

  test("upserts of new keys at the same time leave one row per key", async () => {
    const hints: ResourceHints = {
      writeDisposition: { disposition: "merge", strategy: "upsert" },
      primaryKey: "id",
    };
    await pipelineOf("north").run(sourceOf("north", "items", [{ id: -1 }], hints));
    const rows = Array.from({ length: 200 }, (_, id) => ({ id }));
    await all((name) => pipelineOf(name).run(sourceOf(name, "items", rows, hints)));
    expect(await shop.sql("select count(*), count(distinct id) from {}.items where id >= 0")).toEqual([
      [200, 200],
    ]);
  });

  test("replaces of one table at the same time leave the rows of one of them", async () => {
    const rows = (name: string): Row[] => Array.from({ length: 50 }, (_, id) => ({ id, name }));
    const replace: ResourceHints = { writeDisposition: "replace" };
    await all((name) => pipelineOf(name).run(sourceOf(name, "items", rows(name), replace)));
    expect(await shop.sql("select count(*), count(distinct name) from {}.items")).toEqual([[50, 1]]);
  });
});
