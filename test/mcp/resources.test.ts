import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CATALOG } from "../../src/tools/catalog.ts";
import { PROMPTS, textOf } from "../../src/tools/prompts.ts";
import { type Connected, LOADED, makeShop, PENDING_FIRST, TRANSPORTS } from "../support/mcp.ts";
import type { TestWorkspace } from "../support/workspace.ts";

let workspace: TestWorkspace;
const servers = new Map<string, Connected>();
beforeAll(async () => {
  workspace = await makeShop();
  for (const [name, connect] of TRANSPORTS)
    servers.set(name, await connect(workspace.dir, ["--allow", "run"]));
});
afterAll(async () => {
  for (const server of servers.values()) await server.close();
  workspace.remove();
});

for (const [name] of TRANSPORTS) {
  const client = () => (servers.get(name) as Connected).client;
  const read = async (uri: string): Promise<string> => {
    const [content] = (await client().readResource({ uri })).contents;
    return content !== undefined && "text" in content ? content.text : "";
  };

  describe(`resources over ${name}`, () => {
    it("listed are the workspace, its pipelines and sources, and the documentation; each can be read", async () => {
      const { resources } = await client().listResources();
      const uris = resources.map((each) => each.uri);
      expect(uris).toEqual(
        expect.arrayContaining([
          "loadwright://workspace",
          "loadwright://pipelines/shop",
          "loadwright://sources/shop",
          "loadwright://sources/filesystem",
          "loadwright://docs/mcp",
        ]),
      );
      for (const uri of uris) expect((await read(uri)).length, uri).toBeGreaterThan(20);
    });

    it("by template reach a pipeline's schema, state, loads and jobs, and an error code", async () => {
      const shop = "loadwright://pipelines/shop";
      expect(await read(`${shop}/schema`)).toContain('"updated_at"');
      const { version } = JSON.parse(await read(`${shop}/schema`)).data;
      expect(JSON.parse(await read(`${shop}/schema/${version}`)).data).toMatchObject({ version });
      expect(await read(`${shop}/state`)).toContain("2024-01-20");
      expect(await read(`${shop}/loads/${LOADED}`)).toContain('"loaded"');
      const load = await read(`${shop}/loads/${PENDING_FIRST}`);
      expect(load).toContain("fence_open");
      expect(await read(`${shop}/loads/${PENDING_FIRST}/jobs/orders.0123456789.0.typed-jsonl`)).toContain(
        '"rows":3',
      );
      expect(JSON.parse(await read("loadwright://errors/LOCKED"))).toMatchObject({
        code: "LOCKED",
        retry: "yes",
      });
    });

    it("that are not there, or would be a way out of the workspace, are refused as not found", async () => {
      for (const uri of [
        "loadwright://pipelines/nowhere",
        "loadwright://pipelines/shop/schema/99",
        "loadwright://pipelines/shop/schema/x",
        "loadwright://pipelines/..%2F..%2Fetc/state",
        "loadwright://pipelines/shop/runs/..%2F..%2F..%2Fetc",
        "loadwright://pipelines/shop/runs/20240101T000000-abcdef/log",
        "loadwright://errors/toString",
        "loadwright://docs/../package.json",
        "loadwright://docs/..%2Fpackage",
        "loadwright://docs/%2Fetc%2Fpasswd",
        "loadwright://sources/..%2Fsecrets",
        "loadwright://nothing",
        "file:///etc/passwd",
      ]) {
        await expect(read(uri), uri).rejects.toMatchObject({ code: -32602 });
      }
    });
  });

  describe(`completions over ${name}`, () => {
    const of = async (
      ref: { type: "ref/prompt"; name: string } | { type: "ref/resource"; uri: string },
      argument: { name: string; value: string },
      given?: Record<string, string>,
    ) =>
      (
        await client().complete({
          ref,
          argument,
          ...(given === undefined ? {} : { context: { arguments: given } }),
        })
      ).completion.values;
    const loads = { type: "ref/resource", uri: "loadwright://pipelines/{pipeline}/loads/{load_id}" } as const;

    it("know pipelines, and what belongs to the one that is given", async () => {
      const backfill = { type: "ref/prompt", name: "backfill" } as const;
      expect(await of(backfill, { name: "pipeline", value: "s" })).toEqual(["shop", "slow"]);
      expect(await of(backfill, { name: "resource", value: "" }, { pipeline: "shop" })).toEqual(["orders"]);
      expect(await of(backfill, { name: "resource", value: "" })).toEqual([]);
      const change = { type: "ref/prompt", name: "explain-schema-change" } as const;
      expect(await of(change, { name: "table", value: "ord" }, { pipeline: "shop" })).toEqual(["orders"]);
      expect(await of(loads, { name: "load_id", value: "17" }, { pipeline: "shop" })).toContain(
        PENDING_FIRST,
      );
      expect(await of(loads, { name: "load_id", value: "" }, { pipeline: "nowhere" })).toEqual([]);
      const version = {
        type: "ref/resource",
        uri: "loadwright://pipelines/{pipeline}/schema/{version}",
      } as const;
      expect(await of(version, { name: "version", value: "" }, { pipeline: "shop" })).toHaveLength(1);
    });

    it("know sources and error codes", async () => {
      expect(
        await of(
          { type: "ref/resource", uri: "loadwright://sources/{source}" },
          { name: "source", value: "file" },
        ),
      ).toEqual(["filesystem"]);
      expect(
        await of(
          { type: "ref/resource", uri: "loadwright://errors/{code}" },
          { name: "code", value: "lock" },
        ),
      ).toEqual(["LOCKED", "S3_CLOCK", "DESTINATION_LOCKED"]);
    });
  });

  describe(`prompts over ${name}`, () => {
    it("are the usual jobs; each text names only tools that are there", async () => {
      const { prompts } = await client().listPrompts();
      expect(prompts.map((each) => each.name)).toEqual([
        "new-source",
        "debug-failed-load",
        "explain-schema-change",
        "backfill",
        "health-check",
      ]);
      const tools = new Set((await client().listTools()).tools.map((tool) => tool.name));
      for (const prompt of prompts) {
        const given = Object.fromEntries(
          (prompt.arguments ?? []).filter((each) => each.required).map((each) => [each.name, "shop"]),
        );
        const { messages } = await client().getPrompt({ name: prompt.name, arguments: given });
        const text = JSON.stringify(messages);
        for (const [word] of text.matchAll(/\b[a-z]+_[a-z_]+\b/g)) {
          if (NOT_TOOLS.has(word)) continue;
          expect(tools, `${prompt.name} names ${word}`).toContain(word);
        }
      }
      await expect(
        client().getPrompt({ name: "backfill", arguments: { pipeline: "shop" } }),
      ).rejects.toThrow();
    });
  });
}

/** Words of the prompts with an underscore that are arguments or columns. */
const NOT_TOOLS = new Set(["load_id", "_dlt_load_id", "dlt_load_id", "run_id", "rows_max", "schema_changes"]);

it("a prompt's steps name tools of the catalogue's form, and most of them are there", () => {
  const known = new Set(CATALOG.map((tool) => tool.name));
  for (const prompt of PROMPTS) {
    expect(textOf(prompt, {}, known).split("\n").length).toBeGreaterThan(4);
    for (const step of prompt.steps)
      for (const tool of step.tools) expect(tool).toMatch(/^[a-z]+(_[a-z]+)+$/);
  }
});
