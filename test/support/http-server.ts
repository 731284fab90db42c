/**
 * A service on a real port whose answers a test writes down. Routes answer by method and path; faults that were
 * queued for a route come first, one each, so that a scenario reads as: this goes wrong, then it works.
 */

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
  /** 1 for the first request to this route that got past the faults. */
  readonly count: number;
}

export interface Reply {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string | undefined>>;
  readonly json?: unknown;
  readonly body?: string | Uint8Array;
}

/** `reset`: no answer; `truncate`: a body that ends before its content-length; `hang`: headers, then nothing. */
export type Fault = Reply | "reset" | "truncate" | "truncate_chunked" | "hang";
export type Answer = (asked: Asked) => Reply | Fault | Promise<Reply | Fault>;

export class TestService {
  readonly asked: Asked[] = [];
  readonly #routes = new Map<string, Answer>();
  readonly #faults = new Map<string, Fault[]>();
  readonly #counts = new Map<string, number>();
  readonly #server = createServer((request, response) => void this.#answer(request, response));
  url = "";

  static async start(): Promise<TestService> {
    const service = new TestService();
    await new Promise<void>((resolve) => service.#server.listen(0, "127.0.0.1", resolve));
    service.url = `http://127.0.0.1:${(service.#server.address() as AddressInfo).port}`;
    return service;
  }

  /** `on("GET /orders", …)`; a `*` stands for the rest of one path segment. */
  on(route: string, answer: Answer | Reply): this {
    this.#routes.set(route, typeof answer === "function" ? answer : () => answer);
    return this;
  }

  /** The next requests to the route meet these, in order. */
  fail(route: string, ...faults: Fault[]): this {
    this.#faults.set(route, [...(this.#faults.get(route) ?? []), ...faults]);
    return this;
  }

  /** The requests to a path, as they came. */
  to(path: string): Asked[] {
    return this.asked.filter((asked) => asked.path === path);
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", this.url);
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const method = request.method ?? "GET";
    const route = this.#routeOf(`${method} ${url.pathname}`);
    const fault = route === undefined ? undefined : this.#faults.get(route)?.shift();
    const count = (this.#counts.get(route ?? "") ?? 0) + (fault === undefined ? 1 : 0);
    if (route !== undefined) this.#counts.set(route, count);
    const asked: Asked = {
      method,
      path: url.pathname,
      query: Object.fromEntries(url.searchParams),
      headers: request.headers,
      body: Buffer.concat(parts).toString(),
      count,
    };
    this.asked.push(asked);
    if (route === undefined) return send(response, { status: 404, json: { error: "no_such_route" } });
    try {
      send(response, fault ?? (await this.#routes.get(route)!(asked)));
    } catch (error) {
      send(response, { status: 599, body: String(error) });
    }
  }

  #routeOf(wanted: string): string | undefined {
    if (this.#routes.has(wanted)) return wanted;
    return [...this.#routes.keys()].find((route) => {
      const pattern = route.split("*").map((part) => part.replace(/[.?+^$()[\]{}|\\]/g, "\\$&"));
      return new RegExp(`^${pattern.join("[^/]*")}$`).test(wanted);
    });
  }
}

function send(response: ServerResponse, reply: Fault): void {
  if (reply === "reset") {
    response.destroy();
    return;
  }
  if (reply === "hang") {
    response.writeHead(200, { "content-type": "application/json" });
    response.write("[");
    return;
  }
  if (reply === "truncate" || reply === "truncate_chunked") {
    const length: Record<string, string> = reply === "truncate" ? { "content-length": "1000" } : {};
    response.writeHead(200, { "content-type": "application/json", ...length });
    response.write('[{"id":1', () => response.socket?.destroy());
    return;
  }
  const body = reply.body ?? (reply.json === undefined ? "" : JSON.stringify(reply.json));
  const type: Record<string, string> = reply.json === undefined ? {} : { "content-type": "application/json" };
  const headers = Object.entries({ ...type, ...reply.headers }).filter(([, value]) => value !== undefined);
  response.writeHead(reply.status ?? 200, Object.fromEntries(headers) as Record<string, string>);
  response.end(body);
}

/** A page of `rows`, as most services cut them. */
export function slice<T>(rows: readonly T[], offset: number, limit: number): T[] {
  return rows.slice(offset, offset + limit);
}
