import { execFileSync } from "node:child_process";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CATALOG } from "../../src/tools/catalog.ts";
import { addToolCommands, commandLine } from "../../src/tools/cli-commands.ts";
import { exampleOf } from "../../src/tools/examples.ts";
import { BIN, cli, startCli } from "../support/cli.ts";
import { HOSTILE, makeShop } from "../support/mcp.ts";
import { exampleInput } from "../support/tool-inputs.ts";
import type { TestWorkspace } from "../support/workspace.ts";

let workspace: TestWorkspace;
beforeAll(async () => {
  workspace = await makeShop();
});
afterAll(() => workspace.remove());

/** The words of a command line, as a shell would split it. */
function split(line: string): string[] {
  return [...line.matchAll(/'([^']*)'|(\S+)/g)].map((match) => match[1] ?? match[2] ?? "");
}

describe("each tool as a command", () => {
  for (const tool of CATALOG) {
    it(`${tool.name} takes its example, typed as its help shows it`, async () => {
      const example = exampleOf(tool);
      expect(example, "src/tools/examples.ts needs a value for what the tool requires").toBeDefined();
      const calls: unknown[] = [];
      const root = new Command("loadwright").exitOverride();
      addToolCommands(root, CATALOG, async (called, input) => {
        calls.push([called.name, input]);
      });
      const line = commandLine(tool, example ?? {});
      await root.parseAsync(split(line).slice(1), { from: "user" });
      expect(calls).toEqual([[tool.name, example]]);
      expect(root.commands.find((each) => each.name() === tool.name)?.helpInformation()).toContain("--json");
    });
  }

  it("answers the same JSON as the tool, or a table, and next steps as commands", async () => {
    const args = ["query_data", "shop", "select id, note from orders order by id desc", "--limit", "1"];
    const json = await cli(workspace.dir, ...args, "--json");
    expect(JSON.parse(json.stdout).data.rows).toEqual([[9999, HOSTILE]]);
    const text = await cli(workspace.dir, ...args);
    expect(text.stdout).toContain("│ 9999 │");
    const loads = await cli(workspace.dir, "query-loads", "shop");
    expect(loads.stdout).toContain("loadwright drop_pending_packages shop");
    const coded = await cli(workspace.dir, "query_data", "shop", "select chr(27) || '[2J' as x");
    expect(coded.stdout).not.toContain("\u001b[2J");
  });

  it("takes a statement that begins with a comment or a sign, and one from standard input", async () => {
    const commented = "-- the last order\nselect max(id) as id from orders";
    for (const command of ["query_data", "query"]) {
      const bare = await cli(workspace.dir, command, "shop", commented, "--json");
      expect(JSON.parse(bare.stdout).data.rows, bare.stdout + bare.stderr).toEqual([[9999]]);
      const piped = execFileSync(process.execPath, [BIN, command, "shop", "-", "--json"], {
        cwd: workspace.dir,
        input: commented,
        encoding: "utf8",
      });
      expect(JSON.parse(piped).data.rows).toEqual([[9999]]);
    }
    const unknown = await cli(workspace.dir, "query_data", "shop", "select 1", "--nope=a b");
    expect(unknown.stderr).toContain("unknown option '--nope");
  });

  it("takes --version as the tool's own, behind its name", async () => {
    const schema = await cli(workspace.dir, "get_schema", "shop", "--version", "99", "--json");
    expect(JSON.parse(schema.stdout).error).toMatchObject({ code: "SCHEMA_VERSION_NOT_FOUND" });
  });

  it("ends as it would when nobody reads on, as behind `| head`", async () => {
    for (const words of [["--help"], ["list"]]) {
      const { child, done } = startCli(workspace.dir, ...words);
      child.stdout?.destroy();
      expect(await done).toMatchObject({ code: 0, stderr: "" });
    }
  });

  it("asks before it destroys, and tells what is wrong with what was typed", async () => {
    const drop = await cli(workspace.dir, "drop_pending_packages", "shop", "--json");
    expect([drop.code, JSON.parse(drop.stdout).error.code]).toEqual([5, "CONFIRM_REQUIRED"]);
    expect((await cli(workspace.dir, "get_shema", "shop")).stderr).toContain("get_schema");
    expect((await cli(workspace.dir, "query_loads")).code).toBe(2);
    expect((await cli(workspace.dir, "query_loads", "shop", "--status", "odd")).stderr).toContain(
      "normalized",
    );
  });

  it("has inputs for the calls of other tests", () => {
    for (const tool of CATALOG) expect(tool.input.safeParse(exampleInput(tool)).success).toBe(true);
  });
});

describe("completion in bash", () => {
  /** What bash offers for a line, by the script that we print. */
  function offered(line: string): string[] {
    const bin = join(workspace.dir, "loadwright");
    writeFileSync(bin, `#!/bin/sh\nexec "${process.execPath}" "${BIN}" "$@"\n`);
    chmodSync(bin, 0o755);
    const words = line.split(" ");
    const script = `
      source <("$0" completion bash)
      COMP_WORDS=(${words.map((word) => `"${word}"`).join(" ")}); COMP_CWORD=${words.length - 1}
      COMP_LINE="${line}"; COMP_POINT=${line.length}
      compopt() { :; }
      _get_comp_words_by_ref() { cur="\${COMP_WORDS[COMP_CWORD]}"; prev="\${COMP_WORDS[COMP_CWORD-1]}"; words=("\${COMP_WORDS[@]}"); cword=$COMP_CWORD; }
      "$(complete -p loadwright | sed -E 's/.*-F ([^ ]+).*/\\1/')"
      printf '%s\\n' "\${COMPREPLY[@]}"`;
    const env = { ...process.env, PATH: `${workspace.dir}:${process.env.PATH}` };
    const told = execFileSync("bash", ["-c", script, bin], { cwd: workspace.dir, env, encoding: "utf8" });
    return told
      .split("\n")
      .map((each) => each.split(/[\t ]/)[0] ?? "")
      .filter((each) => each !== "");
  }

  it("offers commands, pipelines and options", () => {
    expect(offered("loadwright get_")).toEqual(
      expect.arrayContaining(["get_workspace", "get_run", "get_schema"]),
    );
    expect(offered("loadwright get_schema sh")).toEqual(["shop"]);
    expect(offered("loadwright run s")).toEqual(["shop", "slow"]);
    expect(offered("loadwright get_run --pipeline b")).toEqual(["broken"]);
    expect(offered("loadwright query_loads shop --sta")).toContain("--status");
    expect(offered("loadwright query_loads shop --status fai")).toEqual(["failed"]);
  });
});
