/** The rest_api source against a real HTTP server, through the whole pipeline into DuckDB. */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type RunOptions, type RunReport, Source } from "../../src/engine/index.ts";
import { type RestApiInput, restApi } from "../../src/sources/index.ts";
import { cli } from "../support/cli.ts";
import { type Asked, type Reply, slice, TestService } from "../support/http-server.ts";
import { Shop } from "../support/shop.ts";
import { makeWorkspace } from "../support/workspace.ts";

let service: TestService;
let shop: Shop;
beforeEach(async () => {
  service = await TestService.start();
  shop = new Shop();
});
afterEach(async () => {
  await service.stop();
  shop.remove();
});

type Config = Omit<RestApiInput, "client"> & { client?: Partial<RestApiInput["client"]> };

/** One run of a configuration; a failed run throws its error. */
async function load(config: Config, options: RunOptions = {}, limits = {}): Promise<RunReport> {
  const client = { base_url: service.url, backoff_seconds: 0.001, max_attempts: 3, ...config.client };
  const resources = restApi({ ...config, client }, { secrets: { token: "s3cret-token" } });
  const report = await shop.pipeline({ limits }).run(new Source({ name: "api", resources }), options);
  if (report.error !== undefined) throw report.error;
  return report;
}

const warnings = (report: RunReport) => [
  ...report.warnings,
  ...report.packages.flatMap((one) => one.warnings),
];
const ends = (report: RunReport) =>
  Object.fromEntries(
    report.packages.flatMap(({ resources }) => resources.map(({ name, ended }) => [name, ended])),
  );
const ids = async (table = "rows") =>
  (await shop.query(`select id from shop.${table} order by 1`)).map(([id]) => Number(id));
const upTo = (last: number) => Array.from({ length: last }, (_, i) => i + 1);
const rowsUpTo = (last: number) => upTo(last).map((id) => ({ id, name: `n${id}` }));

describe("each paginator reads all rows and says why it stopped", () => {
  const rows = rowsUpTo(7);
  const page = (asked: Asked, size: number) => {
    const number = Number(asked.query.page ?? 1);
    return { number, rows: slice(rows, (number - 1) * size, size), last: number * size >= rows.length };
  };
  const cases: [string, object | string, (asked: Asked) => Reply, string][] = [
    [
      "json_link",
      { type: "json_link", next_url_path: "paging.next" },
      (asked) => {
        const { number, rows, last } = page(asked, 3);
        return { json: { items: rows, paging: last ? {} : { next: `/rows?page=${number + 1}` } } };
      },
      "page 3 has no link at paging.next",
    ],
    [
      "header_link",
      "header_link",
      (asked) => {
        const { number, rows, last } = page(asked, 3);
        const link = `<${service.url}/rows?page=1>; rel="first"${last ? "" : `, <${service.url}/rows?page=${number + 1}>; rel="next"`}`;
        return { json: rows, headers: { link } };
      },
      'page 3 has no Link header with rel="next"',
    ],
    [
      "header_cursor",
      { type: "header_cursor", cursor_key: "X-Next", cursor_param: "page" },
      (asked) => {
        const { number, rows, last } = page(asked, 3);
        return { json: rows, headers: last ? {} : { "x-next": String(number + 1) } };
      },
      "page 3 has no header X-Next",
    ],
    [
      "cursor",
      { type: "cursor", cursor_path: "meta.next", cursor_param: "page" },
      (asked) => {
        const { number, rows, last } = page(asked, 3);
        return { json: { data: rows, meta: { next: last ? null : String(number + 1) } } };
      },
      "page 3 has no cursor at meta.next",
    ],
    [
      "a cursor that is the last row's key",
      {
        type: "cursor",
        cursor_path: "data[-1].id",
        cursor_param: "starting_after",
        has_more_path: "has_more",
      },
      ({ query }) => {
        const data = slice(rows, Number(query.starting_after ?? 0), 3);
        return { json: { data, has_more: data.at(-1)?.id !== 7 } };
      },
      "page 3 says has_more = false",
    ],
    [
      "offset with a total",
      { type: "offset", limit: 3 },
      ({ query }) => ({ json: { rows: slice(rows, Number(query.offset), Number(query.limit)), total: 7 } }),
      "the total of 7 was reached with page 3",
    ],
    [
      "offset without a total",
      { type: "offset", limit: 3, total_path: false },
      ({ query }) => ({ json: slice(rows, Number(query.offset), Number(query.limit)) }),
      "page 3 had 1 of 3 rows",
    ],
    [
      "offset where the service sends less than the limit",
      { type: "offset", limit: 100 },
      ({ query }) => ({ json: slice(rows, Number(query.offset), 3) }),
      "page 4 had no rows",
    ],
    [
      "page_number with a count of pages",
      { type: "page_number", base_page: 1, total_path: "pages" },
      (asked) => ({ json: { results: page(asked, 3).rows, pages: 3 } }),
      "page 3 was the last of 3",
    ],
    [
      "page_number until an empty page",
      { type: "page_number", base_page: 1, page_param: "page" },
      (asked) => ({ json: page(asked, 3).rows }),
      "page 4 had no rows",
    ],
    ["single_page", "single_page", () => ({ json: { data: rows } }), "the resource is one page"],
    [
      "auto: links in the body",
      "auto",
      (asked) => {
        const { number, rows, last } = page(asked, 3);
        return { json: { results: rows, next: last ? null : `${service.url}/rows?page=${number + 1}` } };
      },
      "page 3 has no link at next",
    ],
    [
      "auto: a Link header",
      "auto",
      (asked) => {
        const { number, rows, last } = page(asked, 3);
        return { json: rows, headers: last ? {} : { link: `</rows?page=${number + 1}>; rel=next` } };
      },
      'page 3 has no Link header with rel="next"',
    ],
    [
      "auto: a count of pages",
      "auto",
      (asked) => ({
        json: { data: page(asked, 3).rows, meta: { current_page: page(asked, 3).number, total_pages: 3 } },
      }),
      "page 3 was the last of 3",
    ],
    [
      "auto: a cursor",
      "auto",
      ({ query }) => {
        const at = Number(query.cursor ?? 0);
        return { json: { data: slice(rows, at, 3), next_cursor: at + 3 < 7 ? String(at + 3) : "" } };
      },
      "page 3 has no cursor at next_cursor",
    ],
  ];
  test.each(cases)("%s", async (_name, paginator, answer, reason) => {
    service.on("GET /rows", answer);
    const endpoint = { path: "rows", paginator: paginator as string };
    const report = await load({ resources: [{ name: "rows", endpoint }] });
    expect(await ids()).toEqual(upTo(7));
    expect(ends(report)).toEqual({ rows: { [reason]: 1 } });
    expect(warnings(report)).toEqual([]);
  });

  test("a POST search pages in its JSON body", async () => {
    service.on("POST /search", ({ body }) => {
      const { page, filter } = JSON.parse(body) as { page: { offset: number; size: number }; filter: string };
      return { json: { hits: filter === "all" ? slice(rows, page.offset, page.size) : [] } };
    });
    await load({
      resources: [
        {
          name: "rows",
          endpoint: {
            path: "search",
            json: { filter: "all" },
            data_selector: "hits",
            paginator: {
              type: "offset",
              limit: 3,
              offset_body_path: "page.offset",
              limit_body_path: "page.size",
            },
          },
        },
      ],
    });
    expect(await ids()).toEqual(upTo(7));
    expect(JSON.parse(service.asked[1]!.body)).toEqual({ filter: "all", page: { offset: 3, size: 3 } });
  });
});

describe("paging that goes wrong is not taken for the end", () => {
  const paged = (paginator: object, more: object = {}): Config => ({
    resources: [{ name: "rows", endpoint: { path: "rows", paginator: paginator as never, ...more } }],
  });

  test("a service that ignores the page parameter is PAGINATION_LOOP", async () => {
    service.on("GET /rows", ({ count }) => ({ json: { data: rowsUpTo(3), request_id: count } }));
    await expect(load(paged({ type: "page_number" }))).rejects.toMatchObject({
      code: "PAGINATION_LOOP",
      details: { resource: "rows", page: 2, same_as_page: 1 },
    });
    expect(await shop.tables()).toEqual([]);
  });

  test("links in a circle are PAGINATION_LOOP", async () => {
    service.on("GET /rows", ({ query, count }) => ({
      json: { data: [{ id: count }], next: `/rows?page=${query.page === "b" ? "a" : "b"}` },
    }));
    await expect(load(paged({ type: "json_link" }))).rejects.toMatchObject({
      code: "PAGINATION_LOOP",
      details: { same_as_page: 2 },
    });
  });

  test("more pages than the maximum are PAGINATION_LIMIT", async () => {
    service.on("GET /rows", ({ count }) => ({ json: [{ id: count }] }));
    const config = paged({ type: "page_number" }, { maximum_pages: 4 });
    await expect(load(config)).rejects.toMatchObject({ code: "PAGINATION_LIMIT", details: { rows: 4 } });
  });

  test("maximum_page stops without an error", async () => {
    service.on("GET /rows", ({ count }) => ({ json: [{ id: count }] }));
    const report = await load(paged({ type: "page_number", maximum_page: 2 }));
    expect(ends(report)).toEqual({ rows: { "maximum_page 2 was reached": 1 } });
    expect(await ids()).toEqual([1, 2]);
  });

  test("an end although the response counts more rows is a warning", async () => {
    service.on("GET /rows", { json: { data: rowsUpTo(3), meta: { total_count: 9 } } });
    const report = await load(paged({ type: "single_page" }));
    expect(warnings(report).join()).toContain("total_count = 9 and 3 rows were read");
  });

  test("rows that move between the pages are not lost silently, and with a key not doubled", async () => {
    let rows = rowsUpTo(6);
    service.on("GET /rows", ({ query }) => {
      const reply = { json: { data: slice(rows, Number(query.offset), 2), total: rows.length } };
      if (query.offset === "0") rows = [{ id: 0, name: "new" }, ...rows];
      return reply;
    });
    const config = paged({ type: "offset", limit: 2 });
    const merge = { write_disposition: "merge" as const, primary_key: "id" };
    const report = await load({ ...config, resource_defaults: merge });
    expect(warnings(report).join()).toContain("the total changed while paging");
    expect(await ids()).toEqual(upTo(6));
    await load({ ...config, resource_defaults: merge });
    expect(await ids()).toEqual([0, ...upTo(6)]);
  });

  test("a selector that selects nothing names the keys there are", async () => {
    service.on("GET /rows", { json: { result: { items: [] }, status: "ok" } });
    const error = load(paged({ type: "single_page" }, { data_selector: "results.items" }));
    await expect(error).rejects.toMatchObject({
      code: "SELECTOR_EMPTY",
      details: { keys: ["result", "result.items", "status"] },
    });
    const optional = { data_selector: "results.items", data_selector_optional: true };
    await load(paged({ type: "single_page" }, optional));
  });

  test("a total_path that is not there is an error, not one page", async () => {
    service.on("GET /rows", { json: { data: rowsUpTo(2) } });
    await expect(load(paged({ type: "offset", limit: 2, total_path: "meta.total" }))).rejects.toMatchObject({
      code: "SELECTOR_EMPTY",
    });
  });

  test("a next link to another host does not get the credentials", async () => {
    const other = await TestService.start();
    try {
      other.on("GET /steal", { status: 401 });
      service.on("GET /rows", { json: { data: [{ id: 1 }], next: `${other.url}/steal` } });
      const config = { ...paged({ type: "json_link" }), client: { auth: { type: "bearer" as const } } };
      await expect(load(config)).rejects.toMatchObject({ code: "HTTP_UNAUTHORIZED" });
      expect(service.asked[0]!.headers.authorization).toBe("Bearer s3cret-token");
      expect(other.asked[0]!.headers.authorization).toBeUndefined();
    } finally {
      await other.stop();
    }
  });
});

/** Orders that change over time, served sorted by `updated_at` from `since` on. */
class Orders {
  rows: { id: number; total: number; updated_at: string }[] = [];
  put(id: number, total: number, day: number): void {
    this.rows = this.rows.filter((row) => row.id !== id);
    this.rows.push({ id, total, updated_at: `2024-01-${String(day).padStart(2, "0")}T00:00:00Z` });
    this.rows.sort((a, b) => (a.updated_at < b.updated_at ? -1 : 1));
  }
  readonly answer = ({ query }: Asked): Reply => {
    const due = this.rows.filter((row) => row.updated_at >= (query.since ?? ""));
    const page = Number(query.page ?? 1);
    return { json: { data: slice(due, (page - 1) * 2, 2), pages: Math.ceil(due.length / 2) } };
  };
}

describe("incremental loading", () => {
  let orders: Orders;
  const config: Config = {
    resources: [
      {
        name: "orders",
        write_disposition: "merge",
        primary_key: "id",
        endpoint: {
          path: "orders",
          paginator: { type: "page_number", base_page: 1, total_path: "pages" },
          incremental: {
            cursor_path: "updated_at",
            initial_value: "2024-01-01T00:00:00Z",
            start_param: "since",
            row_order: "asc",
          },
        },
      },
    ],
  };
  const totals = () => shop.query("select id, total from shop.orders order by id");
  beforeEach(() => {
    orders = new Orders();
    for (const id of upTo(5)) orders.put(id, id * 10, id);
    service.on("GET /orders", orders.answer);
  });

  test("a first run loads all, a second adds nothing and asks from the cursor on", async () => {
    expect((await load(config)).rows).toMatchObject({ orders: 5 });
    expect((await load(config)).rows.orders ?? 0).toBe(0);
    expect(service.asked.map(({ query }) => query.since)).toEqual([
      ...Array(3).fill("2024-01-01T00:00:00Z"),
      "2024-01-05T00:00:00Z",
    ]);
    expect(await totals()).toHaveLength(5);
  });

  test("a restated row is updated and a late one picked up", async () => {
    await load(config);
    orders.put(2, 99, 6);
    orders.put(6, 60, 5);
    await load(config);
    expect((await totals()).map(String)).toEqual(["1,10", "2,99", "3,30", "4,40", "5,50", "6,60"]);
  });

  test("an interrupted run goes on where it stopped", async () => {
    service.on("GET /orders", (asked) => (asked.query.page === "3" ? { status: 500 } : orders.answer(asked)));
    await expect(load(config, {}, { packageRowsMax: 2 })).rejects.toMatchObject({
      code: "HTTP_SERVER_ERROR",
    });
    expect(await totals()).not.toHaveLength(5);
    service.on("GET /orders", orders.answer);
    const before = service.asked.length;
    await load(config);
    expect(await totals()).toHaveLength(5);
    expect(service.asked[before]!.query.since).not.toBe("2024-01-01T00:00:00Z");
  });

  test("a window goes into a JSON body, converted", async () => {
    service.on("POST /events", ({ body }) => {
      const { from, to } = (JSON.parse(body) as { range: { from: number; to: number } }).range;
      return { json: [{ id: 1, at: 1704153600, from, to }] };
    });
    await load({
      resources: [
        {
          name: "events",
          endpoint: {
            path: "events",
            paginator: "single_page",
            json: { range: { from: "{incremental.start_value}", to: "{incremental.end_value}" } },
            incremental: {
              cursor_path: "at",
              initial_value: 1704067200,
              end_value: 1706745600,
              convert: "epoch_milliseconds",
            },
          },
        },
      ],
    });
    expect(await shop.query('select "from", "to" from shop.events')).toEqual([
      ["1704067200000", "1706745600000"],
    ]);
  });

  test("a window asks for its start and its end, and leaves the cursor alone", async () => {
    await load(config);
    const [orders_] = config.resources as [Record<string, never>];
    const endpoint = orders_.endpoint as unknown as { incremental: object };
    const incremental = {
      ...endpoint.incremental,
      initial_value: "2024-01-02T00:00:00Z",
      end_value: "2024-01-04T00:00:00Z",
      end_param: "until",
    };
    const report = await load({
      resources: [{ ...orders_, endpoint: { ...endpoint, incremental } }],
    } as Config);
    expect(service.asked.at(-1)!.query).toMatchObject({
      since: "2024-01-02T00:00:00Z",
      until: "2024-01-04T00:00:00Z",
    });
    expect(report.rows.orders).toBe(2);
    await load(config);
    expect(service.asked.at(-1)!.query.since).toBe("2024-01-05T00:00:00Z");
  });

  test("a parameter of type incremental is the same as start_param", async () => {
    await load({
      resources: [
        {
          name: "orders",
          endpoint: {
            path: "orders",
            paginator: { type: "page_number", base_page: 1, total_path: "pages" },
            params: {
              since: {
                type: "incremental",
                cursor_path: "updated_at",
                initial_value: "2024-01-04T00:00:00Z",
              },
            },
          },
        },
      ],
    });
    expect((await totals()).map(([id]) => Number(id))).toEqual([4, 5]);
  });
});

describe("dependent resources", () => {
  const config = (endpoint: object, more: object = {}): Config => ({
    resource_defaults: { endpoint: { paginator: "single_page" } },
    resources: ["users", { name: "posts", endpoint: endpoint as never, ...more }],
  });
  beforeEach(() => {
    service.on("GET /users", {
      json: [
        { id: "a/1", org: { key: 7 } },
        { id: "b", org: { key: 8 } },
      ],
    });
    service.on("GET /users/*/posts", ({ path }) => ({ json: { posts: [{ at: path }] } }));
    service.on("GET /posts", ({ query }) => ({ json: [{ at: query.org }] }));
  });
  const posts = () => shop.query("select * exclude (_dlt_id, _dlt_load_id) from shop.posts order by all");

  test("a field of the parent fills the path, encoded; fields of it are added to the rows", async () => {
    const report = await load(
      config({ path: "users/{resources.users.id}/posts" }, { include_from_parent: ["id"] }),
    );
    expect(await posts()).toEqual([
      ["/users/a%2F1/posts", "a/1"],
      ["/users/b/posts", "b"],
    ]);
    expect((await shop.query("select _users_id from shop.posts order by 1")).map(String)).toEqual([
      "a/1",
      "b",
    ]);
    expect(ends(report).posts).toEqual({ "the resource is one page": 2 });
  });

  test("a parameter of type resolve fills the path", async () => {
    const params = { who: { type: "resolve", resource: "users", field: "id" } };
    await load(config({ path: "users/{who}/posts", params }));
    expect(await posts()).toHaveLength(2);
  });

  test("a nested field goes into a parameter, of a parent that is not loaded itself", async () => {
    const made = config({ path: "posts", params: { org: "{resources.users.org.key}" } });
    await load({ ...made, resources: [{ name: "users", selected: false }, made.resources[1]!] });
    expect((await posts()).map(String)).toEqual(["7", "8"]);
    expect(await shop.tables()).toEqual(["posts"]);
  });

  test("a path that ends in a field is one row for each", async () => {
    service.on("GET /users/*", ({ path }) => ({ json: { id: path, tags: ["x"] } }));
    await load(config({ path: "users/{resources.users.id}", paginator: undefined }, { name: "details" }));
    expect(await shop.query("select id from shop.details order by 1")).toEqual([
      ["/users/a%2F1"],
      ["/users/b"],
    ]);
  });

  test("a 404 for one of them is passed over by a response action", async () => {
    service.on("GET /users/b/posts", { status: 404, body: "gone" });
    const response_actions = [{ status_code: 404, action: "ignore" }];
    const path = "users/{resources.users.id}/posts";
    await expect(load(config({ path }))).rejects.toMatchObject({ code: "HTTP_NOT_FOUND" });
    const report = await load(config({ path, response_actions }));
    expect(await posts()).toHaveLength(1);
    expect(ends(report).posts).toMatchObject({ "ignored by a response action": 1 });
  });

  test("an unknown parent, an unfilled place and a field that rows lack are errors that say so", async () => {
    const code = (config: Config) => load(config).then(String, (error: { code: string }) => error.code);
    expect(await code(config({ path: "posts/{resources.user.id}" }))).toBe("CONFIG_INVALID");
    expect(await code(config({ path: "posts/{id}" }))).toBe("CONFIG_INVALID");
    expect(await code(config({ path: "posts/{resources.users.uid}" }))).toBe("SELECTOR_EMPTY");
  });
});

describe("each kind of credentials", () => {
  const wanted: Record<string, (asked: Asked) => unknown> = {
    bearer: ({ headers }) => headers.authorization === "Bearer s3cret-token",
    header: ({ headers }) => headers["x-tenant-key"] === "s3cret-token",
    api_key: ({ headers }) => headers["x-key"] === "s3cret-token",
    cookie: ({ headers }) => headers.cookie === "sid=s3cret-token",
    query: ({ query }) => query.key === "s3cret-token",
    http_basic: ({ headers }) => headers.authorization === `Basic ${btoa("jo:s3cret-token")}`,
    oauth2: ({ headers }) => headers.authorization === "Bearer from-endpoint",
    parameter: ({ query, headers }) => query.k === "s3cret-token" && headers["x-k"] === "s3cret-token",
  };
  const secret = { secret: "token" };
  const kinds: [keyof typeof wanted, Partial<RestApiInput["client"]>][] = [
    ["bearer", { auth: {} }],
    ["header", { auth: { type: "header", name: "X-Tenant-Key", value: secret } }],
    ["api_key", { auth: { type: "api_key", name: "X-Key", api_key: secret } }],
    ["cookie", { auth: { type: "api_key", name: "sid", api_key: secret, location: "cookie" } }],
    ["query", { auth: { type: "api_key", name: "key", api_key: secret, location: "param" } }],
    ["http_basic", { auth: { type: "http_basic", username: "jo", password: secret } }],
    [
      "oauth2",
      {
        auth: {
          type: "oauth2_client_credentials",
          access_token_url: "/token",
          client_id: "me",
          client_secret: secret,
          access_token_request_data: { audience: "api" },
        },
      },
    ],
    ["parameter", { params: { k: secret }, headers: { "X-K": secret } }],
  ];
  test.each(kinds)("%s", async (kind, client) => {
    service.on("POST /token", ({ body }) =>
      body === "grant_type=client_credentials&client_id=me&client_secret=s3cret-token&audience=api"
        ? { json: { access_token: "from-endpoint" } }
        : { status: 400 },
    );
    service.on("GET /rows", (asked) => (wanted[kind]!(asked) ? { json: [{ id: 1 }] } : { status: 401 }));
    await load({ client, resources: [{ name: "rows" }] });
    expect(await ids()).toEqual([1]);
    service.on("GET /rows", { status: 401, json: { message: "bad s3cret-token" } });
    const error = await load({ client, resources: ["rows"] }).catch((error: unknown) => error);
    expect(error).toMatchObject({
      code: "HTTP_UNAUTHORIZED",
      retry: "after_fix",
      details: { resource: "rows" },
    });
    expect(JSON.stringify(error)).not.toContain("s3cret-token");
  });

  test("an endpoint may have its own", async () => {
    service.on("GET /rows", (asked) => (wanted.api_key!(asked) ? { json: [{ id: 1 }] } : { status: 401 }));
    const auth = { type: "api_key" as const, name: "X-Key", api_key: { secret: "token" } };
    await load({ client: { auth: {} }, resources: [{ name: "rows", endpoint: { auth } }] });
  });
});

describe("rows and responses", () => {
  test("steps filter, change and multiply rows", async () => {
    service.on("GET /rows", { json: rowsUpTo(6).map((row) => ({ ...row, email: "x", kind: row.id % 2 })) });
    await load({
      resources: [
        {
          name: "rows",
          processing_steps: [
            { filter: { field: "kind", equals: 1 } },
            { exclude: ["email"] },
            { rename: { name: "label" } },
            { filter: (row) => row.id !== 5 },
            { map: (row) => ({ ...row, id: Number(row.id) * 10 }) },
            { yield_map: (row) => [row, { ...row, id: Number(row.id) + 1 }] },
          ],
        },
      ],
    });
    expect(await shop.query("select id, label, kind from shop.rows order by 1")).toEqual([
      ["10", "n1", "1"],
      ["11", "n1", "1"],
      ["30", "n3", "1"],
      ["31", "n3", "1"],
    ]);
  });

  test("new fields become columns, changed types variants, and integers keep their digits", async () => {
    service.on("GET /rows", { body: '[{"id":1,"n":9007199254740993,"price":1.0}]' });
    await load({ resources: ["rows"] });
    service.on("GET /rows", { body: '[{"id":2,"n":"many","price":2.5,"extra":{"a":[1,2]}}]' });
    await load({ resources: ["rows"] });
    expect(await shop.query("select id, n, n__v_text, price from shop.rows order by id")).toEqual([
      ["1", "9007199254740993", null, 1],
      ["2", null, "many", 2.5],
    ]);
    expect(await shop.tables()).toEqual(["rows", "rows__extra__a"]);
  });

  test("hints reach the table: name, key, types, nesting", async () => {
    service.on("GET /rows", { json: [{ id: 1, total: 5, deep: { list: [1] } }] });
    const resource = {
      name: "rows",
      table_name: "sales",
      write_disposition: "merge" as const,
      primary_key: "id",
      columns: { total: { data_type: "double" } },
      max_table_nesting: 0,
    };
    await load({ resources: [resource] });
    await load({ resources: [resource] });
    expect(await shop.query("select id, total, typeof(total), deep from shop.sales")).toEqual([
      ["1", 5, "DOUBLE", '{"list":[1]}'],
    ]);
  });

  test("a response action raises on content although the status is 200", async () => {
    service.on("GET /rows", { json: { ok: false, error: "quota of jane exceeded" } });
    const response_actions = [{ content: '"ok":false', action: "raise" as const }];
    const error = load({ resources: [{ name: "rows", endpoint: { response_actions } }] });
    await expect(error).rejects.toMatchObject({ code: "HTTP_REFUSED", details: { resource: "rows" } });
    await expect(error).rejects.not.toMatchObject({ message: expect.stringContaining("jane") });
  });

  test("a failed run leaves nothing, and faults that pass leave the same rows", async () => {
    service.on("GET /rows", ({ query }) => ({ json: slice(rowsUpTo(6), Number(query.offset), 2) }));
    const endpoint = { path: "rows", paginator: { type: "offset" as const, limit: 2 } };
    const config: Config = { resources: [{ name: "rows", endpoint }] };
    service.fail("GET /rows", { status: 200, json: [{ id: 1 }, { id: 2 }] }, { status: 403 });
    await expect(load(config)).rejects.toMatchObject({ code: "HTTP_FORBIDDEN" });
    expect(await shop.tables()).toEqual([]);
    service.fail(
      "GET /rows",
      "reset",
      "truncate",
      { status: 200, json: rowsUpTo(2) },
      { status: 429 },
      { status: 502 },
    );
    await load(config);
    expect(await ids()).toEqual(upTo(6));
  });

  test("sources of one's own take ready-made resources as parents", async () => {
    service.on("GET /lines", ({ query }) => ({ json: [{ order: query.order }] }));
    const [orders] = restApi({ client: { base_url: service.url }, resources: ["orders"] });
    service.on("GET /orders", { json: [{ id: 1 }, { id: 2 }] });
    await load({
      resources: [
        orders!.filter((row) => row.id === 2),
        { name: "lines", endpoint: { params: { order: "{resources.orders.id}" }, paginator: "single_page" } },
      ],
    });
    expect(await shop.query('select "order" from shop.lines')).toEqual([["2"]]);
  });
});

describe("a workspace", () => {
  const toml = (auth: string) => `
[pipelines.shop]
source = "rest_api"

[pipelines.shop.config]
name = "shop_api"

[pipelines.shop.config.client]
base_url = "${service.url}"
paginator = "header_link"
${auth}

[pipelines.shop.config.resource_defaults]
write_disposition = "merge"
primary_key = "id"

[[pipelines.shop.config.resources]]
name = "orders"
endpoint = { path = "orders", params = { status = "paid" } }

[[pipelines.shop.config.resources]]
name = "lines"
endpoint = { path = "orders/{resources.orders.id}/lines", paginator = "single_page" }
include_from_parent = ["id"]
`;
  const keyed =
    'auth = { type = "api_key", name = "key", location = "query", api_key = { secret = "shop_key" } }';

  test("runs from TOML with a secret by name, and shows why reading ended but not the secret", async () => {
    service.on("GET /orders", ({ query }) =>
      query.key === "very-s3cret" ? { json: [{ id: 1 }, { id: 2 }] } : { status: 401 },
    );
    service.on("GET /orders/*/lines", ({ path }) => ({ json: [{ id: path }] }));
    const workspace = makeWorkspace({
      "loadwright.toml": toml(keyed),
      ".env": "SOURCES__REST_API__SHOP_KEY=very-s3cret\n",
    });
    try {
      const run = await cli(workspace.dir, "run", "shop", "--json");
      expect(run.stderr + run.stdout).toContain('"succeeded"');
      const { stdout } = await cli(
        workspace.dir,
        "query",
        "shop",
        "select count(*) as n from lines",
        "--json",
      );
      expect(stdout).toContain("2");
      const trace = await cli(workspace.dir, "pipeline", "shop", "trace");
      expect(trace.stdout).toContain('page 1 has no Link header with rel="next"');
      const runs = join(workspace.dir, ".loadwright/pipelines/shop/runs");
      const log = readFileSync(join(runs, readdirSync(runs)[0]!, "log.jsonl"), "utf8");
      expect(log).toContain("paging.ended");
      expect(log + run.stdout + run.stderr).not.toContain("very-s3cret");
    } finally {
      workspace.remove();
    }
  });

  test("a credential in the TOML itself is refused, a missing one says where to set it", async () => {
    const workspace = makeWorkspace({
      "loadwright.toml": toml('auth = { type = "bearer", token = "abcdefgh" }'),
    });
    try {
      const open = await cli(workspace.dir, "run", "shop");
      expect(open.stderr + open.stdout).toContain("SOURCES__REST_API__TOKEN");
      expect(open.stderr + open.stdout).not.toContain("abcdefgh");
      workspace.write("loadwright.toml", toml(keyed));
      const missing = await cli(workspace.dir, "run", "shop");
      expect(missing.stderr + missing.stdout).toContain("SOURCES__REST_API__SHOP_KEY");
      expect(missing.stderr + missing.stdout).toContain("CONFIG_MISSING");
      workspace.write("loadwright.toml", toml(keyed).replace("write_disposition", "write_dispositon"));
      const misspelt = await cli(workspace.dir, "run", "shop");
      expect(misspelt.stderr + misspelt.stdout).toMatch(/Did you mean "[\w.]*write_disposition"/);
      expect(existsSync(join(workspace.dir, "shop.duckdb"))).toBe(false);
    } finally {
      workspace.remove();
    }
  });

  test("runs from a JSON file and from TypeScript", async () => {
    service.on("GET /orders", { json: [{ id: 1 }] });
    const json = JSON.stringify({
      client: { base_url: service.url, paginator: "single_page" },
      resources: ["orders"],
    });
    const workspace = makeWorkspace({
      "loadwright.toml": `[pipelines.a]\nsource = "rest_api"\n[pipelines.a.config]\nconfig_file = "api.json"\n[pipelines.b]\nsource = "mine"\n`,
      "api.json": json,
      "sources/mine/index.ts": `import { source } from "loadwright";
import { restApi } from "loadwright/sources";
export default source({ name: "mine" }, ({ secrets }) => restApi(${json}, { secrets }));
`,
    });
    try {
      for (const name of ["a", "b"]) {
        const run = await cli(workspace.dir, "run", name, "--json");
        expect(run.stdout).toContain('"succeeded"');
      }
      expect(service.to("/orders")).toHaveLength(2);
    } finally {
      workspace.remove();
    }
  });

  test("runs the examples of the documentation", async () => {
    const page = readFileSync(new URL("../../docs/rest_api.md", import.meta.url), "utf8");
    const blocks = [...page.matchAll(/```(toml|ts)\n([\s\S]*?)```/g)].map(([, language, text]) => ({
      language,
      text: text!.replaceAll("https://api.example.com", service.url),
    }));
    const typescript = blocks.filter(({ language }) => language === "ts").map(({ text }) => text);
    const toml = blocks.filter(({ language }) => language === "toml").map(({ text }) => text);
    const row = {
      id: 1,
      price: "2.5",
      count: 2,
      updated_at: "2024-02-01T00:00:00Z",
      time: "2024-02-01T00:00:00Z",
      status: "done",
    };
    service.on("GET /v1/orders", { json: { data: [row], meta: { pages: 1 } } });
    service.on("GET /v1/orders/1/lines", { json: [row] });
    service.on("GET /users", { json: [row] });
    service.on("GET /users/1/posts", { status: 404 });
    service.on("POST /events/search", { json: { items: [row], page: { next: null } } });
    service.on("GET /daily", { json: { rows: [row] } });
    const own = `\n[pipelines.own_shop]\nsource = "shop"\n[pipelines.own_report]\nsource = "report"\n`;
    const workspace = makeWorkspace({
      "loadwright.toml": toml.join("\n") + own,
      ".env":
        "SOURCES__REST_API__SHOP_TOKEN=a-token\nSOURCES__SHOP__SHOP_TOKEN=a-token\nSOURCES__REPORT__REPORT_KEY=a-key\n",
      "sources/shop/index.ts": typescript[0]!,
      "sources/report/index.ts": typescript[1]!,
    });
    try {
      for (const name of ["shop", "users", "events", "own_shop", "own_report"]) {
        const run = await cli(workspace.dir, "run", name, "--json");
        expect(run.stdout + run.stderr).toContain('"succeeded"');
      }
    } finally {
      workspace.remove();
    }
  });
});
