import { request as httpRequest, type IncomingHttpHeaders } from "node:http";
import { networkInterfaces } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { McpServer } from "@modelcontextprotocol/server";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { serveHttp } from "../../src/tools/http.ts";
import { cli } from "../support/cli.ts";
import { ask, connectHttp, type HttpServer, LEGACY, MODERN, makeShop, startHttp } from "../support/mcp.ts";
import type { TestWorkspace } from "../support/workspace.ts";

interface Reply {
  readonly status: number | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** `fetch` sets Host itself; this sends what it is told. */
function send(
  url: string,
  options: { method?: string; headers?: Record<string, string>; body?: string; path?: string } = {},
): Promise<Reply> {
  const { promise, resolve, reject } = Promise.withResolvers<Reply>();
  const target = new URL(options.path ?? "", url);
  const sent = httpRequest(target, {
    method: options.method ?? "POST",
    headers: { ...JSON_HEADERS, ...options.headers },
  });
  sent.on("response", (response) => {
    let body = "";
    response.setEncoding("utf8").on("data", (text: string) => {
      body += text;
    });
    response.on("end", () => resolve({ status: response.statusCode, headers: response.headers, body }));
  });
  sent.on("error", reject);
  sent.end(options.body ?? PING);
  return promise;
}

const JSON_HEADERS = { "Content-Type": "application/json", Accept: "application/json, text/event-stream" };
const PING = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "ping" });
const INITIALIZE = JSON.stringify({
  jsonrpc: "2.0",
  id: 1,
  method: "initialize",
  params: { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "t", version: "1" } },
});

let workspace: TestWorkspace;
let open: HttpServer;
let closed: HttpServer;
const TOKEN = "0123456789abcdef0123456789abcdef";
beforeAll(async () => {
  workspace = await makeShop();
  [open, closed] = await Promise.all([
    startHttp(workspace.dir),
    startHttp(workspace.dir, ["--allowed-hosts", "etl.example.com"], { MCP__TOKEN: TOKEN }),
  ]);
});
afterAll(async () => {
  await Promise.all([open.stop(), closed.stop()]);
  workspace.remove();
});

describe("the HTTP server", () => {
  it("refuses a foreign Host or Origin with 403, so that no page in a browser reaches it", async () => {
    const refused: Record<string, string>[] = [
      { Host: "evil.example.com" },
      { Host: "127.0.0.1.evil.example.com" },
      { Origin: "https://evil.example.com" },
      { Origin: "null" },
    ];
    for (const headers of refused)
      expect((await send(open.url, { headers })).status, JSON.stringify(headers)).toBe(403);
    for (const headers of [{ Origin: "http://localhost:3000" }, { Host: "localhost:1" }] as Record<
      string,
      string
    >[]) {
      expect((await send(open.url, { headers, body: INITIALIZE })).status).toBe(200);
    }
  });

  it("has one endpoint, and refuses what is no request of the protocol", async () => {
    expect((await send(open.url, { path: "/" })).status).toBe(404);
    expect((await send(open.url, { path: "/mcp/../etc/passwd", method: "GET", body: "" })).status).toBe(404);
    expect((await send(open.url, { body: "{" })).status).toBe(400);
    expect((await send(open.url, { headers: { "Content-Type": "text/plain" } })).status).toBe(415);
    expect((await send(open.url, { method: "PUT" })).status).toBeGreaterThanOrEqual(400);
    expect((await send(open.url, { headers: { "Mcp-Session-Id": "made-up" } })).status).toBe(404);
    expect((await send(open.url)).status).toBe(400);
  });

  it("lives through targets that are no path, and takes none for its endpoint", async () => {
    for (const target of [
      "http://[",
      "http://evil.example.com/mcp",
      "//evil.example.com/mcp",
      "/mcp/../mcp",
      "*",
    ]) {
      for (const server of [open, closed]) {
        const { hostname, port } = new URL(server.url);
        const headers = { ...JSON_HEADERS, Authorization: `Bearer ${TOKEN}` };
        const status = await new Promise((resolve, reject) => {
          httpRequest({ hostname, port, path: target, method: "POST", headers }, (response) => {
            response.resume();
            resolve(response.statusCode);
          })
            .on("error", reject)
            .end(INITIALIZE);
        });
        expect(status, target).toBe(404);
      }
    }
    expect((await send(open.url, { body: INITIALIZE })).status).toBe(200);
  });

  it("reads no body beyond its limit", async () => {
    const body = JSON.stringify({
      jsonrpc: "2.0",
      id: 1,
      method: "ping",
      params: { x: "y".repeat(5 * 1024 ** 2) },
    });
    const answered = await send(open.url, { body }).then(
      (reply) => reply.status,
      // The connection may be closed while the rest is still being sent.
      (error: NodeJS.ErrnoException) => error.code,
    );
    expect([413, "EPIPE", "ECONNRESET"]).toContain(answered);
    expect((await send(open.url, { body: INITIALIZE })).status).toBe(200);
  });

  it("lets nobody in without its token, and challenges as RFC 6750 says", async () => {
    const none = await send(closed.url, { body: INITIALIZE });
    expect([none.status, none.headers["www-authenticate"]]).toEqual([401, "Bearer"]);
    for (const given of [`Bearer ${TOKEN.slice(1)}`, `Bearer ${TOKEN}x`, `Basic ${TOKEN}`, TOKEN]) {
      const reply = await send(closed.url, { body: INITIALIZE, headers: { Authorization: given } });
      expect(reply.status, given).toBe(401);
      expect(reply.body).not.toContain(TOKEN);
    }
    const headers = { Authorization: `Bearer ${TOKEN}`, Host: "etl.example.com" };
    expect((await send(closed.url, { body: INITIALIZE, headers })).status).toBe(200);
    expect(closed.stderr()).not.toContain(TOKEN);
  });

  it("never listens beyond this machine without a token of some length", async () => {
    const outside = Object.values(networkInterfaces())
      .flat()
      .find((each) => each && !each.internal)?.address;
    for (const host of ["0.0.0.0", "::", ...(outside === undefined ? [] : [outside])]) {
      await expect(startHttp(workspace.dir, ["--host", host]), host).rejects.toThrow(/bearer token/);
    }
    await expect(startHttp(workspace.dir, ["--host", "0.0.0.0"], { MCP__TOKEN: "short" })).rejects.toThrow(
      /shorter/,
    );
    const server = await startHttp(workspace.dir, ["--host", "0.0.0.0"], { MCP__TOKEN: TOKEN });
    expect((await send(server.url.replace("0.0.0.0", "127.0.0.1"), { body: INITIALIZE })).status).toBe(401);
    expect(await server.stop()).toBe(0);
  });

  it("says why it does not start: a port that is taken, a flag that is not known", async () => {
    const port = new URL(open.url).port;
    const taken = await cli(workspace.dir, "mcp", "--http", "--port", port);
    expect([taken.code, taken.stdout]).toEqual([2, ""]);
    expect(taken.stderr).toMatch(/EADDRINUSE/);
    const unknown = await cli(workspace.dir, "mcp", "--http", "--tokn", "x");
    expect(unknown.code).toBe(2);
  });

  for (const [era, options] of [
    ["2025", LEGACY],
    ["2026", MODERN],
  ] as const) {
    it(`serves clients of ${era}`, async () => {
      const client = new Client({ name: "test", version: "1.0.0" }, options);
      await client.connect(new StreamableHTTPClientTransport(new URL(open.url)));
      expect((await ask(client, "get_workspace")).summary).toMatch(/^3 pipelines/);
      await client.close();
    });

    it(`cancels the run with the call that waits for it (${era})`, async () => {
      const server = await connectHttp(workspace.dir, ["--allow", "run"], options);
      const stop = new AbortController();
      const input = { name: "run_pipeline", arguments: { pipeline: "slow", wait_s: 40 } };
      const call = server.client.callTool(input, { signal: stop.signal });
      await sleep(2000);
      stop.abort();
      await expect(call).rejects.toThrow();
      const { data } = await ask(server.client, "get_run", { pipeline: "slow", wait_s: 20 });
      expect(data.run).toMatchObject({ status: "cancelled" });
      await server.close();
    });
  }

  it("ends on SIGTERM while a call waits, and leaves its run alone", async () => {
    const server = await connectHttp(workspace.dir, ["--allow", "run"]);
    const waiting = server.client
      .callTool({ name: "run_pipeline", arguments: { pipeline: "slow", wait_s: 40 } })
      .catch(() => undefined);
    await sleep(1500);
    await server.close();
    await waiting;
    const next = await connectHttp(workspace.dir, ["--allow", "run"]);
    const { data } = await ask(next.client, "list_runs", { status: "running" });
    const [run] = data.runs as { run_id: string; pipeline: string }[];
    expect(run).toMatchObject({ pipeline: "slow" });
    await ask(next.client, "cancel_run", { run_id: run?.run_id, mode: "abort" });
    await next.close();
  });
});

describe("sessions of older clients", () => {
  const factory = () => new McpServer({ name: "t", version: "1" }, { capabilities: { tools: {} } });
  const begin = async (url: string) =>
    String((await send(url, { body: INITIALIZE })).headers["mcp-session-id"]);
  const inSession = (url: string, id: string) => send(url, { headers: { "Mcp-Session-Id": id } });

  it("are bounded: the one used longest ago makes way and gets 404", async () => {
    const server = await serveHttp(factory, { port: 0, host: "127.0.0.1", bounds: { sessionsMax: 2 } });
    const first = await begin(server.url);
    const second = await begin(server.url);
    expect((await inSession(server.url, first)).status).toBe(200);
    const third = await begin(server.url);
    expect((await inSession(server.url, second)).status).toBe(404);
    expect((await inSession(server.url, first)).status).toBe(200);
    expect((await inSession(server.url, third)).status).toBe(200);
    await server.close();
  });

  it("end when they are idle, and when the client deletes them", async () => {
    const server = await serveHttp(factory, { port: 0, host: "127.0.0.1", bounds: { sessionIdleMs: 300 } });
    const idle = await begin(server.url);
    await sleep(400);
    expect((await inSession(server.url, idle)).status).toBe(404);
    const left = await begin(server.url);
    expect(
      (await send(server.url, { method: "DELETE", body: "", headers: { "Mcp-Session-Id": left } })).status,
    ).toBe(200);
    expect((await inSession(server.url, left)).status).toBe(404);
    await server.close();
  });
});
