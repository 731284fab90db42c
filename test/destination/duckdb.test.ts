import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { defaultContext, type RunContext } from "../../src/engine/context.ts";
import type { CommitReport, DestinationSession } from "../../src/engine/destinations/destination.ts";
import { duckdb } from "../../src/engine/destinations/duckdb/duckdb.ts";
import type { Schema } from "../../src/engine/schema/types.ts";
import { item, items, order, orders } from "../support/orders.ts";
import { packageOf, ROW_ID, schemaOf, table, type Value } from "../support/packages.ts";
import { refusal } from "../support/refusal.ts";

let folder: string;
let session: DestinationSession;
let loads = 0;

const open = (context: Partial<RunContext> = {}, dataset = "shop_data"): Promise<DestinationSession> =>
  duckdb({ path: join(folder, "shop.duckdb") }).open(dataset, defaultContext(context));

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "duckdb-"));
  session = await open();
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
    await packageOf("parquet", folder, `17000000${String(loads).padStart(2, "0")}.5`, schema, rows, replace),
  );
}

async function rows(sql: string, from = session): Promise<unknown[][]> {
  return (await from.query(sql)).rows.map((row) => [...row]);
}

const ORDERS = 'select id, name from "shop"."shop_data"."orders" order by id, name';

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
      "a VARCHAR",
      "b BIGINT",
      "c DOUBLE",
      "d BOOLEAN",
      "e TIMESTAMP WITH TIME ZONE",
      "f TIMESTAMP",
      "g DATE",
      "h TIME",
      "i DECIMAL(38,9)",
      "j DECIMAL(38,0)",
      "k JSON",
      "l BLOB",
      "_dlt_id VARCHAR not null",
    ]);
    expect(
      await rows(
        'select a, b, c, d, e::varchar, f::varchar, g::varchar, h::varchar, i::varchar, j::varchar, k from "shop"."shop_data"."all_types"',
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
        "7",
        '{"x":1}',
      ],
    ]);
    const version = [...catalogue.get("_dlt_version")!].map(([name, c]) => `${name} ${c.type} ${c.nullable}`);
    expect(version).toEqual([
      "version BIGINT false",
      "engine_version BIGINT false",
      "inserted_at TIMESTAMP WITH TIME ZONE false",
      "schema_name VARCHAR false",
      "version_hash VARCHAR false",
      "schema VARCHAR false",
    ]);
    const loadColumns = [...catalogue.get("_dlt_loads")!].map(
      ([name, c]) => `${name} ${c.type} ${c.nullable}`,
    );
    expect(loadColumns).toEqual([
      "load_id VARCHAR false",
      "schema_name VARCHAR true",
      "status BIGINT false",
      "inserted_at TIMESTAMP WITH TIME ZONE false",
      "schema_version_hash VARCHAR true",
    ]);
  });

  test("of somebody else and columns of another type are reported and kept", async () => {
    const schema = schemaOf([orders({ write_disposition: "append" })]);
    await load(schema, { orders: [order(1, "a")] });
    await session.query('create table "shop"."shop_data"."theirs" (x bigint)');
    await session.query('alter table "shop"."shop_data"."orders" add column "extra" bigint');
    await session.query('alter table "shop"."shop_data"."orders" alter column "id" type varchar');
    const report = await load(schema, { orders: [order(2, "b")] });
    expect(report.foreign).toEqual(["orders.extra", "theirs"]);
    expect(report.mismatched).toEqual([{ table: "orders", column: "id", live: "VARCHAR", schema: "BIGINT" }]);
    expect(await rows(ORDERS)).toEqual([
      ["1", "a"],
      ["2", "b"],
    ]);
  });

  test("work in a dataset named like the file", async () => {
    const same = await open({}, "shop");
    const schema = schemaOf([orders({ write_disposition: "merge" }), items]);
    await load(schema, { orders: [order(1, "a", "r1")], orders__items: [item("r1", 0, "x")] }, [], same);
    await load(schema, { orders: [order(1, "b", "r2")], orders__items: [item("r2", 0, "y")] }, [], same);
    expect(await rows('select i.sku from "shop"."shop"."orders__items" as i', same)).toEqual([["y"]]);
    expect(await same.readLoads({ limit: 10 })).toHaveLength(2);
    await same.close();
  });
});

describe("the file", () => {
  test("held by another process is DESTINATION_LOCKED and names the holder", async () => {
    const path = join(folder, "held.duckdb");
    const program = `require("@duckdb/node-api").DuckDBInstance.create(${JSON.stringify(path)}).then(() => {
      console.log("held"); setTimeout(() => {}, 60_000); })`;
    const holder = spawn(process.execPath, ["-e", program], { stdio: ["ignore", "pipe", "inherit"] });
    await new Promise((resolve) => holder.stdout.once("data", resolve));
    const error = await refusal(duckdb({ path }).open("d", defaultContext()));
    expect(error.code).toBe("DESTINATION_LOCKED");
    expect(error.retry).toBe("yes");
    expect(error.details).toMatchObject({ pid: holder.pid, path });
    expect(error.message).toContain(String(holder.pid));
    const ended = new Promise((resolve) => holder.once("exit", resolve));
    holder.kill();
    await ended;
    const session = await duckdb({ path }).open("d", defaultContext());
    await session.close();
  });

  test("that is no database, and a folder, are DESTINATION_INVALID; memory is refused", async () => {
    const { writeFile } = await import("node:fs/promises");
    const path = join(folder, "text.duckdb");
    await writeFile(path, "not a database ".repeat(1000));
    for (const wrong of [path, folder, ":memory:"]) {
      const error = await refusal(duckdb({ path: wrong }).open("d", defaultContext()));
      expect(error.code).toBe("DESTINATION_INVALID");
    }
  });

  test("in a folder that does not exist yet is created", async () => {
    const path = join(folder, "new", "folder", "x.duckdb");
    const made = await duckdb({ path }).open("d", defaultContext());
    expect(await made.exists()).toBe(false);
    await made.close();
  });
});
