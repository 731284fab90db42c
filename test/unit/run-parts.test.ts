import { describe, expect, it } from "vitest";
import { nearest } from "../../src/engine/nearest.ts";
import type { RunReport } from "../../src/engine/report.ts";
import { bytes, changeText, duration } from "../../src/tools/cli-render.ts";
import { EventQueue } from "../../src/tools/event-queue.ts";
import { exitCodeOfRun } from "../../src/tools/exit-codes.ts";
import { plainJson, type RunEvent } from "../../src/tools/run-protocol.ts";
import { failedReport, processEnded } from "../../src/tools/run-report.ts";

function progress(table: string, rows: number): RunEvent {
  return { kind: "progress", step: "extract", table, rows, bytes: 0, elapsedMs: 0 };
}

function report(parts: Partial<RunReport>): RunReport {
  const ended = processEnded(1, null, "SIGKILL", "");
  const made = failedReport({ runId: "r", pipeline: "p" }, ended, { status: "failed", started: 0, pid: 1 });
  return { ...made, ...parts };
}

function pendingPackage(status: "normalized" | "loaded"): RunReport["packages"][number] {
  const none = { recovered: false, rows: {}, schema_changes: [], resources: [], warnings: [] };
  return { load_id: "1.0", schema_name: "s", status, ...none };
}

describe("EventQueue", () => {
  it("keeps only the newest total of a table while nobody reads", async () => {
    const queue = new EventQueue();
    for (let rows = 1; rows <= 5_000; rows++) queue.push(progress("a", rows));
    queue.push(progress("b", 1));
    queue.end();
    expect(await Array.fromAsync(queue)).toEqual([progress("a", 5_000), progress("b", 1)]);
  });

  it("drops the oldest logs beyond its bound", async () => {
    const queue = new EventQueue();
    for (let n = 0; n < 1_500; n++)
      queue.push({ kind: "log", time: "", level: "info", event: `e${n}`, fields: {} });
    queue.end();
    const events = await Array.fromAsync(queue);
    expect(events).toHaveLength(1_000);
    expect(events[0]).toMatchObject({ event: "e500" });
  });

  it("wakes a reader that waits", async () => {
    const queue = new EventQueue();
    const read = Array.fromAsync(queue);
    await Promise.resolve();
    queue.push(progress("a", 1));
    await Promise.resolve();
    queue.push(progress("a", 2));
    queue.end();
    expect((await read).at(-1)).toEqual(progress("a", 2));
  });
});

describe("exit codes", () => {
  it("tell a script whether to wait, to fix or to run again", () => {
    expect(exitCodeOfRun(report({ status: "succeeded" }))).toBe(0);
    expect(exitCodeOfRun(report({}))).toBe(1);
    expect(exitCodeOfRun(report({ packages: [pendingPackage("normalized")] }))).toBe(3);
    expect(exitCodeOfRun(report({ packages: [pendingPackage("loaded")] }))).toBe(1);
    expect(exitCodeOfRun(report({ status: "cancelled" }))).toBe(130);
    const locked = { code: "LOCKED", message: "", hint: "", retry: "yes" } as const;
    expect(exitCodeOfRun(report({ error: locked, packages: [pendingPackage("normalized")] }))).toBe(4);
    expect(exitCodeOfRun(report({ error: { ...locked, code: "CONFIG_MISSING" } }))).toBe(2);
  });
});

describe("the report of a run that could not end itself", () => {
  it("keeps what the engine said last", () => {
    const last = report({ status: "running", rows: { orders: 5 } });
    const ended = processEnded(7, 137, null, "out of memory");
    const made = failedReport({ runId: "r", pipeline: "p" }, ended, {
      status: "failed",
      started: 0,
      pid: 7,
      last,
    });
    expect(made).toMatchObject({ status: "failed", rows: { orders: 5 }, error: { code: "PROCESS_ENDED" } });
    expect(made.error?.details).toMatchObject({ output: "out of memory", exit_code: 137 });
  });

  it("leaves the engine's own verdict alone", () => {
    const last = report({ status: "succeeded", error: undefined });
    const ended = processEnded(7, 1, null, "");
    expect(
      failedReport({ runId: "r", pipeline: "p" }, ended, { status: "failed", started: 0, pid: 7, last }),
    ).toBe(last);
  });
});

describe("rendering", () => {
  it("prints sizes and times that people read", () => {
    expect([0, 999, 1_500, 2_500_000].map(bytes)).toEqual(["0 B", "999 B", "1.5 kB", "2.5 MB"]);
    expect([5, 1_500, 61_000].map(duration)).toEqual(["5 ms", "1.5 s", "1 min 1 s"]);
  });

  it("prints schema changes as one line each", () => {
    const added = {
      kind: "column_added",
      table: "t",
      column: "c",
      data_type: "text",
      nullable: false,
    } as const;
    expect(changeText(added)).toContain("column t.c text, not null");
  });
});

describe("nearest", () => {
  it("finds misspellings and parts, not everything short", () => {
    expect(nearest("ordrs", ["orders", "customers", "x"])).toEqual(["orders"]);
    expect(nearest("order", ["shop_orders"])).toEqual(["shop_orders"]);
    expect(nearest("abc", ["xyz", "q"])).toEqual([]);
  });
});

describe("plainJson", () => {
  it("keeps integers exact", () => {
    expect(plainJson({ a: 5n, b: 2n ** 60n })).toEqual({ a: 5, b: "1152921504606846976" });
  });
});
