/** The examples on the pages of the sources, loaded: files and answers as the page has them make the tables that it lists. */

import { readFileSync } from "node:fs";
import { afterEach, expect, it } from "vitest";
import { cli } from "../support/cli.ts";
import { TestService } from "../support/http-server.ts";
import { makeWorkspace, type TestWorkspace } from "../support/workspace.ts";

let workspace: TestWorkspace | undefined;
afterEach(() => workspace?.remove());

const pageOf = (name: string) => readFileSync(new URL(`../../docs/${name}.md`, import.meta.url), "utf8");

function blocksOf(text: string, language: string): string[] {
  return [...text.matchAll(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, "g"))].map(
    ([, block]) => block!,
  );
}

function loadedTables(text: string): string {
  return text.split("## Loaded tables\n")[1]!.split("\n## ")[0]!;
}

async function columnsOf(dir: string, pipeline: string, table: string): Promise<Map<string, string>> {
  const { stdout } = await cli(dir, "get_schema", pipeline, "--table", table, "--json");
  const [found] = JSON.parse(stdout).data.tables;
  return new Map(
    found.columns.map(({ name, data_type }: { name: string; data_type: string }) => [name, data_type]),
  );
}

it("the file on the page of filesystem makes the columns, types and rows that the page shows", async () => {
  const text = pageOf("filesystem");
  workspace = makeWorkspace({
    "loadwright.toml": `[pipelines.sales]\nsource = "filesystem"\nconfig = { path = "exports", resources = { orders = { glob = "orders/*.csv" } } }`,
    "exports/orders/2024-01-31.csv": blocksOf(text, "csv")[0]!,
  });
  expect((await cli(workspace.dir, "run", "sales")).code).toBe(0);
  const [head = "", , ...rows] = loadedTables(text)
    .split("\n")
    .filter((line) => line.startsWith("|"));
  const told = [...head.matchAll(/(\w+) \((\w+)\)/g)].map(([, name, type]) => [name, type]);
  expect([...(await columnsOf(workspace.dir, "sales", "orders"))]).toEqual(
    expect.arrayContaining(told as [string, string][]),
  );
  const sql = "select order_id, zip, amount, paid from orders order by 1";
  const { stdout } = await cli(workspace.dir, "query_data", "sales", sql, "--json");
  const shown = rows.map((row) =>
    row
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
  const cells = (JSON.parse(stdout).data.rows as unknown[][]).map((row) =>
    row.map((cell) => (cell === null ? "" : String(cell))),
  );
  expect(cells).toEqual(shown);
});

it("the answers on the page of rest_api make the tables that the page lists, and its questions run", async () => {
  const text = pageOf("rest_api");
  const [config = ""] = blocksOf(text, "toml");
  const [orders = "", lines = ""] = blocksOf(text, "json");
  const service = await TestService.start();
  try {
    service.on("GET /v1/orders", () => ({ body: orders, headers: { "content-type": "application/json" } }));
    service.on("GET /v1/orders/71/lines", () => ({ body: lines }));
    workspace = makeWorkspace({
      "loadwright.toml": config.replace("https://api.example.com", service.url),
      ".env": "SOURCES__REST_API__SHOP_TOKEN=t0ken-of-the-example\n",
    });
    expect((await cli(workspace.dir, "run", "shop")).stdout).toContain("succeeded");
    const [first] = service.asked;
    expect(first).toMatchObject({
      query: { status: "paid", updated_since: "2024-01-01T00:00:00Z", page: "1" },
    });
    for (const [, table, columns] of loadedTables(text).matchAll(/^\| `(\w+)` \| (.+) \|$/gm)) {
      const told = [...columns!.matchAll(/`(\w+)`/g)].map(([, name]) => name);
      const made = [...(await columnsOf(workspace.dir, "shop", table!)).keys()];
      expect(made, table).toEqual(expect.arrayContaining(told));
      expect(made.filter((name) => !name.startsWith("_"))).toEqual(
        told.filter((name) => !name!.startsWith("_")),
      );
    }
    for (const sql of blocksOf(text, "sql")[0]!.split(";\n").slice(0, -1)) {
      const { stdout } = await cli(
        workspace.dir,
        "tool",
        "query_data",
        JSON.stringify({ pipeline: "shop", sql }),
      );
      expect(JSON.parse(stdout).data.rows.length, sql).toBeGreaterThan(0);
    }
  } finally {
    await service.stop();
  }
});
