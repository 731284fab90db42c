/** The parts of the rest_api source that do no I/O. */

import { readFileSync } from "node:fs";
import { parse } from "smol-toml";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { compilePath, findAll, findFirst } from "../../src/engine/extract/json-path.ts";
import { detect } from "../../src/sources/rest_api/auto-paginator.ts";
import { parseRestApiConfig, restApiConfigSchema } from "../../src/sources/rest_api/config.ts";
import { convert } from "../../src/sources/rest_api/convert.ts";
import { linkHeader } from "../../src/sources/rest_api/link-paginators.ts";
import { listPath, Selector } from "../../src/sources/rest_api/select.ts";
import { expand, expandPath } from "../../src/sources/rest_api/template.ts";

const scope = {
  resource: "posts",
  parent: { name: "users", row: { id: "a/b", n: 7n, org: { key: 1 } } },
  incremental: { start_value: 5, end_value: undefined },
};

describe("placeholders", () => {
  test("one alone keeps its type, one among text becomes text, doubled braces are braces", () => {
    expect(expand("{resources.users.n}", scope)).toBe(7n);
    expect(expand("since:{incremental.start_value}", scope)).toBe("since:5");
    expect(
      expand({ where: { org: "{resources.users.org.key}" }, list: ["{{x}}", "{plain}"] }, scope),
    ).toEqual({
      where: { org: 1 },
      list: ["{x}", "{plain}"],
    });
  });
  test("a value that is not there leaves its key out; within text it is an error", () => {
    expect(expand({ to: "{incremental.end_value}", a: 1 }, scope)).toEqual({ a: 1 });
    expect(() => expand("x{incremental.end_value}", scope)).toThrow(
      expect.objectContaining({ code: "CONFIG_INVALID" }),
    );
  });
  test("in a path values are encoded", () => {
    expect(expandPath("u/{resources.users.id}/{who}", scope, { who: "c d" })).toBe("u/a%2Fb/c%20d");
  });
});

describe("where the rows are", () => {
  test.each([
    [[{ a: 1 }], ""],
    [{ data: [], other: [1] }, "data"],
    [{ other: [1], response: { results: [] } }, "response.results"],
    [{ a: { b: [1] }, tags: [] }, "tags"],
    [{ errors: [], meta: { items: [1] }, id: 1 }, ""],
  ])("%j: %j", (body, path) => {
    expect(listPath(body).join(".")).toBe(path);
  });
  test("a list of scalars becomes rows with a value, an object one row, null none", () => {
    const rows = (body: unknown, selector?: string) => new Selector("r", selector, false).rows(body, true);
    expect(rows({ data: ["a", 2] })).toEqual([{ value: "a" }, { value: 2 }]);
    expect(rows({ id: 1 })).toEqual([{ id: 1 }]);
    expect(rows({ groups: [{ rows: [{ a: 1 }] }, { rows: [{ a: 2 }] }] }, "groups[*].rows")).toHaveLength(2);
    expect(rows({ groups: [] }, "groups[*].rows")).toEqual([]);
    expect(rows({ data: null }, "data")).toEqual([]);
    expect(rows(undefined)).toEqual([]);
  });
  test("a path counts from the end of a list with a negative index", () => {
    expect(findFirst(compilePath("$.data[-1].id"), { data: [{ id: 1 }, { id: 2 }] })).toBe(2);
    expect(findAll(compilePath("data[*].id"), { data: [{ id: 1 }, {}, { id: 3 }] })).toEqual([1, 3]);
  });
});

test.each([
  [{ data: [], next: "https://x.test/2" }, {}, "json_link at next"],
  [{ _links: { next: { href: "/2" } } }, {}, "json_link at _links.next"],
  [{ "@odata.nextLink": "https://x.test/2" }, {}, "json_link at $['@odata.nextLink']"],
  [{ meta: { total_pages: 4, page: 0 } }, {}, "page_number from 0 with meta.total_pages"],
  [{ total_pages: 1 }, {}, "single_page"],
  [{ response_metadata: { next_cursor: "abc" } }, {}, "cursor at response_metadata.next_cursor"],
  [{ next: null, data: [] }, {}, "single_page"],
  [[], { link: '<https://x.test/2>; rel="next"' }, "header_link"],
  [[], { link: '<https://x.test/1>; rel="prev"' }, "single_page"],
])("%j %j is paged by %s", (body, headers, told) => {
  const page = { request: { path: "", query: {} }, url: "https://x.test", body, rows: 0, number: 1 };
  expect(detect({ ...page, headers: new Headers(headers as Record<string, string>) }, () => {}).told).toBe(
    told,
  );
});

test("a Link header may have several links, parameters and commas in its URL", () => {
  const header = '<https://x.test/a?ids=1,2>; title="a, b"; rel="next last", <https://x.test/p>; rel=prev';
  expect(linkHeader(header, "last")).toBe("https://x.test/a?ids=1,2");
  expect(linkHeader(header, "prev")).toBe("https://x.test/p");
  expect(linkHeader(header, "first")).toBeUndefined();
});

test("cursor values are converted; text without a zone is UTC", () => {
  expect(convert("2024-01-02T03:04:05", "epoch_seconds")).toBe(1704164645);
  expect(convert("2024-01-02 03:04:05+01:00", "epoch_milliseconds")).toBe(1704161045000);
  expect(convert(1704164645, "datetime")).toBe("2024-01-02T03:04:05Z");
  expect(convert("2024-01-02", "date")).toBe("2024-01-02");
  expect(convert(5, (value) => `v${String(value)}`)).toBe("v5");
  expect(convert(undefined, "date")).toBeUndefined();
});

describe("a wrong configuration", () => {
  const base = { client: { base_url: "https://x.test" } };
  test.each([
    [{ resources: [] }, "CONFIG_MISSING", "client"],
    [
      { ...base, resources: [{ name: "a", endpoint: { pathh: "x" } }] },
      "CONFIG_INVALID",
      "resources.0.endpoint.pathh",
    ],
    [
      { ...base, resources: [{ name: "a", endpoint: { paginator: { type: "offset", limt: 1, limit: 2 } } }] },
      "CONFIG_INVALID",
      "resources.0.endpoint.paginator.limt",
    ],
    [{ ...base, resources: [{ name: "a", endpoint: { paginator: "offset" } }] }, "CONFIG_MISSING", "limit"],
    [
      { client: { ...base.client, auth: { tokenn: "x" } }, resources: ["a"] },
      "CONFIG_INVALID",
      "client.auth.tokenn",
    ],
  ])("%j is %s at %s", (raw, code, setting) => {
    const refused = () => parseRestApiConfig(raw);
    expect(refused).toThrow(expect.objectContaining({ code }));
    expect(refused).toThrow(setting);
  });
});

describe("docs/rest_api.md", () => {
  const page = readFileSync(new URL("../../docs/rest_api.md", import.meta.url), "utf8");
  const blocks = [...page.matchAll(/```toml\n([\s\S]*?)```/g)].map(([, text]) => text!);

  test("has examples that are accepted", () => {
    for (const text of blocks) {
      const { pipelines } = parse(text) as { pipelines: Record<string, { config: unknown }> };
      for (const { config } of Object.values(pipelines)) parseRestApiConfig(config);
    }
    expect(blocks.length).toBeGreaterThan(2);
  });

  test("names every setting", () => {
    const keys = new Set<string>();
    const collect = (schema: unknown): void => {
      if (typeof schema !== "object" || schema === null) return;
      if (!Array.isArray(schema) && "properties" in schema) {
        for (const key of Object.keys(schema.properties as object)) keys.add(key);
      }
      for (const inner of Object.values(schema)) collect(inner);
    };
    collect(z.toJSONSchema(restApiConfigSchema, { unrepresentable: "any", io: "input" }));
    expect(keys.size).toBeGreaterThan(60);
    expect([...keys].filter((key) => !new RegExp(`\\b${key}\\b`).test(page))).toEqual([]);
  });
});
