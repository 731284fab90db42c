/**
 * What reports by day rely on, on each destination: with the date as merge key the rows of a day take the place
 * of all rows of that day, and a row marked as deleted takes a day away without being inserted.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from "vitest";
import { checkpoint, Pipeline, type Row, resource, Source } from "../../src/engine/index.ts";
import { type DailyTable, dailyHints, dateValue, dayRows } from "../../src/sources/daily-report/window.ts";
import { duckdbStore, type GoldenStore, postgresStore } from "../support/golden-stores.ts";
import { succeeded } from "../support/item-shop.ts";
import { createDatabase } from "../support/postgres-server.ts";

const DATASET = "daily_data";
const TABLE: DailyTable = {
  key: { source_id: "" },
  columns: { source_id: { data_type: "text" }, cost: { data_type: "decimal" } },
};
const LOOKBACK = { lookback_days: 30, sweep_days: 0, sweep_every_days: 1 };

describe.each(["duckdb", "postgres"])("on %s", (kind) => {
  const folder = mkdtempSync(join(tmpdir(), "loadwright-daily-"));
  let store: GoldenStore;
  let cases = 0;
  beforeAll(async () => {
    store =
      kind === "duckdb"
        ? duckdbStore(join(folder, "daily.duckdb"))
        : postgresStore(await createDatabase(inject("postgresUrl"), "conformance_daily"));
  });
  beforeEach(async () => {
    cases += 1;
    await store.clear(DATASET);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  /** Loads days, each with its costs by source. */
  async function load(days: Record<string, Record<string, string>>, limits = {}): Promise<number> {
    const data = function* () {
      for (const [day, sources] of Object.entries(days)) {
        const rows: Row[] = Object.entries(sources).map(([source_id, cost]) => ({
          date: dateValue(day),
          source_id,
          cost,
        }));
        yield dayRows(TABLE, day, rows);
        yield checkpoint;
      }
    };
    const pipeline = new Pipeline({
      name: "daily",
      dataset: DATASET,
      destination: store.destination,
      dir: join(folder, String(cases)),
      limits,
    });
    const hints = dailyHints(TABLE, "2026-03-01", LOOKBACK);
    const report = await pipeline.run(
      new Source({ name: "daily", resources: [resource({ name: "report", ...hints }, data)] }),
    );
    return succeeded(report).packages.length;
  }

  async function rows(): Promise<unknown[][]> {
    const opened = await store.open();
    try {
      const found = await opened.rows(
        `select cast(date as text), source_id, cast(cost as text) from "${DATASET}".report order by 1, 2`,
      );
      return found.map(([day, source, cost]) => [String(day).slice(0, 10), source, Number(cost)]);
    } finally {
      await opened.close();
    }
  }

  const FIRST = {
    "2026-03-01": { a: "1.10", b: "2.20" },
    "2026-03-02": { a: "3.30", "": "4.40" },
    "2026-03-03": { a: "5.50" },
  };

  it("a day is replaced whole: rows change, come and vanish, other days stay", async () => {
    await load(FIRST);
    await load({ "2026-03-02": { a: "9.90", c: "0.10" } });
    expect(await rows()).toEqual([
      ["2026-03-01", "a", 1.1],
      ["2026-03-01", "b", 2.2],
      ["2026-03-02", "a", 9.9],
      ["2026-03-02", "c", 0.1],
      ["2026-03-03", "a", 5.5],
    ]);
  });

  it("a day that became empty is gone, and no mark of it is left", async () => {
    await load(FIRST);
    await load({ "2026-03-01": {}, "2026-03-02": {}, "2026-03-04": {} });
    expect(await rows()).toEqual([["2026-03-03", "a", 5.5]]);
    await load({ "2026-03-02": { a: "1.00" }, "2026-03-03": {} });
    expect(await rows()).toEqual([["2026-03-02", "a", 1]]);
  });

  it("a table whose first days are all empty is filled later", async () => {
    await load({ "2026-03-01": {}, "2026-03-02": {} });
    await load(FIRST);
    expect((await rows()).length).toBe(5);
  });

  it("packages end between days only", async () => {
    expect(await load(FIRST, { packageRowsMax: 1 })).toBeGreaterThan(2);
    expect((await rows()).length).toBe(5);
  });
});
