import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeAll, beforeEach, describe, expect, inject, test } from "vitest";
import { defaultContext, type RunContext } from "../../src/engine/context.ts";
import type { CommitReport, DestinationSession } from "../../src/engine/destinations/destination.ts";
import { type PostgresOptions, postgres } from "../../src/engine/destinations/postgres/postgres.ts";
import type { Schema } from "../../src/engine/schema/types.ts";
import { order, orders } from "../support/orders.ts";
import { packageOf, ROW_ID, schemaOf, table, type Value } from "../support/packages.ts";
import { createDatabase } from "../support/postgres-server.ts";
import { refusal } from "../support/refusal.ts";

let url: string;
let folder: string;
let session: DestinationSession;
let loads = 0;

const open = (
  context: Partial<RunContext> = {},
  dataset = "shop_data",
  options: PostgresOptions = {},
): Promise<DestinationSession> =>
  postgres({ url, ssl: "disable", ...options }).open(dataset, defaultContext(context));

beforeAll(async () => {
  url = await createDatabase(inject("postgresUrl"), "destination_postgres");
});
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "postgres-"));
  session = await open();
  await session.query('drop schema if exists "shop_data" cascade');
});
afterEach(async () => {
  await session.close();
  await rm(folder, { recursive: true });
});

type Rows = Record<string, readonly Record<string, Value>[]>;

async function load(
  schema: Schema,
  rows: Rows,
  replace: string[] = [],
  into = session,
): Promise<CommitReport> {
  loads += 1;
  return into.commitPackage(
    await packageOf("blocks", folder, `17000000${String(loads).padStart(2, "0")}.5`, schema, rows, replace),
  );
}

async function rows(sql: string, from = session): Promise<unknown[][]> {
  return (await from.query(sql)).rows.map((row) => [...row]);
}

const ORDERS = 'select id, name from "shop_data"."orders" order by id, name';

describe("tables", () => {
  test("are created with dlt's types, order and nullability", async () => {
    const all = table("all_types", {
      a: "text",
      b: "bigint",
      c: "double",
      d: "bool",
      e: "timestamp",
      f: { data_type: "timestamp", timezone: false },
      g: "date",
      h: "time",
      i: "decimal",
      j: "wei",
      k: "json",
      l: "binary",
      incomplete: {},
      _dlt_id: ROW_ID,
    });
    const report = await load(schemaOf([all]), {
      all_types: [
        {
          a: "ä",
          b: -5,
          c: 1.5,
          d: true,
          e: 1e15,
          f: 1e15,
          g: 1,
          h: 1e6,
          i: "1.25",
          j: "7",
          k: '{"x":1}',
          l: "b",
          _dlt_id: "1",
        },
      ],
    });
    expect(report.tables).toEqual({ all_types: { inserted: 1 } });
    const catalogue = await session.catalogue();
    expect(
      [...catalogue.get("all_types")!].map(
        ([name, c]) => `${name} ${c.type}${c.nullable ? "" : " not null"}`,
      ),
    ).toEqual([
      "a character varying",
      "b bigint",
      "c double precision",
      "d boolean",
      "e timestamp with time zone",
      "f timestamp without time zone",
      "g date",
      "h time without time zone",
      "i numeric(38,9)",
      "j numeric(156,78)",
      "k jsonb",
      "l bytea",
      "_dlt_id character varying not null",
    ]);
    expect(
      await rows(
        'select a, b, c, d, e::varchar, f::varchar, g::varchar, h::varchar, i::varchar, j::varchar, k from "shop_data"."all_types"',
      ),
    ).toEqual([
      [
        "ä",
        "-5",
        1.5,
        true,
        "2001-09-09 01:46:40+00",
        "2001-09-09 01:46:40",
        "1970-01-02",
        "00:00:01",
        "1.250000000",
        "7." + "0".repeat(78),
        '{"x": 1}',
      ],
    ]);
    const version = [...catalogue.get("_dlt_version")!].map(([name, c]) => `${name} ${c.type} ${c.nullable}`);
    expect(version).toEqual([
      "version bigint false",
      "engine_version bigint false",
      "inserted_at timestamp with time zone false",
      "schema_name character varying false",
      "version_hash character varying false",
      "schema character varying false",
    ]);
    const loadColumns = [...catalogue.get("_dlt_loads")!].map(
      ([name, c]) => `${name} ${c.type} ${c.nullable}`,
    );
    expect(loadColumns).toEqual([
      "load_id character varying(64) false",
      "schema_name character varying true",
      "status bigint false",
      "inserted_at timestamp with time zone false",
      "schema_version_hash character varying true",
    ]);
  });

  test("of somebody else and columns of another type are reported and kept", async () => {
    const schema = schemaOf([orders({ write_disposition: "append" })]);
    await load(schema, { orders: [order(1, "a")] });
    await session.query('create table "shop_data"."theirs" (x bigint)');
    await session.query('alter table "shop_data"."orders" add column "extra" bigint');
    await session.query('alter table "shop_data"."orders" alter column "id" type varchar');
    const report = await load(schema, { orders: [order(2, "b")] });
    expect(report.foreign).toEqual(["orders.extra", "theirs"]);
    expect(report.mismatched).toEqual([
      { table: "orders", column: "id", live: "character varying", schema: "bigint" },
    ]);
    expect(await rows(ORDERS)).toEqual([
      ["1", "a"],
      ["2", "b"],
    ]);
  });
});

describe("unique columns of a new table", () => {
  const constraints = (schema: string) =>
    rows(
      `select c.conname, c.contype::text, pg_get_constraintdef(c.oid), c.condeferrable, c.convalidated,
         replace(pg_get_indexdef(c.conindid), '${schema}.', '')
       from pg_constraint as c join pg_namespace as n on n.oid = c.connamespace
       where n.nspname = '${schema}' and c.conrelid::regclass::text not like '%\\_dlt\\_%' order by 1`,
    );
  const long = "a_table_with_a_name_that_takes_as_many_bytes_as_postgres_allows";
  const two = table("two", { code: { data_type: "text", unique: true }, _dlt_id: ROW_ID });
  const wide = table(long, { x: "text", _dlt_id: ROW_ID });

  test("are constraints when the rows are in, of the name and form that they have when declared inline", async () => {
    const report = await load(schemaOf([two, wide]), {
      two: [
        { code: "a", _dlt_id: "1" },
        { code: "b", _dlt_id: "2" },
      ],
      [long]: [{ x: "a", _dlt_id: "1" }],
    });
    expect(report.ddl.slice(-2)).toEqual([
      'alter table "shop_data"."two" add unique ("code"), add unique ("_dlt_id")',
      `alter table "shop_data"."${long}" add unique ("_dlt_id")`,
    ]);
    await session.query("drop schema if exists inline_data cascade");
    await session.query("create schema inline_data");
    await session.query(
      "create table inline_data.two (code varchar unique, _dlt_id varchar unique not null)",
    );
    await session.query(`create table inline_data.${long} (x varchar, _dlt_id varchar unique not null)`);
    const made = await constraints("shop_data");
    expect(made.map(([name]) => name)).toContain("two__dlt_id_key");
    expect(made).toHaveLength(3);
    expect(made).toEqual(await constraints("inline_data"));
    await session.query("drop schema inline_data cascade");
  });

  test.each(["upsert", "insert-only", "delete-insert", "append"] as const)(
    "are there for the loads after the first: %s",
    async (strategy) => {
      const definition = table(
        "orders",
        { id: { data_type: "bigint", primary_key: true, nullable: false }, name: "text", _dlt_id: ROW_ID },
        strategy === "append" ? {} : { write_disposition: "merge", "x-merge-strategy": strategy },
      );
      const schema = schemaOf([definition]);
      await load(schema, { orders: [{ id: 1, name: "a", _dlt_id: "1" }] });
      const second = await load(schema, { orders: [{ id: 2, name: "b", _dlt_id: "2" }] });
      expect(second.ddl).toEqual([]);
      expect(await rows(ORDERS)).toHaveLength(2);
      expect((await constraints("shop_data")).map(([name]) => name)).toEqual(["orders__dlt_id_key"]);
      await expect(
        session.query(`insert into "shop_data"."orders" (id, _dlt_id) values (9, '1')`),
      ).rejects.toThrow("23505");
    },
  );

  test("refuse a value that comes twice in the first load, and nothing is left of it", async () => {
    const twice = { code: "a", _dlt_id: "1" };
    const error = await refusal(load(schemaOf([two]), { two: [twice, { ...twice, _dlt_id: "2" }] }));
    expect(error.code).toBe("LOAD_VALUE");
    expect(error.message).toContain("two_code_key");
    expect(error.details).toMatchObject({ table: "two" });
    expect(await session.exists()).toBe(false);
  });
});
