/** What does not arrive as it came is counted where a person looks: the report's totals and the command line. */

import { expect, inject, test } from "vitest";
import { postgres } from "../../src/engine/destinations/postgres/postgres.ts";
import { renderRun } from "../../src/tools/cli-render.ts";
import { runShape } from "../../src/tools/shapes.ts";
import { Database } from "../support/both-databases.ts";
import { succeeded } from "../support/item-shop.ts";

test("rows and values that a contract discarded, and cells whose NULs were removed, on Postgres", async () => {
  const database = new Database("postgres");
  await database.start("conformance_discards");
  const url = `${inject("postgresUrl")}/conformance_discards`;
  const destination = postgres({ url, nul: "remove" });
  const pipeline = database.pipeline({ destination });
  succeeded(await pipeline.run(database.source([{ id: 1, v: 1, note: "a" }])));
  const rows = [
    { id: 2, v: "no number", note: "b\0" },
    { id: 3, v: 3, note: "\0c" },
    { id: 4, v: 4, tags: ["x\0"] },
  ];
  const report = succeeded(
    await pipeline.run(database.source(rows, { schemaContract: { data_type: "discard_value" } })),
  );
  expect(report.rejected).toEqual({ items: { rows: 0, values: 1 } });
  expect(report.nul_removed).toEqual({ items: 2, items__tags: 1 });
  expect(report.packages[0]?.nul_removed).toEqual({ items: { note: 2 }, items__tags: { value: 1 } });
  const text = renderRun(report);
  expect(text).toMatch(/rejected.* items: 0 rows, 1 value, by contract/);
  expect(text).toMatch(/NUL removed.* items: 2 cells/);
  expect(runShape(report, false)).toMatchObject({
    rejected: { items: { rows: 0, values: 1 } },
    nul_removed: { items: 2, items__tags: 1 },
  });
  database.remove();
});
