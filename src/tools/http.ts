/**
 * Streamable HTTP at `/mcp`, for clients of the 2026-07-28 protocol (each request stands alone) and of 2025
 * (in a session). Bound to this machine unless it is told another address, which it refuses without a token.
 */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { toNodeHandler } from "@modelcontextprotocol/node";
import { createMcpHandler, isLegacyRequest, type McpServerFactory } from "@modelcontextprotocol/server";
import { EngineError } from "../engine/errors.ts";
import { answer, MCP_PATH, requestGuard } from "./http-guards.ts";
import { HttpSessions } from "./http-sessions.ts";

export interface HttpOptions {
  /** 0: any free one. */
  readonly port: number;
  /** Address to listen on. */
  readonly host: string;
  /** Further names of this machine that may stand in Host and Origin. */
  readonly allowedHosts?: readonly string[];
  readonly token?: string;
  readonly onError?: (error: Error) => void;
  readonly bounds?: Partial<HttpBounds>;
}

export interface HttpBounds {
  readonly bodyBytesMax: number;
  readonly sessionsMax: number;
  readonly sessionIdleMs: number;
  /** Requests that are being answered, streams included; one more gets 503. */
  readonly requestsMax: number;
  readonly headersTimeoutMs: number;
  readonly bodyTimeoutMs: number;
}

export const HTTP_BOUNDS: HttpBounds = {
  bodyBytesMax: 4 * 1024 ** 2,
  sessionsMax: 100,
  sessionIdleMs: 30 * 60_000,
  requestsMax: 200,
  headersTimeoutMs: 10_000,
  bodyTimeoutMs: 30_000,
};

/** Anybody who reads it can use the server, so it must not be guessable. */
export const TOKEN_LENGTH_MIN = 16;

export interface HttpHandle {
  readonly url: string;
  /** Ends open streams and sessions, waits for what is being answered, then closes the port. */
  close(graceMs?: number): Promise<void>;
}

/** Listens. Errors: CONFIG_INVALID (no token for an address outside this machine, port taken). */
export async function serveHttp(factory: McpServerFactory, options: HttpOptions): Promise<HttpHandle> {
  const bounds = { ...HTTP_BOUNDS, ...options.bounds };
  const address = options.host === "localhost" ? "127.0.0.1" : options.host;
  checkToken(address, options.token);
  const onError = options.onError ?? (() => {});

  const modern = createMcpHandler(factory, {
    legacy: "reject",
    onerror: onError,
    maxRequestBodySize: bounds.bodyBytesMax,
    maxSubscriptions: bounds.sessionsMax,
  });
  const sessions = new HttpSessions(factory, {
    sessionsMax: bounds.sessionsMax,
    idleMs: bounds.sessionIdleMs,
    bodyBytesMax: bounds.bodyBytesMax,
    onError,
  });
  const fetch = async (request: Request): Promise<Response> =>
    (await isLegacyRequest(request, undefined, { maxRequestBodySize: bounds.bodyBytesMax }))
      ? sessions.fetch(request)
      : modern.fetch(request);
  const handle = toNodeHandler({ fetch }, { onerror: onError, maxRequestBodySize: bounds.bodyBytesMax });

  const allowed = [...(options.allowedHosts ?? []), bracketed(address)];
  const guard = requestGuard({ hosts: allowed, token: options.token });
  let answering = 0;
  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    try {
      if (!guard(request, response)) return;
    } catch (error) {
      // whatever a stranger sends, the server goes on
      onError(error as Error);
      answer(response, 400, { error: "bad_request", error_description: "The request cannot be read." });
      return;
    }
    if (answering >= bounds.requestsMax) {
      response.setHeader("Retry-After", "1");
      answer(response, 503, { error: "busy", error_description: "Too many requests at a time." });
      return;
    }
    answering += 1;
    response.once("close", () => {
      answering -= 1;
    });
    handle(request as Parameters<typeof handle>[0], response as Parameters<typeof handle>[1]).catch(onError);
  };
  const server = createServer(
    { headersTimeout: bounds.headersTimeoutMs, requestTimeout: bounds.bodyTimeoutMs },
    listener,
  );
  await listen(server, options.port, address);
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://${bracketed(address)}:${port}${MCP_PATH}`,
    async close(graceMs = 2_000) {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      sessions.closeAll();
      await modern.close();
      server.closeIdleConnections();
      const timer = setTimeout(() => server.closeAllConnections(), graceMs);
      await closed;
      clearTimeout(timer);
    },
  };
}

function checkToken(address: string, token: string | undefined): void {
  if (token !== undefined && token.length < TOKEN_LENGTH_MIN) {
    throw new EngineError(
      "CONFIG_INVALID",
      `The bearer token is shorter than ${TOKEN_LENGTH_MIN} characters.`,
      {
        hint: "Make one with: openssl rand -hex 32",
      },
    );
  }
  if (token === undefined && !isLoopback(address)) {
    throw new EngineError(
      "CONFIG_INVALID",
      `The server does not listen on ${address} without a bearer token.`,
      {
        hint: 'Set MCP__TOKEN in the environment or .env, or [mcp] token = "…" in secrets.toml, or use --host 127.0.0.1.',
      },
    );
  }
}

export function isLoopback(address: string): boolean {
  return address === "::1" || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(address);
}

function bracketed(address: string): string {
  return address.includes(":") ? `[${address}]` : address;
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      reject(
        new EngineError(
          "CONFIG_INVALID",
          `Cannot listen on ${host}:${port}: ${cause.code ?? cause.message}.`,
          {
            hint: cause.code === "EADDRINUSE" ? "Choose another --port." : "Check --host and --port.",
            cause,
          },
        ),
      );
    });
    server.listen(port, host, () => resolve());
  });
}
