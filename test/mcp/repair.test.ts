/** What an agent does when something went wrong: find out why, repair it, and have each row exactly once. */

import { join } from "node:path";
import { DuckDBInstance } from "@duckdb/node-api";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { CATALOG } from "../../src/tools/catalog.ts";
import {
  type Answer,
  ask,
  type Connected,
  fail,
  makeShop,
  PENDING_FIRST,
  PENDING_SECOND,
  TRANSPORTS,
} from "../support/mcp.ts";
import { makeWorkspace, type TestWorkspace } from "../support/workspace.ts";

const SOURCE = `import { readFileSync } from "node:fs";
import { join } from "node:path";
import { incremental, resource, source } from "loadwright";
const rows = (name) => JSON.parse(readFileSync(join(import.meta.dirname, name + ".json"), "utf8"));
export default source({ name: "shop" }, () => [
  resource({ name: "orders" }, async function* () { yield rows("orders"); }),
  resource(
    { name: "events", writeDisposition: "merge", primaryKey: "id", incremental: incremental("updated_at") },
    async function* () { yield rows("events"); },
  ),
]);
`;
const event = (id: number, updated_at: string) => ({ id, updated_at });

describe.each(TRANSPORTS)("over %s", (_transport, open) => {
  let workspace: TestWorkspace;
  let server: Connected;
  beforeEach(async () => {
    workspace = makeWorkspace({
      "loadwright.toml": '[pipelines.shop]\nsource = "shop"\n',
      "sources/shop/index.ts": SOURCE,
    });
    server = await open(workspace.dir, ["--allow", "run,destructive"]);
  });
  afterEach(async () => {
    await server.close();
    workspace.remove();
  });

  function rows(orders: readonly object[], events: readonly object[] = []): void {
    workspace.write("sources/shop/orders.json", JSON.stringify(orders));
    workspace.write("sources/shop/events.json", JSON.stringify(events));
  }

  const call = (tool: string, input: Record<string, unknown> = {}) => ask(server.client, tool, input);

  async function run(): Promise<Answer> {
    return call("run_pipeline", { pipeline: "shop", wait_s: 45 });
  }

  async function select(sql: string): Promise<unknown> {
    return (await call("query_data", { pipeline: "shop", sql })).data.rows;
  }

  /** As somebody with another program would. */
  async function byHand(sql: string): Promise<void> {
    const instance = await DuckDBInstance.create(join(workspace.dir, "shop.duckdb"));
    const connection = await instance.connect();
    await connection.run(sql);
    connection.closeSync();
    instance.closeSync();
  }

  interface Fix {
    readonly tool: string;
    readonly arguments: Record<string, unknown>;
  }

  function fixesOf({ data }: Answer): Fix[] {
    const fixes = data.fixes as Fix[];
    for (const { tool, arguments: input } of fixes) {
      expect(CATALOG.find((each) => each.name === tool)?.input.safeParse(input).success, tool).toBe(true);
    }
    return fixes;
  }

  /** Calls a tool that shows a plan first, and carries the plan out. */
  async function confirmed(tool: string, input: Record<string, unknown>): Promise<Answer> {
    const plan = await call(tool, input);
    expect(plan.data.status).toBe("planned");
    return call(plan.next_steps[0]!.tool, plan.next_steps[0]!.arguments);
  }

  describe("a failed load", () => {
    it("is diagnosed from its run, repaired, and resumed with each row exactly once", async () => {
      rows([{ id: 1, note: "a" }]);
      await run();
      // the live column no longer holds what the schema says
      await byHand("update shop_dataset.orders set note = '7'");
      await byHand("alter table shop_dataset.orders alter note type integer");
      rows([{ id: 2, note: "two" }]);
      const failed = await run();
      expect(failed.data.status).toBe("failed");
      const diagnosis = await call("diagnose_error", { run_id: failed.data.run_id });
      expect(diagnosis.data).toMatchObject({
        code: "LOAD_VALUE",
        retry: "after_fix",
        pipeline: "shop",
        step: "load",
      });
      const causes = diagnosis.data.causes as { cause: string; supported_by: string[] }[];
      expect(causes[0]).toMatchObject({ supported_by: ["types"] });
      expect(JSON.stringify(diagnosis.data.evidence)).toContain(
        "orders.note is text in the schema and integer",
      );
      expect(fixesOf(diagnosis).length).toBeGreaterThan(0);
      const loads = await call("query_loads", { pipeline: "shop", status: "failed" });
      const [{ load_id }] = loads.data.loads as [{ load_id: string }];
      const ofLoad = await call("diagnose_error", { load_id });
      expect(ofLoad.data.code).toBe("LOAD_VALUE");
      await byHand("alter table shop_dataset.orders alter note type varchar");
      expect((await run()).data.status).toBe("succeeded");
      expect(await select("select id, note from orders order by id")).toEqual([
        [1, "7"],
        [2, "two"],
      ]);
    });
  });

  describe("a table that is loaded in part", () => {
    it("is recognized by a load id that no finished load has", async () => {
      rows([{ id: 1 }]);
      await run();
      await byHand(
        "insert into shop_dataset.orders (id, _dlt_load_id, _dlt_id) values (2, '1600000000.5', 'x')",
      );
      const diagnosis = await call("diagnose_error", { load_id: "1600000000.5" });
      expect(diagnosis.data).toMatchObject({ code: "LOAD_PARTIAL", confidence: "high", pipeline: "shop" });
      fixesOf(diagnosis);
      const checks = await call("run_checks", { pipeline: "shop", tables: ["orders"] });
      expect(checks.data.totals).toMatchObject({ fail: 1 });
      expect(checks.data.checks).toMatchObject([
        { check: "load_known", count: 1, sample: [["1600000000.5", 1]] },
      ]);
      expect((await fail(server.client, "diagnose_error", { load_id: "1500000000.5" })).code).toBe(
        "PACKAGE_NOT_FOUND",
      );
    });
  });

  describe("a field that changes from number to text", () => {
    it("is explained with the variant column as evidence", async () => {
      rows([{ id: 1, amount: 5 }]);
      await run();
      rows([{ id: 2, amount: "five" }]);
      await run();
      const diagnosis = await call("diagnose_error", {
        pipeline: "shop",
        text: "CannotCoerceColumnException: Cannot coerce type text to bigint for value in table `orders` column `amount`",
      });
      expect(diagnosis.data).toMatchObject({
        code: "COLUMN_TYPE_CONFLICT",
        confidence: "high",
        table: "orders",
      });
      expect(JSON.stringify(diagnosis.data.evidence)).toContain("amount__v_text");
      expect((diagnosis.data.causes as { supported_by: string[] }[])[0]?.supported_by).toEqual(["types"]);
      fixesOf(diagnosis);
      const profile = await call("profile_table", {
        pipeline: "shop",
        table: "orders",
        columns: ["amount", "amount__v_text"],
      });
      expect(profile.data.columns).toMatchObject([
        { name: "amount", nulls: 1, min: "5" },
        { name: "amount__v_text", nulls: 1, min: "five" },
      ]);
    });
  });

  describe("a cursor that a bad timestamp moved ahead", () => {
    it("is found, rewound by the ready call, and the rows are fetched; the way back works too", async () => {
      rows([], [event(1, "2024-01-01T00:00:00Z"), event(2, "2999-01-01T00:00:00Z")]);
      await run();
      rows([], [event(2, "2024-01-02T00:00:00Z"), event(3, "2024-01-03T00:00:00Z")]);
      await run();
      expect(await select("select id from events order by id")).toEqual([[1], [2]]);
      const diagnosis = await call("diagnose_error", {
        pipeline: "shop",
        text: "rows are missing since last week",
      });
      expect(diagnosis.data).toMatchObject({ code: "ROWS_SKIPPED", confidence: "high" });
      expect((diagnosis.data.causes as { cause: string }[])[0]?.cause).toContain("in the future");
      const rewind = fixesOf(diagnosis).find((each) => each.tool === "reset_state");
      expect(rewind?.arguments).toMatchObject({ action: "set_cursor", resource: "events" });
      const before = await call("inspect_state", { pipeline: "shop" });
      const plan = await call("reset_state", rewind!.arguments);
      expect(plan.data).toMatchObject({ status: "planned", reversible: true });
      expect(JSON.stringify(plan.data.changes)).toContain("2999");
      expect((await call("inspect_state", { pipeline: "shop" })).data).toEqual(before.data);
      const done = await call(plan.next_steps[0]!.tool, plan.next_steps[0]!.arguments);
      expect(done.data.status).toBe("done");
      // the token is spent
      expect((await fail(server.client, "reset_state", plan.next_steps[0]!.arguments)).code).toBe(
        "CONFIRM_EXPIRED",
      );
      const after = await call("inspect_state", { pipeline: "shop" });
      expect(JSON.stringify(after.data.cursors)).not.toContain("2999");
      expect(after.data.destination_changes).toEqual([]);
      expect(after.data.backups).toMatchObject([{ reason: "reset_state set_cursor" }]);
      await run();
      expect(await select("select id, cast(updated_at as date) from events order by id")).toEqual([
        [1, "2024-01-01"],
        [2, "2024-01-02"],
        [3, "2024-01-03"],
      ]);
      const back = done.next_steps.find((each) => each.arguments.action === "restore_backup");
      await confirmed("reset_state", back!.arguments);
      const restored = await call("inspect_state", { pipeline: "shop" });
      expect(JSON.stringify(restored.data.cursors)).toContain("2999");
    });

    it("is not moved when the state moved since the plan, nor to a value of another type", async () => {
      rows([], [event(1, "2024-01-01T00:00:00Z")]);
      await run();
      const input = {
        pipeline: "shop",
        action: "set_cursor",
        resource: "events",
        value: "2023-01-01T00:00:00Z",
      };
      const plan = await call("reset_state", input);
      rows([], [event(2, "2024-02-01T00:00:00Z")]);
      await run();
      expect((await fail(server.client, "reset_state", plan.next_steps[0]!.arguments)).code).toBe(
        "CONFIRM_EXPIRED",
      );
      expect((await fail(server.client, "reset_state", { ...input, resource: "event" })).message).toContain(
        "events",
      );
    });
  });

  describe("a resource that is to be loaded anew", () => {
    it("is dropped with its tables and memory, after a plan with their rows, and fetched again", async () => {
      rows([{ id: 1 }], [event(1, "2024-01-01T00:00:00Z")]);
      await run();
      const plan = await call("reset_state", {
        pipeline: "shop",
        action: "drop_resource",
        resource: "events",
      });
      expect(plan.data).toMatchObject({
        status: "planned",
        tables: [{ name: "events", rows: 1 }],
        reversible: false,
      });
      await call("reset_state", plan.next_steps[0]!.arguments);
      expect(
        (await fail(server.client, "query_data", { pipeline: "shop", sql: "select * from events" })).code,
      ).toBe("TABLE_NOT_FOUND");
      expect(await select("select count(*) from orders")).toEqual([[1]]);
      await run();
      expect(await select("select id from events")).toEqual([[1]]);
      await confirmed("reset_state", { pipeline: "shop", action: "restore_from_destination" });
    });

    it("is dropped with others by a pattern, and without its tables", async () => {
      rows([{ id: 1 }], [event(1, "2024-01-01T00:00:00Z")]);
      await run();
      const drop = { pipeline: "shop", action: "drop_resource" };
      const memory = await confirmed("reset_state", { ...drop, resources: ["re:ev"], state_only: true });
      expect(memory.data).toMatchObject({ tables: [], changes: [{ path: "shop.resources.events" }] });
      expect(memory.data.reversible).toBe(true);
      const all = await confirmed("reset_state", { ...drop, all: true });
      expect(all.data.tables).toEqual([
        { name: "events", rows: 1 },
        { name: "orders", rows: 1 },
      ]);
      // the state before would skip the rows that are gone
      expect(all.next_steps.map((each) => each.arguments.action)).not.toContain("restore_backup");
      for (const [code, input] of [
        ["RESOURCE_NOT_FOUND", { ...drop, resource: "event" }],
        ["RESOURCE_NOT_FOUND", { ...drop, state_paths: ["token"] }],
        ["ARGUMENTS_INVALID", drop],
        ["ARGUMENTS_INVALID", { ...drop, all: true, source: "shop2" }],
      ] as const) {
        expect((await fail(server.client, "reset_state", input)).code).toBe(code);
      }
    });
  });

  describe("pending packages", () => {
    it("are named as the cause, dropped, and made pending again", async () => {
      const shop = await makeShop();
      const other = await open(shop.dir, ["--allow", "destructive"]);
      try {
        const diagnosis = await ask(other.client, "diagnose_error", { load_id: PENDING_FIRST });
        expect(diagnosis.data).toMatchObject({
          code: "PENDING_PACKAGES",
          confidence: "high",
          pipeline: "shop",
        });
        expect(fixesOf(diagnosis).map((each) => each.tool)).toContain("drop_pending_packages");
        const refused = await fail(other.client, "reset_state", {
          pipeline: "shop",
          action: "clear_cursor",
          resource: "orders",
        });
        expect(refused.code).toBe("PACKAGE_SUPERSEDED");
        const drop = await ask(other.client, "drop_pending_packages", { pipeline: "shop" });
        await ask(other.client, "drop_pending_packages", drop.next_steps[0]!.arguments);
        const plan = await ask(other.client, "reset_state", {
          pipeline: "shop",
          action: "restore_dropped",
          load_id: PENDING_FIRST,
        });
        expect(plan.data.packages).toEqual([PENDING_FIRST, PENDING_SECOND]);
        await ask(other.client, "reset_state", plan.next_steps[0]!.arguments);
        const loads = await ask(other.client, "query_loads", { pipeline: "shop", status: "extracted" });
        expect(loads.data.total).toBe(2);
      } finally {
        await other.close();
        shop.remove();
      }
    });
  });

  describe("diagnose_error without a pipeline", () => {
    it("answers the three that everybody meets, and says when it does not know", async () => {
      const texts = {
        PG_UNIQUE_VIOLATION:
          'duplicate key value violates unique constraint "orders_pkey"\nDETAIL: Key (id)=(7) already exists.',
        COLUMN_TYPE_CONFLICT: "Cannot coerce type `text` to `bigint` for value",
        CONNECTION_REFUSED: "connect ECONNREFUSED 127.0.0.1:5432",
      };
      for (const [code, text] of Object.entries(texts)) {
        const { data } = await call("diagnose_error", { text });
        expect(data).toMatchObject({ code, confidence: "high" });
      }
      const refused = await call("diagnose_error", { text: texts.CONNECTION_REFUSED });
      expect(String(refused.data.advice)).toContain("pooler");
      const unknown = await call("diagnose_error", {
        text: "postgresql://u:hunter2secret@h/db went for lunch",
      });
      expect(unknown.data).toMatchObject({ code: "UNCLASSIFIED", confidence: "none", retry: "unknown" });
      expect(JSON.stringify(unknown)).not.toContain("hunter2secret");
      expect((await fail(server.client, "diagnose_error", {})).code).toBe("ARGUMENTS_INVALID");
    });
  });
});
