/** Profiles and checks of loaded tables say the same on both engines. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DuckDBInstance } from "@duckdb/node-api";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { defaultContext } from "../../src/engine/context.ts";
import { postgresReader } from "../../src/engine/destinations/postgres/reader.ts";
import { duckdb, Pipeline, postgres, resource, Source } from "../../src/engine/index.ts";
import { type CheckKind, type DeclaredChecks, planChecks } from "../../src/engine/inspect/checks.ts";
import type { Measured } from "../../src/engine/inspect/measure.ts";
import { profileTable } from "../../src/engine/inspect/profile.ts";
import { duckdbReader } from "../../src/engine/inspect/reader.ts";
import { type SchemaView, tableOf, viewOf } from "../../src/engine/inspect/schema.ts";
import { schemaFromText } from "../../src/engine/schema/documents.ts";
import { createDatabase } from "../support/postgres-server.ts";

const folder = mkdtempSync(join(tmpdir(), "loadwright-quality-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const row = (id: number, more: object = {}) => ({
  id,
  customer: `c${id % 3}`,
  amount: id + 0.5,
  at: new Date(Date.UTC(2024, 0, 1, id)).toISOString(),
  items: [{ sku: `s${id}` }],
  ...more,
});
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => row(from + i));

for (const kind of ["duckdb", "postgres"] as const) {
  describe(`on ${kind}`, () => {
    let measured: Measured;
    let view: SchemaView;
    let sql: (statement: string) => Promise<void>;

    beforeAll(async () => {
      const path = join(folder, "quality.duckdb");
      const url = kind === "postgres" ? await createDatabase(inject("postgresUrl"), "quality") : "";
      const pipeline = new Pipeline({
        name: "shop",
        dataset: "shop_data",
        destination: kind === "postgres" ? postgres({ url, createIndexes: false }) : duckdb({ path }),
        dir: join(folder, kind),
      });
      for (const [rows, events] of [
        [range(0, 100), 100],
        [range(100, 200), 100],
        [range(200, 300), 110],
        [range(300, 400).map((each) => ({ ...each, customer: null })), 10],
      ] as const) {
        const source = new Source({
          name: "shop",
          resources: [
            resource({ name: "orders", writeDisposition: "merge", primaryKey: "id" }, [rows]),
            resource({ name: "events" }, [range(0, events)]),
          ],
        });
        const report = await pipeline.run(source);
        expect(report.error).toBeUndefined();
      }
      const context = defaultContext();
      measured =
        kind === "postgres"
          ? { kind, read: postgresReader(() => ({ url }), "shop_data", context) }
          : { kind, read: duckdbReader(path, "shop_data") };
      const [ref] = (await pipeline.store().list("loaded")).reverse();
      const schema = schemaFromText(await pipeline.store().readSchema(ref!));
      view = viewOf({ schema, read_from: "disk" });
      sql = async (statement) => {
        if (kind === "postgres") {
          const client = new pg.Client({ connectionString: url });
          await client.connect();
          await client.query(statement);
          await client.end();
          return;
        }
        const instance = await DuckDBInstance.create(path);
        const connection = await instance.connect();
        await connection.run(statement);
        connection.closeSync();
        instance.closeSync();
      };
    });

    const found = async (declared: Record<string, DeclaredChecks> = {}) => {
      const tables = view.tables.filter((each) => !each.name.startsWith("_dlt_"));
      const findings = new Map<string, Awaited<ReturnType<ReturnType<typeof planChecks>[number]["run"]>>>();
      for (const check of planChecks(tables, declared)) {
        findings.set(`${check.table}.${check.check}.${check.columns.join("+")}`, await check.run(measured));
      }
      return findings;
    };
    const statusOf = (
      findings: Awaited<ReturnType<typeof found>>,
      table: string,
      check: CheckKind,
      columns = "",
    ) => findings.get(`${table}.${check}.${columns}`)?.status;

    test("a profile counts nulls, distinct values and ranges, and says how fresh the table is", async () => {
      const table = tableOf(view, "orders");
      const profile = await profileTable(measured, table, { columns: table.columns, topValues: 2 });
      expect(profile.rows).toBe(400);
      const column = (name: string) => profile.columns.find((each) => each.name === name);
      expect(column("customer")).toMatchObject({
        nulls: 100,
        null_share: 0.25,
        distinct: 3,
        min: "c0",
        max: "c2",
      });
      expect(column("customer")?.top).toEqual([
        { value: "c0", rows: 100 },
        { value: "c1", rows: 100 },
      ]);
      expect(column("id")).toMatchObject({ nulls: 0, min: "0", max: "399", top: [] });
      expect(Math.abs(column("id")!.distinct! - 400)).toBeLessThan(80);
      expect(profile.freshness.loads).toBe(4);
      expect(profile.freshness.last_loaded_at).toBeDefined();
      expect(String(profile.freshness.newest.at)).toContain("2024-01-17");
    });

    test("drift shows what the newest load brought otherwise than the one before", async () => {
      const table = tableOf(view, "orders");
      const { drift } = await profileTable(measured, table, {
        columns: table.columns,
        topValues: 0,
        compareWith: "previous",
      });
      expect(drift?.rows).toEqual({ before: 100, after: 100 });
      const notes = Object.fromEntries(drift!.columns.map((each) => [each.name, each.notes]));
      expect(notes.customer?.join()).toContain("only nulls now");
      expect(notes.amount).toEqual([]);
      const unknown = { columns: table.columns, topValues: 0, compareWith: "1.1" };
      await expect(profileTable(measured, table, unknown)).rejects.toMatchObject({
        code: "PACKAGE_NOT_FOUND",
      });
    });

    test("checks pass on what the engine has loaded, and warn of a load with far fewer rows", async () => {
      const findings = await found();
      const failed = [...findings].filter(([, each]) => each.status !== "pass").map(([key]) => key);
      expect(failed).toEqual(["events.row_drift."]);
      expect(statusOf(findings, "orders", "unique", "id")).toBe("pass");
      expect(statusOf(findings, "orders__items", "orphans", "_dlt_parent_id")).toBe("pass");
    });

    test("declared checks pass and fail by what is there", async () => {
      const findings = await found({
        orders: {
          unique: [["customer", "id"], ["customer"]],
          not_null: ["amount", "customer"],
          null_share_max: { customer: 0.2 },
          accepted_values: { customer: ["c0", "c1"] },
          rows_min: 401,
          fresh: { column: "at", within_hours: 24 },
        },
        events: { rows_min: 10, accepted_values: { customer: ["c0", "c1", "c2"] }, row_drift_max: 0.1 },
      });
      expect(statusOf(findings, "orders", "unique", "customer+id")).toBe("pass");
      expect(findings.get("orders.unique.customer")).toMatchObject({ status: "fail", count: 4 });
      expect(statusOf(findings, "orders", "not_null", "amount")).toBe("pass");
      expect(findings.get("orders.not_null.customer")).toMatchObject({ status: "fail", count: 100 });
      expect(statusOf(findings, "orders", "null_share", "customer")).toBe("fail");
      expect(findings.get("orders.accepted_values.customer")).toMatchObject({
        status: "fail",
        count: 100,
        sample: [["c2", 100]],
      });
      expect(statusOf(findings, "orders", "rows_min")).toBe("fail");
      expect(statusOf(findings, "orders", "fresh", "at")).toBe("fail");
      expect(statusOf(findings, "events", "rows_min")).toBe("pass");
      expect(statusOf(findings, "events", "accepted_values", "customer")).toBe("pass");
      expect(statusOf(findings, "events", "row_drift")).toBe("fail");
      await expect(found({ orders: { not_null: ["amout"] } })).rejects.toThrow(/amount/);
      await expect(found({ order: {} })).rejects.toMatchObject({ code: "CHECK_INVALID" });
    });

    test("damage is found: a key twice, a row id twice, orphans, rows of a load that was never finished", async () => {
      await sql("insert into shop_data.orders select * from shop_data.orders where id = 7");
      await sql("delete from shop_data.orders where id = 9");
      await sql("update shop_data.events set _dlt_load_id = '1.5' where id = 3");
      const findings = await found();
      expect(findings.get("orders.unique.id")).toMatchObject({
        status: "fail",
        count: 1,
        sample_columns: ["id", "rows"],
        sample: [["7", 2]],
      });
      expect(statusOf(findings, "orders", "row_id_unique", "_dlt_id")).toBe("fail");
      expect(findings.get("orders__items.orphans._dlt_parent_id")).toMatchObject({
        status: "fail",
        count: 1,
      });
      expect(findings.get("events.load_known._dlt_load_id")).toMatchObject({ status: "fail", count: 4 });
    });
  });
}
