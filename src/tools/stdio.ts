/**
 * The MCP server on stdin and stdout: `loadwright mcp [--workspace DIR] [--allow run,write,destructive]
 * [--require-human]`. stdout carries the protocol and nothing else; the log goes to stderr as JSON lines.
 *
 * When the client closes stdin or sends SIGTERM or SIGINT, the server ends. Calls that wait for a run end with
 * it, the runs do not: they are processes of their own, and their traces tell the next server how they went.
 */

import { realpathSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { serveStdio } from "@modelcontextprotocol/server/stdio";
import { toEnvelope } from "../engine/errors.ts";
import { createServer } from "./server.ts";
import { parseServerFlags } from "./server-flags.ts";
import { VERSION } from "./version.ts";
import { findWorkspace } from "./workspace.ts";

type Level = "info" | "error";

function log(level: Level, event: string, fields: Readonly<Record<string, unknown>> = {}): void {
  process.stderr.write(`${JSON.stringify({ time: new Date().toISOString(), level, event, ...fields })}\n`);
}

/** Serves until the client leaves. A server that cannot start says why on stderr and exits with 2. */
export function serveMcp(argv: readonly string[]): void {
  try {
    start(argv);
  } catch (error) {
    log("error", "mcp.refused", { error: toEnvelope(error) });
    process.exitCode = 2;
  }
}

function start(argv: readonly string[]): void {
  const flags = parseServerFlags(argv);
  const workspace = findWorkspace(process.cwd(), flags.workspace);
  // Somebody's console.log must not end up in the protocol.
  console.log = console.info = console.debug = (...parts: unknown[]) => console.error(...parts);
  const server = createServer({
    workspace,
    allow: flags.allow,
    requireHuman: flags.requireHuman,
    onError: (error) => log("error", "mcp.failed", { error: toEnvelope(error) }),
  });
  // Before the transport's own listeners: they abort the calls that are waiting.
  process.stdin.once("end", () => server.shutDown());
  process.stdin.once("close", () => server.shutDown());
  const handle = serveStdio(server.factory, {
    onerror: (error) => log("error", "mcp.transport", { message: error.message }),
  });
  const stop = (): void => {
    server.shutDown();
    void handle.close().finally(() => process.exit(0));
  };
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, stop);
  log("info", "mcp.ready", {
    version: VERSION,
    pipelines: workspace.pipelineNames().length,
    allow: flags.allow,
  });
}

/** `import.meta.main` is younger than the oldest Node we run on. */
function isMain(): boolean {
  const main = process.argv[1];
  return main !== undefined && realpathSync(main) === fileURLToPath(import.meta.url);
}

if (isMain()) serveMcp(process.argv.slice(2));
