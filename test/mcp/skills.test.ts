/**
 * The skills say what is so: they are valid, their links lead somewhere, each call in them (and in docs/mcp.md) is one
 * that the tool takes, and on a workspace made of their own examples each call does what it is shown for.
 */

import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { validate } from "skills-ref";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { ERRORS } from "../../src/engine/index.ts";
import { builtInSourceNames } from "../../src/sources/registry.ts";
import { CATALOG } from "../../src/tools/catalog.ts";
import { skillFiles } from "../../src/tools/skills.ts";
import { cli } from "../support/cli.ts";
import { ask, type Connected, connect, fail } from "../support/mcp.ts";
import { makeWorkspace, type TestWorkspace } from "../support/workspace.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const FILES = ["SKILL.md", ...skillFiles().map((file) => `skills/${file}`)];
const textOf = (file: string) => readFileSync(join(ROOT, file), "utf8");

const tools = new Map(CATALOG.map((tool) => [tool.name, tool]));

interface Call {
  readonly file: string;
  readonly tool: string;
  readonly input: Record<string, unknown>;
}

/** `tool_name {json}` as inline code, and `loadwright tool NAME '{json}'`. */
function callsOf(text: string): Omit<Call, "file">[] {
  const inline = [...text.matchAll(/`([a-z]+(?:_[a-z]+)+) (\{.*?\})`/g)];
  const typed = [...text.matchAll(/loadwright tool ([a-z_]+) '(\{.*?\})'/g)];
  return [...inline, ...typed].map(([, tool, json]) => ({ tool: tool!, input: JSON.parse(json!) }));
}

function callsIn(file: string): Call[] {
  return callsOf(textOf(file)).map((call) => ({ file, ...call }));
}

const CALLS = [...FILES, "docs/mcp.md", "docs/cli.md"].flatMap(callsIn);

function blocksOf(file: string, language: string): string[] {
  return [...textOf(file).matchAll(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, "g"))].map(
    ([, block]) => block!,
  );
}

describe("the skills", () => {
  it("are valid Agent Skills, the one at the root under the package's name", async () => {
    const folder = mkdtempSync(join(tmpdir(), "loadwright-skill-"));
    try {
      cpSync(join(ROOT, "SKILL.md"), join(folder, "loadwright", "SKILL.md"));
      expect(await validate(join(folder, "loadwright"))).toEqual([]);
      for (const name of readdirSync(join(ROOT, "skills"))) {
        expect([name, await validate(join(ROOT, "skills", name))]).toEqual([name, []]);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
    expect(readdirSync(join(ROOT, "skills")).sort()).toEqual([
      "build-source",
      "data-quality",
      "debug-load",
      "operate",
      "schema-evolution",
    ]);
  });

  it.each(FILES)("%s is short, and its links lead to files", (file) => {
    const text = textOf(file);
    expect(text.split("\n").length).toBeLessThan(500);
    // a token is some four characters
    expect(text.length / 4).toBeLessThan(5_000);
    for (const [, target] of text.matchAll(/\]\(([\w./-]+)\)/g)) {
      expect(() => readFileSync(new URL(target!, new URL(file, `file://${ROOT}`)))).not.toThrow();
    }
  });

  it("list every shipped source, and error codes with the retry that they have", () => {
    const sources = textOf("SKILL.md").split("## Shipped sources")[1]!.split("\n## ")[0]!;
    const named = [...sources.matchAll(/^\| `(\w+)` \|/gm)].map(([, name]) => name);
    expect(named.sort()).toEqual([...builtInSourceNames()].sort());
    const rows = [
      ...textOf("skills/debug-load/references/errors.md").matchAll(/^\| `([A-Z]\w+)` \| (\w+) \|/gm),
    ];
    expect(rows.length).toBeGreaterThan(20);
    for (const [, code, retry] of rows) {
      expect([code, ERRORS[code as keyof typeof ERRORS]?.retry]).toEqual([code, retry]);
    }
    for (const file of FILES) {
      for (const [, code] of textOf(file).matchAll(/`([A-Z][A-Z]+_[A-Z_]+)`/g)) {
        if (code !== "CODE") expect(Object.keys(ERRORS), file).toContain(code);
      }
    }
  });

  it("show a call of every tool, and of no other", () => {
    expect([...new Set(CALLS.map(({ tool }) => tool))].sort()).toEqual([...tools.keys()].sort());
    expect(CALLS.length).toBeGreaterThan(50);
  });

  it.each(CALLS)("$file: $tool takes $input", ({ tool, input }) => {
    expect(tools.get(tool)?.input.safeParse(input)).toMatchObject({ success: true });
  });
});

/** What a skill is tried with: tasks with what a good answer does, and requests that are for it or for another. */
const EVALS = z.strictObject({
  skill_name: z.string(),
  evals: z
    .array(
      z.strictObject({
        id: z.int().min(1),
        prompt: z.string().min(20),
        expected_output: z.string().min(20),
        files: z.array(z.string()),
        assertions: z.array(z.string().min(10)).min(1),
      }),
    )
    .min(4),
});
const TRIGGERS = z.array(z.strictObject({ query: z.string().min(5), should_trigger: z.boolean() }));

describe.each(readdirSync(join(ROOT, "skills")))("the evals of %s", (skill) => {
  const read = (file: string): unknown => JSON.parse(textOf(`skills/${skill}/evals/${file}`));

  it("have the form of Agent Skills evals, and expect calls that the tools take", () => {
    const { skill_name, evals } = EVALS.parse(read("evals.json"));
    expect(skill_name).toBe(skill);
    expect(new Set(evals.map(({ id }) => id)).size).toBe(evals.length);
    const assertions = evals.flatMap((each) => each.assertions);
    const calls = assertions.flatMap((text) => callsOf(text));
    expect(calls.length).toBeGreaterThanOrEqual(evals.length);
    for (const { tool, input } of calls) {
      expect(tools.get(tool)?.input.safeParse(input), JSON.stringify(input)).toMatchObject({ success: true });
    }
    for (const [, name] of assertions.join("\n").matchAll(/\bCalls `([a-z_]+)|\b(?:of|with) `([a-z_]+)`/g)) {
      if (name !== undefined) expect([...tools.keys()]).toContain(name);
    }
  });

  it("ask as much for the skill as for others", () => {
    const triggers = TRIGGERS.parse(read("trigger_evals.json"));
    const wanted = triggers.filter((each) => each.should_trigger).length;
    expect([wanted, triggers.length - wanted]).toEqual([8, 8]);
    expect(new Set(triggers.map(({ query }) => query)).size).toBe(triggers.length);
  });
});

it("docs/mcp.md lists each tool once, with its mode", () => {
  const rows = [...textOf("docs/mcp.md").matchAll(/^\| `([a-z_]+)` \| (\w+) \|/gm)];
  const listed = rows.map(([, name, mode]) => `${name} ${mode}`);
  expect(listed.sort()).toEqual(CATALOG.map(({ name, mode }) => `${name} ${mode}`).sort());
});

describe("on a workspace made of the examples", () => {
  const RUN = /^\d{8}T\d{6}-[0-9a-f]{6}$/;
  const LOAD = /^1700000000\.1$/;
  let workspace: TestWorkspace;
  let server: Connected;
  let runId: string;
  let loadId: string;
  let revision: string;

  beforeAll(async () => {
    const build = "skills/build-source/SKILL.md";
    workspace = makeWorkspace({
      "loadwright.toml": `${blocksOf(build, "toml")[0]}\n[pipelines.reports]\nsource = "reports"\n`,
      "sources/shop/index.ts": blocksOf(build, "ts")[0]!,
      "sources/reports/index.ts": blocksOf("skills/build-source/references/file-state.md", "ts")[0]!,
    });
    workspace.write("exports/orders/2024-01-05.csv", "order_id,total\n1,9.5\n2,20\n");
    workspace.write("data/.gitkeep", "");
    const database = new DatabaseSync(join(workspace.dir, "data/shop.db"));
    database.exec("create table orders (id integer primary key, total real)");
    database.close();
    server = await connect(workspace.dir, ["--allow", "run,write,destructive"]);
    const first = await ask(server.client, "run_pipeline", { pipeline: "shop", wait_s: 45 });
    expect(first.data).toMatchObject({ status: "succeeded" });
    runId = String(first.data.run_id);
    const source = await ask(server.client, "validate_source", { pipeline: "shop" });
    expect(source.data).toMatchObject({ valid: true, ready: true });
    revision = String(source.data.revision);
    loadId = String((first.data.packages as { load_id: string }[])[0]!.load_id);
  });
  afterAll(async () => {
    await server.close();
    workspace.remove();
  });

  const real = (value: unknown): unknown => {
    if (value === "REVISION") return revision;
    if (typeof value === "string") return RUN.test(value) ? runId : LOAD.test(value) ? loadId : value;
    if (Array.isArray(value)) return value.map(real);
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, real(inner)]));
  };

  /** What answers otherwise than with success here, and why that is what the text says. */
  const codeOf = ({ tool, input }: Call): string | undefined => {
    if (input.refresh !== undefined) return "CONFIRM_REQUIRED";
    if (tool === "drop_pending_packages") return "NOTHING_PENDING";
    if (input.action === "restore_dropped") return "PACKAGE_NOT_FOUND";
    // what was loaded once has no earlier load to compare with
    if (input.compare_load_id === "previous") return "PACKAGE_NOT_FOUND";
    return undefined;
  };

  it("every call succeeds, or answers the code that its text speaks of", { timeout: 240_000 }, async () => {
    const once = new Map(CALLS.map((call) => [JSON.stringify([call.tool, call.input]), call]));
    const reads = [...once.values()].sort((a, b) => rank(a) - rank(b));
    for (const call of reads) {
      const input = real(call.input) as Record<string, unknown>;
      const code = codeOf(call);
      const told = `${call.tool} ${JSON.stringify(call.input)}`;
      if (code !== undefined) {
        expect([told, (await fail(server.client, call.tool, input)).code]).toEqual([told, code]);
        continue;
      }
      const { data } = await ask(server.client, call.tool, input);
      if (call.tool === "run_pipeline") expect([told, data.status]).toEqual([told, "succeeded"]);
      if (call.tool === "reset_state") expect([told, data.status]).toEqual([told, "planned"]);
      if (call.tool === "test_source") expect(data.ok).toBe(true);
      if (call.tool === "create_source" || call.tool === "update_source") {
        expect([told, data.written, data.findings]).toEqual([told, false, expect.any(Array)]);
      }
      if (call.tool === "diff_schema" && input.column === "total") expect(data.changes_total).toBe(1);
    }
  });

  /** Reading first: on the tables as one load made them. */
  function rank({ tool }: Call): number {
    return tools.get(tool)!.mode === "read" ? 0 : 1;
  }

  it("the checks that the skills declare are accepted, and made", async () => {
    const [block] = blocksOf("skills/data-quality/SKILL.md", "toml");
    const declared = makeWorkspace({ "loadwright.toml": `[pipelines.shop]\nsource = "shop"\n${block}` });
    expect(await cli(declared.dir, "list")).toMatchObject({ code: 0 });
    declared.remove();
    const { data } = await ask(server.client, "run_checks", { pipeline: "shop", only_problems: false });
    expect(JSON.stringify(data)).toContain("customer_id");
  });

  it("state by file: a second run loads nothing, rows of one date are all there", async () => {
    for (const rows of [3, 0]) {
      const { data } = await ask(server.client, "run_pipeline", { pipeline: "reports", wait_s: 45 });
      expect((data.rows as { clicks?: number }).clicks ?? 0).toBe(rows);
    }
  });

  it("every typed command runs", { timeout: 240_000 }, async () => {
    const lines = new Set(
      FILES.flatMap((file) => [...textOf(file).matchAll(/`(loadwright [^`]+)`/g)].map(([, line]) => line!)),
    );
    expect(lines.size).toBeGreaterThan(5);
    for (const line of lines) {
      const words = [...line.matchAll(/'([^']*)'|(\S+)/g)].map((match) => match[1] ?? match[2]!).slice(1);
      if (words[0] === "mcp") continue;
      const { code, stderr } = await cli(workspace.dir, ...words);
      const nothingPending = stderr.includes("NOTHING_PENDING");
      expect([line, nothingPending || code === 0]).toEqual([line, true]);
    }
  });
});
