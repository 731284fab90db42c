/** The statements that Postgres and DuckDB share, where dlt's golden cases do not reach. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, inject, test } from "vitest";
import { type ResourceHints, resource, Source } from "../../src/engine/extract/resource.ts";
import { Pipeline } from "../../src/engine/pipeline.ts";
import { type GoldenStore, postgresStore } from "../support/golden-stores.ts";
import { sourceOf, succeeded } from "../support/item-shop.ts";
import { createDatabase } from "../support/postgres-server.ts";

const DATASET = "merge_data";
const folder = mkdtempSync(join(tmpdir(), "loadwright-merge-"));
let store: GoldenStore;
let cases = 0;
beforeAll(async () => {
  store = postgresStore(await createDatabase(inject("postgresUrl"), "conformance_merge"));
});
beforeEach(async () => {
  cases += 1;
  await store.clear(DATASET);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function run(rows: readonly object[], hints: ResourceHints = {}) {
  const pipeline = new Pipeline({
    name: "shop",
    dataset: DATASET,
    destination: store.destination,
    dir: join(folder, String(cases)),
  });
  const items = resource({ name: "items", ...hints }, [rows as Record<string, unknown>[]]);
  return pipeline.run(new Source({ ...sourceOf([]), resources: [items] }));
}

async function rows(sql: string): Promise<unknown[][]> {
  const opened = await store.open();
  try {
    return await opened.rows(sql.replaceAll("{}", `"${DATASET}"`));
  } finally {
    await opened.close();
  }
}

const UPSERT: ResourceHints = {
  writeDisposition: { disposition: "merge", strategy: "upsert" },
  primaryKey: "id",
  columns: { gone: { data_type: "bool", hard_delete: true } },
};

test("upsert takes the last of several rows with one key, its nested rows only, and deletes what is marked", async () => {
  succeeded(
    await run([
      { id: 1, v: "a", tags: ["a", "b"] },
      { id: 2, v: "b", tags: ["c"] },
    ]),
  );
  succeeded(
    await run(
      [
        { id: 1, v: "first", tags: ["x", "y", "z"] },
        { id: 1, v: "last", tags: ["n"] },
        { id: 2, gone: true },
        { id: 3, gone: true, tags: ["never"] },
      ],
      UPSERT,
    ),
  );
  expect(await rows("select v from {}.items")).toEqual([["last"]]);
  expect(await rows("select value from {}.items__tags")).toEqual([["n"]]);
});

test("scd2 retires what is marked, and lets a version come back", async () => {
  const hints = (boundaryTimestamp: string): ResourceHints => ({
    writeDisposition: { disposition: "merge", strategy: "scd2", boundaryTimestamp },
    mergeKey: "id",
    columns: { gone: { data_type: "bool", hard_delete: true } },
  });
  const row = { id: 1, v: "a", tags: ["t"] };
  succeeded(await run([row, row, { id: 2, v: "b", gone: false }], hints("2024-01-01")));
  succeeded(await run([{ id: 1, gone: true, tags: ["u"] }], hints("2024-01-02")));
  succeeded(await run([row], hints("2024-01-03")));
  const day = (column: string): string => `to_char(${column} at time zone 'UTC', 'DD')`;
  expect(
    await rows(`select v, ${day("_dlt_valid_from")}, ${day("_dlt_valid_to")} from {}.items order by 1, 2`),
  ).toEqual([
    ["a", "01", "02"],
    ["a", "03", null],
    ["b", "01", null],
  ]);
  expect(await rows("select value from {}.items__tags")).toEqual([["t"]]);
});

test("a widened type is migrated, another one is refused", async () => {
  const type = (v: object): ResourceHints => ({ columns: { v } });
  succeeded(await run([{ id: 1, v: 1 }]));
  succeeded(await run([{ id: 2, v: 2 }], type({ data_type: "text", precision: 20 })));
  succeeded(await run([{ id: 3, v: "three" }], type({ data_type: "text", precision: 40 })));
  expect(await rows("select v from {}.items order by 1")).toEqual([["1"], ["2"], ["three"]]);
  expect((await run([{ id: 4, v: "4" }], type({ precision: 10 }))).error?.code).toBe("TYPE_CHANGE_REFUSED");
  expect((await run([{ id: 4, v: 4 }], type({ data_type: "bigint" }))).error?.code).toBe(
    "TYPE_CHANGE_REFUSED",
  );
  expect(await rows("select count(*)::text from {}.items")).toEqual([["3"]]);
});
