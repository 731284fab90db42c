import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { dbmlDiagram, mermaidDiagram } from "../../src/engine/schema/diagrams.ts";
import {
  schemaFromDocument,
  schemaFromText,
  schemaToPrettyJson,
  schemaToYaml,
  withoutProcessingHints,
} from "../../src/engine/schema/documents.ts";
import { schemaVersionHash } from "../../src/engine/schema/version.ts";

const CASES = join(import.meta.dirname, "../golden/cases");
/** Schemas that dlt stored, whatever group they are of. */
const stored = readdirSync(CASES).flatMap((group) =>
  readdirSync(join(CASES, group)).flatMap((file) => {
    const { expect: runs } = JSON.parse(readFileSync(join(CASES, group, file), "utf8")) as {
      expect: { schema?: Record<string, unknown> }[];
    };
    return runs.flatMap(({ schema }) =>
      schema ? [[`${group}/${file}`, JSON.stringify(schema)] as const] : [],
    );
  }),
);

const withColumn = (table: object, column: unknown): object => ({ ...table, columns: { c: column } });

describe("a schema file", () => {
  it("gives back each of dlt's stored schemas with its hash, as YAML and as JSON", () => {
    expect(stored.length).toBeGreaterThan(200);
    for (const [name, text] of stored) {
      const schema = schemaFromText(text);
      const hash = schemaVersionHash(schema);
      expect([name, schemaFromDocument(schemaToYaml(schema), "yaml", name).version_hash]).toEqual([
        name,
        hash,
      ]);
      const json = schemaFromDocument(schemaToPrettyJson(schema), "json", name);
      expect([name, json.version_hash]).toEqual([name, hash]);
    }
  });

  it("quotes what YAML 1.1 would take for something else", () => {
    const schema = schemaFromText(stored[0]![1]);
    const words = ["no", "on", "2024-01-02", "1_000", "0x1f", "~", "null", "1e3", "12:30:00"];
    for (const word of words) {
      schema.description = word;
      const text = schemaToYaml(schema);
      expect(text).toMatch(new RegExp(`^description: ["']${word}["']$`, "m"));
      expect(schemaFromDocument(text, "yaml", "f").description).toBe(word);
    }
  });

  it("keeps the columns of a table in order, whatever their names", () => {
    const schema = schemaFromText(stored[0]![1]);
    const columns = new Map(
      ["b", "10", "2", "a"].map((name) => [name, { name, data_type: "text" as const }]),
    );
    schema.tables.set("t", { name: "t", columns, write_disposition: "append", resource: "t" });
    const back = schemaFromDocument(schemaToYaml(schema), "yaml", "f");
    expect([...back.tables.get("t")!.columns.keys()]).toEqual(["b", "10", "2", "a"]);
  });

  it("that was edited has the hash and the next version of its content", () => {
    const schema = schemaFromText(stored[0]![1]);
    const text = schemaToYaml(schema).replace("data_type: bigint", "data_type: text");
    const edited = schemaFromDocument(text, "yaml", "f");
    expect(edited.version).toBe(schema.version + 1);
    expect(edited.version_hash).not.toBe(schema.version_hash);
  });

  it("that is broken is refused with its name", () => {
    for (const text of ["a: [", "- 1", "version: 1", ""]) {
      expect(() => schemaFromDocument(text, "yaml", "shop.schema.yaml")).toThrow(
        expect.objectContaining({
          code: "SCHEMA_INVALID",
          details: expect.objectContaining({ file: "shop.schema.yaml" }),
        }),
      );
    }
  });

  it("of dlt has names without quotes that are words of YAML", () => {
    const schema = schemaFromText(stored[0]![1]);
    const columns = new Map(
      ["n", "Y", "e5", "x"].map((name) => [name, { name, data_type: "text" as const }]),
    );
    schema.tables.set("t", { name: "t", columns, write_disposition: "append", resource: "t" });
    const text = schemaToYaml(schema).replace(/^( +)"(n|Y|e5)":$/gm, "$1$2:");
    const back = schemaFromDocument(text, "yaml", "f");
    expect([...back.tables.get("t")!.columns.keys()]).toEqual(["n", "Y", "e5", "x"]);
    expect(back.version_hash).toBe(schemaVersionHash(schema));
  });

  it.each([
    ['"colums"', (table) => ({ ...table, colums: {} }), "columns"],
    ['"nulable"', (table) => withColumn(table, { data_type: "text", nulable: true }), "nullable"],
    ["data_type of column t.c", (table) => withColumn(table, { data_type: "txt" }), "bigint"],
    ["column t.c is not an object", (table) => withColumn(table, "text")],
    ["scale of column t.c", (table) => withColumn(table, { data_type: "decimal", scale: "2" })],
    ["nullable of column t.c", (table) => withColumn(table, { nullable: "no" })],
    ["write_disposition of table t", (table) => ({ ...table, write_disposition: "upsert" }), "merge"],
    ["the parent of table t", (table) => ({ ...table, parent: "nobody" })],
    ["schema contract", (table) => ({ ...table, schema_contract: "never" })],
  ] as [string, (table: object) => object, string?][])("with a slip is refused: %s", (what, edit, better) => {
    const schema = JSON.parse(stored[0]![1]) as { tables: Record<string, object> };
    schema.tables.t = edit({ columns: {} });
    const read = (): unknown => schemaFromDocument(JSON.stringify(schema), "json", "shop.schema.json");
    expect(read).toThrow(expect.objectContaining({ code: "SCHEMA_INVALID" }));
    expect(read).toThrow(what);
    if (better) expect(read).toThrow(better);
    expect(read).toThrow("shop.schema.json");
  });

  it("for a new dataset has no notes of what was loaded", () => {
    for (const [, text] of stored.slice(0, 20)) {
      expect(schemaToYaml(withoutProcessingHints(schemaFromText(text)))).not.toContain("x-normalizer");
    }
  });
});

describe("a diagram", () => {
  const schema = schemaFromText(stored.find(([name]) => name === "nesting/list_of_objects.json")![1]);
  const tables = [...schema.tables.values()].filter(({ name }) => !name.startsWith("_dlt"));

  it("joins nested tables to their parents", () => {
    expect(mermaidDiagram(tables)).toMatch(/\|\|--o\{ \w+ : contains/);
    expect(dbmlDiagram(tables)).toMatch(/^Ref: "\w+"\."_dlt_parent_id" > "\w+"\."_dlt_id"$/m);
  });

  it("has no broken line for any name or description", () => {
    const [table] = tables;
    const odd = { ...table!, name: 'a "b"\nc', description: "it's\nlong" };
    odd.columns = new Map([["1 x▶", { name: "1 x▶", data_type: "text", description: 'say "hi"' }]]);
    expect(mermaidDiagram([odd])).toBe(`erDiagram\n    "a 'b' c" {\n        text _1_x_ "say 'hi'"\n    }\n`);
    expect(dbmlDiagram([odd])).toBe(
      `Table "a 'b' c" {\n  "1 x▶" text [note: 'say "hi"']\n\n  Note: 'it\\'s long'\n}\n`,
    );
  });
});
