import { existsSync, readFileSync } from "node:fs";
import { Command } from "commander";
import { describe, expect, it } from "vitest";
import { CATALOG } from "../../src/tools/catalog.ts";
import { withServerFlags } from "../../src/tools/server-flags.ts";

const ROOT = new URL("../../", import.meta.url);
const read = (file: string) => JSON.parse(readFileSync(new URL(file, ROOT), "utf8"));
const pkg = read("package.json");

/** Arguments of `loadwright mcp …` as a manifest has them; parsing refuses a flag that is not known. */
function parse(args: readonly string[]): void {
  const flags = args
    .slice(args.indexOf("mcp") + 1)
    .map((each) => each.replace(/^\$\{user_config\.allow\}$/, "run"));
  withServerFlags(new Command().option("--workspace <dir>").exitOverride()).parse(flags, { from: "user" });
}

describe("what the package is installed by", () => {
  it("the Claude Code plugin has the package's name, version and start command", () => {
    const plugin = read(".claude-plugin/plugin.json");
    expect([plugin.name, plugin.version, plugin.license]).toEqual([pkg.name, pkg.version, pkg.license]);
    expect(
      read(".claude-plugin/marketplace.json").plugins.map((each: { name: string }) => each.name),
    ).toEqual([pkg.name]);
    const { args } = read(".mcp.json").mcpServers.loadwright;
    expect(args).toContain(`${pkg.name}@${pkg.version}`);
    parse(args);
  });

  it("the bundle's manifest names a program that is there and every tool", () => {
    const manifest = read("manifest.json");
    expect([manifest.name, manifest.version, manifest.license]).toEqual([pkg.name, pkg.version, pkg.license]);
    expect(manifest.compatibility.runtimes.node).toBe(pkg.engines.node);
    expect(existsSync(new URL(manifest.server.entry_point, ROOT))).toBe(true);
    expect(manifest.server.entry_point).toBe(pkg.bin.loadwright);
    expect(manifest.tools).toEqual(CATALOG.map((tool) => ({ name: tool.name, description: tool.title })));
    parse(manifest.server.mcp_config.args);
  });

  it("folders that are read at run time are in the package", () => {
    expect(pkg.files).toEqual(expect.arrayContaining(["dist", "docs", "skills", "ui"]));
  });

  it("the registry entry is of this version", () => {
    const server = read("server.json");
    const [entry] = server.packages;
    expect([server.version, entry.identifier, entry.version]).toEqual([pkg.version, pkg.name, pkg.version]);
    expect(server.description.length).toBeLessThanOrEqual(100);
    const names: string[] = entry.packageArguments.flatMap((each: { name?: string; value?: string }) =>
      each.name === undefined ? [String(each.value)] : [each.name, "run"],
    );
    parse(names);
  });
});
