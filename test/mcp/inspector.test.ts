/** The inspector's CLI, an MCP client of others, lists and calls every tool. */

import { execFile } from "node:child_process";
import { cpSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CATALOG } from "../../src/tools/catalog.ts";
import { BIN } from "../support/cli.ts";
import { type HttpServer, makeShop, startHttp } from "../support/mcp.ts";
import { exampleInput } from "../support/tool-inputs.ts";
import type { TestWorkspace } from "../support/workspace.ts";

const MODULES = fileURLToPath(new URL("../../node_modules", import.meta.url));
const ALLOW = ["--allow", "run,write,destructive"];

let workspace: TestWorkspace;
let http: HttpServer;
let inspector: string;
beforeAll(async () => {
  workspace = await makeShop();
  inspector = mkdtempSync(join(tmpdir(), "loadwright-inspector-"));
  // Published alone it looks for the package.json of the repository it was cut from: it gets one.
  cpSync(join(MODULES, "@modelcontextprotocol/inspector-cli/build"), join(inspector, "cli/build"), {
    recursive: true,
  });
  writeFileSync(
    join(inspector, "package.json"),
    '{ "name": "inspector", "version": "1.0.3", "type": "module" }',
  );
  symlinkSync(realpathSync(MODULES), join(inspector, "node_modules"));
  http = await startHttp(workspace.dir, ALLOW);
});
afterAll(async () => {
  await http.stop();
  workspace.remove();
  rmSync(inspector, { recursive: true, force: true });
});

function inspect(transport: "stdio" | "http", ...args: string[]): Promise<Record<string, unknown>> {
  const target =
    transport === "http"
      ? [http.url, "--transport", "http"]
      : [process.execPath, BIN, "mcp", "--workspace", workspace.dir, ...ALLOW];
  return new Promise((resolve, reject) => {
    execFile(
      process.execPath,
      [join(inspector, "cli/build/index.js"), ...target, ...args],
      { timeout: 55_000 },
      (error, stdout, stderr) => {
        try {
          resolve(JSON.parse(stdout) as Record<string, unknown>);
        } catch {
          reject(new Error(`${stdout}\n${stderr}`, { cause: error }));
        }
      },
    );
  });
}

for (const transport of ["stdio", "http"] as const) {
  describe(`the inspector over ${transport}`, () => {
    it("lists every tool, resource template and prompt", async () => {
      const { tools } = await inspect(transport, "--method", "tools/list");
      expect((tools as { name: string }[]).map((each) => each.name)).toEqual(
        CATALOG.map((each) => each.name),
      );
      const { resourceTemplates } = await inspect(transport, "--method", "resources/templates/list");
      expect((resourceTemplates as unknown[]).length).toBeGreaterThan(10);
      const { prompts } = await inspect(transport, "--method", "prompts/list");
      expect((prompts as unknown[]).length).toBe(5);
    });

    for (const tool of CATALOG) {
      it(`calls ${tool.name}`, async () => {
        const input = exampleInput(tool);
        const args = Object.entries(input).flatMap(([key, value]) => [
          "--tool-arg",
          `${key}=${typeof value === "string" ? value : JSON.stringify(value)}`,
        ]);
        const result = await inspect(transport, "--method", "tools/call", "--tool-name", tool.name, ...args);
        const [content] = result.content as { text: string }[];
        const answer = JSON.parse(content?.text ?? "") as { summary?: string; error?: { code: string } };
        // What is not there is an answer too; a call that is not understood is not.
        expect(answer.summary ?? answer.error?.code).toBeTruthy();
        expect(["ARGUMENTS_INVALID", "INTERNAL"]).not.toContain(answer.error?.code);
      });
    }
  });
}
