/** What DuckDB is given for appending rows: see memory.ts. */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { defaultContext } from "../../src/engine/context.ts";
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
