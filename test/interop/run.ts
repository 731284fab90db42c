/**
 * Continues a dataset of Python dlt here, one of ours there, and alternates, on DuckDB and Postgres. Not part of
 * the tests, which need no Python: `DLT_PYTHON=…/bin/python node test/interop/run.ts`, with an interpreter that has
 * dlt[duckdb,postgres] and a duckdb whose files ours can read (1.5). The Postgres server is started by the script.
 */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DuckDBInstance } from "@duckdb/node-api";
import pg from "pg";
import { postgres } from "../../src/engine/destinations/postgres/postgres.ts";
import { type Destination, duckdb, incremental, Pipeline, resource, Source } from "../../src/engine/index.ts";
import { nestedRowId } from "../../src/engine/interop/hash.ts";
import { createDatabase, startPostgres } from "../support/postgres-server.ts";

const python = process.env.DLT_PYTHON;
if (!python) {
  console.error("Set DLT_PYTHON to an interpreter that has dlt.");
  process.exit(2);
}

interface DltSaw {
  packages: number;
  cursor_before: number | null;
  restored_version: number;
  state_version: number;
  computed_hash: string;
  stored_hash: string;
  schema_hash_in_dlt: string;
}

interface Place {
  /** A DuckDB file, or the URL of a Postgres database. */
  readonly database: string;
  readonly ours: string;
  readonly theirs: string;
}

const folder = mkdtempSync(join(tmpdir(), "loadwright-interop-"));

/** Where dlt and we meet: a database of the kind under test, and a working folder of each. */
type PlaceOf = (name: string) => Promise<Place>;

function foldersOf(name: string): Pick<Place, "ours" | "theirs"> {
  return { ours: join(folder, `${name}-ours`), theirs: join(folder, `${name}-theirs`) };
}

function destinationOf({ database }: Place): Destination {
  return isRemote(database) ? postgres({ url: database }) : duckdb({ path: database });
}

function isRemote(database: string): boolean {
  return database.startsWith("postgresql://");
}

function withDlt(
  { database, theirs }: Place,
  from: number,
  to: number,
  fresh: boolean,
  ...flags: string[]
): DltSaw {
  const script = join(import.meta.dirname, "step.py");
  const words = [script, database, theirs, String(from), String(to), ...(fresh ? ["fresh"] : []), ...flags];
  const out = execFileSync(python!, words, { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
  const saw = JSON.parse(out.trim().split("\n").at(-1)!) as DltSaw;
  assert.equal(saw.computed_hash, saw.stored_hash, "dlt computes the hash that is stored");
  return saw;
}

function ordersBetween(from: number, to: number): Record<string, unknown>[] {
  return Array.from({ length: to - from }, (_, i) => {
    const n = from + i;
    const two = (value: number): string => String(value).padStart(2, "0");
    return {
      // a key never twice in one load: which row wins then is chance in dlt
      id: n % 130,
      n,
      name: `order ${n}`,
      // never integral: JavaScript cannot tell 1.0 from 1
      price: n / 4 + 0.125,
      at: `2026-01-01T00:${two(Math.floor(n / 60) % 60)}:${two(n % 60)}Z`,
      items: Array.from({ length: n % 4 }, (_item, k) => ({ sku: `s${k}`, amount: k })),
    };
  });
}

async function withOurs(at: Place, from: number, to: number, fresh: boolean): Promise<unknown> {
  const { ours } = at;
  if (fresh) rmSync(ours, { recursive: true, force: true });
  let before: unknown;
  const source = new Source({
    name: "shop",
    resources: [
      resource(
        { name: "orders", writeDisposition: "merge", primaryKey: "id", incremental: incremental("n") },
        ({ cursor }) => {
          before = cursor?.lastValue;
          return [ordersBetween(from, to)];
        },
      ),
    ],
  });
  await runOurs(at, source);
  return before;
}

async function runOurs(at: Place, source: Source): Promise<void> {
  const pipeline = new Pipeline({
    name: "shop_pipeline",
    dataset: "shop_data",
    destination: destinationOf(at),
    dir: at.ours,
  });
  const report = await pipeline.run(source);
  assert.equal(report.status, "succeeded", JSON.stringify(report.error));
}

/** Events with one day in all, appended. */
function eventsOfOneDay(from: number, to: number): Source {
  const rows = Array.from({ length: to - from }, (_, i) => ({ id: from + i, day: 1 }));
  const events = resource({ name: "events", incremental: incremental("day") }, [rows]);
  return new Source({ name: "shop", resources: [events] });
}

async function query(database: string, sql: string): Promise<unknown[][]> {
  if (isRemote(database)) {
    const client = new pg.Client({ connectionString: database });
    await client.connect();
    try {
      await client.query("set search_path to shop_data");
      return (await client.query<unknown[]>({ text: sql, rowMode: "array" })).rows;
    } finally {
      await client.end();
    }
  }
  const instance = await DuckDBInstance.create(database, { access_mode: "READ_ONLY" });
  const connection = await instance.connect();
  try {
    await connection.run("use shop_data");
    return (await connection.runAndReadAll(sql)).getRowsJson() as unknown[][];
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

/** The tables hold the newest order of each id below `to`, with its items, and every id is the hash it has to be. */
async function check({ database }: Place, to: number, loads: number): Promise<void> {
  const newest = new Map(ordersBetween(0, to).map((order) => [order.id, order]));
  const expected = [...newest.values()].map((order) => [order.id, String(order.n), order.name, order.price]);
  const rows = await query(database, "select id, n::varchar, name, price from orders order by id");
  assert.deepEqual(
    rows.map(([id, ...rest]) => [Number(id), ...rest]),
    expected.sort((a, b) => Number(a[0]) - Number(b[0])),
  );
  const items = await query(
    database,
    "select o.id, i._dlt_list_idx, i.sku, i._dlt_id, i._dlt_parent_id from orders__items i join orders o on o._dlt_id = i._dlt_parent_id and o._dlt_id = i._dlt_root_id",
  );
  const total = [...newest.values()].reduce((sum, order) => sum + (order.items as unknown[]).length, 0);
  assert.equal(items.length, total, "items of the orders that are there");
  assert.equal(
    Number((await query(database, "select count(*) from orders__items"))[0]![0]),
    total,
    "no orphans",
  );
  for (const [, index, , id, parent] of items)
    assert.equal(id, nestedRowId(String(parent), "orders__items", Number(index)));
  assert.equal(
    Number((await query(database, "select count(*) from _dlt_loads"))[0]![0]),
    loads,
    "each load once",
  );
}

async function versions({ database }: Place): Promise<number> {
  return Number(
    (await query(database, "select count(*) from _dlt_version where schema_name = 'shop'"))[0]![0],
  );
}

const claims: [string, (place: PlaceOf) => Promise<void>][] = [
  [
    "(a) dlt begins, we continue: state and schema restored, only new rows, no new schema version",
    async (place) => {
      const at = await place("a");
      withDlt(at, 0, 100, true);
      const before = await versions(at);
      assert.equal(await withOurs(at, 50, 150, true), 99, "the cursor is where dlt left it");
      await check(at, 150, 2);
      assert.equal(await versions(at), before, "nothing changed in the schema");
    },
  ],
  [
    "(b) we begin, dlt continues: sync restores, only new rows, children consistent",
    async (place) => {
      const at = await place("b");
      await withOurs(at, 0, 100, true);
      const before = await versions(at);
      const saw = withDlt(at, 50, 150, true);
      assert.equal(saw.cursor_before, 99, "dlt reads our cursor");
      await check(at, 150, 2);
      assert.equal(await versions(at), before, "dlt finds nothing to change in our schema");
    },
  ],
  [
    "(c) alternating five times, each side on a fresh machine every other time",
    async (place) => {
      const at = await place("c");
      for (let turn = 0; turn < 5; turn++) {
        const fresh = turn % 2 === 0;
        const [from, to] = [turn * 40, turn * 80 + 80];
        if (turn % 2 === 0) await withOurs(at, from, to, fresh);
        else withDlt(at, from, to, fresh);
        await check(at, to, turn + 1);
      }
      assert.equal(await versions(at), 1, "one schema version in all");
    },
  ],
  [
    "(e) up to 1,000 rows at the last value of a cursor: dlt loads none of them twice, and we none of dlt's",
    async (place) => {
      const at = await place("e");
      await runOurs(at, eventsOfOneDay(0, 1000));
      withDlt(at, 0, 1100, true, "coarse");
      assert.deepEqual(await eventCounts(at), [1100, 1100]);
      await runOurs(at, eventsOfOneDay(0, 1200));
      assert.deepEqual(await eventCounts(at), [1200, 1200]);
    },
  ],
  [
    "(f) above that dlt, which does not know our table, loads the boundary once more; we go on without a loss",
    async (place) => {
      const at = await place("f");
      await runOurs(at, eventsOfOneDay(0, 1500));
      const saw = withDlt(at, 0, 1600, true, "coarse");
      assert.equal(saw.cursor_before, 1, "dlt reads our cursor");
      assert.deepEqual(await eventCounts(at), [3100, 1600]);
      await runOurs(at, eventsOfOneDay(0, 1700));
      assert.deepEqual(await eventCounts(at), [3200, 1700]);
      await runOurs(at, eventsOfOneDay(0, 1700));
      assert.deepEqual(await eventCounts(at), [3200, 1700]);
    },
  ],
];

async function eventCounts({ database }: Place): Promise<number[]> {
  const [row] = await query(database, "select count(*), count(distinct id) from events");
  return row!.map(Number);
}

async function holds(where: string, place: PlaceOf): Promise<void> {
  for (const [claim, run] of claims) {
    await run(place);
    console.log(`ok  ${where} ${claim}`);
  }
}

console.log(
  execFileSync(python, ["-c", "import dlt; print('dlt', dlt.__version__)"], { encoding: "utf8" }).trim(),
);
const server = await startPostgres();
try {
  await holds("DuckDB", async (name) => ({
    database: join(folder, `${name}.duckdb`),
    ...foldersOf(`duckdb-${name}`),
  }));
  await holds("Postgres", async (name) => ({
    database: await createDatabase(server.url, `interop_${name}`),
    ...foldersOf(`postgres-${name}`),
  }));
  console.log("ok  (d) dlt computed the stored hash of every schema and decoded every state");
} finally {
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
}
