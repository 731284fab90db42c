/** Sources built, tested, repaired and run by a client that has only the tools. */

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DuckDBInstance } from "@duckdb/node-api";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { slice, TestService } from "../support/http-server.ts";
import { type Answer, ask, type Connected, connect, fail, TRANSPORTS } from "../support/mcp.ts";
import { S3Test } from "../support/s3.ts";
import { makeWorkspace, type TestWorkspace } from "../support/workspace.ts";

const CONFIG = `# Keep this comment.

[pipelines.other] # and this one
source = "filesystem"
config = { path = "in" }

# The warehouse of all.
[destinations.warehouse]
type = "duckdb"
path = "warehouse.duckdb"
`;
const ORDERS = Array.from({ length: 250 }, (_, i) => ({
  id: i + 1,
  total: i * 1.5,
  email: `person${i}@shop.example`,
  updated_at: `2024-01-${String(1 + (i % 28)).padStart(2, "0")}T00:00:00Z`,
}));

let service: TestService;
let workspace: TestWorkspace;
let connected: Connected;
let connectTo: (typeof TRANSPORTS)[number][1] = connect;
beforeEach(async () => {
  service = await TestService.start();
  workspace = makeWorkspace({ "loadwright.toml": CONFIG, ".gitignore": ".env\n" });
  connected = await connectTo(workspace.dir, ["--allow", "run,write"]);
});
afterEach(async () => {
  await connected.close();
  await service.stop();
  workspace.remove();
});

const call = (tool: string, input: Record<string, unknown>): Promise<Answer> =>
  ask(connected.client, tool, input);
const refusal = (tool: string, input: Record<string, unknown>) => fail(connected.client, tool, input);
const config = () => readFileSync(join(workspace.dir, "loadwright.toml"), "utf8");
const codes = (answer: Answer) => (answer.data.findings as { code: string }[]).map((one) => one.code);

async function query(database: string, sql: string): Promise<unknown[][]> {
  const instance = await DuckDBInstance.create(join(workspace.dir, database), { access_mode: "READ_ONLY" });
  const connection = await instance.connect();
  try {
    return (await connection.runAndReadAll(sql)).getRowsJson() as unknown[][];
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

async function run(pipeline: string): Promise<Answer> {
  let answer = await call("run_pipeline", { pipeline, wait_s: 40 });
  while ((answer.data.status ?? (answer.data.run as { status: string }).status) === "running") {
    answer = await call("get_run", { pipeline, wait_s: 20 });
  }
  return answer;
}

/** Pages of 100 at most, by `page` from 1, with a token. */
function serveOrders(): void {
  service.on("GET /v1/orders", ({ query: asked, headers }) => {
    if (headers.authorization !== "Bearer s3cret-of-the-shop")
      return { status: 401, json: { error: "invalid_token" } };
    const size = Math.min(100, Number(asked.per_page ?? 20));
    const number = Number(asked.page ?? 1);
    const since = asked.updated_since ?? "";
    const rows = ORDERS.filter((one) => one.updated_at >= since);
    return {
      json: {
        data: slice(rows, (number - 1) * size, size),
        meta: { total_pages: Math.ceil(rows.length / size), page: number },
      },
    };
  });
  service.on("GET /v1/orders/*/lines", ({ path }) => {
    const id = Number(path.split("/")[3]);
    return { json: [{ line_id: id * 10, sku: "a" }] };
  });
}

function openApi(): string {
  return `openapi: 3.0.3
info: { title: Shop, version: "1" }
servers: [{ url: "${service.url}/v1" }]
security: [{ token: [] }]
components:
  securitySchemes: { token: { type: http, scheme: bearer } }
  schemas:
    Order:
      type: object
      required: [id, updated_at]
      properties:
        id: { type: integer }
        total: { type: number }
        email: { type: string }
        updated_at: { type: string, format: date-time }
        parent: { $ref: "#/components/schemas/Order" }
    Page:
      type: object
      properties:
        data: { type: array, items: { $ref: "#/components/schemas/Order" } }
        meta: { type: object, properties: { total_pages: { type: integer }, page: { type: integer } } }
paths:
  /orders:
    get:
      summary: All orders
      parameters:
        - { name: page, in: query, schema: { type: integer, default: 1 } }
        - { name: per_page, in: query, schema: { type: integer, default: 20, maximum: 100 } }
        - { name: updated_since, in: query, schema: { type: string, format: date-time } }
      responses: { "200": { description: ok, content: { application/json: { schema: { $ref: "#/components/schemas/Page" } } } } }
  /orders/{id}:
    get:
      parameters: [{ name: id, in: path, required: true, schema: { type: integer } }]
      responses: { "200": { description: ok, content: { application/json: { schema: { $ref: "#/components/schemas/Order" } } } } }
`;
}

describe.each(TRANSPORTS)("over %s", (_transport, open) => {
  beforeAll(() => {
    connectTo = open;
  });
  afterAll(() => {
    connectTo = connect;
  });

  describe("a source from an OpenAPI document", () => {
    test("is built, asks for its secret, is tested, and loads exactly the rows that there are", async () => {
      serveOrders();
      workspace.write("spec/openapi.yaml", openApi());
      const made = await call("create_source", {
        name: "shop",
        openapi: { file: "spec/openapi.yaml", initial_value: "2024-01-01T00:00:00Z" },
        response_format: "detailed",
      });
      expect(made.data).toMatchObject({ source: "rest_api", written: true, resources: ["orders"] });
      expect(made.data.secrets).toEqual([
        { key: "shop_token", set: false, environment_variable: "SOURCES__REST_API__SHOP_TOKEN" },
      ]);
      expect(String(made.data.diff)).toContain("+[pipelines.shop]");
      expect(config().startsWith(CONFIG)).toBe(true);
      expect(config()).toContain('start_param = "updated_since"');

      const missing = await call("test_source", { pipeline: "shop" });
      expect(missing.data.ok).toBe(false);
      expect(missing.data.error).toMatchObject({ code: "CONFIG_MISSING" });
      expect(missing.next_steps[0]).toMatchObject({
        tool: "request_secret",
        arguments: { key: "shop_token" },
      });

      const asked = await call("request_secret", { pipeline: "shop", key: "shop_token" });
      expect(asked.data).toMatchObject({
        status: "missing",
        file: ".env",
        line: 1,
        entry_written: true,
        git_ignored: true,
      });
      expect(statSync(join(workspace.dir, ".env")).mode & 0o777).toBe(0o600);
      const again = await call("request_secret", { pipeline: "shop", key: "shop_token" });
      expect(again.data).toMatchObject({ status: "missing", entry_written: false });
      workspace.write(".env", "SOURCES__REST_API__SHOP_TOKEN=s3cret-of-the-shop\n");
      expect((await call("request_secret", { pipeline: "shop", key: "shop_token" })).data).toMatchObject({
        status: "set",
      });

      const valid = await call("validate_source", { pipeline: "shop" });
      expect(valid.data).toMatchObject({ valid: true, ready: true, revision: made.data.revision });

      const tested = await call("test_source", { pipeline: "shop", response_format: "detailed" });
      expect(tested.data.ok).toBe(true);
      expect(tested.data.resources).toMatchObject([
        { name: "orders", rows: 250, pages: 3, paging: "ended", cursor: { path: "updated_at", moved: true } },
      ]);
      expect(JSON.stringify(tested.data.samples)).toContain("***@***");
      expect(JSON.stringify(tested)).not.toMatch(/s3cret-of-the-shop|person0@/);
      expect(existsSync(join(workspace.dir, "shop.duckdb"))).toBe(false);
      expect(existsSync(join(workspace.dir, ".loadwright/pipelines/shop"))).toBe(false);

      await run("shop");
      expect(
        await query(
          "shop.duckdb",
          "select count(*), count(distinct id), sum(total) from shop_dataset.orders",
        ),
      ).toEqual([["250", "250", ORDERS.reduce((sum, one) => sum + one.total, 0)]]);
    });

    test("leaves out lists that need values nobody gives, and says which", async () => {
      const spec = openApi().replace(
        "  /orders/{id}:",
        `  /accounts/{account}/items:
    get:
      responses: { "200": { description: ok, content: { application/json: { schema: { type: array, items: { $ref: "#/components/schemas/Order" } } } } } }
  /orders/{id}:`,
      );
      const made = await call("create_source", { name: "shop", openapi: { text: spec }, dry_run: true });
      expect(made.data).toMatchObject({ written: false, resources: ["orders"] });
      expect((made.data.warnings as string[]).join()).toContain("/accounts/{account}/items");
      expect(config()).toBe(CONFIG);
    });

    test("is refused when it cannot be read, without a request to anywhere", async () => {
      expect(await refusal("create_source", { name: "a", openapi: { text: "hello" } })).toMatchObject({
        code: "SPEC_UNREADABLE",
      });
      expect(await refusal("create_source", { name: "a", openapi: { text: "openapi: [3" } })).toMatchObject({
        code: "SPEC_UNREADABLE",
      });
      const foreign = openApi().replace(
        '$ref: "#/components/schemas/Page"',
        `$ref: "${service.url}/page.json"`,
      );
      expect(await refusal("create_source", { name: "a", openapi: { text: foreign } })).toMatchObject({
        code: "SPEC_UNREADABLE",
      });
      expect(service.asked).toEqual([]);
      expect(config()).toBe(CONFIG);
    });
  });

  describe("a wrong source is found out", () => {
    const rest = (resource: Record<string, unknown>, more: Record<string, unknown> = {}) => ({
      name: "shop",
      rest: { base_url: service.url, resources: [{ name: "rows", primary_key: "id", ...resource }], ...more },
    });
    const rows = Array.from({ length: 30 }, (_, i) => ({ id: i + 1 }));

    test("a paginator whose parameter is ignored loops; corrected it ends", async () => {
      service.on("GET /rows", ({ query: asked }) => ({
        json: { items: slice(rows, (Number(asked.p ?? 1) - 1) * 10, 10) },
      }));
      const made = await call(
        "create_source",
        rest({ path: "rows", paginator: { type: "page_number", base_page: 1 } }),
      );
      const wrong = await call("test_source", { pipeline: "shop" });
      expect(wrong.data).toMatchObject({ ok: false, error: { code: "PAGINATION_LOOP" } });
      expect(wrong.next_steps[0]).toMatchObject({
        tool: "update_source",
        arguments: { expected_revision: made.data.revision },
      });
      const better = await call("update_source", {
        pipeline: "shop",
        expected_revision: made.data.revision,
        set: { "config.resources.0.endpoint.paginator.page_param": "p" },
      });
      expect(String(better.data.diff)).toContain('page_param = "p"');
      const tested = await call("test_source", { pipeline: "shop" });
      expect(tested.data).toMatchObject({ ok: true, resources: [{ rows: 30, paging: "ended" }] });
    });

    test("an end before the service's own count is an error", async () => {
      service.on("GET /rows", { json: { total: 30, items: slice(rows, 0, 10) } });
      await call("create_source", rest({ path: "rows", paginator: "single_page" }));
      const tested = await call("test_source", { pipeline: "shop" });
      expect(tested.data.ok).toBe(false);
      expect(codes(tested)).toContain("ENDED_TOO_EARLY");
    });

    test("a selector that selects nothing names the keys that there are", async () => {
      service.on("GET /rows", { json: { result: { list: rows } } });
      await call(
        "create_source",
        rest({ path: "rows", data_selector: "data.items", paginator: "single_page" }),
      );
      const tested = await call("test_source", { pipeline: "shop" });
      expect(tested.data.error).toMatchObject({
        code: "SELECTOR_EMPTY",
        details: { keys: ["result", "result.list"] },
      });
    });

    test("keys that come twice are counted", async () => {
      service.on("GET /rows", {
        json: [
          { id: 1, v: 1 },
          { id: 1, v: 2 },
          { id: 2, v: 3 },
        ],
      });
      await call("create_source", rest({ path: "rows", paginator: "single_page" }));
      const tested = await call("test_source", { pipeline: "shop" });
      expect(codes(tested)).toEqual(["DUPLICATE_KEY"]);
      expect(tested.data.tables).toMatchObject([{ name: "rows", duplicate_keys: { key: ["id"], rows: 2 } }]);
    });

    test("a bound that comes before the end is told, not taken for an end", async () => {
      service.on("GET /rows", ({ query: asked }) => ({ json: slice(rows, Number(asked.offset), 10) }));
      await call("create_source", rest({ path: "rows", paginator: { type: "offset", limit: 10 } }));
      const tested = await call("test_source", { pipeline: "shop", max_pages: 2 });
      expect(tested.data).toMatchObject({ ok: true, resources: [{ rows: 20, paging: "stopped" }] });
      expect(codes(tested)).toEqual(["END_NOT_SEEN"]);
    });

    test.each([
      [401, "HTTP_UNAUTHORIZED"],
      [403, "HTTP_FORBIDDEN"],
    ])("an answer of %d is %s, with the request in the trace", async (status, code) => {
      service.on("GET /rows", { status, json: {} });
      await call("create_source", rest({ path: "rows" }));
      const tested = await call("test_source", { pipeline: "shop" });
      expect(tested.data).toMatchObject({ ok: false, error: { code }, requests: [{ status, error: code }] });
    });

    test("a service that answers 429 and asks for patience is reported within the bound of seconds", async () => {
      service.on("GET /rows", { status: 429, headers: { "retry-after": "100" }, json: {} });
      await call("create_source", rest({ path: "rows" }));
      const tested = await call("test_source", { pipeline: "shop", max_seconds: 1 });
      expect(tested.data.ok).toBe(false);
      expect(codes(tested)).toContain("HTTP_RATE_LIMITED");
    });
  });
});

describe("what is written", () => {
  test("can be taken back, and a change for another revision is refused", async () => {
    const made = await call("create_source", { name: "todo", empty: true, response_format: "detailed" });
    expect((made.data.type_check as { status: string }).status).toBe("passed");
    const file = join(workspace.dir, "sources/todo/index.ts");
    const before = readFileSync(file, "utf8");
    const changed = await call("update_source", {
      pipeline: "todo",
      expected_revision: made.data.revision,
      files: [{ path: "sources/todo/index.ts", content: before.replace('"second"', '"changed"') }],
    });
    expect(
      await refusal("update_source", {
        pipeline: "todo",
        expected_revision: made.data.revision,
        set: { description: "x" },
      }),
    ).toMatchObject({
      code: "STALE_REVISION",
      details: { revision: changed.data.revision },
    });
    const back = await call("update_source", {
      pipeline: "todo",
      expected_revision: changed.data.revision,
      revert_to: made.data.revision,
    });
    expect(back.data.revision).toBe(made.data.revision);
    expect(readFileSync(file, "utf8")).toBe(before);
  });

  test("is put back as it was when the check finds an error", async () => {
    const made = await call("create_source", { name: "todo", empty: true });
    const text = config();
    const file = readFileSync(join(workspace.dir, "sources/todo/index.ts"), "utf8");
    const update = (change: Record<string, unknown>) =>
      refusal("update_source", { pipeline: "todo", expected_revision: made.data.revision, ...change });
    const path = "sources/todo/index.ts";
    expect(
      await update({ files: [{ path, content: file.replace("primaryKey", "primaryKye") }] }),
    ).toMatchObject({ code: "INVALID_PATCH" });
    expect(await update({ files: [{ path, content: "export default 1;" }] })).toMatchObject({
      code: "INVALID_PATCH",
    });
    expect(await update({ section: "[pipelines.todo\nsource = 1" })).toMatchObject({ code: "INVALID_PATCH" });
    expect(
      await update({ section: '[pipelines.todo]\nsource = "todo"\n[pipelines.evil]\nsource = "todo"' }),
    ).toMatchObject({ code: "INVALID_PATCH" });
    expect(await update({ set: { sorce: "todo" } })).toMatchObject({ code: "INVALID_PATCH" });
    expect(config()).toBe(text);
    expect(readFileSync(join(workspace.dir, path), "utf8")).toBe(file);
  });

  test("a unified diff changes a file and the section", async () => {
    const made = await call("create_source", { name: "todo", empty: true });
    const patched = await call("update_source", {
      pipeline: "todo",
      expected_revision: made.data.revision,
      patch: `--- a/sources/todo/index.ts
+++ b/sources/todo/index.ts
@@ -10,3 +10,3 @@
   const items: Item[] = [
-    { id: 1, name: "first", updated_at: "2024-01-01T00:00:00Z" },
+    { id: 1, name: "patched", updated_at: "2024-01-01T00:00:00Z" },
     { id: 2, name: "second", updated_at: "2024-01-02T00:00:00Z" },
--- a/loadwright.toml
+++ b/loadwright.toml
@@ -1,2 +1,3 @@
 [pipelines.todo]
 source = "todo"
+description = "Patched"
`,
    });
    expect(patched.data.changes).toEqual([
      { path: "loadwright.toml", action: "change" },
      { path: "sources/todo/index.ts", action: "change" },
    ]);
    expect(config()).toContain('description = "Patched"');
  });

  test("stays inside the workspace's sources", async () => {
    writeFileSync(
      join(workspace.dir, "..", `${workspace.dir.split("/").at(-1)}-outside.yaml`),
      "openapi: 3.0.0",
    );
    mkdirSync(join(workspace.dir, "sources"));
    symlinkSync("/tmp", join(workspace.dir, "sources/link"));
    symlinkSync("/etc/hosts", join(workspace.dir, "spec.yaml"));
    for (const file of ["../x.yaml", "/etc/hosts", "spec.yaml"]) {
      expect(await refusal("create_source", { name: "a", openapi: { file } })).toMatchObject({
        code: "PATH_OUTSIDE",
      });
    }
    expect(await refusal("create_source", { name: "a", files: { path: "/etc" } })).toMatchObject({
      code: "PATH_OUTSIDE",
    });
    expect(
      await refusal("create_source", { name: "a", database: { url: "sqlite:////etc/passwd" } }),
    ).toMatchObject({ code: "PATH_OUTSIDE" });
    expect(await refusal("create_source", { name: "../a", empty: true })).toMatchObject({
      code: "ARGUMENTS_INVALID",
    });
    const made = await call("create_source", { name: "todo", empty: true });
    for (const path of [
      "../evil.ts",
      "/tmp/evil.ts",
      "sources/link/evil.ts",
      "loadwright.toml",
      ".env",
      "sources/todo/../../.env",
      "sources/todo/../other/index.ts",
      "sources/todo/a\0.ts",
    ]) {
      expect(
        await refusal("update_source", {
          pipeline: "todo",
          expected_revision: made.data.revision,
          files: [{ path, content: "x" }],
        }),
      ).toMatchObject({ code: "PATH_OUTSIDE" });
    }
  });

  test("stays inside the workspace with the settings of a source, too", async () => {
    workspace.write("in/a.csv", "id\n1\n");
    symlinkSync("/etc", join(workspace.dir, "link"));
    workspace.write("elsewhere.toml", "");
    const change = (pipeline: string, expected_revision: unknown, input: Record<string, unknown>) =>
      refusal("update_source", { pipeline, expected_revision, ...input });
    const made = await call("create_source", { name: "files", files: { path: "in" } });
    const { revision } = made.data;
    for (const input of [
      { set: { "config.path": "/etc" } },
      { set: { "config.path": "link" } },
      { set: { "config.path": "in/../.." } },
      { set: { source: "sql_database", "config.path": null, "config.url": "sqlite:////etc/shop.db" } },
      { set: { source: "rest_api", "config.path": null, "config.config_file": "../x.json" } },
      { set: { export_schema_path: "../schemas" } },
      { section: '[pipelines.files]\nsource = "filesystem"\nconfig = { path = "/etc" }\n' },
    ]) {
      expect(await change("files", revision, input), JSON.stringify(input)).toMatchObject({
        code: "PATH_OUTSIDE",
      });
    }
    const globbed = await call("create_source", { name: "globbed", files: { path: "in", glob: "*.csv" } });
    await call("update_source", {
      pipeline: "globbed",
      expected_revision: globbed.data.revision,
      section:
        '[pipelines.globbed]\nsource = "filesystem"\n[pipelines.globbed.config]\npath = "in"\n[pipelines.globbed.config.resources.a]\nglob = "../../*/hosts"\n',
    });
    const tested = await call("test_source", { pipeline: "globbed" });
    expect(tested.data).toMatchObject({ ok: false, error: { code: "CONFIG_INVALID" } });
  });

  test("leaves alone what a person let a pipeline read elsewhere", async () => {
    writeFileSync(
      join(workspace.dir, "loadwright.toml"),
      '[pipelines.far]\nsource = "filesystem"\nconfig = { path = "/srv/exports" }\n',
    );
    const { data } = await call("validate_source", { pipeline: "far" });
    const changed = await call("update_source", {
      pipeline: "far",
      expected_revision: data.revision,
      set: { description: "Exports of the shop" },
      dry_run: true,
    });
    expect(String(changed.data.diff)).toContain("Exports of the shop");
  });

  test("never replaces a pipeline or a source", async () => {
    expect(await refusal("create_source", { name: "other", empty: true })).toMatchObject({
      code: "SOURCE_EXISTS",
    });
    expect(await refusal("create_source", { name: "filesystem", empty: true })).toMatchObject({
      code: "SOURCE_EXISTS",
    });
    workspace.write("sources/mine/index.ts", "// mine");
    expect(await refusal("create_source", { name: "mine", empty: true })).toMatchObject({
      code: "SOURCE_EXISTS",
    });
  });

  test("needs the mode that it was not given", async () => {
    const reader = await connect(workspace.dir);
    try {
      expect(await fail(reader.client, "create_source", { name: "a", empty: true })).toMatchObject({
        code: "NOT_ALLOWED",
      });
      expect(await fail(reader.client, "test_source", { pipeline: "other" })).toMatchObject({
        code: "NOT_ALLOWED",
      });
      expect((await ask(reader.client, "find_source", { query: "csv" })).data.sources).not.toEqual([]);
    } finally {
      await reader.close();
    }
  });
});

describe("files and databases", () => {
  test("files are grouped, sniffed, and given a key that their rows bear out", async () => {
    workspace.write(
      "in/orders_2024-01-01.csv",
      "id,total,updated_at\n1,9.5,2024-01-01T00:00:00Z\n2,3,2024-01-02T00:00:00Z\n",
    );
    workspace.write("in/orders_2024-01-02.csv", "id,total,updated_at\n3,1,2024-01-03T00:00:00Z\n");
    workspace.write("in/visits.jsonl", '{"id":1,"page":"a"}\n{"id":1,"page":"b"}\n');
    const made = await call("create_source", {
      name: "exports",
      files: { path: "in" },
      destination: "warehouse",
      response_format: "detailed",
    });
    expect(made.data).toMatchObject({ source: "filesystem", resources: ["orders", "visits"] });
    const evidence = made.data.evidence as { about: string; finding: string }[];
    expect(evidence.find((one) => one.about === "visits.primary_key")?.finding).toContain(
      "2 rows have only 1 different values",
    );
    expect(config()).toContain('glob = "orders_*.csv"');
    await run("exports");
    expect(
      await query(
        "warehouse.duckdb",
        "select (select count(*) from exports_dataset.orders), (select count(*) from exports_dataset.visits)",
      ),
    ).toEqual([["3", "2"]]);
  });

  test("a database is reflected: declared keys, and a cursor where a time of change is never null", async () => {
    const instance = await DuckDBInstance.create(join(workspace.dir, "origin.duckdb"));
    const connection = await instance.connect();
    await connection.run(
      "create table orders (id integer primary key, note varchar, updated_at timestamp not null)",
    );
    await connection.run("create table log (line varchar)");
    await connection.run("insert into orders values (1, 'a', '2024-01-01'), (2, 'b', '2024-01-02')");
    await connection.run("insert into log values ('x')");
    connection.closeSync();
    instance.closeSync();
    const made = await call("create_source", {
      name: "copy",
      database: { url: "duckdb:///origin.duckdb" },
      response_format: "detailed",
    });
    expect(made.data).toMatchObject({ source: "sql_database", written: true });
    expect(config()).toContain(
      'orders = { write_disposition = "merge", incremental = { cursor = "updated_at" } }',
    );
    const tested = await call("test_source", { pipeline: "copy" });
    expect(tested.data).toMatchObject({ ok: true });
    await run("copy");
    expect(
      await query(
        "copy.duckdb",
        "select (select count(*) from copy_dataset.orders), (select count(*) from copy_dataset.log)",
      ),
    ).toEqual([["2", "1"]]);
  });
});

describe("finding and explaining", () => {
  test("search_docs answers passages, settings and error codes, or what is near", async () => {
    const place = async (query: string) =>
      ((await call("search_docs", { query })).data.passages as { place: string }[]).map((one) => one.place);
    expect((await place("paginator total_path")).some((one) => one.includes("rest_api"))).toBe(true);
    expect(await place("PAGINATION_LOOP")).toContain("error:PAGINATION_LOOP");
    expect((await place("requests_per_minute")).some((one) => one.startsWith("rest_api: "))).toBe(true);
    expect(await refusal("search_docs", { query: "zzqqxxyy" })).toMatchObject({ code: "NO_MATCH" });
  });

  test("find_source lists what is shipped, what is the workspace's own, and templates", async () => {
    await call("create_source", { name: "todo", empty: true });
    const { data } = await call("find_source", {});
    expect(data.sources).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ name: "rest_api", kind: "shipped" }),
        expect.objectContaining({
          name: "todo",
          kind: "workspace",
          resources: ["items; key: id"],
          pipelines: ["todo"],
        }),
        expect.objectContaining({ name: "empty", kind: "template" }),
      ]),
    );
    expect(await refusal("find_source", { query: "salesforce" })).toMatchObject({ code: "NO_MATCH" });
    const named = async (query: string) => {
      const { data, summary } = await call("find_source", { query });
      return [(data.sources as { name: string }[]).map((one) => one.name), summary] as const;
    };
    expect((await named("OpenAPI"))[0]).toContain("rest_api");
    const [near, said] = await named("postgres salesforce");
    expect(near).toContain("sql_database");
    expect(said).toContain("some words");
  });

  test("validate_source names a setting that is spelt wrong, with the right one", async () => {
    workspace.write(
      "loadwright.toml",
      '[pipelines.shop]\nsource = "rest_api"\n[pipelines.shop.config]\nclient = { base_ur = "https://a.example" }\nresources = ["a"]\n',
    );
    const { data } = await call("validate_source", { pipeline: "shop" });
    expect(data.valid).toBe(false);
    expect(JSON.stringify(data.findings)).toMatch(/base_url/);
  });

  test("request_secret keeps an existing file's entries and mode, and refuses a key that nobody asks for", async () => {
    await call("create_source", {
      name: "shop",
      rest: { base_url: service.url, auth: { type: "bearer" }, resources: [{ path: "rows" }] },
    });
    workspace.write(".env", "A=1");
    const { chmodSync } = await import("node:fs");
    chmodSync(join(workspace.dir, ".env"), 0o640);
    await call("request_secret", { pipeline: "shop", key: "shop_token" });
    expect(readFileSync(join(workspace.dir, ".env"), "utf8")).toBe("A=1\nSOURCES__REST_API__SHOP_TOKEN=\n");
    expect(statSync(join(workspace.dir, ".env")).mode & 0o777).toBe(0o640);
    expect(await refusal("request_secret", { pipeline: "shop", key: "shop_tokn" })).toMatchObject({
      code: "UNKNOWN_KEY",
    });
  });
});

describe("each template in TypeScript type-checks, and its test passes", () => {
  const LOADER = `data:text/javascript,import { resolveLoadwrightToThisPackage as resolve } from ${JSON.stringify(
    new URL("../../src/sources/resolve-loadwright.ts", import.meta.url).href,
  )}; resolve();`;
  const kinds: [string, () => Record<string, unknown>][] = [
    ["empty", () => ({ empty: true })],
    [
      "rest",
      () => ({
        rest: {
          base_url: service.url,
          auth: { type: "bearer" },
          resources: [{ path: "rows", primary_key: "id" }],
        },
      }),
    ],
    ["files", () => ({ files: { path: "in" } })],
    ["database", () => ({ database: { url: "duckdb:///origin.duckdb" } })],
  ];
  test.each(kinds)("from %s", async (_kind, input) => {
    workspace.write("in/orders.csv", "id,total\n1,9.5\n");
    const instance = await DuckDBInstance.create(join(workspace.dir, "origin.duckdb"));
    const connection = await instance.connect();
    await connection.run("create table orders (id integer primary key)");
    connection.closeSync();
    instance.closeSync();
    const made = await call("create_source", { name: "mine", style: "typescript", ...input() });
    expect(made.data).toMatchObject({ source: "mine", type_check: { status: "passed" } });
    const ran = spawnSync(
      process.execPath,
      ["--disable-warning=ExperimentalWarning", "--import", LOADER, "--test", "sources/mine/index.test.ts"],
      { cwd: workspace.dir, encoding: "utf8" },
    );
    expect(ran.stdout).toMatch(/fail 0/);
    expect(ran.status).toBe(0);
  });
});

test("exports on S3 are sniffed and become s3_exports", async () => {
  const s3 = await S3Test.start();
  const own = await connect(workspace.dir, ["--allow", "run,write"]);
  try {
    workspace.write(
      ".env",
      "SHOP__SOURCES__S3_EXPORTS__CREDENTIALS__AWS_ACCESS_KEY_ID=test\nSHOP__SOURCES__S3_EXPORTS__CREDENTIALS__AWS_SECRET_ACCESS_KEY=test-secret\n",
    );
    await s3.put("daily/orders.csv", "id,total\n1,9.5\n2,3\n");
    const made = await ask(own.client, "create_source", {
      name: "shop",
      files: { path: `s3://${s3.bucket}/daily/`, endpoint: s3.endpoint, region: "us-east-1" },
      response_format: "detailed",
    });
    expect(made.data).toMatchObject({ source: "s3_exports", resources: ["daily"] });
    expect((made.data.evidence as { finding: string }[])[0]?.finding).toContain("2 rows read");
    expect((await ask(own.client, "test_source", { pipeline: "shop" })).data).toMatchObject({
      ok: true,
      resources: [{ rows: 2 }],
    });
  } finally {
    await own.close();
    await s3.stop();
  }
});
