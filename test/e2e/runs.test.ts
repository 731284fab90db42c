import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, it } from "vitest";
import type { RunEvent } from "../../src/tools/run-protocol.ts";
import { cancelRun, getRun, startRun } from "../../src/tools/runs.ts";
import { findWorkspace, type Workspace } from "../../src/tools/workspace.ts";
import { makeWorkspace, sourceFile, type TestWorkspace } from "../support/workspace.ts";

let made: TestWorkspace | undefined;
afterEach(() => made?.remove());

function workspaceWith(body: string, files: Record<string, string> = {}): Workspace {
  made = makeWorkspace({
    "loadwright.toml": '[pipelines.shop]\nsource = "orders"\n',
    "sources/orders/index.ts": sourceFile("orders", body),
    ...files,
  });
  return findWorkspace(made.dir);
}

const SLOW =
  "for (let id = 0; id < 10_000; id++) { yield [{ id }]; await new Promise((r) => setTimeout(r, 10)); }";

async function running(workspace: Workspace, runId: string): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const report = await getRun(workspace, runId).catch(() => undefined);
    if (report?.status === "running") return;
    await sleep(50);
  }
  throw new Error("the run did not start");
}

describe("a run in its own process", () => {
  it("streams events and ends with the report that stands on disk", async () => {
    const workspace = workspaceWith("for (let id = 0; id < 10; id++) yield [{ id }];");
    const run = startRun(workspace, "shop");
    const events: RunEvent[] = [];
    for await (const event of run.events) events.push(event);
    const report = await run.done;
    expect(report.error).toBeUndefined();
    expect(report.status).toBe("succeeded");
    expect(report.rows.rows).toBe(10);
    expect(await getRun(workspace, run.runId)).toMatchObject({ status: "succeeded", run_id: run.runId });
    expect(events.some((event) => event.kind === "report")).toBe(true);
  });

  it("writes what a source prints into the run's log, with secrets masked", async () => {
    const workspace = workspaceWith('console.log("token is " + secrets.token); yield [{ id: 1 }];', {
      ".env": "SOURCES__ORDERS__TOKEN=abcdef-123456\n",
    });
    const run = startRun(workspace, "shop");
    const report = await run.done;
    expect(report.status).toBe("succeeded");
    const log = readFileSync(join(workspace.runsDir("shop"), run.runId, "log.jsonl"), "utf8");
    expect(log).toContain("token is ***");
    expect(log).not.toContain("abcdef-123456");
  });

  it("masks a secret in the error that a source raises, also in the trace", async () => {
    const workspace = workspaceWith('yield [{ id: 1 }]; throw new Error("401 for key " + secrets.token);', {
      ".env": "SOURCES__ORDERS__TOKEN=abcdef-123456\n",
    });
    const run = startRun(workspace, "shop");
    const report = await run.done;
    expect(report.status).toBe("failed");
    expect(JSON.stringify(report)).toContain("401 for key ***");
    const trace = readFileSync(join(workspace.runsDir("shop"), run.runId, "trace.json"), "utf8");
    expect(trace).not.toContain("abcdef-123456");
  });

  it("reports a missing secret with what to set", async () => {
    const workspace = workspaceWith("const key = secrets.api_key; yield [{ key }];");
    const report = await startRun(workspace, "shop").done;
    const text = JSON.stringify(report.error);
    expect(report.status).toBe("failed");
    expect(text).toContain("SOURCES__ORDERS__API_KEY");
  });

  it("reports a source that cannot be loaded with its file and line", async () => {
    const workspace = workspaceWith("", { "sources/orders/index.ts": "export default 1;\nconst x = = 2;\n" });
    const run = startRun(workspace, "shop");
    const report = await run.done;
    expect(report.error).toMatchObject({
      code: "SOURCE_INVALID",
      details: { file: "sources/orders/index.ts" },
    });
    expect(await getRun(workspace, run.runId)).toMatchObject({ status: "failed" });
  });

  it("names the near source when there is none of that name", async () => {
    const workspace = workspaceWith("", { "loadwright.toml": '[pipelines.shop]\nsource = "order"\n' });
    const report = await startRun(workspace, "shop").done;
    expect(report.error).toMatchObject({ code: "SOURCE_NOT_FOUND" });
    expect(report.error?.message).toContain('Did you mean "orders"?');
  });
});

describe("the end of a run", () => {
  it("is a cancelled report when it is asked to stop", async () => {
    const workspace = workspaceWith(SLOW);
    const run = startRun(workspace, "shop");
    await running(workspace, run.runId);
    run.cancel();
    expect((await run.done).status).toBe("cancelled");
  });

  it("is a kill when the source does not listen", async () => {
    const workspace = workspaceWith("yield [{ id: 1 }]; while (true) {}");
    const run = startRun(workspace, "shop", { cancelGraceMs: 300 });
    await running(workspace, run.runId);
    await sleep(200);
    run.cancel();
    const report = await run.done;
    expect(report).toMatchObject({ status: "cancelled", error: { code: "PROCESS_ENDED" } });
  });

  it("is a failed report that says so when the process is killed", async () => {
    const workspace = workspaceWith(SLOW);
    const run = startRun(workspace, "shop");
    await running(workspace, run.runId);
    process.kill((await getRun(workspace, run.runId)).pid, "SIGKILL");
    const report = await run.done;
    expect(report).toMatchObject({ status: "failed", error: { code: "PROCESS_ENDED", retry: "yes" } });
    expect(report.error?.message).toContain("SIGKILL");
    expect(await getRun(workspace, run.runId)).toMatchObject({ status: "failed" });
  });

  it("is reported when the source exits the process", async () => {
    const workspace = workspaceWith("yield [{ id: 1 }]; process.exit(3);");
    const report = await startRun(workspace, "shop").done;
    expect(report).toMatchObject({ status: "failed", error: { code: "PROCESS_ENDED" } });
    expect(report.error?.message).toContain("code 3");
  });

  it("is the source's error when nobody caught it", async () => {
    const body = 'setTimeout(() => { throw new Error("from a timer"); }, 10); await new Promise(() => {});';
    const workspace = workspaceWith(body);
    const report = await startRun(workspace, "shop").done;
    expect(report).toMatchObject({ status: "failed", error: { code: "EXTRACT_FAILED" } });
    expect(report.error?.message).toContain("from a timer");
  });

  it("can be followed by its id from the moment it was started", async () => {
    const workspace = workspaceWith("yield [{ id: 1 }];");
    const run = startRun(workspace, "shop", { detached: true });
    expect(await getRun(workspace, run.runId)).toMatchObject({ status: "running" });
    await run.done;
    expect(await getRun(workspace, run.runId)).toMatchObject({ status: "succeeded" });
  });

  it("can be asked for by another process, by the run's id", async () => {
    const workspace = workspaceWith(SLOW);
    const run = startRun(workspace, "shop", { detached: true });
    await running(workspace, run.runId);
    expect((await cancelRun(workspace, run.runId)).status).toBe("cancelled");
    expect((await run.done).status).toBe("cancelled");
  });

  it("leaves no empty output file behind", async () => {
    const workspace = workspaceWith("yield [{ id: 1 }];");
    const run = startRun(workspace, "shop");
    await run.done;
    expect(existsSync(join(workspace.runsDir("shop"), run.runId, "output.log"))).toBe(false);
  });
});
