/** A package of which jobs are handed over before it is complete: see PackageLoad. */

import { mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeAll, beforeEach, describe, expect, inject, test } from "vitest";
import { defaultContext, type Log } from "../../src/engine/context.ts";
import type { DestinationSession, PackageToCommit } from "../../src/engine/destinations/destination.ts";
import { duckdb } from "../../src/engine/destinations/duckdb/duckdb.ts";
import { postgres } from "../../src/engine/destinations/postgres/postgres.ts";
import type { Schema } from "../../src/engine/schema/types.ts";
import { LOAD_ID, packageOf, ROW_ID, schemaOf, table, type Value, writeJob } from "../support/packages.ts";
import { createDatabase } from "../support/postgres-server.ts";

const DATASET = "ahead_data";
const KINDS = [
  { kind: "DuckDB", format: "parquet" },
  { kind: "Postgres", format: "blocks" },
] as const;

let url: string;
beforeAll(async () => {
  url = await createDatabase(inject("postgresUrl"), "destination_package_ahead");
});

describe.each(KINDS)("a package that is loaded ahead on $kind", ({ kind, format }) => {
  let folder: string;
  let session: DestinationSession;
  let used: unknown;
  const log: Log = (_level, event, fields) => {
    if (event === "load.ahead") used = fields?.used;
  };
  const open = (): Promise<DestinationSession> => {
    const file = join(folder, "db.duckdb");
    const destination = kind === "DuckDB" ? duckdb({ path: file }) : postgres({ url, ssl: "disable" });
    return destination.open(DATASET, defaultContext({ log }));
  };
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "ahead-"));
    used = undefined;
    session = await open();
  });
  afterEach(async () => {
    await session.query(`drop schema if exists ${DATASET} cascade`);
    await session.close();
    await rm(folder, { recursive: true });
  });

  const events = (columns: Parameters<typeof table>[1] = {}, disposition: "append" | "merge" = "append") =>
    table(
      "events",
      {
        id: { data_type: "bigint", primary_key: true, nullable: false },
        ...columns,
        _dlt_load_id: LOAD_ID,
        _dlt_id: ROW_ID,
      },
      { write_disposition: disposition },
    );
  const event = (id: number, more: Record<string, Value> = {}) => ({
    id,
    ...more,
    _dlt_load_id: "1.5",
    _dlt_id: `row${id}`,
  });

  /** A package of which the first job, with row 1, is handed over with the schema `early`. */
  async function begin(early: Schema, late: Schema, more: Record<string, Value> = {}) {
    const work = await packageOf(format, folder, "1.5", late, { events: [event(2, more)] });
    const dir = dirname(work.jobs[0]!.files[0]!);
    const first = await writeJob(dir, early.tables.get("events")!, [event(1)], "1111111111", format);
    const load = session.beginPackage!(work);
    load.add(early, first);
    await load.idle();
    const files = [...first.files, ...work.jobs[0]!.files];
    return { load, work: { ...work, jobs: [{ table: "events", files, rows: 2 }] } as PackageToCommit };
  }

  /** While a load is under way its session may be waiting for it. */
  const exists = async (): Promise<boolean> => {
    const other = await open();
    try {
      return await other.exists();
    } finally {
      await other.close();
    }
  };
  const read = async (sql: string) => (await session.query(sql)).rows.map((row) => [...row]);

  test("is whole after its commit, with each row once, though its files were moved", async () => {
    const schema = schemaOf([events()]);
    const { load, work } = await begin(schema, schema);
    expect(await exists()).toBe(false);
    await mkdir(join(folder, "sealed"));
    const from = dirname(work.jobs[0]!.files[0]!);
    await rename(from, join(folder, "sealed", "jobs"));
    const files = work.jobs[0]!.files.map((file) => file.replace(from, join(folder, "sealed", "jobs")));
    const report = await load.commit({ ...work, jobs: [{ table: "events", files, rows: 2 }] });
    expect(used).toBe(true);
    expect(report.tables).toEqual({ events: { inserted: 2 } });
    expect(
      await read(`select id from ${DATASET}.events order by ${kind === "DuckDB" ? "rowid" : "ctid"}`),
    ).toEqual([["1"], ["2"]]);
    expect(await read(`select count(*) from ${DATASET}._dlt_loads`)).toEqual([["1"]]);
  });

  describe("is loaded anew when its schema has changed since the first job", () => {
    test("by a column of a new table", async () => {
      const { load, work } = await begin(schemaOf([events()]), schemaOf([events({ late: "text" })]), {
        late: "x",
      });
      await load.commit(work);
      expect(used).toBe(false);
      expect(await read(`select id, late from ${DATASET}.events order by id`)).toEqual([
        ["1", null],
        ["2", "x"],
      ]);
    });

    test("by a column of a table that was there", async () => {
      const schema = schemaOf([events()]);
      await session.commitPackage(await packageOf(format, folder, "1.1", schema, { events: [event(0)] }));
      const { load, work } = await begin(schema, schemaOf([events({ late: "text" })], "hash-2"), {
        late: "x",
      });
      await load.commit(work);
      expect(used).toBe(false);
      expect(await read(`select id, late from ${DATASET}.events order by id`)).toEqual([
        ["0", null],
        ["1", null],
        ["2", "x"],
      ]);
    });

    test("by the disposition", async () => {
      const { load, work } = await begin(schemaOf([events()]), schemaOf([events({}, "merge")]));
      await load.commit(work);
      expect(used).toBe(false);
      expect(await read(`select id from ${DATASET}.events order by id`)).toEqual([["1"], ["2"]]);
    });
  });

  test("of a merge has at most its staging ahead", async () => {
    const schema = schemaOf([events({}, "merge")]);
    const { load, work } = await begin(schema, schema);
    // Postgres does not read again what was staged; DuckDB reads the files themselves, when all are there
    if (kind === "Postgres") await rm(work.jobs[0]!.files[0]!);
    const report = await load.commit(work);
    expect(used).toBe(true);
    expect(report.tables.events?.inserted).toBe(2);
    expect(await read(`select id from ${DATASET}.events order by id`)).toEqual([["1"], ["2"]]);
  });

  test("that is abandoned leaves nothing, and the dataset to others", async () => {
    const schema = schemaOf([events()]);
    const { load } = await begin(schema, schema);
    await load.abandon();
    expect(await exists()).toBe(false);
    await session.commitPackage(await packageOf(format, folder, "1.6", schema, { events: [event(9)] }));
    expect(await read(`select id from ${DATASET}.events`)).toEqual([["9"]]);
  });

  test("that was committed by an earlier run is not loaded again", async () => {
    const schema = schemaOf([events()]);
    const { work } = await (async () => {
      const begun = await begin(schema, schema);
      await begun.load.commit(begun.work);
      return begun;
    })();
    const load = session.beginPackage!(work);
    load.add(schema, { ...work.jobs[0]!, files: work.jobs[0]!.files.slice(0, 1) });
    expect((await load.commit(work)).alreadyCommitted).toBe(true);
    expect(await read(`select count(*) from ${DATASET}.events`)).toEqual([["2"]]);
  });
});
