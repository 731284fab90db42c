/** A dry run tells what a run would do and changes nothing, on either database. */

import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import { expect, test } from "vitest";
import { incremental, type ResourceHints, type Row, type RunReport } from "../../src/engine/index.ts";
import { type Database, onBothDatabases } from "../support/both-databases.ts";
import { succeeded } from "../support/item-shop.ts";

/** Files by path with a hash of each; traces of runs are what a dry run may leave. */
function filesOf(dir: string): Record<string, string> {
  if (!existsSync(dir)) return {};
  const files = readdirSync(dir, { recursive: true, encoding: "utf8" })
    .filter((name) => !name.startsWith("runs"))
    .map((name) => join(dir, name))
    .filter((path) => statSync(path).isFile());
  const hashed = files.map((path) => [
    relative(dir, path),
    createHash("sha256").update(readFileSync(path)).digest("hex"),
  ]);
  return Object.fromEntries(hashed) as Record<string, string>;
}

/** Everything that a load could change: the file or the tables with their rows and comments, and the folder. */
async function everything(database: Database): Promise<unknown> {
  const folder = filesOf(database.dir);
  if (database.kind === "duckdb") {
    if (!existsSync(database.file)) return { folder, file: "absent" };
    return { folder, file: createHash("sha256").update(readFileSync(database.file)).digest("hex") };
  }
  const columns = await database.read(
    `select table_name, column_name, data_type, is_nullable from information_schema.columns
     where table_schema = '${database.dataset}' order by 1, ordinal_position`,
  );
  const rows: Record<string, unknown> = {};
  for (const table of new Set(columns.map(([name]) => String(name)))) {
    rows[table] = await database.read(`select t::text from {}."${table}" t order by 1`);
  }
  const schemas = await database.read(
    "select nspname from pg_namespace where nspname not like 'pg_%' order by 1",
  );
  return { folder, columns, rows, schemas };
}

const hints: ResourceHints = {
  primaryKey: "id",
  writeDisposition: "merge",
  incremental: incremental("id"),
  schemaContract: { data_type: "discard_value" },
};

onBothDatabases("conformance_dry_run", (database) => {
  const dry = (rows: readonly Row[], given: ResourceHints = hints, more = {}): Promise<RunReport> =>
    database.run(rows, given, { dryRun: true, ...more });

  test("of a pipeline that never ran makes no database, no dataset and no folder but its trace", async () => {
    const before = await everything(database);
    const report = succeeded(await dry([{ id: 1, tags: ["a", "b"] }]));
    expect(await everything(database)).toEqual(before);
    expect(report.packages).toMatchObject([{ status: "planned", rows: { items: 1, items__tags: 2 } }]);
    expect(report.rows).toEqual({});
    expect(report.dry_run?.rows).toMatchObject({ items: 1, items__tags: 2 });
    const ddl = report.dry_run?.ddl.map(({ kind, table }) => `${kind} ${table}`);
    expect(ddl?.slice(0, 3)).toEqual(["create_schema ", "create_table items", "create_table items__tags"]);
    expect(report.dry_run?.samples?.items__tags).toEqual([{ value: "a" }, { value: "b" }]);
  });

  test("tells DDL, rows, cursors, schema changes and discards, and the run after it does just that", async () => {
    await database.load([{ id: 1, v: 1 }], hints);
    const before = await everything(database);
    const rows = [
      { id: 1, v: 9 },
      { id: 2, v: "not a number", note: "new" },
      { id: 3, v: 3 },
    ];
    const report = succeeded(await dry(rows));
    expect(await everything(database)).toEqual(before);
    const real = await database.load(rows, hints);

    const comparable = (given: RunReport) =>
      given.packages.map(({ rows, rejected, schema_changes, resources }) => ({
        rows,
        rejected,
        schema_changes,
        resources,
      }));
    expect(comparable(report)).toEqual(comparable(real));
    expect(report.packages[0]).toMatchObject({
      resources: [{ cursor: { path: "id", before: 1, after: 3 } }],
      rejected: { items: { rows: 0, values: 1 } },
    });
    expect(report.dry_run?.ddl.filter(({ table }) => table === "items")).toMatchObject([
      { kind: "add_column", sql: expect.stringMatching(/alter table .* add column "note"/) },
    ]);
    expect(report.dry_run?.samples?.items).toContainEqual({ id: 2, v: null, note: "new" });
    expect(await database.read("select id, note from {}.items order by id")).toEqual([
      ["1", null],
      ["2", "new"],
      ["3", null],
    ]);
  });

  test("tells of pending packages first, and leaves them pending", async () => {
    await database.load([{ id: 1, v: 1 }], hints);
    await database.pipeline().extract(database.source([{ id: 2, v: 2, early: true }], hints));
    const before = await everything(database);
    const report = succeeded(await dry([{ id: 3, v: 3, late: true }]));
    expect(await everything(database)).toEqual(before);
    expect(report.packages).toMatchObject([
      { status: "planned", recovered: true, rows: { items: 1 } },
      { status: "planned", recovered: false, resources: [{ cursor: { before: 2, after: 3 } }] },
    ]);
    // one plan for both: neither column is there yet
    const added = report.dry_run?.ddl
      .filter(({ kind }) => kind === "add_column")
      .map(({ sql }) => sql)
      .join("\n");
    expect(added).toMatch(/"early".*\n.*"late"|"early".*"late"/);
    expect(report.dry_run?.rows.items).toBe(2);
    expect((await database.pipeline().store().pendingPackages()).length).toBe(1);
  });

  test("fails as the run would, and sets nothing aside", async () => {
    await database.load([{ id: 1, v: 1 }], hints);
    const before = await everything(database);
    const report = await dry([{ id: 2, w: 1 }], { ...hints, schemaContract: { columns: "freeze" } });
    expect(report).toMatchObject({ status: "failed", error: { code: "CONTRACT_VIOLATION" } });
    expect(await everything(database)).toEqual(before);
    expect(await database.pipeline().store().list("failed")).toEqual([]);
  });

  test("leaves a trace without a sample, and its log has no cell", async () => {
    const report = succeeded(await dry([{ id: 1, v: 1, note: "canary-7c1" }]));
    expect(JSON.stringify(report)).toContain("canary-7c1");
    const folder = join(database.dir, "runs", report.run_id);
    for (const name of readdirSync(folder))
      expect(readFileSync(join(folder, name), "utf8")).not.toContain("canary-7c1");
    const trace = await database.pipeline().runs.readTrace(report.run_id);
    expect(trace).toMatchObject({ status: "succeeded", rows: {}, dry_run: { rows: { items: 1 } } });
    expect(existsSync(join(database.dir, "dry-runs"))).toBe(false);
  });

  test("takes no more rows than it is allowed, and cannot be asked of a single step", async () => {
    const rows = Array.from({ length: 50 }, (_, id) => ({ id, v: 1 }));
    const report = succeeded(await dry(rows, hints, { rowsMax: 7 }));
    expect(report.dry_run?.rows.items).toBe(7);
    expect(report.dry_run?.samples?.items?.length).toBe(5);
    const source = database.source(rows, hints);
    await expect(database.pipeline().extract(source, { dryRun: true })).rejects.toMatchObject({
      code: "CONFIG_INVALID",
    });
  });
});
