/**
 * A local HTTP server that stands in for a vendor's API: one handler that answers as the documentation says,
 * limits per window and on concurrency, and faults that a test puts in front of chosen requests.
 */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface VendorRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage["headers"];
  /** The parsed JSON body; undefined when there is none. */
  readonly body: unknown;
}

export interface VendorReply {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON; a string is sent as it is. */
  readonly body?: unknown;
}

/** What happens instead of the answer, or before it. */
export type Fault =
  | { readonly kind: "reply"; readonly reply: VendorReply }
  /** The connection is closed before any byte. */
  | { readonly kind: "hang_up" }
  /** The head promises the whole body, half of it comes. */
  | { readonly kind: "truncate" }
  /** The answer comes after so many milliseconds. */
  | { readonly kind: "slow"; readonly ms: number };

interface PlannedFault {
  readonly when: (request: VendorRequest) => boolean;
  readonly fault: Fault;
  times: number;
}

export interface VendorLimits {
  /** Requests a window; the next is answered with 429 until the window ends. */
  readonly requestsMax?: number;
  readonly windowMs?: number;
  /** Calls under way at the same time; one more is answered with `status`. */
  readonly concurrentMax?: number;
}

export class VendorServer {
  readonly requests: VendorRequest[] = [];
  /** Requests that were answered with 429. */
  refused = 0;
  concurrentPeak = 0;
  private readonly server: Server;
  private readonly handle: (request: VendorRequest) => VendorReply | Promise<VendorReply>;
  private readonly faults: PlannedFault[] = [];
  private readonly limits: VendorLimits;
  private windowStart = 0;
  private windowCount = 0;
  private concurrent = 0;

  constructor(
    handle: (request: VendorRequest) => VendorReply | Promise<VendorReply>,
    limits: VendorLimits = {},
  ) {
    this.handle = handle;
    this.limits = limits;
    this.server = createServer((incoming, response) => {
      void this.answer(incoming, response).catch((error: unknown) => {
        response.destroy(error instanceof Error ? error : undefined);
      });
    });
  }

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.server.listen(0, "127.0.0.1", resolve));
    return this.url;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise<void>((resolve) => this.server.close(() => resolve()));
  }

  /** The next `times` requests that fit get the fault. */
  fail(fault: Fault, options: { path?: string; times?: number; when?: (r: VendorRequest) => boolean } = {}) {
    const { path, times = 1, when } = options;
    this.faults.push({
      when: (request) => (path === undefined || request.path === path) && (when?.(request) ?? true),
      fault,
      times,
    });
  }

  /** Requests to a path so far. */
  to(path: string): VendorRequest[] {
    return this.requests.filter((request) => request.path === path);
  }

  forget(): void {
    this.requests.length = 0;
  }

  private async answer(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const request = await readRequest(incoming);
    this.requests.push(request);
    this.concurrent++;
    this.concurrentPeak = Math.max(this.concurrentPeak, this.concurrent);
    try {
      const planned = this.faults.find((fault) => fault.times > 0 && fault.when(request));
      if (planned !== undefined) {
        planned.times--;
        if (planned.fault.kind === "hang_up") return void response.destroy();
        if (planned.fault.kind === "reply") return send(response, planned.fault.reply);
        if (planned.fault.kind === "slow") {
          const { ms } = planned.fault;
          await new Promise((resolve) => setTimeout(resolve, ms));
        }
      }
      const limited = this.overLimit();
      const reply = limited ?? (await this.handle(request));
      if (planned?.fault.kind === "truncate") return truncated(response, reply);
      send(response, reply);
    } finally {
      this.concurrent--;
    }
  }

  private overLimit(): VendorReply | undefined {
    const { requestsMax, windowMs = 0, concurrentMax } = this.limits;
    if (concurrentMax !== undefined && this.concurrent > concurrentMax) {
      this.refused++;
      return { status: 429, body: { error: "Too Many Concurrent Requests" } };
    }
    if (requestsMax === undefined) return undefined;
    const now = Date.now();
    if (now - this.windowStart >= windowMs) {
      this.windowStart = now;
      this.windowCount = 0;
    }
    this.windowCount++;
    if (this.windowCount <= requestsMax) return undefined;
    this.refused++;
    return { status: 429, body: { error: "Too Many Requests" } };
  }
}

async function readRequest(incoming: IncomingMessage): Promise<VendorRequest> {
  const parts: Buffer[] = [];
  for await (const part of incoming) parts.push(part as Buffer);
  const text = Buffer.concat(parts).toString("utf8");
  const url = new URL(incoming.url ?? "/", "http://localhost");
  return {
    method: incoming.method ?? "GET",
    path: url.pathname,
    query: url.searchParams,
    headers: incoming.headers,
    body: text === "" ? undefined : (JSON.parse(text) as unknown),
  };
}

function send(response: ServerResponse, { status = 200, headers = {}, body }: VendorReply): void {
  const text = typeof body === "string" ? body : JSON.stringify(body ?? {});
  response.writeHead(status, { "content-type": "application/json", ...headers });
  response.end(text);
}

function truncated(response: ServerResponse, reply: VendorReply): void {
  const text = typeof reply.body === "string" ? reply.body : JSON.stringify(reply.body ?? {});
  const bytes = Buffer.from(text);
  response.writeHead(200, { "content-type": "application/json", "content-length": String(bytes.length) });
  response.write(bytes.subarray(0, bytes.length >> 1), () => response.destroy());
}
