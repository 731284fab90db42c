import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parseJson, parseJsonDocument, plainJson } from "../../src/engine/interop/json.ts";
import type { Schema } from "../../src/engine/schema/types.ts";
import {
  bumpSchema,
  newSchema,
  pipelineStateTable,
  schemaToStored,
  schemaVersionHash,
  storedToSchema,
} from "../../src/engine/schema/version.ts";

interface Golden {
  stored: [json: string, hash: string][];
  steps: [version: number, hash: string, previous: string[]][];
  old: [before: string, after: string][];
  state_table: string;
}
const golden = JSON.parse(readFileSync(new URL("../golden/schema.json", import.meta.url), "utf8")) as Golden;
const read = (json: string): Schema => storedToSchema(parseJsonDocument(new TextEncoder().encode(json)));

describe("a schema", () => {
  it("is fresh as dlt's", () => {
    expect(plainJson(schemaToStored(newSchema("test")))).toBe(golden.stored[0]?.[0]);
    // what is stored comes from a resource, which has no description
    const { description: _, ...table } = JSON.parse(golden.state_table) as Record<string, unknown>;
    expect(JSON.parse(plainJson(pipelineStateTable()))).toEqual(table);
    expect(() => newSchema("1x")).toThrow(/not a schema name/);
  });

  it("has the hash that dlt 1.26 gave, before dlt's own columns had descriptions", () => {
    const schema = newSchema("test");
    for (const table of schema.tables.values()) {
      for (const column of table.columns.values()) delete column.description;
    }
    expect(schemaVersionHash(schema)).toBe("3w+/G0RiHeHV9+Q8Nx7V2V6cu7j2YjUj9ptF5QaduQQ=");
  });

  it("survives reading and writing, with dlt's hash", () => {
    for (const [json, hash] of golden.stored) {
      expect(plainJson(schemaToStored(read(json)))).toBe(json);
      expect(schemaVersionHash(read(json))).toBe(hash);
      expect(bumpSchema(read(json))).toBe(false);
    }
  });

  it("may come as plain objects, when no name looks like an integer", () => {
    const [json, hash] = golden.stored[0] as [string, string];
    expect(schemaVersionHash(storedToSchema(parseJson(json)))).toBe(hash);
  });

  it("goes up by one version per change and remembers ten hashes", () => {
    const schema = read(golden.stored[1]?.[0] as string);
    for (const [i, [version, hash, previous]] of golden.steps.entries()) {
      const name = `c${i}`;
      schema.tables.get("users")?.columns.set(name, { name, data_type: "text", nullable: true });
      expect(bumpSchema(schema)).toBe(true);
      expect([schema.version, schema.version_hash, schema.previous_hashes]).toEqual([
        version,
        hash,
        previous,
      ]);
    }
  });

  it("notices the order of columns", () => {
    const schema = read(golden.stored[1]?.[0] as string);
    const users = schema.tables.get("users");
    if (users !== undefined) users.columns = new Map([...users.columns].reverse());
    expect(bumpSchema(schema)).toBe(true);
  });

  it("of an older engine is migrated as dlt does", () => {
    for (const [before, after] of golden.old) {
      const ours = schemaToStored(read(before));
      expect(parseJson(plainJson(ours))).toEqual(parseJson(after));
    }
  });

  it("of a newer engine, or without its tables, is refused", () => {
    const stored = parseJson(golden.stored[0]?.[0] as string) as Record<string, unknown>;
    expect(() => storedToSchema({ ...stored, engine_version: 12 })).toThrow(
      expect.objectContaining({ code: "SCHEMA_ENGINE_NEWER" }),
    );
    for (const broken of [
      { ...stored, engine_version: 2 },
      { ...stored, tables: {} },
      [],
      null,
      { ...stored, name: 1 },
    ]) {
      expect(() => storedToSchema(broken)).toThrow(expect.objectContaining({ code: "SCHEMA_INVALID" }));
    }
  });
});
