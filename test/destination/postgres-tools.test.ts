/** The tools that look at a destination and reset state, on a workspace that loads into Postgres. */

import pg from "pg";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { incremental, resource, Source } from "../../src/engine/index.ts";
import { CATALOG } from "../../src/tools/catalog.ts";
import { ConfirmBook } from "../../src/tools/confirm.ts";
import type { ToolContext, ToolResult } from "../../src/tools/define-tool.ts";
import { Gates } from "../../src/tools/gates.ts";
import { RunBook } from "../../src/tools/run-book.ts";
import { findWorkspace } from "../../src/tools/workspace.ts";
import { createDatabase } from "../support/postgres-server.ts";
import { makeWorkspace, type TestWorkspace } from "../support/workspace.ts";

let workspace: TestWorkspace;
let context: ToolContext;
let owner: pg.Client;
beforeAll(async () => {
  const url = await createDatabase(inject("postgresUrl"), "tools_on_postgres");
  workspace = makeWorkspace({
    "loadwright.toml":
      '[pipelines.shop]\nsource = "shop"\ndestination = "postgres"\n[pipelines.shop.checks.orders]\nrows_min = 5\n',
    ".env": `DESTINATION__POSTGRES__CREDENTIALS=${url}\n`,
  });
  const gates = new Gates(["run", "destructive"]);
  context = {
    workspace: findWorkspace(workspace.dir),
    gates,
    runs: new RunBook(),
    confirmation: { book: new ConfirmBook(), canAsk: false },
    signal: new AbortController().signal,
    isShuttingDown: () => false,
    progress: () => {},
  };
  owner = new pg.Client({ connectionString: url });
  await owner.connect();
  await load([1, 2, 3]);
});
afterAll(async () => {
  await owner.end();
  workspace.remove();
});

const asked: unknown[] = [];
async function load(ids: readonly number[]) {
  const source = new Source({
    name: "shop",
    resources: [
      resource(
        { name: "orders", writeDisposition: "merge", primaryKey: "id", incremental: incremental("id") },
        async function* ({ cursor }) {
          asked.push(cursor?.lastValue);
          yield ids.map((id) => ({ id, note: `n${id}` }));
        },
      ),
    ],
  });
  return context.workspace.openPipeline("shop").pipeline.run(source);
}

async function call(name: string, input: Record<string, unknown> = {}) {
  const tool = CATALOG.find((each) => each.name === name)!;
  const result = (await tool.run({ pipeline: "shop", ...input }, context)) as ToolResult<
    Record<string, unknown>
  >;
  const checked = tool.output.safeParse(JSON.parse(JSON.stringify(result.data)));
  expect(checked.success, JSON.stringify(checked.error)).toBe(true);
  return result;
}

describe("on Postgres", () => {
  it("query_data answers rows, with parameters", async () => {
    const { data } = await call("query_data", {
      sql: "select id, note from orders where id > $1 order by id",
      params: [1],
    });
    expect(data.rows).toEqual([
      [2, "n2"],
      [3, "n3"],
    ]);
    await expect(call("query_data", { sql: "select * from pg_shadow" })).rejects.toMatchObject({
      code: "NOT_READ_ONLY",
    });
  });

  it("profile_table and run_checks measure the table, the declared check included", async () => {
    const profile = await call("profile_table", { table: "orders", columns: ["id", "note"] });
    expect(profile.data.columns).toMatchObject([
      { name: "id", min: "1", max: "3", distinct: 3 },
      { name: "note" },
    ]);
    const checks = await call("run_checks");
    expect(checks.data.checks).toMatchObject([
      { check: "rows_min", status: "fail", declared: true, count: 2 },
    ]);
  });

  it("diagnose_error tells what it saw: the key, the index, the sessions, the address", async () => {
    await owner.query("create unique index orders_key on shop_dataset.orders (note)");
    const failed = await load([4, 5].map((id) => id)).then(async () => {
      await owner.query("begin");
      const result = await call("diagnose_error", {
        text: 'duplicate key value violates unique constraint "orders_key" on table "orders" (SQLSTATE 23505)',
      });
      await owner.query("rollback");
      return result;
    });
    expect(failed.data).toMatchObject({
      code: "PG_UNIQUE_VIOLATION",
      confidence: "high",
      constraint: "orders_key",
    });
    expect(JSON.stringify(failed.data.evidence)).toContain("declares the key id");
    expect((failed.data.causes as { supported_by: string[] }[])[0]?.supported_by).toEqual(["keys"]);
    await owner.query("begin; select 1");
    const timeout = await call("diagnose_error", { text: "canceling statement due to lock timeout" });
    await owner.query("rollback");
    expect(JSON.stringify(timeout.data.evidence)).toContain("1 idle inside a transaction");
    const refused = await call("diagnose_error", { text: "connect ECONNREFUSED 127.0.0.1:5432" });
    expect(JSON.stringify(refused.data.evidence)).toContain("takes connections");
    expect(JSON.stringify(refused)).not.toContain("test-only");
    await owner.query("drop index shop_dataset.orders_key");
    await owner.query("alter table shop_dataset.orders alter note type varchar(3)");
    const long = await call("diagnose_error", { text: "value too long for type character varying(3)" });
    expect(JSON.stringify(long.data.evidence)).toContain(
      "orders.note is text in the schema and character varying(3)",
    );
  });

  it("reset_state rewinds a cursor, which is then the destination's too", async () => {
    const input = { action: "set_cursor", resource: "orders", value: 2 };
    const plan = await call("reset_state", input);
    expect(plan.data.changes).toEqual(
      expect.arrayContaining([
        { path: "shop.resources.orders.incremental.id.last_value", before: 5, after: 2 },
      ]),
    );
    const done = await call("reset_state", { ...input, confirm_token: plan.data.confirm_token });
    expect(done.data.status).toBe("done");
    const state = await call("inspect_state");
    expect(state.data.cursors).toMatchObject([{ committed: 2, destination: 2 }]);
    await load([3, 4, 5]);
    expect(asked.at(-1)).toBe(2);
    expect((await call("query_data", { sql: "select count(*) from orders" })).data.rows).toEqual([[5]]);
  });
});
