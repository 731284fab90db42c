import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { RunReport } from "../../src/engine/report.ts";
import { getRun } from "../../src/tools/runs.ts";
import { findWorkspace } from "../../src/tools/workspace.ts";
import { cli, startCli } from "../support/cli.ts";
import { makeWorkspace, sourceFile, type TestWorkspace } from "../support/workspace.ts";

const SLOW =
  "for (let id = 0; id < 10_000; id++) { yield [{ id }]; await new Promise((r) => setTimeout(r, 10)); }";

let made: TestWorkspace;
beforeEach(() => {
  made = makeWorkspace({
    "loadwright.toml":
      '[pipelines.shop]\nsource = "orders"\n[pipelines.slow]\nsource = "slow"\n[pipelines.broken]\nsource = "broken"\n',
    "sources/orders/index.ts": sourceFile("orders", 'console.log("printed"); yield [{ id: 1 }, { id: 2 }];'),
    "sources/slow/index.ts": sourceFile("slow", SLOW),
    "sources/broken/index.ts": sourceFile("broken", 'yield [{ id: 1 }]; throw new Error("no such host");'),
  });
});
afterEach(() => made.remove());

function data<T>(stdout: string): T {
  return (JSON.parse(stdout) as { data: T }).data;
}

/** The id of the run of a pipeline that is under way. */
async function runUnderWay(pipeline: string): Promise<string> {
  const workspace = findWorkspace(made.dir);
  for (let attempt = 0; attempt < 200; attempt++) {
    const dir = workspace.runsDir(pipeline);
    for (const runId of existsSync(dir) ? readdirSync(dir) : []) {
      const report = await getRun(workspace, runId).catch(() => undefined);
      if (report?.status === "running") return runId;
    }
    await sleep(50);
  }
  throw new Error("the run did not start");
}

describe("loadwright init", () => {
  it("makes a workspace that runs as it is, and refuses to make it twice", async () => {
    expect(await cli(made.dir, "init", "etl")).toMatchObject({ code: 0, stderr: "" });
    const dir = join(made.dir, "etl");
    const run = await cli(dir, "run", "example", "--json");
    expect(run.code, run.stdout + run.stderr).toBe(0);
    expect(data<RunReport>(run.stdout).rows.planets).toBe(3);
    const again = await cli(made.dir, "init", "etl", "--json");
    expect(again.code).toBe(2);
    expect(JSON.parse(again.stdout)).toMatchObject({ error: { code: "WORKSPACE_EXISTS" } });
  });
});

describe("loadwright run", () => {
  it("keeps what a source prints out of stdout, which is one JSON document", async () => {
    const run = await cli(made.dir, "run", "shop", "--json");
    expect(run.code, run.stdout + run.stderr).toBe(0);
    expect(data<RunReport>(run.stdout)).toMatchObject({ status: "succeeded", rows: { rows: 2 } });
    expect(run.stdout).not.toContain("printed");
    expect(run.stderr).toBe("");
  });

  it("shows people a table on stdout and progress on stderr", async () => {
    const run = await cli(made.dir, "run", "shop");
    expect(run.stdout).toMatch(/succeeded.*2 rows/);
    expect(run.stdout).toMatch(/│ rows\s+│\s+2 │/);
    expect(run.stderr).toContain("extract");
  });

  it("answers a source's error with its code, cause and exit code 1", async () => {
    const run = await cli(made.dir, "run", "broken");
    expect(run.code).toBe(1);
    expect(run.stderr).toContain("no such host");
  });

  it("is cancelled by the first Ctrl-C, with exit code 130", async () => {
    const { child, done } = startCli(made.dir, "run", "slow", "--json");
    await runUnderWay("slow");
    child.kill("SIGINT");
    const run = await done;
    expect(run.code, run.stdout + run.stderr).toBe(130);
    expect(data<RunReport>(run.stdout).status).toBe("cancelled");
  });

  it("cancels itself when the terminal's process is killed", async () => {
    const { child, done } = startCli(made.dir, "run", "slow");
    const runId = await runUnderWay("slow");
    child.kill("SIGKILL");
    await done;
    const workspace = findWorkspace(made.dir);
    for (let attempt = 0; attempt < 100; attempt++) {
      if ((await getRun(workspace, runId)).status !== "running") break;
      await sleep(50);
    }
    expect(await getRun(workspace, runId)).toMatchObject({ status: "cancelled" });
  });
});

describe("loadwright list and pipeline", () => {
  it("tell what ran", async () => {
    await cli(made.dir, "run", "shop");
    const listed = data<{ pipelines: { name: string; last_run?: { status: string } }[] }>(
      (await cli(made.dir, "list", "--json")).stdout,
    );
    expect(listed.pipelines.map((each) => [each.name, each.last_run?.status])).toEqual([
      ["shop", "succeeded"],
      ["slow", undefined],
      ["broken", undefined],
    ]);
    const info = await cli(made.dir, "pipeline", "shop", "--json");
    expect(data<{ dataset: string }>(info.stdout).dataset).toBe("shop_dataset");
    const trace = await cli(made.dir, "pipeline", "shop", "trace", "--json");
    expect(data<RunReport>(trace.stdout).status).toBe("succeeded");
  });

  it("say so when nothing is pending", async () => {
    const dropped = await cli(made.dir, "pipeline", "shop", "drop-pending-packages", "--json");
    expect(dropped.code).toBe(0);
    expect(data<{ dropped: boolean }>(dropped.stdout).dropped).toBe(false);
  });

  it("name what never ran", async () => {
    expect(await cli(made.dir, "pipeline", "shop", "trace")).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("PIPELINE_NEVER_RAN"),
    });
  });
});

describe("loadwright tool", () => {
  it("lists the agent's tools and calls one with the same answer", async () => {
    const listed = await cli(made.dir, "tool", "--json");
    const names = data<{ tools: { name: string }[] }>(listed.stdout).tools.map((each) => each.name);
    expect(names).toContain("get_workspace");
    const called = await cli(made.dir, "tool", "get_workspace", "{}", "--json");
    expect(called.code, called.stdout + called.stderr).toBe(0);
    expect(JSON.parse(called.stdout)).toMatchObject({ summary: expect.any(String), truncated: false });
  });

  it("says what is wrong with a name or an input", async () => {
    const misspelt = await cli(made.dir, "tool", "get_workspce");
    expect(misspelt).toMatchObject({ code: 2, stderr: expect.stringContaining('"get_workspace"') });
    const broken = await cli(made.dir, "tool", "get_workspace", "{");
    expect(broken).toMatchObject({ code: 2, stderr: expect.stringContaining("not JSON") });
  });
});

describe("a wrong command", () => {
  it.each([
    [["rn"], "Did you mean run?"],
    [["run", "shop", "--limit", "0"], "whole number above 0"],
    [["run", "shp"], 'Did you mean "shop"?'],
    [["pipeline", "shop", "explode"], "Allowed choices"],
    [["list", "--workspace", "/"], "NO_WORKSPACE"],
  ])("%j exits with 2 and says what is right", async (args, text) => {
    const result = await cli(made.dir, ...args);
    expect(result).toMatchObject({ code: 2, stdout: "", stderr: expect.stringContaining(text) });
  });

  it("is a JSON envelope with --json", async () => {
    const result = await cli(made.dir, "run", "shop", "--nope", "--json");
    expect(result.code).toBe(2);
    expect(JSON.parse(result.stdout)).toMatchObject({ error: { code: "USAGE" } });
  });
});
