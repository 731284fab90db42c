/** What DuckDB is given for appending rows: see memory.ts. */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { defaultContext } from "../../src/engine/context.ts";
import type { DestinationSession } from "../../src/engine/destinations/destination.ts";
import { duckdb } from "../../src/engine/destinations/duckdb/duckdb.ts";
import { appendShare } from "../../src/engine/destinations/duckdb/memory.ts";
import { packageOf, schemaOf, table } from "../support/packages.ts";

const MIB = 1024 ** 2;

test("appending takes a part of the memory, by threads and columns", () => {
  expect(appendShare(11, { bytes: 256 * MIB, threads: 1 })).toEqual({ bytes: 64 * MIB, threads: 1 });
  expect(appendShare(11, { bytes: 256 * MIB, threads: 2 })).toEqual({ bytes: 88 * MIB, threads: 2 });
  expect(appendShare(11, { bytes: 256 * MIB, threads: 16 })).toEqual({ bytes: 220 * MIB, threads: 5 });
});

test("what the user allows for the destination is not exceeded while one thread's columns fit into it", () => {
  expect(appendShare(11, { bytes: 32 * MIB, threads: 2 })).toEqual({ bytes: 32 * MIB, threads: 1 });
  expect(appendShare(200, { bytes: 256 * MIB, threads: 8 })).toEqual({ bytes: 200 * MIB, threads: 1 });
  expect(appendShare(600, { bytes: 256 * MIB, threads: 8 })).toEqual({ bytes: 600 * MIB, threads: 1 });
});

test("a table of more columns than the destination has memory for is loaded all the same", async () => {
  const folder = await mkdtemp(join(tmpdir(), "memory-"));
  const names = Array.from({ length: 150 }, (_, i) => `c${i}`);
  const columns = Object.fromEntries(names.map((name) => [name, { data_type: "text" as const }]));
  const schema = schemaOf([table("wide", columns)]);
  const rows = Array.from({ length: 4_000 }, (_, i) =>
    Object.fromEntries(names.map((name) => [name, `${name} of row ${i}`])),
  );
  const context = defaultContext({
    limits: { ...defaultContext().limits, destinationMemoryBytesMax: 32 * MIB },
  });
  const destination = duckdb({ path: join(folder, "db.duckdb") });
  const session = await destination.open("shop", context);
  try {
    await session.commitPackage(await packageOf("parquet", folder, "1.5", schema, { wide: rows }));
    const loaded = await session.query("select count(*), count(distinct c149) from shop.wide");
    expect(loaded.rows).toEqual([["4000", "4000"]]);
    const kept = await session.query("select current_setting('memory_limit')");
    expect(kept.rows).toEqual([["32.0 MiB"]]);
  } finally {
    await session.close();
    await rm(folder, { recursive: true });
  }
});

describe("where a load needs more than the destination may use", () => {
  let folder: string;
  let session: DestinationSession;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "memory-"));
    const limits = { ...defaultContext().limits, destinationMemoryBytesMax: 24 * MIB };
    session = await duckdb({ path: join(folder, "db.duckdb") }).open("shop", defaultContext({ limits }));
  });
  afterEach(async () => {
    await session.close();
    await rm(folder, { recursive: true });
  });

  test("a table of many columns is merged into", async () => {
    const names = Array.from({ length: 400 }, (_, i) => `c${i}`);
    const columns = Object.fromEntries(names.map((name) => [name, { data_type: "text" as const }]));
    const key = { id: { data_type: "bigint", primary_key: true } } as const;
    const schema = schemaOf([table("wide", { ...key, ...columns }, { write_disposition: "merge" })]);
    const row = (id: number) => ({ id, ...Object.fromEntries(names.map((name) => [name, `${name} ${id}`])) });
    for (const [loadId, ids] of [
      ["1.5", [1, 2]],
      ["2.5", [2, 3]],
    ] as const) {
      await session.commitPackage(await packageOf("parquet", folder, loadId, schema, { wide: ids.map(row) }));
    }
    expect((await session.query("select count(*), max(c399) from shop.wide")).rows).toEqual([
      ["3", "c399 3"],
    ]);
  });

  test("many tables are filled by one package", async () => {
    const names = Array.from({ length: 300 }, (_, i) => `t${i}`);
    const columns = { a: "text", b: "text", c: "bigint" } as const;
    const rows = Object.fromEntries(names.map((name) => [name, [{ a: name, b: name, c: 1 }]]));
    const schema = schemaOf(names.map((name) => table(name, columns)));
    await session.commitPackage(await packageOf("parquet", folder, "1.5", schema, rows));
    expect((await session.query("select a from shop.t299")).rows).toEqual([["t299"]]);
  });
});
