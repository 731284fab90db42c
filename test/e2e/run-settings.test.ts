/** What a run can be told on the command line and in loadwright.toml. */

import { rmSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { RunReport } from "../../src/engine/report.ts";
import { cli } from "../support/cli.ts";
import { makeWorkspace, type TestWorkspace } from "../support/workspace.ts";

const SOURCE = `import { incremental, resource, source } from "loadwright";
const rows = (from, to, more) => Array.from({ length: to - from }, (_, i) => ({ id: from + i, ...more }));
export default source({ name: "orders" }, ({ config }) => [
  resource({ name: "orders", writeDisposition: "merge", primaryKey: "id",
             incremental: incremental("id", { allowExternalSchedulers: config.scheduled }) },
    ({ cursor }) => [rows(0, 10, { from: cursor.lastValue ?? "start", ...config.more })]),
  resource({ name: "plain" }, [[{ id: 1, nothing: null }]]),
]);
`;
const toml = (more = "", config = "") =>
  `[pipelines.shop]\nsource = "orders"\n${more}\n[pipelines.shop.config]\n${config}\n`;

let made: TestWorkspace;
beforeEach(() => {
  made = makeWorkspace({ "loadwright.toml": toml(), "sources/orders/index.ts": SOURCE });
});
afterEach(() => made.remove());

const run = async (...words: string[]) => {
  const { code, stdout } = await cli(made.dir, "run", "shop", "--json", ...words);
  const document = JSON.parse(stdout) as { data: RunReport; error?: { code: string; details?: unknown } };
  return { code, ...document };
};
const query = async (sql: string): Promise<unknown> =>
  JSON.parse((await cli(made.dir, "query", "shop", sql, "--json")).stdout).data.rows;

describe("loadwright run", () => {
  it("--backfill loads a window and leaves the cursor where it is", async () => {
    expect((await run()).code).toBe(0);
    const window = await run("--backfill", "3..6", "--resources", "orders");
    expect(window.data.rows).toMatchObject({ orders: 3 });
    const info = JSON.parse((await cli(made.dir, "pipeline", "shop", "--json")).stdout).data;
    expect(info.cursors).toMatchObject([{ resource: "orders", last_value: 9 }]);
    expect((await run("--backfill", "3")).code).toBe(2);
    expect((await run("--backfill", "3..6", "--resources", "plain")).data.error?.code).toBe("CONFIG_INVALID");
  });

  it("--refresh asks first, and carries out with --yes", async () => {
    await run();
    made.write("sources/orders/index.ts", SOURCE.replace("rows(0, 10", "rows(5, 7"));
    const asked = await run("--refresh", "drop_data", "--resources", "orders");
    expect(asked).toMatchObject({
      code: 5,
      error: {
        code: "CONFIRM_REQUIRED",
        details: { plan: { refresh: "drop_data", tables: ["orders"], resource_states: ["orders"] } },
      },
    });
    expect(await query("select count(*) from orders")).toEqual([[10]]);
    expect((await run("--refresh", "drop_data", "--resources", "orders", "--yes")).code).toBe(0);
    expect(await query("select count(*) from orders")).toEqual([[2]]);
    expect(await query("select count(*) from plain")).toEqual([[1]]);
  });

  it("pipeline drop and --refresh ask on a machine that has only loadwright.toml, too", async () => {
    await run();
    rmSync(join(made.dir, ".loadwright"), { recursive: true });
    expect((await run("--refresh", "drop_sources")).code).toBe(5);
    const drop = ["pipeline", "shop", "drop", "--resources", "plain,re:^ord", "--json"];
    const refused = await cli(made.dir, ...drop);
    expect([refused.code, JSON.parse(refused.stdout).error]).toMatchObject([
      5,
      {
        message: expect.stringContaining("(plain with 1 row, orders with 10 rows)"),
        details: { plan: { tables: [{ name: "plain" }, { name: "orders" }], changes: expect.any(Array) } },
      },
    ]);
    const done = JSON.parse((await cli(made.dir, ...drop, "--yes")).stdout);
    expect(done.data.tables).toEqual([
      { name: "plain", rows: 1 },
      { name: "orders", rows: 10 },
    ]);
    expect((await run()).data.rows).toMatchObject({ orders: 10, plain: 1 });
  });

  it("counts rows alike in its tables and in the tools, without those of the engine's own tables", async () => {
    const { data } = await run();
    expect(data.rows).toMatchObject({ orders: 10, plain: 1, _dlt_pipeline_state: 1 });
    const answer = async (tool: string) => JSON.parse((await cli(made.dir, tool, "--json")).stdout).data;
    expect((await answer("list")).pipelines[0].last_run.rows).toBe(11);
    expect((await answer("get_workspace")).pipelines[0].last_run.rows).toBe(11);
    expect((await answer("list_runs")).runs[0].rows).toBe(11);
  });

  it("pipeline import-schema takes the place of the file that an earlier run wrote, in either format", async () => {
    made.write("loadwright.toml", toml('import_schema_path = "schemas"'));
    await run();
    const print = await cli(made.dir, "pipeline", "shop", "schema", "--format", "json");
    const schema = JSON.parse(print.stdout);
    schema.tables.plain.columns.nothing = { data_type: "text" };
    made.write("edited.json", JSON.stringify(schema));
    const file = ["--file", join(made.dir, "edited.json")];
    expect((await cli(made.dir, "pipeline", "shop", "import-schema", ...file)).code).toBe(0);
    expect((await run()).code).toBe(0);
    expect(await query("select nothing from plain")).toEqual([[null], [null]]);
  });

  it("takes the contract from the command line, else from loadwright.toml", async () => {
    await run();
    made.write("loadwright.toml", toml('schema_contract = "freeze"', "more = { extra = 1 }"));
    const again = ["--backfill", "0..2", "--resources", "orders"];
    expect((await run(...again)).data.error?.code).toBe("CONTRACT_VIOLATION");
    expect((await run(...again, "--schema-contract", "columns=evolve")).code).toBe(0);
    expect((await run("--schema-contract", "columns=never")).code).toBe(2);
  });

  it("takes a scheduler's interval from dlt's variables", async () => {
    made.write("loadwright.toml", toml("", "scheduled = true"));
    process.env.DLT_INTERVAL_START = "2";
    process.env.DLT_INTERVAL_END = "4";
    try {
      expect((await run()).data.rows).toMatchObject({ orders: 2, plain: 1 });
      delete process.env.DLT_INTERVAL_END;
      expect(await run()).toMatchObject({ code: 2, error: { code: "CONFIG_INVALID" } });
    } finally {
      delete process.env.DLT_INTERVAL_START;
      delete process.env.DLT_INTERVAL_END;
    }
  });

  it("keeps columns of nulls where loadwright.toml says so", async () => {
    made.write("loadwright.toml", toml("keep_null_columns = true"));
    await run();
    expect(await query("select nothing from plain")).toEqual([[null]]);
  });
});
