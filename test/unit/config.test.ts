import { describe, expect, it } from "vitest";
import { EngineError } from "../../src/engine/errors.ts";
import { lineOf, parseConfig } from "../../src/tools/config.ts";

function refusal(text: string): EngineError {
  try {
    parseConfig(text, "loadwright.toml");
  } catch (error) {
    if (error instanceof EngineError) return error;
    throw error;
  }
  throw new Error("expected a refusal");
}

describe("loadwright.toml", () => {
  it("gives every setting its default and limits their unit names", () => {
    const config = parseConfig(`
[pipelines.shop]
source = "orders"
[pipelines.shop.config]
since = 2024-01-01
glob = "*.csv"
[pipelines.shop.limits]
package_rows_max = 1000
`);
    expect(config.pipelines.get("shop")).toEqual({
      name: "shop",
      source: "orders",
      destination: "duckdb",
      config: { since: "2024-01-01", glob: "*.csv" },
      limits: { packageRowsMax: 1000 },
      checks: {},
    });
  });

  it("takes the checks of a table, and refuses one that there is not with the nearest name", () => {
    const text = '[pipelines.a]\nsource = "x"\n[pipelines.a.checks.orders]\n';
    const { checks } = parseConfig(`${text}unique = [["id"]]\nrows_min = 1\n`).pipelines.get("a")!;
    expect(checks).toEqual({ orders: { unique: [["id"]], rows_min: 1 } });
    expect(refusal(`${text}row_min = 1\n`).message).toContain('Did you mean "rows_min"');
  });

  it("accepts an empty file", () => {
    expect(parseConfig("").pipelines.size).toBe(0);
  });

  it("refuses an unknown key with its line and the nearest known key", () => {
    const error = refusal('[pipelines.shop]\nsource = "orders"\ndatset = "raw"\n');
    expect(error.code).toBe("CONFIG_INVALID");
    expect(error.message).toBe(
      'loadwright.toml:3: pipelines.shop.datset: unknown key. Did you mean "dataset"?',
    );
  });

  it("refuses an unknown limit and an unknown section", () => {
    expect(refusal('[pipelines.a]\nsource="x"\nlimits.package_row_max = 5\n').message).toContain(
      'loadwright.toml:3: pipelines.a.limits.package_row_max: unknown key. Did you mean "package_rows_max"',
    );
    expect(refusal("[pipeline.a]\n").message).toContain('unknown key. Did you mean "pipelines"?');
  });

  it("reports every problem, not only the first", () => {
    const error = refusal("[pipelines.a]\nx = 1\n[pipelines.b]\nsource = 3\n");
    const paths = (error.details.problems as { path: string; line: number }[]).map((p) => [p.path, p.line]);
    expect(paths).toEqual(
      expect.arrayContaining([
        ["pipelines.a.x", 2],
        ["pipelines.a.source", 1],
        ["pipelines.b.source", 4],
      ]),
    );
  });

  it("refuses a destination that is not there, and names the near one", () => {
    const text =
      '[pipelines.a]\nsource = "x"\ndestination = "warehose"\n[destinations.warehouse]\ntype = "duckdb"\n';
    expect(refusal(text).message).toContain(
      'loadwright.toml:3: pipelines.a.destination: there is no destination "warehose". Did you mean "warehouse"?',
    );
  });

  it("refuses a pipeline name that cannot be a folder or a schema", () => {
    expect(refusal('[pipelines."../x"]\nsource = "x"\n').code).toBe("CONFIG_INVALID");
  });

  it("names the line of a syntax error", () => {
    const error = refusal('[pipelines.a]\nsource = "x\n');
    expect(error.message).toMatch(/^loadwright\.toml:2: not valid TOML/);
  });
});

describe("lineOf", () => {
  it("finds keys under headers, dotted keys and quoted names", () => {
    const text = 'a = 1\n[b.c]\nd.e = 2\n["x y"]\nz = 1';
    expect(lineOf(text, ["a"])).toBe(1);
    expect(lineOf(text, ["b", "c", "d", "e"])).toBe(3);
    expect(lineOf(text, ["x y", "z"])).toBe(5);
    expect(lineOf(text, ["b", "c", "missing"])).toBe(2);
    expect(lineOf(text, ["nowhere"])).toBeUndefined();
  });
});
