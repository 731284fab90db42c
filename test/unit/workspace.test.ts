import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { findWorkspace } from "../../src/tools/workspace.ts";

let dir: string;
beforeEach(() => {
  dir = realpathSync(mkdtempSync(join(tmpdir(), "loadwright-workspace-")));
  writeFileSync(
    join(dir, "loadwright.toml"),
    '[pipelines.shop]\nsource = "orders"\n[pipelines.ads]\nsource = "ads"\ndestination = "lake"\n[destinations.lake]\ntype = "duckdb"\npath = "data/lake.db"\n',
  );
});
afterEach(() => rmSync(dir, { recursive: true }));

describe("findWorkspace", () => {
  it("finds the nearest folder with loadwright.toml", () => {
    mkdirSync(join(dir, "a/b"), { recursive: true });
    expect(findWorkspace(join(dir, "a/b")).dir).toBe(dir);
    expect(findWorkspace("/", dir).dir).toBe(dir);
    expect(findWorkspace(dir, "loadwright.toml").dir).toBe(dir);
  });

  it("says where it looked", () => {
    expect(() => findWorkspace("/", join(dir, "none"))).toThrow(/none has no loadwright.toml/);
    expect(() => findWorkspace(tmpdir())).toThrow(/or any folder above/);
  });
});

describe("a workspace", () => {
  it("places working folders and databases", () => {
    const workspace = findWorkspace(dir);
    expect(workspace.pipelineNames()).toEqual(["shop", "ads"]);
    expect(workspace.pipelineDir("shop")).toBe(join(dir, ".loadwright/pipelines/shop"));
    expect(workspace.databasePath(workspace.pipelineConfig("shop"))).toBe(join(dir, "shop.duckdb"));
    expect(workspace.databasePath(workspace.pipelineConfig("ads"))).toBe(join(dir, "data/lake.db"));
  });

  it("names the near pipeline when there is none of that name", () => {
    expect(() => findWorkspace(dir).pipelineConfig("shpo")).toThrow('Did you mean "shop"?');
    expect(() => findWorkspace(dir).pipelineConfig("zzz")).toThrow("There are: shop, ads.");
  });

  it("refuses paths that leave it, also through a link", () => {
    const workspace = findWorkspace(dir);
    symlinkSync("/tmp", join(dir, "out"));
    expect(workspace.inside("sources/x/index.ts")).toBe(join(dir, "sources/x/index.ts"));
    expect(workspace.inside("..dots/x")).toBe(join(dir, "..dots/x"));
    for (const path of ["../x", "/etc/passwd", "out/x", "a/../../x"]) {
      expect(() => workspace.inside(path), path).toThrow(/outside the workspace/);
    }
  });
});
