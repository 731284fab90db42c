/**
 * `loadwright mcp`: the MCP server of a workspace, on stdin and stdout or over HTTP. On stdio, stdout carries
 * the protocol and nothing else; the log goes to stderr as JSON lines.
 *
 * When the client closes stdin, or on SIGTERM or SIGINT, the server ends. Calls that wait for a run end with
 * it, the runs do not: they are processes of their own, and their traces tell the next server how they went.
 */

import { type ErrorEnvelope, toEnvelope } from "../engine/errors.ts";
import { keepQueryProcessReady } from "../engine/inspect/query-process.ts";
import { keepDescribersReady } from "./building/probe.ts";
import { createServer, type ServerParts } from "./server.ts";
import type { ServerFlags } from "./server-flags.ts";
import { VERSION } from "./version.ts";
import { findWorkspace, type Workspace } from "./workspace.ts";

const QUERY_PROCESS_AFTER_MS = 1_000;

type Log = (
  level: "info" | "warn" | "error",
  event: string,
  fields?: Readonly<Record<string, unknown>>,
) => void;

/** Serves until the client leaves. Errors, before anything is served: NO_WORKSPACE, CONFIG_INVALID. */
export async function serve(flags: ServerFlags): Promise<void> {
  const workspace = findWorkspace(process.cwd(), flags.workspace);
  const log = logTo(process.stderr, workspace);
  const server = createServer({
    workspace,
    allow: flags.allow,
    requireHuman: flags.requireHuman,
    hideBlocked: flags.hideBlocked,
    onError: (error) => log("error", "mcp.failed", { error: toEnvelope(error) }),
  });
  const open = flags.http ? overHttp : overStdio;
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  // Before the transport's own listeners: they abort the calls that are waiting.
  const stop = (): void => {
    server.shutDown();
    end();
  };
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, stop);
  const close = await open(server, { workspace, flags, log, stop });
  // once the client has its answers to the first requests, which should not wait for it
  setTimeout(keepQueryProcessReady, QUERY_PROCESS_AFTER_MS).unref();
  keepDescribersReady();
  await ended;
  await close();
}

interface Serving {
  readonly workspace: Workspace;
  readonly flags: ServerFlags;
  readonly log: Log;
  readonly stop: () => void;
}

type Close = () => Promise<void>;

async function overStdio(server: ServerParts, { workspace, flags, log, stop }: Serving): Promise<Close> {
  // Somebody's console.log must not end up in the protocol.
  console.log = console.info = console.debug = (...parts: unknown[]) => console.error(...parts);
  process.stdin.once("end", stop);
  process.stdin.once("close", stop);
  const { serveStdio } = await import("@modelcontextprotocol/server/stdio");
  const handle = serveStdio(server.factory, {
    onerror: (error) => log("error", "mcp.transport", { message: error.message }),
  });
  log("info", "mcp.ready", {
    version: VERSION,
    pipelines: workspace.pipelineNames().length,
    allow: flags.allow,
  });
  return () => handle.close();
}

async function overHttp(server: ServerParts, { workspace, flags, log }: Serving): Promise<Close> {
  const { serveHttp } = await import("./http.ts");
  const token = workspace.secrets().ofServer("token");
  const handle = await serveHttp(server.factory, {
    port: flags.port,
    host: flags.host,
    allowedHosts: flags.allowedHosts,
    token,
    onError: (error) => log("error", "mcp.transport", { message: error.message }),
  });
  const facts = { version: VERSION, url: handle.url, pipelines: workspace.pipelineNames().length };
  log("info", "mcp.ready", { ...facts, allow: flags.allow, token: token !== undefined });
  if (token === undefined) {
    log("warn", "mcp.no_token", {
      message: "Every program on this machine can use the server; MCP__TOKEN ends that.",
    });
  }
  return () => handle.close();
}

/** Lines without the workspace's secrets, whatever an error carries. */
function logTo(stream: NodeJS.WritableStream, workspace: Workspace): Log {
  return (level, event, fields = {}) => {
    const line = { time: new Date().toISOString(), level, event, ...fields };
    let safe: Record<string, unknown>;
    try {
      safe = workspace.secrets().maskAll(line);
    } catch (error) {
      // secrets that cannot be read cannot be masked: only the code is told
      safe = {
        time: line.time,
        level,
        event,
        code: (fields.error as ErrorEnvelope | undefined)?.code,
        masked: String((error as Error).name),
      };
    }
    stream.write(`${JSON.stringify(safe)}\n`);
  };
}
