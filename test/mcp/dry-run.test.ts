/** A dry run from outside: over MCP and on the command line. */

import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { cli } from "../support/cli.ts";
import { ask, type Connected, connect } from "../support/mcp.ts";
import { makeWorkspace, type TestWorkspace } from "../support/workspace.ts";

const SOURCE = `import { incremental, resource, source } from "loadwright";
export default source({ name: "shop" }, () => [
  resource({ name: "orders", primaryKey: "id", incremental: incremental("id") }, async function* () {
    yield [{ id: 1, note: "hello", password: "hunter2-canary" }, { id: 2, note: "sk_live_canary" }];
  }),
]);
`;

let workspace: TestWorkspace;
let server: Connected;
beforeAll(async () => {
  workspace = makeWorkspace({
    "loadwright.toml": '[pipelines.shop]\nsource = "shop"\n',
    "sources/shop/index.ts": SOURCE,
  });
  server = await connect(workspace.dir, ["--allow", "run"]);
});
afterAll(async () => {
  await server.close();
  workspace.remove();
});

it("run_pipeline with dry_run tells rows, DDL, cursors and fenced samples, and makes no database", async () => {
  const answer = await ask(server.client, "run_pipeline", { pipeline: "shop", dry_run: true, wait_s: 45 });
  expect(answer.summary).toMatch(/^Dry run of shop: .* Nothing was written\.$/);
  const plan = answer.data.dry_run as Record<string, unknown>;
  expect(plan.rows).toMatchObject({ orders: 2 });
  expect(plan.cursors).toEqual([{ resource: "orders", path: "id", before: null, after: 2 }]);
  expect(plan.ddl).toContainEqual({
    kind: "create_table",
    table: "orders",
    sql: expect.stringContaining('create table "shop"."shop_dataset"."orders"'),
  });
  expect(plan.schema_changes).toContainEqual(
    expect.objectContaining({ kind: "table_added", table: "orders" }),
  );
  expect(answer.fence_close).toBe(String(answer.fence_open).replace("<", "</"));
  expect(plan.samples).toEqual({
    orders: [
      { id: 1, note: "hello", password: "[looks like a secret]" },
      { id: 2, note: "[looks like a secret]", password: null },
    ],
  });
  expect(existsSync(join(workspace.dir, "shop.duckdb"))).toBe(false);
  const run = await ask(server.client, "get_run", { run_id: answer.data.run_id, log_lines: 100 });
  expect(run.data.run).toMatchObject({ status: "succeeded", rows: {}, dry_run: { rows: { orders: 2 } } });
  expect(JSON.stringify(run.data.log)).not.toContain("hello");
});

it("loadwright run --dry-run shows the same to a person, and the next run loads it", async () => {
  const dry = await cli(workspace.dir, "run", "shop", "--dry-run");
  expect(dry.stderr).not.toContain("canary");
  expect(dry.code).toBe(0);
  expect(dry.stdout).toMatch(
    /dry run .*succeeded[\s\S]*orders[\s\S]*create table[\s\S]*hello[\s\S]*Nothing was written\./,
  );
  expect(dry.stdout).not.toContain("canary");
  expect(existsSync(join(workspace.dir, "shop.duckdb"))).toBe(false);
  const real = await cli(workspace.dir, "run", "shop", "--json");
  expect(JSON.parse(real.stdout)).toMatchObject({ data: { status: "succeeded", rows: { orders: 2 } } });
  for (const [format, text] of [
    ["yaml", "data_type: bigint"],
    ["ddl", "create table"],
    ["mermaid", "erDiagram"],
    ["dbml", 'Table "orders"'],
  ] as const) {
    expect((await cli(workspace.dir, "pipeline", "shop", "schema", "--format", format)).stdout).toContain(
      text,
    );
  }
});
