/**
 * The MCP server on stdin and stdout: `loadwright mcp [--workspace DIR] [--allow run,write,destructive]
 * [--require-human]`. stdout carries the protocol and nothing else; the log goes to stderr as JSON lines.
 *
 * When the client closes stdin or sends SIGTERM or SIGINT, the server ends. Calls that wait for a run end with
 * it, the runs do not: they are processes of their own, and their traces tell the next server how they went.
 */

import { realpathSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { serveStdio as serveOnStdio } from "@modelcontextprotocol/server/stdio";
import { toEnvelope } from "../engine/errors.ts";
import { createServer } from "./server.ts";
import { modeOf, parseServerFlags } from "./server-flags.ts";
import { VERSION } from "./version.ts";
import { findWorkspace } from "./workspace.ts";

type Level = "info" | "error";

function log(level: Level, event: string, fields: Readonly<Record<string, unknown>> = {}): void {
  process.stderr.write(`${JSON.stringify({ time: new Date().toISOString(), level, event, ...fields })}\n`);
}

export interface StdioOptions {
  readonly workspace?: string;
  readonly allow: readonly string[];
  readonly requireHuman?: boolean;
}

/** Serves until the client leaves. Errors, before anything is served: NO_WORKSPACE, CONFIG_INVALID. */
export async function serveStdio(options: StdioOptions): Promise<void> {
  const workspace = findWorkspace(process.cwd(), options.workspace);
  const allow = options.allow.map(modeOf);
  // Somebody's console.log must not end up in the protocol.
  console.log = console.info = console.debug = (...parts: unknown[]) => console.error(...parts);
  const server = createServer({
    workspace,
    allow,
    requireHuman: options.requireHuman,
    onError: (error) => log("error", "mcp.failed", { error: toEnvelope(error) }),
  });
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  // Before the transport's own listeners: they abort the calls that are waiting.
  const stop = (): void => {
    server.shutDown();
    end();
  };
  process.stdin.once("end", stop);
  process.stdin.once("close", stop);
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, stop);
  const handle = serveOnStdio(server.factory, {
    onerror: (error) => log("error", "mcp.transport", { message: error.message }),
  });
  log("info", "mcp.ready", { version: VERSION, pipelines: workspace.pipelineNames().length, allow });
  await ended;
  await handle.close();
}

/** As a program of its own. A server that cannot start says why on stderr and exits with 2. */
async function main(): Promise<never> {
  try {
    await serveStdio(parseServerFlags(process.argv.slice(2)));
  } catch (error) {
    log("error", "mcp.refused", { error: toEnvelope(error) });
    process.exit(2);
  }
  process.exit(0);
}

/** `import.meta.main` is younger than the oldest Node we run on. */
function isMain(): boolean {
  const program = process.argv[1];
  return program !== undefined && realpathSync(program) === fileURLToPath(import.meta.url);
}

if (isMain()) await main();
