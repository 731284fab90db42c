/** The analysis behind create_source, without files or a service. */

import { describe, expect, test } from "vitest";
import { factsOf, suggestCursors, suggestKey } from "../../src/tools/building/fields.ts";
import { maskCell } from "../../src/tools/building/mask-cell.ts";
import { draftFromOpenApi } from "../../src/tools/building/openapi.ts";
import { guessPaging } from "../../src/tools/building/paging.ts";
import { draftFromSample } from "../../src/tools/building/sample.ts";
import { shapeOfValues } from "../../src/tools/building/shape.ts";
import { sectionOf, withSection } from "../../src/tools/building/toml-section.ts";
import { writeTable } from "../../src/tools/building/toml-write.ts";
import { parseConfig } from "../../src/tools/config.ts";

const facts = (rows: readonly object[]) => factsOf(shapeOfValues(rows));
const resourceOf = (draft: { config: Readonly<Record<string, unknown>> }, at = 0) =>
  (draft.config.resources as Record<string, unknown>[])[at]!;

describe("a key is suggested", () => {
  test.each([
    ["orders", [{ id: 1 }, { id: 2 }], "id"],
    [
      "orders",
      [
        { order_id: "a", shop_id: 1 },
        { order_id: "b", shop_id: 1 },
      ],
      "order_id",
    ],
    ["companies", [{ companyId: 1 }, { companyId: 2 }], "companyId"],
    ["items", [{ sku: "a" }, { sku: "b" }, { sku: "c" }], "sku"],
    ["orders", [{ id: 1 }, { id: 1 }], undefined],
    ["orders", [{ id: 1 }, { id: null }], undefined],
    ["orders", [{ name: "a" }, { name: "b" }, { name: "c" }], undefined],
  ])("of %s %j: %s", (name, rows, key) => {
    expect(suggestKey(name, facts(rows)).key).toBe(key);
  });
});

describe("a cursor is suggested", () => {
  test("the time of a change before that of creation, and no number that is no time", () => {
    const rows = [
      {
        created_at: "2024-01-01T00:00:00Z",
        updatedAt: 1_700_000_000,
        count: 1_700_000_000,
        day: "2024-01-01",
        name: "x",
      },
    ];
    expect(suggestCursors(facts(rows)).map(({ field, kind }) => [field, kind])).toEqual([
      ["updatedAt", "changed"],
      ["created_at", "created"],
      ["day", "time"],
    ]);
  });
});

describe("paging is guessed", () => {
  const guess = (body: object, parameters: string[], headers: string[] = []) =>
    guessPaging(
      "rows",
      shapeOfValues([body]),
      parameters.map((name) => ({ name, required: false })),
      headers,
    ).paginator;
  test.each([
    [{ next: "https://a.example/?page=2", data: [] }, [], { type: "json_link", next_url_path: "next" }],
    [
      { meta: { next_cursor: "abc" } },
      ["cursor"],
      { type: "cursor", cursor_path: "meta.next_cursor", cursor_param: "cursor" },
    ],
    [
      { data: [], total_pages: 4 },
      ["page", "per_page"],
      { type: "page_number", base_page: 1, page_param: "page", total_path: "total_pages" },
    ],
    [{ data: [] }, ["page"], { type: "page_number", base_page: 1, page_param: "page", total_path: false }],
    [
      { total: 4 },
      ["skip", "limit"],
      { type: "offset", limit: 100, offset_param: "skip", limit_param: "limit", total_path: "total" },
    ],
    [{ data: [] }, ["q"], undefined],
  ])("from %j and parameters %j", (body, parameters, paginator) => {
    expect(guess(body, parameters as string[])).toEqual(paginator);
  });
  test("from a Link header", () => {
    expect(guess({ data: [] }, [], ["Link"])).toEqual({ type: "header_link" });
  });
});

describe("an OpenAPI document", () => {
  const list = {
    "200": { description: "ok", schema: { type: "array", items: { $ref: "#/definitions/Row" } } },
  };
  const swagger = {
    swagger: "2.0",
    info: { title: "Old", version: "1" },
    host: "api.example.org",
    basePath: "/v2",
    schemes: ["https"],
    securityDefinitions: { key: { type: "apiKey", in: "query", name: "apikey" } },
    security: [{ key: [] }],
    definitions: {
      Row: { type: "object", properties: { id: { type: "integer" }, price: { type: "number" } } },
    },
    paths: {
      "/users": { get: { responses: list } },
      "/users/{user_id}/posts": {
        get: {
          parameters: [{ name: "user_id", in: "path", type: "integer", required: true }],
          responses: list,
        },
      },
      "/reports": {
        get: { parameters: [{ name: "day", in: "query", type: "string", required: true }], responses: list },
      },
      "/users/create": { post: { responses: list } },
    },
  };

  test("of version 2 gives base URL, credentials, dependent resources and decimal columns", () => {
    const draft = draftFromOpenApi("old", { text: JSON.stringify(swagger) });
    expect(draft.config.client).toEqual({
      base_url: "https://api.example.org/v2",
      auth: { type: "api_key", name: "apikey", location: "query", api_key: { secret: "old_api_key" } },
    });
    expect(draft.secrets.map((one) => one.key)).toEqual(["old_api_key"]);
    expect(resourceOf(draft)).toMatchObject({
      name: "users",
      primary_key: "id",
      columns: { price: { data_type: "double" } },
    });
    expect(resourceOf(draft, 1)).toMatchObject({
      name: "posts",
      endpoint: {
        path: "users/{user_id}/posts",
        params: { user_id: { type: "resolve", resource: "users", field: "id" } },
      },
    });
    expect(draft.config.resources).toHaveLength(2);
    expect(draft.warnings.join()).toContain("reports (/reports) needs the parameter day");
  });

  test("takes only what is asked for, and names what is near", () => {
    const text = JSON.stringify(swagger);
    expect(
      (draftFromOpenApi("old", { text, resources: ["/users"] }).config.resources as unknown[]).length,
    ).toBe(1);
    expect(() => draftFromOpenApi("old", { text, resources: ["usrs"] })).toThrow(
      expect.objectContaining({ code: "NO_MATCH", hint: 'Did you mean "users"?' }),
    );
  });
});

describe("a sample", () => {
  test("shows list, key, cursors and paging, with the evidence", () => {
    const body = {
      data: {
        items: [
          { id: 1, modified_at: "2024-01-01T00:00:00Z" },
          { id: 2, modified_at: "2024-01-02T00:00:00Z" },
        ],
      },
      has_more: true,
      next_cursor: "x",
    };
    const draft = draftFromSample("s", {
      base_url: "https://a.example",
      path: "v1/things",
      text: JSON.stringify(body),
    });
    expect(resourceOf(draft)).toEqual({
      name: "things",
      primary_key: "id",
      write_disposition: "merge",
      endpoint: {
        path: "v1/things",
        data_selector: "data.items",
        paginator: {
          type: "cursor",
          cursor_path: "next_cursor",
          cursor_param: "cursor",
          has_more_path: "has_more",
        },
      },
    });
    expect(draft.evidence).toContainEqual({
      about: "things.data_selector",
      finding: "the list at data.items has 2 rows",
    });
    expect(
      draft.evidence.some((one) => one.about === "things.cursor" && one.finding.startsWith("modified_at")),
    ).toBe(true);
  });
  test("that is not JSON is refused", () => {
    expect(() => draftFromSample("s", { base_url: "https://a.example", path: "x", text: "<html>" })).toThrow(
      expect.objectContaining({ code: "SPEC_UNREADABLE" }),
    );
  });
});

describe("a section of loadwright.toml", () => {
  const text = `# top
[pipelines.a]
source = "x" # why
description = """
[pipelines.b]
"""

# about b
[pipelines.b]
source = "y"
config = { list = [
  [1],
] }
[pipelines.b.config.more]
k = 1

# end
[destinations.d]
type = "duckdb"
`;
  test("is found whole, and replacing it leaves every other byte", () => {
    expect(sectionOf(text, "a")).toBe(
      '[pipelines.a]\nsource = "x" # why\ndescription = """\n[pipelines.b]\n"""\n',
    );
    expect(sectionOf(text, "b")).toContain("[pipelines.b.config.more]\nk = 1\n");
    expect(withSection(text, "b", sectionOf(text, "b"))).toBe(text);
    expect(withSection(text, "a", '[pipelines.a]\nsource = "z"')).toBe(
      text.replace(/source = "x"[\s\S]*?"""\n\[pip[\s\S]*?"""/, 'source = "z"'),
    );
    expect(withSection(text, "c", '[pipelines.c]\nsource = "z"\n')).toBe(
      `${text}\n[pipelines.c]\nsource = "z"\n`,
    );
    expect(withSection(withSection(text, "c", "[pipelines.c]\nsource = 1\n"), "c", undefined).trimEnd()).toBe(
      text.trimEnd(),
    );
  });
  test("is read by the real parser as what was written", () => {
    const config = {
      client: { base_url: 'https://a.example/ü"\\', n: 1.5 },
      resources: [
        { name: "a b", p: null },
        { name: "c", deep: { x: Array.from({ length: 60 }, (_, i) => i) } },
      ],
    };
    const parsed = parseConfig(writeTable(["pipelines", "p"], { source: "rest_api", config }));
    expect(parsed.pipelines.get("p")?.config).toEqual(
      JSON.parse(JSON.stringify(config, (_key, value: unknown) => value ?? undefined)),
    );
  });
});

test("a sample of rows shows no mail address, long number or secret", () => {
  expect(maskCell("note", "write to a.b@c.example or +49 170 1234567")).toBe(
    "write to ***@*** or ############",
  );
  expect(maskCell("api_token", "abc")).toBe("***");
  expect(maskCell("id", "9007199254740993")).toBe("9007199254740993");
  expect(maskCell("at", "2024-01-01T00:00:00Z")).toBe("2024-01-01T00:00:00Z");
});
