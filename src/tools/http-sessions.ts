/**
 * Sessions of clients of the 2025 protocol. That protocol asks a person, and cancels a call, in messages of
 * their own, which only a server that stays between requests can bring together. Clients of 2026 need none.
 *
 *   POST initialize -> open; any request -> used now; DELETE, idle too long, server end -> closed
 *
 * A request with a session id that is closed gets 404, as the specification asks, and the client begins anew.
 */

import { randomUUID } from "node:crypto";
import {
  type McpServer,
  type McpServerFactory,
  WebStandardStreamableHTTPServerTransport,
} from "@modelcontextprotocol/server";

export interface SessionOptions {
  readonly sessionsMax: number;
  readonly idleMs: number;
  readonly bodyBytesMax: number;
  readonly onError: (error: Error) => void;
  readonly now?: () => number;
}

interface Session {
  readonly transport: WebStandardStreamableHTTPServerTransport;
  usedAt: number;
}

export class HttpSessions {
  readonly #factory: McpServerFactory;
  readonly #options: SessionOptions;
  readonly #now: () => number;
  /** Least recently used first. */
  readonly #open = new Map<string, Session>();

  constructor(factory: McpServerFactory, options: SessionOptions) {
    this.#factory = factory;
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  get size(): number {
    return this.#open.size;
  }

  async fetch(request: Request): Promise<Response> {
    this.#closeIdle();
    const id = request.headers.get("mcp-session-id");
    if (id !== null) {
      const session = this.#open.get(id);
      if (session === undefined) return rpcError(404, -32001, "Session not found");
      session.usedAt = this.#now();
      this.#open.delete(id);
      this.#open.set(id, session);
      return session.transport.handleRequest(request);
    }
    if (request.method !== "POST")
      return rpcError(400, -32000, "Bad Request: Mcp-Session-Id header is required");
    return this.#begin(request);
  }

  /** A transport for one that may be an initialize; the transport itself refuses everything else. */
  async #begin(request: Request): Promise<Response> {
    const server = (await this.#factory({ era: "legacy", requestInfo: request })) as McpServer;
    const transport = new WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      maxRequestBodySize: this.#options.bodyBytesMax,
      onsessioninitialized: (id) => {
        this.#makeRoom();
        this.#open.set(id, { transport, usedAt: this.#now() });
      },
      onsessionclosed: (id) => {
        this.#open.delete(id);
      },
    });
    await server.connect(transport);
    server.server.onerror = this.#options.onError;
    const response = await transport.handleRequest(request);
    if (transport.sessionId === undefined) await transport.close();
    return response;
  }

  /** The one that was used longest ago makes way: a client that still lives gets 404 and begins anew. */
  #makeRoom(): void {
    for (const id of this.#open.keys()) {
      if (this.#open.size < this.#options.sessionsMax) return;
      this.#close(id);
    }
  }

  #closeIdle(): void {
    const before = this.#now() - this.#options.idleMs;
    for (const [id, session] of this.#open) {
      if (session.usedAt >= before) return;
      this.#close(id);
    }
  }

  #close(id: string): void {
    const session = this.#open.get(id);
    this.#open.delete(id);
    session?.transport.close().catch(this.#options.onError);
  }

  closeAll(): void {
    for (const id of [...this.#open.keys()]) this.#close(id);
  }
}

function rpcError(status: number, code: number, message: string): Response {
  return Response.json({ jsonrpc: "2.0", error: { code, message }, id: null }, { status });
}
