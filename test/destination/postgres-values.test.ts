/** What Postgres holds and what it refuses: values by COPY in both formats, and the errors for the rest. */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from "vitest";
import { defaultContext, type RunContext } from "../../src/engine/context.ts";
import type { DestinationSession } from "../../src/engine/destinations/destination.ts";
import { type PostgresOptions, postgres } from "../../src/engine/destinations/postgres/postgres.ts";
import { EngineError, toEnvelope } from "../../src/engine/errors.ts";
import type { Table } from "../../src/engine/schema/types.ts";
import { type ColumnShort, packageOf, schemaOf, table, type Value } from "../support/packages.ts";
import { createDatabase } from "../support/postgres-server.ts";

let url: string;
let folder: string;
let session: DestinationSession;
let loads = 0;

const open = (
  options: PostgresOptions = {},
  context: Partial<RunContext> = {},
): Promise<DestinationSession> => postgres({ url, ...options }).open("values_data", defaultContext(context));

beforeAll(async () => {
  url = await createDatabase(inject("postgresUrl"), "destination_postgres_values");
  folder = await mkdtemp(join(tmpdir(), "postgres-values-"));
  session = await open();
});
afterAll(async () => {
  await session.close();
  await rm(folder, { recursive: true });
});
beforeEach(async () => {
  await session.query('drop schema if exists "values_data" cascade');
});

async function load(definition: Table, rows: Record<string, Value>[], into = session): Promise<void> {
  loads += 1;
  const id = `18000000${String(loads).padStart(2, "0")}.5`;
  await into.commitPackage(
    await packageOf("blocks", folder, id, schemaOf([definition], `hash-${loads}`), {
      [definition.name]: rows,
    }),
  );
}

async function refusal(work: Promise<unknown>): Promise<EngineError> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof EngineError)) throw new Error(`expected an EngineError, got ${String(error)}`);
  return error;
}

const texts = async (sql: string): Promise<unknown[]> =>
  (await session.query(sql)).rows.map(([cell]) => cell);

/** Texts as a decimal column keeps them. */
async function kept(column: ColumnShort, values: readonly string[]): Promise<unknown[]> {
  await session.query('drop schema if exists "values_data" cascade');
  await load(
    table("t", { place: "bigint", v: column }),
    values.map((v, place) => ({ place, v })),
  );
  return texts('select v::text from "values_data"."t" order by place');
}

describe("numbers from digits", () => {
  test("are what Postgres makes of the same text", async () => {
    const digits = fc.stringMatching(/^[0-9]{0,40}$/);
    const number = fc
      .tuple(fc.constantFrom("", "-", "+"), digits, fc.option(digits))
      .map(
        ([sign, integer, fraction]) => `${sign}${integer || "0"}${fraction === null ? "" : `.${fraction}`}`,
      );
    const exponent = fc
      .tuple(fc.integer(), fc.integer({ min: -60, max: 60 }))
      .map(([mantissa, power]) => `${mantissa}e${power}`);
    const samples = [
      ...["0", "-0", "0.0001", "1234", "12345", "10000", "100000000", "0.00010000", "1e0", "NaN", "-1.5E-3"],
      ...fc.sample(fc.oneof(number, exponent), 500),
    ];
    const column = { data_type: "decimal", precision: 156, scale: 78 } as const;
    const fits = samples.filter((text) => !/^[-+]?\d{79,}/.test(text));
    const [parsed, loaded] = [
      (await session.query("select unnest($1::numeric(156,78)[])::text", [fits])).rows.map(([cell]) => cell),
      await kept(column, fits),
    ];
    expect(loaded).toEqual(parsed);
  });

  test("are rounded to the scale by the server; wei keeps 78 digits on both sides", async () => {
    expect(await kept({ data_type: "decimal", precision: 10, scale: 2 }, ["1.005", "-1.005", "2"])).toEqual([
      "1.01",
      "-1.01",
      "2.00",
    ]);
    const word = "1".repeat(78);
    expect(await kept("wei", [word])).toEqual([`${word}.${"0".repeat(78)}`]);
  });
});

describe("values", () => {
  test("at the borders of their types arrive exactly", async () => {
    const definition = table("t", {
      big: "bigint",
      medium: { data_type: "bigint", precision: 32 },
      small: { data_type: "bigint", precision: 16 },
      real: "double",
      at: "timestamp",
      day: "date",
      time: "time",
      text: "text",
      bytes: "binary",
      json: "json",
    });
    await load(definition, [
      {
        big: Number.MIN_SAFE_INTEGER,
        medium: -(2 ** 31),
        small: -32_768,
        real: -1.5e-300,
        at: -62_135_596_800_000_000,
        day: -719_162,
        time: 86_399_999_999,
        text: "€".repeat(200_000),
        bytes: "\u0000abc",
        json: '{"b": [1.10, "x"], "a": 12345678901234567890123}',
      },
      {},
    ]);
    const [first, second] = (
      await session.query(
        `select big, medium, small, real, at::text, day::text, time::text, length(text), encode(bytes, 'hex'), json::text
         from "values_data"."t" order by big nulls last`,
      )
    ).rows;
    expect(first).toEqual([
      "-9007199254740991",
      -2_147_483_648,
      -32_768,
      -1.5e-300,
      "0001-01-01 00:00:00+00",
      "0001-01-01",
      "23:59:59.999999",
      200_000,
      "00616263",
      '{"a": 12345678901234567890123, "b": [1.10, "x"]}',
    ]);
    expect(second).toEqual(Array(10).fill(null));
  });

  test("go into columns of other types as text that the server parses", async () => {
    const definition = table("t", {
      n: "bigint",
      at: "timestamp",
      flag: "bool",
      bytes: "binary",
      text: "text",
      real: "double",
    });
    await session.query('create schema if not exists "values_data"');
    await session.query(
      'create table "values_data"."t" (n text, at text, flag text, bytes bytea, text uuid, real numeric)',
    );
    await load({ ...definition, "x-normalizer": { "seen-data": true } }, [
      {
        n: 7,
        at: 1_500_000,
        flag: true,
        bytes: "\\x\t",
        text: "6f9619ff-8b86-d011-b42d-00cf4fc964ff",
        real: 0.1,
      },
    ]);
    expect(
      (await session.query(`select n, at, flag, encode(bytes, 'hex'), text, real from "values_data"."t"`))
        .rows,
    ).toEqual([
      ["7", "1970-01-01T00:00:01.500000Z", "t", "5c7809", "6f9619ff-8b86-d011-b42d-00cf4fc964ff", "0.1"],
    ]);
  });

  test.each<[string, ColumnShort, Value]>([
    ["a NUL in text", "text", "secret\0value"],
    ["a NUL in JSON", "json", '{"a":"secret\\u0000value"}'],
    ["half a surrogate pair in JSON", "json", '{"a":"secret\\ud800value"}'],
    ["text that is too long", { data_type: "text", precision: 3 }, "secret"],
    ["a decimal that is too big", { data_type: "decimal", precision: 5, scale: 2 }, "98765.4"],
    ["a decimal that is no number", "decimal", "secret"],
    ["an integer that is too big", { data_type: "bigint", precision: 32 }, 2 ** 31],
    ["an integer that is too small", { data_type: "bigint", precision: 16 }, -32_769],
    ["a timestamp before the first", "timestamp", -9.2e18],
    ["a date after the last", "date", 2 ** 31 - 1],
    ["JSON that is none", "json", "secret"],
    ["null in a required column", { data_type: "text", nullable: false }, null],
  ])("%s is LOAD_VALUE with table and column, never the value", async (_what, column, value) => {
    const error = await refusal(
      load(table("orders", { id: "bigint", price: column }), [{ id: 1, price: value }]),
    );
    expect(error.code).toBe("LOAD_VALUE");
    expect(error.details).toMatchObject({ table: "orders", column: "price", load_id: expect.any(String) });
    expect(error.message).toContain("price");
    expect(JSON.stringify(toEnvelope(error))).not.toMatch(/secret|98765|2147483648/);
    expect(await session.exists()).toBe(false);
  });

  test("a row of more cells than a page holds is LOAD_VALUE that says so, and too many columns say their limit", async () => {
    const wide = (columns: number): [Table, Record<string, Value>[]] => {
      const names = Array.from({ length: columns }, (_, i) => `c${i}`);
      const row = Object.fromEntries(names.map((name) => [name, 1]));
      return [table("wide", Object.fromEntries(names.map((name) => [name, "bigint"]))), [row]];
    };
    const row = await refusal(load(...wide(1500)));
    expect([row.code, row.details.sqlstate]).toEqual(["LOAD_VALUE", "54000"]);
    expect(row.message).toContain("page");
    expect(row.hint).toContain("maxTableNesting");
    const columns = await refusal(load(...wide(1601)));
    expect([columns.code, columns.details.sqlstate]).toEqual(["SCHEMA_INVALID", "54011"]);
    expect(columns.message).toContain("1,600");
  });

  test("NULs are removed on demand, and the log says of how many cells", async () => {
    const events: unknown[] = [];
    const removing = await open(
      { nul: "remove" },
      { log: (_level, event, fields) => events.push({ event, ...fields }) },
    );
    await load(
      table("t", { a: "text", j: "json", b: "binary" }),
      [
        { a: "x\0y\0", j: '{"k":"\\u0000a\\\\u0000b"}', b: "\0" },
        { a: "plain", j: '{"k":"\\n"}', b: "b" },
      ],
      removing,
    );
    await removing.close();
    expect(await texts('select a from "values_data"."t" order by a desc')).toEqual(["xy", "plain"]);
    expect(await texts(`select j->>'k' from "values_data"."t" order by a desc`)).toEqual(["a\\u0000b", "\n"]);
    expect(await texts(`select encode(b, 'hex') from "values_data"."t" order by a desc`)).toEqual([
      "00",
      "62",
    ]);
    expect(events).toEqual([
      { event: "postgres:nul_removed", table: "t", column: "a", cells: 1 },
      { event: "postgres:nul_removed", table: "t", column: "j", cells: 1 },
    ]);
  });

  test("a row twice in a unique column is refused by the index that dlt makes, unless it is not made", async () => {
    const definition = table("t", { id: { data_type: "text", unique: true } });
    const error = await refusal(load(definition, [{ id: "secret" }, { id: "secret" }]));
    expect(error.code).toBe("LOAD_VALUE");
    expect(JSON.stringify(toEnvelope(error))).not.toContain("secret");
    const without = await open({ createIndexes: false });
    await load(definition, [{ id: "x" }, { id: "x" }], without);
    await without.close();
    expect(await texts('select count(*) from "values_data"."t"')).toEqual(["2"]);
  });
});

describe("at the same time", () => {
  test("readers see the old rows until a replace commits", async () => {
    const definition = table("t", { v: "text" }, { write_disposition: "replace" });
    await load(definition, [{ v: "old" }]);
    const seen: unknown[] = [];
    let reading: Promise<unknown> = Promise.resolve();
    const watched = await open(
      {},
      {
        boundary: (name) => {
          if (name !== "load:commit") return;
          reading = texts('select v from "values_data"."t"').then((rows) => seen.push(...rows));
        },
      },
    );
    loads += 1;
    await watched.commitPackage(
      await packageOf(
        "blocks",
        folder,
        `1900000000.${loads}`,
        schemaOf([definition]),
        { t: [{ v: "new" }] },
        ["t"],
      ),
    );
    await reading;
    await watched.close();
    expect(["old", "new"]).toContain(seen[0]);
    expect(seen).toHaveLength(1);
    expect(await texts('select v from "values_data"."t"')).toEqual(["new"]);
  });

  test("ten first loads of one dataset are all applied", async () => {
    const sessions = await Promise.all(Array.from({ length: 10 }, () => open()));
    const definition = table("t", { v: "text" });
    await Promise.all(sessions.map((each, i) => load(definition, [{ v: String(i) }], each)));
    await Promise.all(sessions.map((each) => each.close()));
    expect(await texts('select count(*) from "values_data"."t"')).toEqual(["10"]);
    expect(await texts('select count(*) from "values_data"."_dlt_loads"')).toEqual(["10"]);
  });

  test("a table locked by somebody else is waited for, then it is an error worth a retry", async () => {
    const definition = table("t", { v: "text" }, { "x-normalizer": { "seen-data": true } });
    await load(definition, [{ v: "a" }]);
    const holder = await open();
    const impatient = await open({ lockTimeoutMs: 100 });
    const held = holder.query(
      `do $$ begin lock table "values_data"."t" in access exclusive mode; perform pg_sleep(1.5); end $$`,
    );
    await new Promise((resolve) => setTimeout(resolve, 200));
    const error = await refusal(load(definition, [{ v: "b" }], impatient));
    expect([error.code, error.retry, error.details.sqlstate]).toEqual(["LOAD_FAILED", "yes", "55P03"]);
    await held;
    await load(definition, [{ v: "b" }], impatient);
    expect(await texts('select v from "values_data"."t" order by v')).toEqual(["a", "b"]);
    await holder.close();
    await impatient.close();
  });

  test("a merge that waits is cancelled at once by the signal", async () => {
    const definition = table("t", { v: "text" }, { "x-normalizer": { "seen-data": true } });
    await load(definition, [{ v: "a" }]);
    const holder = await open();
    const abort = new AbortController();
    const cancelled = await open({}, { signal: abort.signal });
    const held = holder.query(
      `do $$ begin lock table "values_data"."t" in access exclusive mode; perform pg_sleep(3); end $$`,
    );
    await new Promise((resolve) => setTimeout(resolve, 200));
    const startedAt = Date.now();
    const failing = refusal(load(definition, [{ v: "b" }], cancelled));
    setTimeout(() => abort.abort(), 200);
    expect((await failing).code).toBe("CANCELLED");
    expect(Date.now() - startedAt).toBeLessThan(2000);
    await held;
    expect(await texts('select count(*) from "values_data"."_dlt_loads"')).toEqual(["1"]);
    await holder.close();
    await cancelled.close();
  });

  test("a connection that the server ends is opened again for the next use", async () => {
    const victim = await open();
    const pid = (await victim.query("select pg_backend_pid()")).rows[0]?.[0];
    await session.query("select pg_terminate_backend($1)", [pid]);
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(await victim.exists()).toBe(false);
    await victim.close();
  });
});

describe("a server", () => {
  test("with another password is DESTINATION_INVALID and not tried again", async () => {
    const error = await refusal(open({ password: "wrong-secret" }));
    expect(error.code).toBe("DESTINATION_INVALID");
    expect(error.retry).not.toBe("yes");
    expect(JSON.stringify(toEnvelope(error))).not.toContain("wrong-secret");
  });

  test("that is not there is DESTINATION_UNREACHABLE", async () => {
    const error = await refusal(open({ port: 1 }));
    expect([error.code, error.retry]).toEqual(["DESTINATION_UNREACHABLE", "yes"]);
    expect((await refusal(open({ host: "db.invalid" }))).code).toBe("DESTINATION_UNREACHABLE");
  });

  test("without the database is DESTINATION_INVALID", async () => {
    expect((await refusal(open({ database: "nowhere" }))).code).toBe("DESTINATION_INVALID");
  });

  test("without encryption serves prefer and disable, and is refused for require", async () => {
    for (const ssl of ["prefer", "disable"] as const) await (await open({ ssl })).close();
    for (const ssl of ["require", "verify-full"] as const) {
      expect((await refusal(open({ ssl }))).code).toBe("DESTINATION_INVALID");
    }
  });

  test("columns are added together, and a long name is refused instead of cut", async () => {
    await load(table("t", { a: "text" }), [{ a: "x" }]);
    loads += 1;
    const wider = schemaOf(
      [table("t", { a: "text", b: "text", c: { data_type: "text", nullable: false } })],
      "wider",
    );
    const report = await session.commitPackage(
      await packageOf("blocks", folder, `1900000001.${loads}`, wider, { t: [{ a: "y", b: "z", c: "w" }] }),
    );
    expect(report.ddl).toEqual([
      'alter table "values_data"."t" add column "b" character varying, add column "c" character varying',
    ]);
    const error = await refusal(load(table("t".repeat(64), { a: "text" }), [{ a: "x" }]));
    expect(error.code).toBe("IDENTIFIER_INVALID");
  });
});
