/** The HTTP client against a real server: which faults it repeats, which it ends with, and what it tells. */

import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { EngineError } from "../../src/engine/errors.ts";
import { HttpClient, type HttpClientOptions, type RequestOptions } from "../../src/sources/http/index.ts";
import { waitMsOf } from "../../src/sources/http/retry-after.ts";
import { joinUrl, shownUrl, withQuery } from "../../src/sources/http/url.ts";
import { TestService } from "../support/http-server.ts";

let service: TestService;
beforeEach(async () => {
  service = await TestService.start();
  service.on("GET /rows", { json: [{ id: 1 }] });
});
afterEach(() => service.stop());

const client = (options: HttpClientOptions = {}) =>
  new HttpClient({ baseUrl: service.url, backoffMs: 1, backoffMsMax: 2, ...options });

async function failure(work: Promise<unknown>): Promise<EngineError> {
  return work.then(
    () => Promise.reject(new Error("it did not fail")),
    (error: EngineError) => error,
  );
}

describe("faults that pass", () => {
  test.each([
    ["a 500", { status: 500 }],
    ["a 503 of a proxy", { status: 503, body: "<html>" }],
    ["a 408", { status: 408 }],
    ["a 429 without a time", { status: 429 }],
    ["a connection that is reset", "reset"],
    ["a body shorter than its content-length", "truncate"],
    ["a chunked body that ends early", "truncate_chunked"],
    ["JSON that ends in the middle", { body: '[{"id":1},{"i' }],
  ] as const)("%s is repeated until it works", async (_name, fault) => {
    service.fail("GET /rows", fault, fault);
    expect(await client().getJson("/rows")).toEqual([{ id: 1 }]);
    expect(service.asked).toHaveLength(3);
  });

  test("Retry-After holds back every request of the client, until it is over", async () => {
    service.on("GET /other", { json: [] });
    service.fail("GET /rows", { status: 429, headers: { "retry-after": "60" } });
    const http = client();
    const abort = new AbortController();
    const context = { signal: abort.signal, log: () => {} };
    const rows = http.getJson("/rows", { context });
    while (http.trace.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    const settled = Promise.allSettled([rows, http.getJson("/other", { context })]);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(service.asked).toHaveLength(1);
    abort.abort(new Error("enough"));
    expect((await settled).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    service.fail("GET /rows", { status: 503, headers: { "retry-after": "0.2" } });
    expect(await client().getJson("/rows")).toEqual([{ id: 1 }]);
  });

  test("a body that never ends runs into the time-out and is repeated", async () => {
    service.fail("GET /rows", "hang");
    expect(await client({ timeoutMs: 300 }).getJson("/rows")).toEqual([{ id: 1 }]);
  });

  test("a POST is repeated with its body", async () => {
    service.on("POST /search", ({ body }) => ({ body }));
    service.fail("POST /search", "reset");
    expect(await client().getJson("/search", { json: { big: 2n ** 60n, page: 1 } })).toEqual({
      big: 1152921504606846976n,
      page: 1,
    });
    expect(service.asked[1]!.body).toBe('{"big":1152921504606846976,"page":1}');
  });
});

describe("faults that stay", () => {
  test.each([
    [400, "HTTP_BAD_REQUEST", 1],
    [401, "HTTP_UNAUTHORIZED", 1],
    [403, "HTTP_FORBIDDEN", 1],
    [404, "HTTP_NOT_FOUND", 1],
    [422, "HTTP_BAD_REQUEST", 1],
    [429, "HTTP_RATE_LIMITED", 3],
    [502, "HTTP_SERVER_ERROR", 3],
  ])("%i is %s after %i attempts", async (status, code, attempts) => {
    service.on("GET /rows", { status, json: { error: "nope", message: "of jane@example.com" } });
    const error = await failure(client({ attemptsMax: 3 }).json("/rows"));
    expect(error).toMatchObject({ code, details: { status, error_code: "nope", attempt: attempts } });
    expect(service.asked).toHaveLength(attempts);
    expect(JSON.stringify([error.message, error.hint, error.details])).not.toContain("jane");
  });

  test("a 403 that says nothing is left of the quota is a rate limit", async () => {
    service.on("GET /rows", { status: 403, headers: { "x-ratelimit-remaining": "0" } });
    expect(await failure(client({ attemptsMax: 2 }).json("/rows"))).toMatchObject({
      code: "HTTP_RATE_LIMITED",
    });
  });

  test("a pause longer than the bound ends the request at once and says when to come back", async () => {
    service.on("GET /rows", { status: 429, headers: { "retry-after": "7200" } });
    const error = await failure(client().json("/rows"));
    expect(error).toMatchObject({ code: "HTTP_RATE_LIMITED", retry: "yes" });
    expect(error.hint).toContain("7200 seconds");
    expect(service.asked).toHaveLength(1);
  });

  test("a page of HTML with status 200 is HTTP_BODY_INVALID and not repeated", async () => {
    service.on("GET /rows", {
      body: "<!DOCTYPE html><p>Log in</p>",
      headers: { "content-type": "text/html" },
    });
    const error = await failure(client().json("/rows"));
    expect(error).toMatchObject({ code: "HTTP_BODY_INVALID", details: { content_type: "text/html" } });
    expect(error.message).not.toContain("Log in");
    expect(service.asked).toHaveLength(1);
  });

  test("a body larger than the bound is HTTP_TOO_LARGE", async () => {
    service.on("GET /rows", { body: `["${"x".repeat(5000)}"]` });
    expect(await failure(client({ bodyBytesMax: 1000 }).json("/rows"))).toMatchObject({
      code: "HTTP_TOO_LARGE",
    });
  });

  test("nobody there is HTTP_CONNECTION with the system's reason", async () => {
    const http = new HttpClient({ baseUrl: "http://127.0.0.1:1", attemptsMax: 2, backoffMs: 1 });
    expect(await failure(http.json("/"))).toMatchObject({ code: "HTTP_CONNECTION", retry: "yes" });
  });

  test("a time-out is HTTP_TIMEOUT", async () => {
    service.on("GET /rows", () => "hang");
    const error = await failure(client({ attemptsMax: 1, timeoutMs: 200 }).json("/rows"));
    expect(error).toMatchObject({ code: "HTTP_TIMEOUT", details: { timeout_ms: 200 } });
  });

  test("an abort ends the request with the signal's own reason", async () => {
    service.on("GET /rows", () => "hang");
    const abort = new AbortController();
    const work = client().json("/rows", { context: { signal: abort.signal, log: () => {} } });
    setTimeout(() => abort.abort(new Error("stop now")), 50);
    await expect(work).rejects.toThrow("stop now");
    expect(service.asked).toHaveLength(1);
  });
});

describe("credentials", () => {
  const secret = "s3cret-value";
  test.each([
    ["bearer", { kind: "bearer", token: secret }, { authorization: `Bearer ${secret}` }],
    ["a header", { kind: "header", name: "X-Eflow-Api-Key", value: secret }, { "x-eflow-api-key": secret }],
    ["an API key", { kind: "api_key", name: "X-Key", key: secret }, { "x-key": secret }],
    ["a cookie", { kind: "api_key", name: "sid", key: secret, in: "cookie" }, { cookie: `sid=${secret}` }],
    ["basic", { kind: "basic", username: "ü", password: "p:w" }, { authorization: "Basic w7w6cDp3" }],
  ] as const)("%s is sent", async (_name, auth, headers) => {
    await client({ auth }).getJson("/rows");
    expect(service.asked[0]!.headers).toMatchObject(headers);
  });

  test("a key in the query is sent and never shown", async () => {
    service.fail("GET /rows", { status: 500 });
    const events: unknown[] = [];
    const auth = { kind: "api_key", name: "k", key: secret, in: "query" } as const;
    const http = client({ auth });
    const log: NonNullable<RequestOptions["context"]>["log"] = (...event) => events.push(event);
    await http.getJson("/rows?access_token=abc", { context: { log, signal: new AbortController().signal } });
    expect(service.asked[0]!.query).toEqual({ k: secret, access_token: "abc" });
    expect(events).toHaveLength(2);
    expect(JSON.stringify([events, http.trace])).not.toMatch(/s3cret|abc/);
    service.on("GET /rows", { status: 404 });
    const error = await failure(http.json("/rows?access_token=abc"));
    expect(JSON.stringify([error.message, error.details])).not.toMatch(/s3cret|abc/);
  });

  test("they stay behind when a redirect leads to another host", async () => {
    const other = await TestService.start();
    try {
      other.on("GET /moved", { json: ["there"] });
      service.on("GET /rows", { status: 302, headers: { location: `${other.url}/moved` } });
      const http = client({
        auth: { kind: "header", name: "X-Key", value: secret },
        headers: { "x-tenant": "t" },
      });
      expect(await http.getJson("/rows")).toEqual(["there"]);
      expect(other.asked[0]!.headers).not.toHaveProperty("x-key");
      expect(other.asked[0]!.headers).not.toHaveProperty("x-tenant");
      other.on("GET /moved", { status: 401 });
      expect((await failure(http.json("/rows"))).hint).toContain("auth_hosts");
    } finally {
      await other.stop();
    }
  });

  test("a redirect on the same host keeps them; a circle of redirects is HTTP_REDIRECT", async () => {
    service.on("GET /old", { status: 301, headers: { location: "/rows" } });
    expect(await client({ auth: { kind: "bearer", token: secret } }).getJson("/old")).toEqual([{ id: 1 }]);
    expect(service.to("/rows")[0]!.headers.authorization).toBe(`Bearer ${secret}`);
    service.on("GET /circle", { status: 302, headers: { location: "/circle" } });
    expect(await failure(client().json("/circle"))).toMatchObject({ code: "HTTP_REDIRECT" });
  });

  const oauth = () =>
    ({
      kind: "oauth2_client_credentials",
      accessTokenUrl: `${service.url}/token`,
      clientId: "me",
      clientSecret: secret,
      requestData: { scope: "read" },
    }) as const;

  test("OAuth2 asks for one token for many requests, and for the next once it has expired", async () => {
    service.on("POST /token", ({ count }) => ({ json: { access_token: `t${count}`, expires_in: 3600 } }));
    const http = client({ auth: oauth() });
    await Promise.all([http.getJson("/rows"), http.getJson("/rows"), http.getJson("/rows")]);
    expect(service.to("/token").map(({ body }) => body)).toEqual([
      `grant_type=client_credentials&client_id=me&client_secret=${secret}&scope=read`,
    ]);
    service.on("POST /token", ({ count }) => ({ json: { access_token: `t${count}`, expires_in: 0 } }));
    const brief = client({ auth: oauth() });
    await brief.getJson("/rows");
    await brief.getJson("/rows");
    expect(service.to("/rows").map(({ headers }) => headers.authorization)).toEqual([
      ...Array(3).fill("Bearer t1"),
      "Bearer t2",
      "Bearer t3",
    ]);
  });

  test("OAuth2 renews a token that is refused, once", async () => {
    service.on("POST /token", ({ count }) => ({ json: { access_token: `t${count}` } }));
    service.on("GET /rows", ({ headers }) =>
      headers.authorization === "Bearer t2" ? { json: ["in"] } : { status: 401 },
    );
    expect(await client({ auth: oauth() }).getJson("/rows")).toEqual(["in"]);
    service.on("GET /rows", { status: 401 });
    expect(await failure(client({ auth: oauth() }).json("/rows"))).toMatchObject({
      code: "HTTP_UNAUTHORIZED",
    });
    expect(service.to("/token")).toHaveLength(4);
  });

  test("OAuth2 with a refused client says so without the secret", async () => {
    service.on("POST /token", { status: 401, json: { error: "invalid_client" } });
    const error = await failure(client({ auth: oauth() }).json("/rows"));
    expect(error).toMatchObject({ code: "HTTP_UNAUTHORIZED", details: { error_code: "invalid_client" } });
    expect(JSON.stringify(error.details) + error.message).not.toContain(secret);
  });
});

describe("what is asked and what comes", () => {
  test("integers beyond 2^53 keep their digits, and floats stay floats", async () => {
    service.on("GET /rows", { body: '\ufeff{"id":9007199254740993,"price":1.0}' });
    const body = (await client().getJson("/rows")) as Record<string, unknown>;
    expect(body.id).toBe(9007199254740993n);
    expect(String(body.price)).toBe("1.0");
  });

  test("no content is undefined", async () => {
    service.on("GET /rows", { status: 204 });
    expect(await client().getJson("/rows")).toBeUndefined();
  });

  test("no more requests run at once than the bound says", async () => {
    let running = 0;
    let most = 0;
    service.on("GET /rows", async () => {
      running += 1;
      most = Math.max(most, running);
      await new Promise((resolve) => setTimeout(resolve, 10));
      running -= 1;
      return { json: [] };
    });
    const http = client({ concurrency: 2 });
    await Promise.all(Array.from({ length: 8 }, () => http.getJson("/rows")));
    expect(most).toBe(2);
  });

  test("no more requests start in a minute than the bound says", async () => {
    const http = client({ requestsPerMinute: 3 });
    const abort = new AbortController();
    const context = { signal: abort.signal, log: () => {} };
    const all = Array.from({ length: 5 }, () => http.getJson("/rows", { context }));
    const settled = Promise.allSettled(all);
    await Promise.all(all.slice(0, 3));
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(service.asked).toHaveLength(3);
    abort.abort(new Error("enough"));
    expect((await settled).map(({ status }) => status)).toEqual([
      ...Array(3).fill("fulfilled"),
      ...Array(2).fill("rejected"),
    ]);
  });

  test("paths join the base URL, lists repeat their name, null is left out", () => {
    expect(joinUrl("https://x.test/v1/", "/a/b?c=1").href).toBe("https://x.test/v1/a/b?c=1");
    expect(joinUrl("https://x.test/v1", "https://y.test/z").href).toBe("https://y.test/z");
    expect(withQuery(joinUrl("https://x.test", "?a=1"), { a: [2, "3"], b: null, c: true }).search).toBe(
      "?a=2&a=3&c=true",
    );
    expect(() => joinUrl("https://user:pw@x.test", "a")).toThrow(
      expect.objectContaining({ code: "CONFIG_INVALID" }),
    );
    expect(shownUrl(new URL("https://x.test/?api_key=1&page=2"), new Set())).toBe(
      "https://x.test/?api_key=***&page=2",
    );
  });

  test("Retry-After is seconds or a date, reset headers are seconds or a time", () => {
    const now = Date.parse("2024-01-01T00:00:00Z");
    const wait = (headers: Record<string, string>) => waitMsOf(new Headers(headers), now);
    expect(wait({ "retry-after": "3" })).toBe(3000);
    expect(wait({ "retry-after": "Mon, 01 Jan 2024 00:00:05 GMT" })).toBe(5000);
    expect(wait({ "retry-after": "soon", "x-ratelimit-reset": "1704067207" })).toBe(7000);
    expect(wait({ "x-ratelimit-reset": "1704067208000" })).toBe(8000);
    expect(wait({ "ratelimit-reset": "9" })).toBe(9000);
    expect(wait({ ratelimit: "limit=10, remaining=0, reset=4" })).toBe(4000);
    expect(wait({})).toBeUndefined();
  });
});
