import { describe, expect, test } from "vitest";
import type { LiveCatalogue, TableJobs } from "../../src/engine/destinations/destination.ts";
import { describePlan, type LoadPlan, planLoad } from "../../src/engine/load/plan.ts";
import { kindOf } from "../../src/engine/normalize/column-buffer.ts";
import type { Schema, Table } from "../../src/engine/schema/types.ts";
import { duckdbDialect, postgresDialect } from "../../src/engine/sql/dialect.ts";
import { duckdbType } from "../../src/engine/sql/types.ts";
import { LOAD_ID, PARENT_ID, ROOT_ID, ROW_ID, schemaOf, table } from "../support/packages.ts";

const dataset = { catalog: "shop", schema: "data" };
const PK = { data_type: "bigint", primary_key: true, nullable: false } as const;

function plan(
  schema: Schema,
  jobs: string[],
  live: LiveCatalogue = new Map(),
  replace: string[] = [],
): LoadPlan {
  return planLoad({
    dialect: duckdbDialect,
    dataset,
    loadId: "1.5",
    schema,
    schemaJson: "{}",
    jobs: jobs.map((name): TableJobs => ({ table: name, files: [`${name}.parquet`], rows: 1 })),
    replaceTables: replace,
    live,
    exists: live.size > 0,
    insertedAt: "2026-01-02T03:04:05.678Z",
  });
}

/** The catalogue that the schema's own tables would have. */
function liveOf(...tables: Table[]): LiveCatalogue {
  const columns = (t: Table) =>
    [...t.columns.values()].map(
      (c) => [c.name, { type: duckdbType(c), nullable: c.nullable !== false }] as const,
    );
  return new Map(tables.map((t) => [t.name, new Map(columns(t))]));
}

const sqlOf = (made: LoadPlan): string[] =>
  made.roots.flatMap((root) => describeOnly({ ...made, roots: [root] }));
const describeOnly = (made: LoadPlan): string[] =>
  describePlan(duckdbDialect, { ...made, ddl: { ...made.ddl, statements: [] }, metadata: [] });
const ddlOf = (made: LoadPlan): string[] => made.ddl.statements.map((statement) => statement.sql);

const orders = (more: Partial<Table> = {}, extra = {}): Table =>
  table("orders", { id: PK, ...extra, _dlt_id: ROW_ID }, { write_disposition: "merge", ...more });
const items = table(
  "orders__items",
  { sku: "text", _dlt_root_id: ROOT_ID, _dlt_parent_id: PARENT_ID, _dlt_id: ROW_ID },
  { parent: "orders" },
);
const LOADS = table("_dlt_loads", { load_id: LOAD_ID });
const VERSION = table("_dlt_version", { version: "bigint" });

describe("types", () => {
  test.each([
    [{ data_type: "bigint", precision: 8 }, "TINYINT"],
    [{ data_type: "bigint", precision: 16 }, "SMALLINT"],
    [{ data_type: "bigint", precision: 32 }, "INTEGER"],
    [{ data_type: "bigint", precision: 64 }, "BIGINT"],
    [{ data_type: "bigint", precision: 128 }, "HUGEINT"],
    [{ data_type: "text", precision: 64 }, "VARCHAR"],
    [{ data_type: "timestamp" }, "TIMESTAMP WITH TIME ZONE"],
    [{ data_type: "timestamp", precision: 3 }, "TIMESTAMP WITH TIME ZONE"],
    [{ data_type: "timestamp", timezone: false, precision: 0 }, "TIMESTAMP_S"],
    [{ data_type: "timestamp", timezone: false, precision: 3 }, "TIMESTAMP_MS"],
    [{ data_type: "timestamp", timezone: false }, "TIMESTAMP"],
    [{ data_type: "timestamp", timezone: false, precision: 9 }, "TIMESTAMP_NS"],
    [{ data_type: "decimal" }, "DECIMAL(38,9)"],
    [{ data_type: "decimal", precision: 10, scale: 2 }, "DECIMAL(10,2)"],
    [{ data_type: "wei" }, "DECIMAL(38,0)"],
  ] as const)("%j is %s", (column, sql) => {
    expect(duckdbType({ name: "c", ...column })).toBe(sql);
  });

  test("that DuckDB lacks are refused", () => {
    expect(() => duckdbType({ name: "c", data_type: "bigint", precision: 256 })).toThrow("the most is 128");
  });

  test("json, decimal and wei are text in block files", () => {
    expect(["json", "decimal", "wei", "text"].map((t) => kindOf(t as "json"))).toEqual(Array(4).fill("text"));
  });
});

describe("ddl", () => {
  test("of a new dataset: schema, tables in order, dlt's own last; incomplete columns and tables are left out", () => {
    const schema = schemaOf([
      VERSION,
      LOADS,
      orders({}, { later: {}, 'quo"te': "text" }),
      table("empty", { x: {} }),
    ]);
    expect(ddlOf(plan(schema, ["orders", "empty"]))).toEqual([
      'create schema if not exists "shop"."data"',
      'create table "shop"."data"."orders" (\n  "id" BIGINT not null,\n  "quo""te" VARCHAR,\n  "_dlt_id" VARCHAR not null\n)',
      'create table if not exists "shop"."data"."_dlt_loads" (\n  "load_id" VARCHAR not null\n)',
      'create table if not exists "shop"."data"."_dlt_version" (\n  "version" BIGINT\n)',
    ]);
  });

  test("of a new table on Postgres declares its unique columns when the rows are in, dlt's own tables at once", () => {
    const keyed = table("keyed", { id: { data_type: "bigint", unique: true }, _dlt_id: ROW_ID });
    const state = table("_dlt_pipeline_state", { _dlt_id: ROW_ID });
    const jobs = [{ table: "keyed", files: ["keyed.blocks"], rows: 1 }];
    const dialect = postgresDialect();
    const made = planLoad({
      dialect,
      dataset: { schema: "data" },
      loadId: "1.5",
      schema: schemaOf([keyed, table("other", { _dlt_id: ROW_ID }), state]),
      schemaJson: "{}",
      jobs: [...jobs, { table: "_dlt_pipeline_state", files: ["state.blocks"], rows: 1 }],
      replaceTables: [],
      live: new Map(),
      exists: true,
      insertedAt: "2026-01-02T03:04:05.678Z",
    });
    const add = 'alter table "data"."keyed" add unique ("id"), add unique ("_dlt_id")';
    const described = describePlan(dialect, made);
    const at = (text: string): number => described.findIndex((sql) => sql.startsWith(text));
    expect(described[at('create table "data"."keyed"')]).not.toContain("unique");
    expect(described[at('create table if not exists "data"."_dlt_pipeline_state"')]).toContain("unique");
    expect(described.filter((sql) => sql.includes("add unique"))).toEqual([add]);
    expect(at(add)).toBeGreaterThan(at("-- load 1 file into"));
    expect(at(add)).toBeLessThan(at("insert into"));
    expect(ddlOf(made).at(-1)).toBe(add);
  });

  test("of a known dataset is empty", () => {
    const schema = schemaOf([VERSION, LOADS, orders()]);
    expect(ddlOf(plan(schema, ["orders"], liveOf(VERSION, LOADS, orders())))).toEqual([]);
  });

  test("a table without rows is made only if it had some before", () => {
    const seen = orders({ "x-normalizer": { "seen-data": true } });
    const live = liveOf(VERSION, LOADS);
    expect(ddlOf(plan(schemaOf([VERSION, LOADS, orders()]), [], live))).toEqual([]);
    expect(ddlOf(plan(schemaOf([VERSION, LOADS, seen]), [], live))).toHaveLength(1);
  });

  test("new columns come one by one and nullable; names differing in case are one name", () => {
    const live = liveOf(VERSION, LOADS, table("ORDERS", { ID: PK, _dlt_id: ROW_ID }));
    const schema = schemaOf([
      VERSION,
      LOADS,
      orders({}, { a: { data_type: "text", nullable: false }, b: "json" }),
    ]);
    expect(ddlOf(plan(schema, ["orders"], live))).toEqual([
      'alter table "shop"."data"."orders" add column "a" VARCHAR',
      'alter table "shop"."data"."orders" add column "b" JSON',
    ]);
  });

  test("an added root key is filled from the parents, level by level", () => {
    const tags = table(
      "orders__items__tags",
      { value: "text", _dlt_root_id: ROOT_ID, _dlt_parent_id: PARENT_ID, _dlt_id: ROW_ID },
      { parent: "orders__items" },
    );
    const before = [items, tags].map((t) => {
      const columns = new Map(t.columns);
      columns.delete("_dlt_root_id");
      return { ...t, columns };
    });
    const live = liveOf(VERSION, LOADS, orders(), ...before);
    // The child stands before its parent in the schema: the order of the levels decides.
    expect(ddlOf(plan(schemaOf([VERSION, LOADS, tags, items, orders()]), ["orders"], live)).slice(2)).toEqual(
      [
        'update "shop"."data"."orders__items" set "_dlt_root_id" = "_dlt_parent_id" where "_dlt_root_id" is null',
        'update "shop"."data"."orders__items__tags" as n set "_dlt_root_id" = p."_dlt_root_id" from "shop"."data"."orders__items" as p where n."_dlt_parent_id" = p."_dlt_id" and n."_dlt_root_id" is null',
      ],
    );
  });
});

describe("work", () => {
  test("append loads straight into the table, with the live type where it differs", () => {
    const append = orders({ write_disposition: "append" });
    const live = new Map([["orders", new Map([["id", { type: "VARCHAR", nullable: true }]])]]);
    const made = plan(schemaOf([append]), ["orders"], live);
    expect(sqlOf(made)).toEqual(['-- load 1 file into "shop"."data"."orders" (id, _dlt_id)']);
    expect(made.roots[0]!.steps[0]).toMatchObject({ columns: [{ kind: "int64", sqlType: "VARCHAR" }, {}] });
  });

  test("a nested table is written as its root is", () => {
    const schema = schemaOf([orders({ write_disposition: "replace" }), items]);
    expect(sqlOf(plan(schema, ["orders", "orders__items"], liveOf(orders(), items)))).toEqual([
      'delete from "shop"."data"."orders__items"',
      'delete from "shop"."data"."orders"',
      '-- load 1 file into "shop"."data"."orders" (id, _dlt_id)',
      '-- load 1 file into "shop"."data"."orders__items" (sku, _dlt_root_id, _dlt_parent_id, _dlt_id)',
    ]);
  });

  test("replace of a resource that never had rows does nothing", () => {
    expect(plan(schemaOf([]), [], new Map(), ["orders"]).roots).toEqual([]);
    expect(sqlOf(plan(schemaOf([orders()]), [], new Map(), ["orders"]))).toEqual([]);
  });

  test("merge without nested tables", () => {
    const schema = schemaOf([orders({}, { day: { data_type: "text", merge_key: true } })]);
    const live = liveOf(orders({}, { day: "text" }));
    expect(sqlOf(plan(schema, ["orders"], live))).toEqual([
      'create temp table "temp"."main"."orders" ("id" BIGINT, "day" VARCHAR, "_dlt_file" UBIGINT, "_dlt_row" BIGINT)',
      '-- load 1 file into "temp"."main"."orders" (id, day, _dlt_file, _dlt_row)',
      'delete from "shop"."data"."orders" as d where exists (select 1 from "temp"."main"."orders" as s where s."id" = d."id")',
      'delete from "shop"."data"."orders" as d where exists (select 1 from "temp"."main"."orders" as s where s."day" = d."day")',
      'create temp table "temp"."main"."_dlt_dropped_orders" ("_dlt_file" UBIGINT, "_dlt_row" BIGINT)',
      'insert into "temp"."main"."_dlt_dropped_orders" select "_dlt_file", "_dlt_row" from (select "_dlt_file", "_dlt_row", row_number() over (partition by "id" order by "_dlt_file" desc, "_dlt_row" desc) as place from "temp"."main"."orders") as ranked where place > 1',
      '-- load 1 file into "shop"."data"."orders" (id, day, _dlt_id) where not exists (select 1 from "temp"."main"."_dlt_dropped_orders" as d where d."_dlt_file" = file_index and d."_dlt_row" = file_row_number)',
      'drop table "temp"."main"."_dlt_dropped_orders"',
      'drop table "temp"."main"."orders"',
    ]);
  });

  test("merge stages whole rows where a column is named like the place of a row", () => {
    const made = (name: string): string[] => {
      const schema = schemaOf([orders({}, { [name]: "bigint" })]);
      return sqlOf(plan(schema, ["orders"], liveOf(orders({}, { [name]: "bigint" }))));
    };
    const placed = '-- load 1 file into "temp"."main"."orders" (id, _dlt_file, _dlt_row)';
    expect(made("anything")).toContain(placed);
    for (const name of ["file_row_number", "FILE_INDEX", "_dlt_file", "_dlt_row"]) {
      expect(made(name)).toContain(`-- load 1 file into "temp"."main"."orders" (id, ${name}, _dlt_id)`);
    }
  });

  test("merge into a table made by this load deletes nothing from it", () => {
    const made = sqlOf(plan(schemaOf([orders()]), ["orders"]));
    expect(made.filter((sql) => sql.startsWith('delete from "shop"'))).toEqual([]);
  });

  test("merge with nested tables deletes by root key, nested tables first", () => {
    const made = sqlOf(plan(schemaOf([orders(), items]), ["orders"], liveOf(orders(), items)));
    expect(made.filter((sql) => sql.includes("_dlt_deleted_"))).toEqual([
      'create temp table "temp"."main"."_dlt_deleted_orders" as select d."_dlt_id" as id from "shop"."data"."orders" as d where exists (select 1 from "temp"."main"."orders" as s where s."id" = d."id")',
      'delete from "shop"."data"."orders__items" where "_dlt_root_id" in (select id from "temp"."main"."_dlt_deleted_orders")',
      'delete from "shop"."data"."orders" where "_dlt_id" in (select id from "temp"."main"."_dlt_deleted_orders")',
      'drop table "temp"."main"."_dlt_deleted_orders"',
    ]);
  });

  test("without a root key, level 1 is tied to its root by the parent key, deeper levels are refused", () => {
    const flat = table("orders__items", { _dlt_parent_id: PARENT_ID, _dlt_id: ROW_ID }, { parent: "orders" });
    const deep = table("orders__items__tags", { _dlt_parent_id: PARENT_ID }, { parent: "orders__items" });
    const live = liveOf(orders(), flat, deep);
    const made = sqlOf(plan(schemaOf([orders(), flat]), ["orders"], live));
    expect(made.some((sql) => sql.includes('"orders__items" where "_dlt_parent_id" in'))).toBe(true);
    expect(() => plan(schemaOf([orders(), flat, deep]), ["orders"], live)).toThrow("root key");
  });

  test.each([
    ["no key", table("orders", { id: "bigint" }, { write_disposition: "merge" }), "MERGE_WITHOUT_KEY"],
    ["another strategy", orders({ "x-merge-strategy": "cdc" }), "CONFIG_INVALID"],
    ["skip", orders({ write_disposition: "skip" }), "SCHEMA_INVALID"],
    ["a nested table without root", { ...items, name: "orders" }, "SCHEMA_INVALID"],
  ])("%s is refused", (_, definition, code) => {
    expect(() => plan(schemaOf([definition]), ["orders"])).toThrow(expect.objectContaining({ code }));
  });

  test("metadata: the version once per hash, then the load row", () => {
    const [version, load] = plan(schemaOf([orders()]), ["orders"]).metadata;
    expect(version!.sql).toContain(
      'where not exists (select 1 from "shop"."data"."_dlt_version" where "version_hash" = cast($5 as varchar))',
    );
    expect(version!.parameters).toEqual([1, 11, "2026-01-02T03:04:05.678Z", "shop", "hash-1", "{}"]);
    expect(load!.parameters).toEqual(["1.5", "shop", "2026-01-02T03:04:05.678Z", "hash-1"]);
  });
});
