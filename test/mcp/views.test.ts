import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ask, type Connected, LEGACY, MODERN, makeShop, PENDING_FIRST, TRANSPORTS } from "../support/mcp.ts";
import { shown } from "../support/view-host.ts";
import type { TestWorkspace } from "../support/workspace.ts";

const VIEW_TYPE = "text/html;profile=mcp-app";
const VIEW_OF = {
  run_pipeline: "ui://etl/run-timeline",
  get_run: "ui://etl/run-timeline",
  diff_schema: "ui://etl/schema-diff",
  drop_pending_packages: "ui://etl/plan",
  reset_state: "ui://etl/plan",
};

let workspace: TestWorkspace;
beforeAll(async () => {
  workspace = await makeShop();
});
afterAll(() => workspace.remove());

for (const [transport, connect] of TRANSPORTS) {
  for (const [era, options] of [
    ["2025", LEGACY],
    ["2026", MODERN],
  ] as const) {
    describe(`views over ${transport}, protocol of ${era}`, () => {
      let server: Connected;
      beforeAll(async () => {
        server = await connect(workspace.dir, ["--allow", "run,destructive"], options);
      });
      afterAll(() => server.close());

      it("are named by their tools, listed as resources and read as pages of the same type", async () => {
        const { tools } = await server.client.listTools();
        const named = tools.filter((tool) => tool._meta !== undefined);
        expect(Object.fromEntries(named.map((tool) => [tool.name, tool._meta]))).toEqual(
          Object.fromEntries(
            Object.entries(VIEW_OF).map(([tool, resourceUri]) => [tool, { ui: { resourceUri } }]),
          ),
        );
        const { resources } = await server.client.listResources();
        const listed = resources.filter((each) => each.uri.startsWith("ui://"));
        expect(new Set(listed.map((each) => each.uri))).toEqual(new Set(Object.values(VIEW_OF)));
        for (const { uri, mimeType } of listed) {
          expect(mimeType).toBe(VIEW_TYPE);
          expect((await server.client.readResource({ uri })).contents).toEqual([
            {
              uri,
              mimeType: VIEW_TYPE,
              text: expect.stringMatching(/^<!doctype html>/),
              _meta: { ui: { prefersBorder: true } },
            },
          ]);
        }
      });

      it("that do not exist are refused as not found", async () => {
        for (const uri of ["ui://etl/other", "ui://etl/..%2Fpackage.json", "ui://etl/view.js"]) {
          await expect(server.client.readResource({ uri }), uri).rejects.toMatchObject({ code: -32602 });
        }
      });

      it("show what the tools answer", async () => {
        const show = async (tool: keyof typeof VIEW_OF, input: Record<string, unknown>) => {
          const answer = await ask(server.client, tool, input);
          const [page] = (await server.client.readResource({ uri: VIEW_OF[tool] })).contents;
          return shown(page !== undefined && "text" in page ? page.text : "", { ...answer }).text();
        };
        const drop = await show("drop_pending_packages", { pipeline: "shop" });
        for (const part of [PENDING_FIRST, "orders.updated_at", "reversible", "Nothing is changed yet"]) {
          expect(drop).toContain(part);
        }
        const diff = await show("diff_schema", { pipeline: "shop" });
        for (const part of ["Load 1700000000.1", "orders", "table added"]) expect(diff).toContain(part);
        const run = await show("run_pipeline", { pipeline: "broken", wait_s: 45 });
        for (const part of ["broken", "failed", "No rows were committed", "diagnose_error"]) {
          expect(run).toContain(part);
        }
      });
    });
  }
}
