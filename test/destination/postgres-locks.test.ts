/**
 * Which loads of one dataset wait for each other on Postgres, directly and through a transaction pooler. A load
 * is held in its middle by a lock that a test takes on one of its tables; who waits is read from pg_locks.
 */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, test } from "vitest";
import { defaultContext, type RunContext } from "../../src/engine/context.ts";
import type { CommitReport, DestinationSession } from "../../src/engine/destinations/destination.ts";
import { postgres } from "../../src/engine/destinations/postgres/postgres.ts";
import type { Schema, Table, WriteDisposition } from "../../src/engine/schema/types.ts";
import { packageOf, ROW_ID, schemaOf, table, type Value } from "../support/packages.ts";
import { findPgbouncer, type Pooler, startPgbouncer } from "../support/pgbouncer.ts";
import { createDatabase } from "../support/postgres-server.ts";

const pgbouncer = findPgbouncer();
const BACKENDS = 4;
/** Other test files use the same server. */
const WAITS = "not granted and database = (select oid from pg_database where datname = current_database())";

describe.each([
  { way: "directly", pooled: false },
  ...(pgbouncer === undefined ? [] : [{ way: "through a transaction pooler", pooled: true }]),
])("$way", ({ pooled }) => {
  let direct: string;
  let url: string;
  let pooler: Pooler | undefined;
  let folder: string;
  let somebody: pg.Client;
  let events: string[];
  let loads = 0;
  const opened: DestinationSession[] = [];

  beforeAll(async () => {
    direct = await createDatabase(inject("postgresUrl"), `destination_postgres_locks_${pooled}`);
    pooler = pooled ? await startPgbouncer(pgbouncer!, direct, { backends: BACKENDS }) : undefined;
    url = pooler?.url ?? direct;
    folder = await mkdtemp(join(tmpdir(), "postgres-locks-"));
    somebody = new pg.Client({ connectionString: direct });
    await somebody.connect();
  });
  afterAll(async () => {
    await somebody.end();
    await pooler?.stop();
    await rm(folder, { recursive: true });
  });
  beforeEach(async () => {
    events = [];
    await somebody.query('drop schema if exists "shared" cascade');
  });
  afterEach(async () => {
    for (const session of opened.splice(0)) await session.close();
  });

  const open = async (context: Partial<RunContext> = {}): Promise<DestinationSession> => {
    const session = await postgres({ url }).open(
      "shared",
      defaultContext({ log: (_level, event) => events.push(event), ...context }),
    );
    opened.push(session);
    return session;
  };

  type Rows = Record<string, readonly Record<string, Value>[]>;
  const newId = (): string => `1900000000.${String(++loads).padStart(3, "0")}`;

  async function load(schema: Schema, rows: Rows, more: LoadOptions = {}): Promise<CommitReport> {
    const session = more.session ?? (await open());
    const work = await packageOf("blocks", folder, newId(), schema, rows);
    return session.commitPackage({ ...work, dropTables: more.dropTables ?? [] });
  }
  interface LoadOptions {
    readonly session?: DestinationSession;
    readonly dropTables?: readonly string[];
  }

  const tableOf = (name: string, disposition: WriteDisposition, more: Record<string, "text"> = {}): Table =>
    table(
      name,
      {
        id: { data_type: "bigint", primary_key: true, nullable: false },
        note: "text",
        ...more,
        _dlt_id: ROW_ID,
      },
      { write_disposition: disposition },
    );
  const rowsOf = (note: string, ids: readonly number[]): Record<string, Value>[] =>
    ids.map((id) => ({ id, note, _dlt_id: `${note}${id}` }));

  /** Runs with nobody else able to write the table, until `release` is called or the work ends. */
  async function holding(
    name: string,
    work: (release: () => Promise<unknown>) => Promise<void>,
  ): Promise<void> {
    await somebody.query(`begin; lock table shared.${name} in share mode`);
    let held = true;
    const release = async (): Promise<unknown> => {
      const ends = held;
      held = false;
      return ends ? somebody.query("commit") : undefined;
    };
    try {
      await work(release);
    } finally {
      await release();
    }
  }

  /** Returns once exactly so many backends wait for locks of that kind. */
  async function waiting(kinds: { readonly relation?: number; readonly advisory?: number }): Promise<void> {
    for (;;) {
      const { rows } = await somebody.query<{ locktype: string; n: number }>(
        `select locktype, count(distinct pid)::int as n from pg_locks where ${WAITS} group by 1`,
      );
      const now = Object.fromEntries(rows.map(({ locktype, n }) => [locktype, n]));
      if ((now.relation ?? 0) === (kinds.relation ?? 0) && (now.advisory ?? 0) === (kinds.advisory ?? 0))
        return;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  async function all(sql: string): Promise<unknown[][]> {
    return (await somebody.query<unknown[]>({ text: sql, rowMode: "array" })).rows;
  }

  test("loads of different tables do not wait for each other", async () => {
    const a = schemaOf([tableOf("a", "merge")], "hash-a");
    const b = schemaOf([tableOf("b", "merge")], "hash-b");
    await load(a, { a: rowsOf("old", [1]) });
    await load(b, { b: rowsOf("old", [1]) });
    await holding("a", async (release) => {
      const held = load(a, { a: rowsOf("new", [1]) });
      await waiting({ relation: 1 });
      await load(b, { b: rowsOf("new", [1]) });
      expect(await all("select (select note from shared.a), (select note from shared.b)")).toEqual([
        ["old", "new"],
      ]);
      await release();
      await held;
    });
    expect(await all("select note from shared.a")).toEqual([["new"]]);
  });

  test("appends to one table do not wait for each other, for a new table of the same load neither", async () => {
    const a = tableOf("a", "append");
    await load(schemaOf([a, tableOf("b", "append")]), { a: rowsOf("first", [1]), b: rowsOf("first", [1]) });
    await holding("b", async (release) => {
      const both = schemaOf([a, tableOf("b", "append"), tableOf("c", "append")], "hash-2");
      const held = load(both, { a: rowsOf("held", [2]), b: rowsOf("held", [2]), c: rowsOf("held", [2]) });
      await waiting({ relation: 1 });
      await load(schemaOf([a]), { a: rowsOf("other", [3]) });
      expect(await all("select id::int from shared.a order by id")).toEqual([[1], [3]]);
      await release();
      await held;
    });
    expect(await all("select id::int from shared.a order by id")).toEqual([[1], [2], [3]]);
  });

  test.each(["merge", "replace"] as const)(
    "%s waits for a load that merges the table",
    async (disposition) => {
      const merging = schemaOf([tableOf("a", "merge")]);
      await load(merging, { a: rowsOf("old", [1, 2]) });
      await holding("a", async (release) => {
        const held = load(merging, { a: rowsOf("held", [1]) });
        await waiting({ relation: 1 });
        const later = load(schemaOf([tableOf("a", disposition)], "hash-2"), { a: rowsOf("later", [1, 2]) });
        await waiting({ relation: 1, advisory: 1 });
        await release();
        await Promise.all([held, later]);
      });
      expect(await all("select id::int, note from shared.a order by id, note")).toEqual([
        [1, "later"],
        [2, "later"],
      ]);
    },
  );

  test("tables in any order are never waited for in a circle", async () => {
    const names = ["a", "b", "c"];
    const tables = names.map((name) => tableOf(name, "merge"));
    const rows = (note: string, of: readonly string[]): Rows =>
      Object.fromEntries(of.map((name) => [name, rowsOf(note, [1, 2, 3])]));
    await load(schemaOf(tables), rows("first", names));
    const orders = [
      [0, 1, 2],
      [2, 1, 0],
      [1, 0],
      [2, 0],
    ];
    await Promise.all(
      orders.map(async (order, i) => {
        const session = await open();
        const schema = schemaOf(
          order.map((place) => tables[place]!),
          `hash-${i}`,
        );
        for (let round = 0; round < 5; round++) {
          await load(
            schema,
            rows(
              `n${i}`,
              order.map((place) => names[place]!),
            ),
            { session },
          );
        }
      }),
    );
    expect(events).not.toContain("postgres:load_is_repeated");
    for (const name of names) {
      expect(await all(`select count(*)::int, count(distinct id)::int from shared.${name}`)).toEqual([
        [3, 3],
      ]);
    }
  });

  test("a column that another load adds meanwhile is not added again", async () => {
    await load(schemaOf([tableOf("a", "append"), tableOf("b", "append")]), { a: [], b: [] });
    const wider = tableOf("a", "append", { extra: "text" });
    await holding("b", async (release) => {
      const schema = schemaOf([wider, tableOf("b", "append")], "hash-2");
      const held = load(schema, { a: rowsOf("x", [1]), b: rowsOf("x", [1]) });
      await waiting({ relation: 1 });
      const same = load(schemaOf([wider], "hash-3"), { a: rowsOf("y", [2]) });
      await waiting({ relation: 1, advisory: 1 });
      await release();
      const reports = await Promise.all([held, same]);
      expect(reports.map(({ ddl }) => ddl.length)).toEqual([1, 0]);
    });
    expect(await all("select id::int from shared.a order by id")).toEqual([[1], [2]]);
  });

  test("a table that another load drops meanwhile is made again", async () => {
    const schema = schemaOf([tableOf("a", "append"), tableOf("b", "append")]);
    await load(schema, { a: rowsOf("x", [1]), b: rowsOf("x", [1]) });
    await holding("b", async (release) => {
      const held = load(
        schemaOf([tableOf("b", "append")], "hash-2"),
        { b: rowsOf("y", [2]) },
        { dropTables: ["a"] },
      );
      await waiting({ relation: 1 });
      const appended = load(schema, { a: rowsOf("z", [3]) });
      await waiting({ relation: 1, advisory: 1 });
      await release();
      await Promise.all([held, appended]);
    });
    expect(await all("select id::int from shared.a")).toEqual([[3]]);
  });

  test("first loads at the same time make the dataset once, and its tables one after the other", async () => {
    const reports = await Promise.all(
      Array.from({ length: 6 }, (_, i) =>
        load(schemaOf([tableOf(`t${i % 3}`, "merge")]), { [`t${i % 3}`]: rowsOf(`n${i}`, [1, 2]) }),
      ),
    );
    expect(reports.filter(({ alreadyCommitted }) => alreadyCommitted)).toEqual([]);
    expect(events).not.toContain("postgres:load_is_repeated");
    for (const name of ["t0", "t1", "t2"]) {
      expect(await all(`select id::int from shared.${name} order by id`)).toEqual([[1], [2]]);
    }
    expect(await all("select count(*)::int from shared._dlt_loads")).toEqual([[6]]);
    expect(await all("select count(*)::int from shared._dlt_version")).toEqual([[1]]);
  });

  test("a version that many loads bring at the same time is stored once", async () => {
    const names = ["a", "b", "c", "d"];
    for (const name of names) await load(schemaOf([tableOf(name, "append")]), { [name]: [] });
    await Promise.all(
      names.map((name) => load(schemaOf([tableOf(name, "append")], "hash-2"), { [name]: rowsOf("x", [1]) })),
    );
    expect(
      await all("select version_hash, count(*)::int from shared._dlt_version group by 1 order by 1"),
    ).toEqual([
      ["hash-1", 1],
      ["hash-2", 1],
    ]);
  });

  test("a package whose first attempt is still at work is waited for, and not loaded twice", async () => {
    const schema = schemaOf([tableOf("a", "append")]);
    await load(schema, { a: [] });
    await holding("a", async (release) => {
      const work = await packageOf("blocks", folder, newId(), schema, { a: rowsOf("x", [1]) });
      const first = (await open()).commitPackage(work);
      await waiting({ relation: 1 });
      const second = (await open()).commitPackage(work);
      await waiting({ relation: 1, advisory: 1 });
      await release();
      expect((await Promise.all([first, second])).map((report) => report.alreadyCommitted)).toEqual([
        false,
        true,
      ]);
    });
    expect(await all("select id::int from shared.a")).toEqual([[1]]);
  });

  test("a load whose connection the server ends is repeated by itself, and there once", async () => {
    const schema = schemaOf([tableOf("a", "append")]);
    await load(schema, { a: [] });
    await holding("a", async (release) => {
      const cut = load(schema, { a: rowsOf("x", [1]) });
      await waiting({ relation: 1 });
      await somebody.query(`select pg_terminate_backend(pid) from pg_locks where ${WAITS}`);
      await waiting({});
      await release();
      expect((await cut).alreadyCommitted).toBe(false);
    });
    expect(events).toContain("postgres:load_is_repeated");
    expect(await all("select id::int from shared.a")).toEqual([[1]]);
  });
});

test.runIf(pgbouncer === undefined)(
  "NOT RUN, no pgbouncer installed: locks through a transaction pooler",
  () => {},
);
