import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { plainJson } from "../../src/engine/interop/json.ts";
import { bumpSchema, newSchema, schemaToStored } from "../../src/engine/schema/version.ts";
import { CATALOG } from "../../src/tools/catalog.ts";
import { TOKENS_MAX, tokensOf } from "../../src/tools/envelope.ts";
import { Gates } from "../../src/tools/gates.ts";
import { Workspace } from "../../src/tools/workspace.ts";
import { manyPipelines } from "../support/many.ts";
import {
  ask,
  type Connected,
  connect,
  fail,
  HOSTILE,
  makeShop,
  storeOf,
  TRANSPORTS,
} from "../support/mcp.ts";
import { exampleInput } from "../support/tool-inputs.ts";
import type { TestWorkspace } from "../support/workspace.ts";

const TABLES = 2_000;

let workspace: TestWorkspace;
const servers: Connected[] = [];
beforeAll(async () => {
  workspace = await makeShop();
  manyPipelines(workspace, 297);
  const schema = newSchema("slow");
  for (let i = 0; i < TABLES; i++) {
    const name = `table_with_a_name_of_some_length_${i}`;
    const columns = new Map(
      ["id", "note", "updated_at"].map((column) => [column, { name: column, data_type: "text" as const }]),
    );
    schema.tables.set(name, { name, columns, write_disposition: "append" });
  }
  bumpSchema(schema);
  await storeOf(workspace, "slow").writeCommittedSchema("slow", plainJson(schemaToStored(schema)));
  for (const [, open] of TRANSPORTS) servers.push(await open(workspace.dir, ["--allow", "run"]));
});
afterAll(async () => {
  for (const server of servers) await server.close();
  workspace.remove();
});

describe("a workspace of 300 pipelines and 2,000 tables", () => {
  for (const [i, [name]] of TRANSPORTS.entries()) {
    const client = () => (servers[i] as Connected).client;

    it(`is answered within the token limits by every tool that reads (${name})`, async () => {
      for (const tool of CATALOG.filter((each) => each.mode === "read")) {
        for (const format of ["concise", "detailed"] as const) {
          for (const pipeline of ["shop", "slow"]) {
            const input = exampleInput(tool);
            const asked = { ...input, ...("pipeline" in input ? { pipeline } : {}), response_format: format };
            const result = await client().callTool({ name: tool.name, arguments: asked });
            expect(
              tokensOf(result.structuredContent ?? result.content),
              `${tool.name} ${format}`,
            ).toBeLessThanOrEqual(TOKENS_MAX[format]);
          }
        }
      }
    });

    it(`is read to the end by cursor, each entry once (${name})`, async () => {
      for (const [tool, list, key, input, count] of [
        ["get_workspace", "pipelines", "name", { limit: 200 }, 300],
        ["get_schema", "tables", "name", { pipeline: "slow", limit: 1000 }, TABLES],
        ["list_runs", "runs", "pipeline", { status: "failed", limit: 100 }, 297],
      ] as const) {
        const seen: unknown[] = [];
        let cursor: string | undefined;
        do {
          const answer = await ask(client(), tool, { ...input, ...(cursor === undefined ? {} : { cursor }) });
          seen.push(...(answer.data[list] as Record<string, unknown>[]).map((each) => each[key]));
          expect(answer.truncated).toBe(answer.next_cursor !== undefined);
          cursor = answer.next_cursor;
        } while (cursor !== undefined);
        expect([seen.length, new Set(seen).size], tool).toEqual([count, count]);
      }
    });

    it(`keeps what rows say inside the fence, in every answer that holds it (${name})`, async () => {
      const { content } = await client().callTool({
        name: "query_data",
        arguments: { pipeline: "shop", sql: "select note from orders where id = 9999" },
      });
      const text = (content as { text: string }[])[0]?.text ?? "";
      const { fence_open = "", fence_close = "" } = JSON.parse(text);
      const at = text.indexOf(HOSTILE.slice(0, 20));
      expect(at).toBeGreaterThan(text.indexOf(fence_open));
      expect(at).toBeLessThan(text.indexOf(`"fence_close":"${fence_close}"`));
      expect(HOSTILE).not.toContain(fence_close);
      const error = await client().callTool({
        name: "query_data",
        arguments: { pipeline: "shop", sql: "select note::int from orders where id = 9999" },
      });
      expect((error.content as { text: string }[])[0]?.text).toContain("fence_open");
    });
  }

  it("lists tools in fewer tokens than a long answer has", async () => {
    const { tools } = await (servers[0] as Connected).client.listTools();
    expect(tokensOf(tools.map(({ outputSchema: _, ...rest }) => rest)) / tools.length).toBeLessThan(700);
  });
});

describe("what is not allowed", () => {
  it("is listed and refused, or not listed at all with --hide-blocked", async () => {
    const hidden = await connect(workspace.dir, ["--hide-blocked"]);
    const { tools } = await hidden.client.listTools();
    expect(tools.map((each) => each.name)).toEqual(
      CATALOG.filter((each) => each.mode === "read").map((each) => each.name),
    );
    await hidden.close();
    const error = await fail((servers[0] as Connected).client, "drop_pending_packages", { pipeline: "shop" });
    expect(error.code).toBe("NOT_ALLOWED");
  });

  it("is refused by the engine too, whatever leads there", async () => {
    const gates = new Gates(["run"]);
    const { pipeline } = new Workspace(workspace.dir, (mode, what) => gates.require(mode, what)).openPipeline(
      "shop",
    );
    await expect(pipeline.dropPending()).rejects.toMatchObject({ code: "NOT_ALLOWED" });
    await expect(pipeline.drop({ all: true })).rejects.toMatchObject({ code: "NOT_ALLOWED" });
    const reading = new Gates();
    const closed = new Workspace(workspace.dir, (mode, what) => reading.require(mode, what)).openPipeline(
      "shop",
    ).pipeline;
    await expect(closed.sync()).rejects.toMatchObject({ code: "NOT_ALLOWED" });
    expect((await storeOf(workspace).pendingPackages()).length).toBe(2);
  });
});

it("an idempotency key answers the same run after the server was started again", async () => {
  const first = await connect(workspace.dir, ["--allow", "run"]);
  const input = { pipeline: "pipeline_001", wait_s: 30, idempotency_key: "nightly 2026-11-22" };
  const run = await ask(first.client, "run_pipeline", input);
  await first.close();
  const second = await connect(workspace.dir, ["--allow", "run"]);
  const again = await ask(second.client, "run_pipeline", input);
  expect(again.data.run_id).toBe(run.data.run_id);
  expect(again.summary).toMatch(/^Same run/);
  const other = await fail(second.client, "run_pipeline", { ...input, pipeline: "pipeline_002" });
  expect(other.code).toBe("ARGUMENTS_INVALID");
  await second.close();
});
