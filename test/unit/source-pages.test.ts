/**
 * Each source's page in docs/ says what the code does: its settings, resources, keys, cursors, columns and error
 * codes. A source joins by an entry in PAGES; one whose resources are what the configuration says has none.
 */

import { readFileSync } from "node:fs";
import { parse } from "smol-toml";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { ERRORS, type Resource } from "../../src/engine/index.ts";
import { everflowConfigSchema } from "../../src/sources/everflow/config.ts";
import { everflowResources } from "../../src/sources/everflow/resources.ts";
import { redtrackConfigSchema } from "../../src/sources/redtrack/config.ts";
import { redtrackResources } from "../../src/sources/redtrack/resources.ts";

interface Page {
  readonly source: string;
  readonly schema: z.ZodType;
  /** With the least configuration. */
  readonly resources?: () => readonly Resource[];
  /** Where the secret's name stands. */
  readonly secret?: string;
}

const PAGES: readonly Page[] = [
  {
    source: "everflow",
    schema: everflowConfigSchema,
    resources: () => everflowResources({ start_date: "2026-01-01" }, "key"),
    secret: "SOURCES__EVERFLOW__API_KEY",
  },
  {
    source: "redtrack",
    schema: redtrackConfigSchema,
    resources: () => redtrackResources({ start_date: "2026-01-01" }, "key"),
    secret: "SOURCES__REDTRACK__API_KEY",
  },
];

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

describe.each(PAGES)("the page of $source", ({ source, schema, resources, secret }) => {
  const text = readFileSync(new URL(`../../docs/${source}.md`, import.meta.url), "utf8");
  const section = (name: string): string =>
    text.split(/^## /m).find((part) => part.startsWith(`${name}\n`)) ?? "";

  it("has every section, links to the vendor and the name of the secret", () => {
    expect(SECTIONS.filter((name) => section(name) === "")).toEqual([]);
    expect(text).toMatch(/\]\(https:\/\//);
    if (secret !== undefined) expect(section("Credentials")).toContain(secret);
  });

  it("lists the settings that there are, and says their defaults", () => {
    const { properties } = z.toJSONSchema(schema, { io: "input" }) as {
      properties: Record<string, { default?: unknown }>;
    };
    const rows = tableOf(section("Settings"));
    expect(rows.map(([key]) => unquoted(key!)).sort()).toEqual(Object.keys(properties).sort());
    for (const [key, meaning] of rows) {
      const standard = properties[unquoted(key!)]!.default;
      const says = standard === undefined || Array.isArray(standard) || meaning!.includes(String(standard));
      expect([key, says]).toEqual([key, true]);
    }
  });

  it("has configurations that are accepted", () => {
    const blocks = [...text.matchAll(/```toml\n([\s\S]*?)```/g)].map(([, block]) => block!);
    expect(blocks.length).toBeGreaterThan(0);
    for (const block of blocks) {
      const { pipelines } = parse(block) as unknown as {
        pipelines: Record<string, { source: string; config: unknown }>;
      };
      for (const pipeline of Object.values(pipelines)) {
        expect(pipeline.source).toBe(source);
        schema.parse(pipeline.config);
      }
    }
  });

  it("has examples that are JSON", () => {
    const blocks = [...text.matchAll(/```json\n([\s\S]*?)```/g)].map(([, block]) => block!);
    expect(blocks.length).toBeGreaterThan(1);
    for (const block of blocks) JSON.parse(block);
  });

  it("lists error codes that exist", () => {
    const codes = tableOf(section("Errors")).flatMap(([code]) => namesIn(code!));
    expect(codes.length).toBeGreaterThan(0);
    expect(codes.filter((code) => !(code in ERRORS))).toEqual([]);
  });

  it.runIf(resources !== undefined)("lists the resources with disposition, keys and cursor", () => {
    const told = tableOf(section("Resources")).map(([name, disposition, key, merge, cursor]) => [
      unquoted(name!),
      disposition,
      namesIn(key!),
      namesIn(merge!),
      namesIn(cursor!),
    ]);
    const made = resources!().map(({ name, hints }) => [
      name,
      hints.writeDisposition,
      [hints.primaryKey ?? []].flat(),
      [hints.mergeKey ?? []].flat(),
      [hints.incremental?.cursorPath ?? []].flat(),
    ]);
    expect(told).toEqual(made);
  });

  it.runIf(resources !== undefined)("lists every declared column of every table", () => {
    const told = new Map(
      tableOf(section("Loaded tables")).map(([table, columns]) => [unquoted(table!), namesIn(columns!)]),
    );
    for (const { name, hints } of resources!()) {
      const missing = Object.keys(hints.columns ?? {}).filter((column) => !told.get(name)?.includes(column));
      expect([name, missing]).toEqual([name, []]);
    }
    expect([...told.keys()]).toEqual(resources!().map(({ name }) => name));
  });
});

/** Cells of the rows of the first Markdown table, without its head. */
function tableOf(text: string): string[][] {
  const lines = text.split("\n").filter((line) => line.startsWith("|"));
  return lines.slice(2).map((line) =>
    line
      .split(/(?<!\\)\|/)
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

function namesIn(cell: string): string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map(([, name]) => name!);
}

function unquoted(cell: string): string {
  return cell.replaceAll("`", "");
}
