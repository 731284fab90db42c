/**
 * Each source's page in docs/ says what the code does: its settings, resources, keys, cursors, columns and error
 * codes, and docs/API_REFERENCE.md says the same of all of them. A source that is built in and has no entry in
 * PAGES fails.
 */

import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { parse } from "smol-toml";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { ERRORS, type Resource } from "../../src/engine/index.ts";
import { everflowConfigSchema } from "../../src/sources/everflow/config.ts";
import { everflowResources } from "../../src/sources/everflow/resources.ts";
import { filesystemConfigSchema } from "../../src/sources/filesystem/config.ts";
import { filesystemResources } from "../../src/sources/filesystem/resources.ts";
import { redtrackConfigSchema } from "../../src/sources/redtrack/config.ts";
import { redtrackResources } from "../../src/sources/redtrack/resources.ts";
import { builtInSourceNames } from "../../src/sources/registry.ts";
import { restApiConfigSchema } from "../../src/sources/rest_api/config.ts";
import { restApi } from "../../src/sources/rest_api/resources.ts";
import { s3ExportsConfigSchema } from "../../src/sources/s3_exports/config.ts";
import { s3ExportsResources } from "../../src/sources/s3_exports/s3-exports.ts";
import { sqlDatabaseConfigSchema } from "../../src/sources/sql_database/config.ts";
import { sqlDatabaseResources } from "../../src/sources/sql_database/resources.ts";

interface Page {
  readonly source: string;
  readonly schema: z.ZodType;
  /** In the order of the page's table, with the least configuration. */
  readonly resources: () => readonly Resource[] | Promise<readonly Resource[]>;
  /** Names, keys and columns are the source's own; else they are those of the configuration or the database. */
  readonly fixed?: true;
  /** Where the secret's name stands. */
  readonly secret: string;
  /** Settings that are read before the schema sees them. */
  readonly besides?: readonly string[];
  /** Another page to which this one's table refers for some settings. */
  readonly also?: string;
}

const PAGES: readonly Page[] = [
  {
    source: "everflow",
    schema: everflowConfigSchema,
    resources: () => everflowResources({ start_date: "2026-01-01" }, "key"),
    fixed: true,
    secret: "SOURCES__EVERFLOW__API_KEY",
  },
  {
    source: "redtrack",
    schema: redtrackConfigSchema,
    resources: () => redtrackResources({ start_date: "2026-01-01" }, "key"),
    fixed: true,
    secret: "SOURCES__REDTRACK__API_KEY",
  },
  {
    source: "s3_exports",
    schema: s3ExportsConfigSchema,
    resources: () => s3ExportsResources({ bucket: "acme" }),
    secret: "SOURCES__S3_EXPORTS__CREDENTIALS__AWS_ACCESS_KEY_ID",
    also: "filesystem",
  },
  {
    source: "filesystem",
    schema: filesystemConfigSchema,
    resources: () => filesystemResources({ path: "exports" }),
    secret: "SOURCES__FILESYSTEM__CREDENTIALS__AWS_ACCESS_KEY_ID",
  },
  {
    source: "rest_api",
    schema: restApiConfigSchema,
    resources: () => restApi({ client: { base_url: "https://api.example.com" }, resources: ["orders"] }),
    secret: "SOURCES__REST_API__SHOP_TOKEN",
    besides: ["config_file"],
  },
  {
    source: "sql_database",
    schema: sqlDatabaseConfigSchema,
    resources: threeTables,
    secret: "SOURCES__SQL_DATABASE__CREDENTIALS",
  },
];

/** Without a cursor; with a cursor and a key; with a cursor and no key. */
async function threeTables(): Promise<readonly Resource[]> {
  const dir = mkdtempSync(join(tmpdir(), "loadwright-pages-"));
  try {
    const database = new DatabaseSync(join(dir, "shop.db"));
    database.exec(`create table a (id integer primary key, at text); create table b (id integer primary key, at text);
      create table c (id integer, at text)`);
    database.close();
    const incremental = { cursor: "at" };
    return await sqlDatabaseResources({
      config: { resources: { a: {}, b: { incremental }, c: { incremental } } },
      secrets: { credentials: "sqlite:///shop.db" },
      workspaceDir: dir,
    });
  } finally {
    rmSync(dir, { recursive: true });
  }
}

const SECTIONS = [
  "Credentials",
  "Settings",
  "Resources",
  "Requests and responses",
  "Limits",
  "Errors",
  "Loaded tables",
  "Example questions",
];

const DOCS = new URL("../../docs/", import.meta.url);
const pageOf = (name: string): string => readFileSync(new URL(`${name}.md`, DOCS), "utf8");
const sectionOf = (text: string, name: string): string =>
  text.split(/^## /m).find((part) => part.startsWith(`${name}\n`)) ?? "";

describe.each(PAGES)("the page of $source", (page) => {
  const { source, schema, resources, secret, fixed = false } = page;
  const text = pageOf(source);
  const section = (name: string): string => sectionOf(text, name);

  it("has every section, links to the vendor and the name of the secret", () => {
    expect(SECTIONS.filter((name) => section(name) === "")).toEqual([]);
    expect(text).toMatch(/\]\(https:\/\//);
    expect(text).toContain(secret);
    expect(section("Credentials").length).toBeGreaterThan(100);
  });

  it("lists the settings that there are, and says their defaults", () => {
    const known = settingsOf(schema);
    const rows = tablesOf(section("Settings") + section("Credentials"), "key");
    const told = rows.flatMap(([key]) => namesIn(key!));
    const paths = [...known.keys(), ...(page.besides ?? [])];
    const isKnown = (key: string) => paths.some((path) => path === key || path.endsWith(`.${key}`));
    expect(told.filter((key) => !isKnown(key))).toEqual([]);
    const elsewhere = page.also === undefined ? "" : sectionOf(pageOf(page.also), "Settings");
    const named = new Set(namesIn(section("Settings") + section("Credentials") + elsewhere).flatMap(words));
    expect([...known.keys()].filter((path) => !named.has(path.split(".").at(-1)!))).toEqual([]);
    for (const [key, meaning] of rows) {
      const standards = namesIn(key!).map((name) => known.get(name)?.default);
      const [standard] = standards.filter((value) => value !== undefined && !Array.isArray(value));
      const says = standard === undefined || meaning!.includes(String(standard));
      expect([key, says]).toEqual([key, true]);
    }
    for (const path of requiredOf(schema)) {
      const row = rows.find(([key]) => namesIn(key!).includes(path));
      expect([path, row !== undefined]).toEqual([path, true]);
      if (fixed) expect(row![1]).toContain("required");
    }
  });

  it("has configurations that are accepted", () => {
    const blocks = [...text.matchAll(/```toml\n([\s\S]*?)```/g)].map(([, block]) => parse(block!));
    const pipelines = blocks.flatMap((block) => Object.values(block.pipelines ?? {}));
    expect(pipelines.length).toBeGreaterThan(0);
    for (const pipeline of pipelines as { source: string; config: Record<string, unknown> }[]) {
      expect(pipeline.source).toBe(source);
      schema.parse(pipeline.config);
    }
    for (const { sources = {} } of blocks) expect([[], [source]]).toContainEqual(Object.keys(sources));
  });

  it("has examples that are JSON", () => {
    const blocks = [...text.matchAll(/```json\n([\s\S]*?)```/g)].map(([, block]) => block!);
    for (const block of blocks) JSON.parse(block);
    if (fixed || source === "rest_api") expect(blocks.length).toBeGreaterThan(1);
  });

  it("lists error codes that exist", () => {
    const codes = tableOf(section("Errors")).flatMap(([code]) => namesIn(code!));
    expect(codes.length).toBeGreaterThan(0);
    expect(codes.filter((code) => !(code in ERRORS))).toEqual([]);
  });

  it("lists the resources with disposition, keys and cursor", async () => {
    const ownNames = fixed || source === "s3_exports" || source === "filesystem";
    const told = tableOf(section("Resources")).map(([name, disposition, key, merge, cursor]) => [
      ownNames ? namesIn(name!)[0] : "",
      disposition,
      ...[key!, merge!, cursor!].map((cell) => (isOfConfiguration(cell) ? "some" : namesIn(cell))),
    ]);
    const made = (await resources()).map(({ name, hints }, row) => {
      const { writeDisposition: set = "append", primaryKey = [], mergeKey = [], incremental } = hints;
      const cells = tableOf(section("Resources"))[row]!.slice(2);
      const keys = [primaryKey, mergeKey, incremental?.cursorPath ?? []].map((key) => [key].flat());
      return [
        ownNames ? name : "",
        typeof set === "string" ? set : set.disposition,
        ...keys.map((key, at) => (isOfConfiguration(cells[at]!) && key.length > 0 ? "some" : key)),
      ];
    });
    expect(told).toEqual(made);
  });

  it.runIf(fixed)("lists every declared column of every table", async () => {
    const told = new Map(
      tableOf(section("Loaded tables")).map(([table, columns]) => [unquoted(table!), namesIn(columns!)]),
    );
    const made = await resources();
    for (const { name, hints } of made) {
      const missing = Object.keys(hints.columns ?? {}).filter((column) => !told.get(name)?.includes(column));
      expect([name, missing]).toEqual([name, []]);
    }
    expect([...told.keys()]).toEqual(made.map(({ name }) => name));
  });
});

describe("docs/API_REFERENCE.md", () => {
  const text = pageOf("API_REFERENCE");
  const rows = tableOf(sectionOf(text, "Resources"));

  it("has every built-in source, each with a page that is checked here", () => {
    expect(PAGES.map(({ source }) => source).sort()).toEqual([...builtInSourceNames()].sort());
    expect([...new Set(rows.map(([source]) => linked(source!)))].sort()).toEqual(
      [...builtInSourceNames()].sort(),
    );
    const parts = tableOf(sectionOf(text, "Where it is told"));
    expect(parts.map(([source]) => unquoted(source!)).sort()).toEqual([...builtInSourceNames()].sort());
    for (const [source, ...cells] of parts) {
      expect(cells.slice(0, SECTIONS.length).map((cell) => linkOf(cell))).toEqual(
        SECTIONS.map((name) => `${unquoted(source!)}.md#${anchorOf(name)}`),
      );
    }
  });

  it("tells dispositions, keys, cursors and state as the pages do", () => {
    const told = rows.map(([source, resource, , , ...facts]) => [linked(source!), resource, ...facts]);
    const pages = PAGES.flatMap(({ source }) =>
      tableOf(sectionOf(pageOf(source), "Resources")).map((cells) => [source, ...cells]),
    );
    expect(told).toEqual(pages);
  });

  it("names the secrets that the pages name", () => {
    for (const [source, , , auth] of rows) {
      const { secret } = PAGES.find((each) => each.source === linked(source!))!;
      if (source !== "[rest_api](rest_api.md)") expect(auth).toContain(secret);
    }
  });
});

it("links between the pages of docs/ lead to a page and a heading", () => {
  const files = readdirSync(DOCS).filter((file) => file.endsWith(".md"));
  for (const file of files) {
    const text = readFileSync(new URL(file, DOCS), "utf8");
    for (const [, page = "", anchor] of text.matchAll(/\]\(([\w.]*\.md)?(?:#([\w-]+))?\)/g)) {
      const target = page === "" ? file : page;
      expect(files, `${file} links to ${target}`).toContain(target);
      if (anchor === undefined) continue;
      const headings = readFileSync(new URL(target, DOCS), "utf8").matchAll(/^#+ (.+)$/gm);
      const anchors = [...headings].map(([, heading]) => anchorOf(heading!));
      expect(anchors, `${file} links to ${target}#${anchor}`).toContain(anchor);
    }
  }
});

type JsonSchema = {
  properties?: Record<string, JsonSchema>;
  additionalProperties?: JsonSchema | boolean;
  items?: JsonSchema;
  anyOf?: JsonSchema[];
  oneOf?: JsonSchema[];
  required?: string[];
  default?: unknown;
};

const jsonSchemaOf = (schema: z.ZodType): JsonSchema =>
  z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }) as JsonSchema;

/** Every setting at any depth by its path, with its default: `resources.<name>`, `incremental.lag`. */
function settingsOf(schema: z.ZodType): ReadonlyMap<string, { readonly default?: unknown }> {
  const found = new Map<string, { readonly default?: unknown }>();
  const visit = (node: JsonSchema, path: string): void => {
    for (const part of [...(node.anyOf ?? []), ...(node.oneOf ?? [])]) visit(part, path);
    if (node.items !== undefined) visit(node.items, path);
    for (const [key, inner] of Object.entries(node.properties ?? {})) {
      const at = path === "" ? key : `${path}.${key}`;
      found.set(at, inner);
      // what a column may be is told in sources.md
      if (key !== "columns") visit(inner, at);
    }
    if (path === "resources" && typeof node.additionalProperties === "object") {
      found.delete(path);
      found.set("resources.<name>", {});
      visit(node.additionalProperties, path);
    }
  };
  visit(jsonSchemaOf(schema), "");
  return found;
}

function requiredOf(schema: z.ZodType): string[] {
  const { required = [], properties = {} } = jsonSchemaOf(schema);
  return required.filter((key) => properties[key]?.default === undefined && key !== "resources");
}

/** Cells of the rows of the first Markdown table, without its head. */
function tableOf(text: string): string[][] {
  const [first = ""] = text.match(/(?:^\|.*\n)+/m) ?? [];
  return first.trimEnd().split("\n").slice(2).map(cellsOf);
}

/** Rows of all tables whose first column begins with this word. */
function tablesOf(text: string, head: string): string[][] {
  return (text.match(/(?:^\|.*\n)+/gm) ?? [])
    .filter((table) => table.startsWith(`| ${head}`))
    .flatMap((table) => table.trimEnd().split("\n").slice(2).map(cellsOf));
}

function cellsOf(line: string): string[] {
  return line
    .split(/(?<!\\)\|/)
    .slice(1, -1)
    .map((cell) => cell.trim());
}

/** A cell in words, or the name of a setting, stands for what a configuration says. */
function isOfConfiguration(cell: string): boolean {
  return cell !== "" && (!cell.includes("`") || cell === "`incremental.cursor`");
}

function namesIn(cell: string): string[] {
  const prose = cell.replace(/```[\s\S]*?```/g, "");
  return [...prose.matchAll(/`([^`]+)`/g)].map(([, name]) => name!);
}

function words(name: string): string[] {
  return name.match(/\w+|<\w+>/g) ?? [];
}

function unquoted(cell: string): string {
  return cell.replaceAll("`", "");
}

function linked(cell: string): string {
  return /^\[(\w+)\]/.exec(cell)?.[1] ?? cell;
}

function linkOf(cell: string): string {
  return /\]\(([^)]+)\)/.exec(cell)?.[1] ?? "";
}

/** As GitHub makes them. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\w\s-]/g, "")
    .trim()
    .replaceAll(" ", "-");
}
