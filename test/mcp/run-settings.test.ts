import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ask, type Connected, fail, makeShop, TRANSPORTS } from "../support/mcp.ts";
import type { TestWorkspace } from "../support/workspace.ts";

describe.each(TRANSPORTS)("over %s", (_transport, open) => {
  let workspace: TestWorkspace;
  const servers: Connected[] = [];
  beforeEach(async () => {
    workspace = await makeShop();
    workspace.write("loadwright.toml", '[pipelines.fresh]\nsource = "fresh"\n');
    workspace.write(
      "sources/fresh/index.ts",
      `import { incremental, resource, source } from "loadwright";
export default source({ name: "fresh" }, () => [
  resource({ name: "orders", writeDisposition: "merge", primaryKey: "id", incremental: incremental("id") },
    [Array.from({ length: 10 }, (_, id) => ({ id }))]),
]);
`,
    );
  });
  afterEach(async () => {
    for (const server of servers.splice(0)) await server.close();
    workspace.remove();
  });

  async function start(allow: string) {
    const server = await open(workspace.dir, ["--allow", allow]);
    servers.push(server);
    return server.client;
  }
  const RUN = { pipeline: "fresh", wait_s: 40 };

  describe("run_pipeline", () => {
    it("loads a window again and leaves the cursor alone", async () => {
      const client = await start("run");
      await ask(client, "run_pipeline", RUN);
      const window = await ask(client, "run_pipeline", { ...RUN, backfill: { from: "2", to: "5" } });
      expect(window.data).toMatchObject({ status: "succeeded", rows: { orders: 3 } });
      const next = await ask(client, "run_pipeline", RUN);
      expect(next.data).toMatchObject({ status: "succeeded", packages: [] });
    });

    it("loads a window of one resource again, and leaves the others alone", async () => {
      workspace.write(
        "sources/fresh/index.ts",
        `import { incremental, resource, source } from "loadwright";
const rows = Array.from({ length: 10 }, (_, id) => ({ id }));
const made = (name) =>
  resource({ name, writeDisposition: "merge", primaryKey: "id", incremental: incremental("id") }, [rows]);
export default source({ name: "fresh" }, () => [made("orders"), made("customers")]);
`,
      );
      const client = await start("run");
      const first = await ask(client, "run_pipeline", RUN);
      expect(first.data.rows).toMatchObject({ orders: 10, customers: 10 });
      const window = { resources: ["orders"], backfill: { from: "2", to: "5" } };
      const again = await ask(client, "run_pipeline", { ...RUN, ...window });
      const { orders, customers } = again.data.rows as Record<string, number>;
      expect([orders, customers]).toEqual([3, undefined]);
      const state = await ask(client, "inspect_state", { pipeline: "fresh" });
      expect(state.data.cursors).toMatchObject([{ committed: 9 }, { committed: 9 }]);
      const counted = await ask(client, "query_data", {
        pipeline: "fresh",
        sql: "select (select count(*) from orders), (select count(*) from customers)",
      });
      expect(counted.data.rows).toEqual([[10, 10]]);
    });

    it("refreshes only behind the destructive gate", async () => {
      const client = await start("run");
      const error = await fail(client, "run_pipeline", { ...RUN, refresh: "drop_resources" });
      expect(error.code).toBe("NOT_ALLOWED");
    });

    it("refreshes only with the token of a plan that still holds", async () => {
      const client = await start("run,destructive");
      await ask(client, "run_pipeline", RUN);
      const refresh = { ...RUN, refresh: "drop_resources" };
      const plan = await fail(client, "run_pipeline", refresh);
      expect(plan).toMatchObject({
        code: "CONFIRM_REQUIRED",
        details: { plan: { tables: ["orders"], resource_states: ["orders"] } },
      });
      const confirm_token = (plan.details as { confirm_token: string }).confirm_token;
      const other = await fail(client, "run_pipeline", { ...refresh, refresh: "drop_data", confirm_token });
      expect(other.code).toBe("CONFIRM_EXPIRED");
      const done = await ask(client, "run_pipeline", { ...refresh, confirm_token });
      expect(done.data).toMatchObject({ status: "succeeded", rows: { orders: 10 } });
      const used = await fail(client, "run_pipeline", { ...refresh, confirm_token });
      expect(used.code).toBe("CONFIRM_EXPIRED");
    });
  });
});
