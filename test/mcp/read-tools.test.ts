import { join } from "node:path";
import { DuckDBInstance } from "@duckdb/node-api";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CATALOG } from "../../src/tools/catalog.ts";
import {
  ask,
  type Connected,
  connect,
  fail,
  HOSTILE,
  LOADED,
  makeShop,
  PENDING_FIRST,
  PENDING_SECOND,
} from "../support/mcp.ts";
import type { TestWorkspace } from "../support/workspace.ts";

let workspace: TestWorkspace;
let server: Connected;
beforeAll(async () => {
  workspace = await makeShop();
  server = await connect(workspace.dir);
});
afterAll(async () => {
  await server.close();
  workspace.remove();
});

describe("a server as it starts: reading only", () => {
  it("lists the whole catalogue in order, with schemas and annotations", async () => {
    const { tools } = await server.client.listTools();
    expect(tools.map((tool) => tool.name)).toEqual(CATALOG.map((tool) => tool.name));
    for (const tool of tools) {
      expect(tool.title).toBeTruthy();
      expect(tool.inputSchema).toMatchObject({ type: "object", additionalProperties: false });
      expect(tool.outputSchema).toMatchObject({ type: "object" });
      for (const hint of ["readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"] as const) {
        expect(typeof tool.annotations?.[hint], `${tool.name}.${hint}`).toBe("boolean");
      }
    }
    expect(server.client.getInstructions()).toMatch(/get_workspace/);
  });

  it("refuses what is not opened, and names the flag", async () => {
    for (const [name, input] of [
      ["run_pipeline", { pipeline: "shop" }],
      ["cancel_run", { run_id: "20240101T000000-abcdef" }],
      ["drop_pending_packages", { pipeline: "shop" }],
    ] as const) {
      const error = await fail(server.client, name, input);
      expect(error).toMatchObject({ code: "NOT_ALLOWED" });
      expect(error.hint).toContain("--allow");
    }
  });

  it("speaks the newest protocol too", async () => {
    const modern = await connect(workspace.dir, [], { versionNegotiation: { mode: { pin: "2026-07-28" } } });
    const { tools } = await modern.client.listTools();
    expect(tools.length).toBe(CATALOG.length);
    expect((await ask(modern.client, "get_workspace")).summary).toContain("3 pipelines");
    await modern.close();
  });

  it("writes its log to stderr", () => {
    const [first] = server.stderr().split("\n");
    expect(JSON.parse(first ?? "")).toMatchObject({ level: "info", event: "mcp.ready" });
  });
});

describe("get_workspace", () => {
  it("lists pipelines with what waits for somebody", async () => {
    const answer = await ask(server.client, "get_workspace");
    expect(answer.data.allowed).toEqual(["read"]);
    const pipelines = answer.data.pipelines as Record<string, unknown>[];
    expect(pipelines[0]).toMatchObject({ name: "shop", pending_packages: 2, database_exists: true });
    expect(pipelines[1]).toMatchObject({ name: "slow", pending_packages: 0, database_exists: false });
    expect(answer.next_steps[0]).toMatchObject({ tool: "query_loads", arguments: { pipeline: "shop" } });
  });
});

describe("query_loads", () => {
  it("joins packages on disk with loads at the destination", async () => {
    const answer = await ask(server.client, "query_loads", { pipeline: "shop" });
    const loads = answer.data.loads as Record<string, unknown>[];
    expect(loads.map((load) => [load.load_id, load.status, load.known_to])).toEqual([
      [PENDING_SECOND, "extracted", "disk"],
      [PENDING_FIRST, "extracted", "disk"],
      [LOADED, "loaded", "destination"],
    ]);
    expect(loads[0]).toMatchObject({ rows: { orders: 3 }, resources: ["orders"] });
    expect(answer.next_steps.map((step) => step.tool)).toContain("drop_pending_packages");
  });

  it("filters, and pages with a cursor that belongs to the query", async () => {
    const first = await ask(server.client, "query_loads", { pipeline: "shop", limit: 2 });
    expect(first).toMatchObject({ truncated: true });
    const second = await ask(server.client, "query_loads", {
      pipeline: "shop",
      limit: 2,
      cursor: first.next_cursor,
    });
    expect((second.data.loads as { load_id: string }[]).map((load) => load.load_id)).toEqual([LOADED]);
    expect(second.next_cursor).toBeUndefined();
    const error = await fail(server.client, "query_loads", {
      pipeline: "shop",
      status: "loaded",
      cursor: first.next_cursor,
    });
    expect(error.code).toBe("BAD_CURSOR");
    const loaded = await ask(server.client, "query_loads", { pipeline: "shop", status: "loaded" });
    expect(loaded.data.total).toBe(1);
  });

  it("names the nearest pipeline for one that is not there", async () => {
    const error = await fail(server.client, "query_loads", { pipeline: "shpo" });
    expect(error.code).toBe("PIPELINE_NOT_FOUND");
    expect(error.message).toContain("shop");
  });
});

describe("inspect_state", () => {
  it("shows each cursor in its three places, and what differs", async () => {
    const { data } = await ask(server.client, "inspect_state", { pipeline: "shop" });
    expect(data.cursors).toEqual([
      {
        source: "shop",
        resource: "orders",
        path: "updated_at",
        committed: "2024-01-20",
        pending: "2024-03-01",
        destination: "2024-01-20",
      },
    ]);
    expect(data.pending_changes).toEqual([
      {
        path: "shop.resources.orders.incremental.updated_at.last_value",
        committed: "2024-01-20",
        other: "2024-03-01",
      },
    ]);
    expect(data.destination_changes).toEqual([]);
  });

  it("gives the whole state, or what is at a path", async () => {
    const { data } = await ask(server.client, "inspect_state", {
      pipeline: "shop",
      path: "shop.resources.orders.incremental.updated_at.last_value",
      response_format: "detailed",
    });
    expect(data.value).toBe("2024-01-20");
    expect(data.committed).toMatchObject({ version: 1, sources: { shop: {} } });
    const error = await fail(server.client, "inspect_state", { pipeline: "shop", path: "shop.resource" });
    expect(error.message).toContain("resources");
    expect((await fail(server.client, "inspect_state", { pipeline: "slow" })).code).toBe(
      "PIPELINE_NEVER_RAN",
    );
  });
});

describe("get_schema", () => {
  it("lists tables, then columns", async () => {
    const tables = await ask(server.client, "get_schema", { pipeline: "shop" });
    expect(tables.data.tables).toMatchObject([{ name: "orders", resource: "orders", column_count: 5 }]);
    const step = tables.next_steps[0];
    const columns = await ask(server.client, step?.tool ?? "", step?.arguments);
    expect(columns.data.tables).toMatchObject([
      {
        columns: [
          { name: "id", data_type: "bigint", nullable: false, hints: { primary_key: true } },
          {},
          {},
          {},
          {},
        ],
      },
    ]);
    const all = await ask(server.client, "get_schema", { pipeline: "shop", system_tables: true });
    expect((all.data.tables as unknown[]).length).toBeGreaterThan(2);
  });

  it("is as of a load or a version", async () => {
    const ofLoad = await ask(server.client, "get_schema", { pipeline: "shop", load_id: LOADED });
    expect(ofLoad.data.read_from).toBe("destination");
    const ofPending = await ask(server.client, "get_schema", { pipeline: "shop", load_id: PENDING_FIRST });
    expect(ofPending.data.read_from).toBe("package");
    expect((await fail(server.client, "get_schema", { pipeline: "shop", version: 99 })).code).toBe(
      "SCHEMA_VERSION_NOT_FOUND",
    );
    const missing = await fail(server.client, "get_schema", { pipeline: "shop", table: "ordres" });
    expect(missing.code).toBe("TABLE_NOT_FOUND");
    expect(missing.message).toContain("orders");
    expect((await fail(server.client, "get_schema", { pipeline: "shop", load_id: "1.1" })).code).toBe(
      "PACKAGE_NOT_FOUND",
    );
  });
});

describe("query_data", () => {
  it("answers rows inside a fence that no cell can close", async () => {
    const answer = await ask(server.client, "query_data", {
      pipeline: "shop",
      sql: "select id, note from orders where id = $id",
      params: { id: 9999 },
    });
    expect(answer.data.rows).toEqual([[9999, HOSTILE]]);
    const text = JSON.stringify(answer);
    const open = String(answer.fence_open);
    expect(open).toMatch(/^<untrusted-data-[0-9a-f]{16}>$/);
    expect(answer.fence_close).toBe(open.replace("<", "</"));
    expect(text.indexOf(open)).toBeLessThan(text.indexOf(HOSTILE));
    expect(text.lastIndexOf(String(answer.fence_close))).toBeGreaterThan(text.indexOf(HOSTILE));
    const again = await ask(server.client, "query_data", { pipeline: "shop", sql: "select 1" });
    expect(again.fence_open).not.toBe(open);
  });

  it("says when rows are cut, by the limit or by the size of a reply", async () => {
    const byLimit = await ask(server.client, "query_data", {
      pipeline: "shop",
      sql: "from orders",
      limit: 5,
    });
    expect([byLimit.truncated, (byLimit.data.rows as unknown[]).length]).toEqual([true, 5]);
    const bySize = await ask(server.client, "query_data", {
      pipeline: "shop",
      sql: "select id, repeat(note, 40) as long from orders",
      limit: 5000,
    });
    expect(bySize.truncated).toBe(true);
    expect(JSON.stringify(bySize).length).toBeLessThan(18_000);
  });

  it("refuses what is not one read-only statement", async () => {
    const codes: Record<string, string> = {
      "drop table orders": "NOT_READ_ONLY",
      "select 1; drop table orders": "MULTI_STATEMENT",
      "select * from read_text('/etc/passwd')": "NOT_READ_ONLY",
      "select * from duckdb_settings()": "NOT_READ_ONLY",
      "select * from nowhere": "TABLE_NOT_FOUND",
      "select nothing from orders": "QUERY_FAILED",
      selec: "QUERY_FAILED",
    };
    for (const [sql, code] of Object.entries(codes)) {
      const error = await fail(server.client, "query_data", { pipeline: "shop", sql });
      expect([sql, error.code]).toEqual([sql, code]);
      expect(JSON.stringify(error)).not.toContain(workspace.dir);
    }
  });

  it("ends at its time limit and leaves the server alive", async () => {
    const sql = "select count(*) from range(100000000000) a, range(1000) b";
    expect((await fail(server.client, "query_data", { pipeline: "shop", sql, timeout_s: 0.5 })).code).toBe(
      "TIMEOUT",
    );
    expect((await ask(server.client, "query_data", { pipeline: "shop", sql: "select 1" })).data.rows).toEqual(
      [[1]],
    );
  });

  it("says that a run holds the database; what is on disk can still be seen", async () => {
    const held = await DuckDBInstance.create(join(workspace.dir, "shop.duckdb"));
    try {
      const error = await fail(server.client, "query_data", { pipeline: "shop", sql: "select 1" });
      expect(error).toMatchObject({ code: "DESTINATION_LOCKED", retry: "yes" });
      const loads = await ask(server.client, "query_loads", { pipeline: "shop" });
      expect(loads.data).toMatchObject({ destination: "locked", total: 2 });
    } finally {
      held.closeSync();
    }
  });

  it("has no database to read before the first load", async () => {
    const error = await fail(server.client, "query_data", { pipeline: "slow", sql: "select 1" });
    expect(error.code).toBe("PIPELINE_NEVER_RAN");
  });
});

describe("arguments", () => {
  it("that are wrong are answered in the error envelope", async () => {
    for (const [name, input] of [
      ["get_run", {}],
      ["get_run", { run_id: "../../etc/passwd" }],
      ["query_loads", {}],
      ["query_loads", { pipeline: "shop", limits: 3 }],
      ["query_data", { pipeline: "shop", sql: "select 1", limit: 0 }],
    ] as const) {
      const error = await fail(server.client, name, input);
      expect(error).toMatchObject({ code: "ARGUMENTS_INVALID", retry: "after_fix" });
      expect(error.hint).toBeTruthy();
    }
    expect((await fail(server.client, "get_run", { pipeline: "shop" })).code).toBe("RUN_NOT_FOUND");
    expect((await fail(server.client, "get_run", { run_id: "20240101T000000-abcdef" })).code).toBe(
      "RUN_NOT_FOUND",
    );
  });
});
