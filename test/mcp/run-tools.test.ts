import { setTimeout as sleep } from "node:timers/promises";
import type { CallToolResult, Progress } from "@modelcontextprotocol/client";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Answer, ask, type Connected, fail, makeShop, TRANSPORTS } from "../support/mcp.ts";
import type { TestWorkspace } from "../support/workspace.ts";

describe.each(TRANSPORTS)("over %s", (_transport, open) => {
  let workspace: TestWorkspace;
  let server: Connected;
  beforeEach(async () => {
    workspace = await makeShop();
    // A pipeline of its own, so that the package files made by hand are not in the way.
    workspace.write(
      "loadwright.toml",
      '[pipelines.fresh]\nsource = "shop"\n[pipelines.slow]\nsource = "slow"\n[pipelines.broken]\nsource = "broken"\n',
    );
    server = await open(workspace.dir, ["--allow", "run"]);
  });
  afterEach(async () => {
    await server.close();
    workspace.remove();
  });

  async function statusOf(runId: string): Promise<unknown> {
    return ((await ask(server.client, "get_run", { run_id: runId })).data.run as { status: unknown }).status;
  }

  describe("run_pipeline", () => {
    it("loads, and what it loaded can be looked at with the next steps", async () => {
      const run = await ask(server.client, "run_pipeline", { pipeline: "fresh", wait_s: 30 });
      expect(run.data).toMatchObject({ status: "succeeded", rows: { orders: 2 } });
      expect(run.summary).toContain("2 rows in 1 table");
      expect(run.next_steps.map((step) => step.tool)).toEqual(["get_schema", "diff_schema"]);
      const tables = await ask(server.client, run.next_steps[0]?.tool ?? "", run.next_steps[0]?.arguments);
      expect(tables.data.tables).toMatchObject([{ name: "orders" }]);
      const rows = await ask(server.client, "query_data", {
        pipeline: "fresh",
        sql: "select id, note from orders order by id",
      });
      expect(rows.data.rows).toEqual([
        [1, "a"],
        [2, "b"],
      ]);
      const loads = await ask(server.client, "query_loads", { pipeline: "fresh" });
      expect(loads.data.loads).toMatchObject([{ status: "loaded", known_to: "both" }]);
      const later = await ask(server.client, "get_run", { pipeline: "fresh", response_format: "detailed" });
      expect(later.data.run).toMatchObject({ run_id: run.data.run_id, status: "succeeded" });
    });

    it("answers the same run for the same idempotency_key, and refuses other arguments under it", async () => {
      const input = { pipeline: "fresh", wait_s: 30, idempotency_key: "once" };
      const first = await ask(server.client, "run_pipeline", input);
      const second = await ask(server.client, "run_pipeline", { ...input, wait_s: 0 });
      expect(second.data.run_id).toBe(first.data.run_id);
      expect(second.summary).toMatch(/^Same run/);
      const error = await fail(server.client, "run_pipeline", { ...input, rows_max: 1 });
      expect(error.code).toBe("ARGUMENTS_INVALID");
    });

    it("answers in time when the run is longer; it can be followed, refused twice, and cancelled", async () => {
      const run = await ask(server.client, "run_pipeline", { pipeline: "slow", wait_s: 1.5 });
      expect(run.data.status).toBe("running");
      const runId = String(run.data.run_id);
      const step = run.next_steps[0];
      expect(step).toMatchObject({ tool: "get_run", arguments: { run_id: runId } });
      expect(await statusOf(runId)).toBe("running");
      const second = await fail(server.client, "run_pipeline", { pipeline: "slow" });
      expect(second).toMatchObject({ code: "LOCKED", details: { run_id: runId } });
      const cancelled = await ask(server.client, "cancel_run", { run_id: runId });
      expect(cancelled.data).toMatchObject({ run: { status: "cancelled" }, committed: { packages: [] } });
      const again = await ask(server.client, "cancel_run", { run_id: runId });
      expect(again.data).toMatchObject({ run: { status: "cancelled" } });
    });

    it("tells its progress, ever upwards, and keeps what the source prints out of the protocol", async () => {
      const told: Progress[] = [];
      const result = await server.client.callTool(
        { name: "run_pipeline", arguments: { pipeline: "slow", rows_max: 60, wait_s: 30 } },
        { onprogress: (progress) => told.push(progress) },
      );
      const answer = JSON.parse(
        (result as CallToolResult).content[0]?.type === "text"
          ? ((result as CallToolResult).content[0] as { text: string }).text
          : "",
      ) as Answer;
      expect(answer.data.status).toBe("succeeded");
      expect(told.length).toBeGreaterThan(0);
      const counts = told.map((each) => each.progress);
      expect(counts).toEqual([...new Set(counts)].sort((a, b) => a - b));
      expect(told[0]?.message).toMatch(/rows? of orders/);
    });

    it("is cancelled with the call that waits for it", async () => {
      const stop = new AbortController();
      const call = server.client.callTool(
        { name: "run_pipeline", arguments: { pipeline: "slow", wait_s: 40 } },
        { signal: stop.signal },
      );
      await sleep(2000);
      stop.abort();
      await expect(call).rejects.toThrow();
      const { data } = await ask(server.client, "get_run", { pipeline: "slow", wait_s: 20 });
      expect(data.run).toMatchObject({ status: "cancelled" });
    });

    it("goes on when the server ends, and the next server can follow it", async () => {
      const run = await ask(server.client, "run_pipeline", { pipeline: "slow", wait_s: 1 });
      const waiting = server.client
        .callTool({ name: "run_pipeline", arguments: { pipeline: "fresh", wait_s: 40 } })
        .catch(() => undefined);
      await server.close();
      await waiting;
      server = await open(workspace.dir, ["--allow", "run"]);
      const runId = String(run.data.run_id);
      expect(await statusOf(runId)).toBe("running");
      expect((await ask(server.client, "cancel_run", { run_id: runId })).data).toMatchObject({
        run: { status: "cancelled" },
      });
    });

    it("answers a failed run with code, hint and log", async () => {
      const run = await ask(server.client, "run_pipeline", { pipeline: "broken", wait_s: 30 });
      expect(run.data).toMatchObject({ status: "failed", error: { code: "EXTRACT_FAILED" } });
      const step = run.next_steps[0];
      const more = await ask(server.client, step?.tool ?? "", step?.arguments);
      expect(JSON.stringify(more.data.run)).toContain("the source is down");
      // not the call that was just answered
      expect(more.next_steps.map((each) => each.tool)).toEqual(["diagnose_error"]);
      expect(JSON.stringify(more)).not.toContain(workspace.dir);
    });

    it("does not start for a pipeline that is not there", async () => {
      expect((await fail(server.client, "run_pipeline", { pipeline: "nowhere" })).code).toBe(
        "PIPELINE_NOT_FOUND",
      );
    });
  });
});
