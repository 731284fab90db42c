/**
 * Continues a dataset of Python dlt here, one of ours there, and alternates. Not part of the tests, which need no
 * Python: `DLT_PYTHON=…/bin/python node test/interop/run.ts`, with an interpreter that has dlt[duckdb] and a duckdb
 * whose files ours can read (1.5).
 */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DuckDBInstance } from "@duckdb/node-api";
import { duckdb, incremental, Pipeline, resource, Source } from "../../src/engine/index.ts";
import { nestedRowId } from "../../src/engine/interop/hash.ts";

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
  readonly database: string;
  readonly ours: string;
  readonly theirs: string;
}

const folder = mkdtempSync(join(tmpdir(), "loadwright-interop-"));

function place(name: string): Place {
  return {
    database: join(folder, `${name}.duckdb`),
    ours: join(folder, `${name}-ours`),
    theirs: join(folder, `${name}-theirs`),
  };
}

function withDlt({ database, theirs }: Place, from: number, to: number, fresh: boolean): DltSaw {
  const script = join(import.meta.dirname, "step.py");
  const words = [script, database, theirs, String(from), String(to), ...(fresh ? ["fresh"] : [])];
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

async function withOurs(
  { database, ours }: Place,
  from: number,
  to: number,
  fresh: boolean,
): Promise<unknown> {
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
  const pipeline = new Pipeline({
    name: "shop_pipeline",
    dataset: "shop_data",
    destination: duckdb({ path: database }),
    dir: ours,
  });
  const report = await pipeline.run(source);
  assert.equal(report.status, "succeeded", JSON.stringify(report.error));
  return before;
}

async function query(database: string, sql: string): Promise<unknown[][]> {
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

const claims: [string, () => Promise<void>][] = [
  [
    "(a) dlt begins, we continue: state and schema restored, only new rows, no new schema version",
    async () => {
      const at = place("a");
      withDlt(at, 0, 100, true);
      const before = await versions(at);
      assert.equal(await withOurs(at, 50, 150, true), 99, "the cursor is where dlt left it");
      await check(at, 150, 2);
      assert.equal(await versions(at), before, "nothing changed in the schema");
    },
  ],
  [
    "(b) we begin, dlt continues: sync restores, only new rows, children consistent",
    async () => {
      const at = place("b");
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
    async () => {
      const at = place("c");
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
];

for (const [claim, run] of claims) {
  await run();
  console.log(`ok  ${claim}`);
}
console.log("ok  (d) dlt computed the stored hash of every schema and decoded every state");
rmSync(folder, { recursive: true, force: true });
