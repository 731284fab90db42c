import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { EngineError } from "../../src/engine/errors.ts";
import { namingByName, snakeCase } from "../../src/engine/schema/naming.ts";

interface Golden {
  names: string[];
  cases: { name: string; max: number | null; cs: boolean; rows: [string | null, string | null, string][] }[];
}
const golden = JSON.parse(readFileSync(new URL("../golden/naming.json", import.meta.url), "utf8")) as Golden;

function orNull(make: () => string): string | null {
  try {
    return make();
  } catch (error) {
    if (error instanceof EngineError && error.code === "IDENTIFIER_INVALID") return null;
    throw error;
  }
}

describe("naming conventions give the names that dlt gives", () => {
  for (const { name, max, cs, rows } of golden.cases) {
    it(`${name} with ${max ?? "no"} limit`, () => {
      const naming = namingByName(name, max ?? undefined);
      const ours = golden.names.map((source) => [
        orNull(() => naming.identifier(source)),
        orNull(() => naming.path(source)),
        naming.join(["parent", source, "leaf"]),
      ]);
      expect(naming.caseSensitive).toBe(cs);
      for (const [i, source] of golden.names.entries()) expect([source, ours[i]]).toEqual([source, rows[i]]);
    });
  }
});

describe("snake_case", () => {
  it("shortens around a tag of the source name", () => {
    const long = "ThisIsAVeryLongColumnNameThatExceedsTheLimitOfPostgresIdentifiersBySome";
    expect(snakeCase(63).path(long)).toBe("this_is_a_very_long_column_naw5abgqpostgres_identifiers_by_some");
    expect(snakeCase(16).path(long)).toBe("this_w5abgq_some");
    expect(snakeCase(63).path("a".repeat(70))).toBe("a".repeat(29) + "mo6cba" + "a".repeat(28));
    expect(snakeCase(6).shorten("abcdefg", "abc")).toBe("wiejlq");
  });

  it("keeps __ in paths, unless the schema comes from an old engine", () => {
    expect(snakeCase().path("fooBar__bazQux")).toBe("foo_bar__baz_qux");
    expect(snakeCase(undefined, { breakPath: false }).path("fooBar__bazQux")).toBe("foo_bar_baz_qux");
    expect(snakeCase().path("__")).toBe("");
  });

  it("refuses blank names and unknown conventions", () => {
    expect(() => snakeCase().identifier("  ")).toThrow(/blank/);
    expect(() => namingByName("constructor")).toThrow(/no naming convention/);
  });
});
