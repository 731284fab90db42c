/**
 * The conformance suite of the protocol, run as a program against servers that listen on a port: ours where a
 * scenario needs nothing of its own, else a server with the suite's fixtures behind our HTTP wiring. The suite
 * needs Node 22, so it runs under the one of the checkout. MCP_CONFORMANCE names another copy of the suite.
 */

import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type HttpHandle, serveHttp } from "../../src/tools/http.ts";
import { fixtureServer } from "../support/conformance-fixtures.ts";
import { type HttpServer, makeShop, startHttp } from "../support/mcp.ts";
import type { TestWorkspace } from "../support/workspace.ts";

const NODE = fileURLToPath(new URL("../../node_modules/node/bin/node", import.meta.url));
const SUITE =
  process.env.MCP_CONFORMANCE ??
  fileURLToPath(
    new URL("../../node_modules/@modelcontextprotocol/conformance/dist/index.js", import.meta.url),
  );

let workspace: TestWorkspace;
let real: HttpServer;
let fixtures: HttpHandle;
let results: string;
beforeAll(async () => {
  workspace = await makeShop();
  real = await startHttp(workspace.dir);
  fixtures = await serveHttp(fixtureServer, { port: 0, host: "127.0.0.1" });
  results = mkdtempSync(join(tmpdir(), "loadwright-conformance-"));
});
afterAll(async () => {
  await real.stop();
  await fixtures.close();
  workspace.remove();
  rmSync(results, { recursive: true, force: true });
});

function run(url: string, scenario: string, version: string): Promise<{ code: number; output: string }> {
  const args = [
    SUITE,
    "server",
    "--url",
    url,
    "--scenario",
    scenario,
    "--spec-version",
    version,
    "-o",
    results,
  ];
  return new Promise((resolve) => {
    execFile(NODE, args, { cwd: results, timeout: 50_000 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : 1, output: `${stdout}\n${stderr}` });
    });
  });
}

/** Scenarios that ask for nothing but the protocol. */
const FIXTURE_FREE = new Set([
  "server-initialize",
  "server-session-lifecycle",
  "ping",
  "tools-list",
  "resources-list",
  "prompts-list",
  "dns-rebinding-protection",
  "caching",
  "http-header-validation",
  "sep-2164-resource-not-found",
]);

/** Of MCP logging, which the protocol is giving up, and of subscriptions of 2025: the server declares neither. */
const NOT_DECLARED = new Set([
  "logging-set-level",
  "tools-call-with-logging",
  "resources-subscribe",
  "resources-unsubscribe",
]);

async function scenarios(version: string): Promise<string[]> {
  const listed = await new Promise<string>((resolve, reject) => {
    execFile(NODE, [SUITE, "list", "--server"], (error, stdout) => (error ? reject(error) : resolve(stdout)));
  });
  const found: string[] = [];
  for (const [, name = "", versions = ""] of listed.matchAll(/^ {2}- (\S+) \[([^\]]*)\]/gm)) {
    if (versions.split(",").includes(version) && !name.includes("/")) found.push(name);
  }
  return found;
}

for (const version of ["2025-11-25", "2026-07-28"]) {
  const names = await scenarios(version);
  // the release of the suite that is installed may not know the newest protocol yet
  describe.skipIf(names.length === 0)(`the conformance suite of ${version}`, () => {
    for (const name of names) {
      if (NOT_DECLARED.has(name)) continue;
      it(`${name} passes on ${FIXTURE_FREE.has(name) ? "the server" : "a server with fixtures"}`, async () => {
        const url = FIXTURE_FREE.has(name) ? real.url : fixtures.url;
        const { code, output } = await run(url, name, version);
        expect(code, output).toBe(0);
      });
    }
  });
}
