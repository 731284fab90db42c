import { expect, test } from "vitest";
import type { RunReport } from "../../src/engine/report.ts";
import { renderRun } from "../../src/tools/cli-render.ts";

test("a run of thousands of tables is told in a screenful or two", () => {
  const names = Array.from({ length: 5000 }, (_, i) => `t${i}`);
  const report = {
    run_id: "r",
    pipeline_name: "shop",
    destination: "duckdb",
    dataset_name: "shop_data",
    status: "succeeded",
    duration_ms: 1,
    rows: Object.fromEntries(names.map((name) => [name, 1])),
    warnings: [],
    packages: [
      {
        load_id: "1",
        status: "loaded",
        resources: [],
        warnings: [],
        schema_changes: names.map((table) => ({ kind: "table_added", table })),
      },
    ],
  } as unknown as RunReport;
  const text = renderRun(report);
  expect(text.split("\n").length).toBeLessThan(230);
  expect(text).toContain("5,000 rows");
  expect(text).toContain("and 4,900 more tables");
  expect(text).toContain("and 4,900 more changes of the schema");
});
