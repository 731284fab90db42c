/**
 * What dlt makes of a set of inputs, made by our engine: tables, rows, row ids, stored schema, version hash,
 * state and its hash. The expectations were written by dlt itself (test/golden/make.py).
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import {
  type GoldenCase,
  type GoldenExpectation,
  goldenCases,
  readDataset,
  runGolden,
} from "../support/golden.ts";
import { cellKind, duckdbStore, type GoldenStore, postgresStore } from "../support/golden-stores.ts";
import { createDatabase } from "../support/postgres-server.ts";

const folder = mkdtempSync(join(tmpdir(), "loadwright-golden-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Cases where we decided otherwise; each has a test of its own elsewhere, or a reason in docs/decisions.md. */
const DECIDED_OTHERWISE = new Map([
  ["naming/symbols", "two fields of one row in one column: dlt lets the later win, we refuse (defect 16)"],
  [
    "state/two_sources",
    "the state row goes with the rows whose cursors it holds, not into the default schema's package",
  ],
]);

const all = goldenCases();
const supported = all.filter((golden) => golden.defect === undefined && !DECIDED_OTHERWISE.has(golden.file));

it("has at least 185 cases that the engine is held to", () => {
  expect(supported.length).toBeGreaterThanOrEqual(185);
});

let postgresUrl: string;
beforeAll(async () => {
  postgresUrl = await createDatabase(inject("postgresUrl"), "conformance_golden");
});

/** Cases about what only DuckDB can hold, with the error that Postgres has instead. */
const REFUSED_BY_POSTGRES = new Map([
  ["hints/bigint_precision", "SCHEMA_INVALID"], // 128 bits
  ["hints/text_precision", "LOAD_VALUE"], // varchar(n) holds n characters
  ["hints/timestamp_precision", "SCHEMA_INVALID"], // nanoseconds
  ["hints/unique", "LOAD_VALUE"], // a unique index, as in dlt
]);
/** Postgres names have 63 bytes; the unit tests of naming hold dlt's shortened names. */
const SHORTENED_BY_POSTGRES = new Set(["naming/long_column"]);

const groups = [...new Set(supported.map((golden) => golden.group))];
const casesOf = (group: string) =>
  supported.filter((golden) => golden.group === group).map((golden) => [golden.name, golden] as const);

describe.each(groups)("%s on DuckDB", (group) => {
  it.each(casesOf(group))("%s", async (_name, golden) => {
    const place = join(folder, golden.file.replace("/", "-"));
    await holds(golden, place, duckdbStore(join(place, "data.duckdb")), comparable);
  });
});

describe.each(groups)("%s on Postgres", (group) => {
  it.each(casesOf(group))("%s", async (_name, golden) => {
    const place = join(folder, `${golden.file.replace("/", "-")}-postgres`);
    const refusal = REFUSED_BY_POSTGRES.get(golden.file);
    if (refusal !== undefined) {
      const store = postgresStore(postgresUrl);
      await store.clear(golden.pipeline.dataset);
      const at = { dir: join(place, "work"), destination: store.destination };
      const codes: (string | undefined)[] = [];
      for (const run of golden.runs) codes.push((await runGolden(golden, run, at)).error?.code);
      expect(codes.at(-1)).toBe(refusal);
      return;
    }
    if (SHORTENED_BY_POSTGRES.has(golden.file)) {
      const store = postgresStore(postgresUrl);
      await store.clear(golden.pipeline.dataset);
      await runGolden(golden, golden.runs[0]!, { dir: join(place, "work"), destination: store.destination });
      const { tables } = await readDataset(golden, store, golden.source_name);
      expect(tables.items?.columns.map(([name]) => name.length)).toEqual([63, 12, 7]);
      return;
    }
    await holds(golden, place, postgresStore(postgresUrl), anyDatabase);
  });
});

/** Each run of the case leaves what dlt left, both in the form that `form` gives them. */
async function holds(
  golden: GoldenCase,
  place: string,
  store: GoldenStore,
  form: (expectation: GoldenExpectation) => unknown,
): Promise<void> {
  const dir = join(place, "work");
  await store.clear(golden.pipeline.dataset);
  for (const [i, run] of golden.runs.entries()) {
    if (run.fresh_working_folder) rmSync(dir, { recursive: true, force: true });
    const report = await runGolden(golden, run, { dir, destination: store.destination });
    const expected = golden.expect[i]!;
    if (run.fails) {
      expect(report.status, `run ${i + 1}`).toBe("failed");
    } else {
      expect(report.error, `run ${i + 1}`).toBeUndefined();
    }
    if (expected.loads === undefined) continue;
    const actual = await readDataset(golden, store, run.source_name ?? golden.source_name);
    expect(form(actual), `run ${i + 1}`).toEqual(form(expected));
  }
}

/**
 * What does not depend on the database: kinds instead of types, decimals without trailing zeros, JSON as
 * what it says. The state names its destination, so its hash is another one.
 */
function anyDatabase(expectation: GoldenExpectation): unknown {
  const tables = Object.fromEntries(
    Object.entries(expectation.tables).map(([name, { columns, rows }]) => {
      const kinds = new Map(columns.map(([column, type]) => [column, cellKind(type)]));
      const same = (column: string, value: string | null): unknown => {
        if (value === null) return null;
        switch (kinds.get(column)) {
          case "decimal":
            return value.includes(".") ? value.replace(/\.?0+$/, "") : value;
          case "double":
            return Number(value) + 0;
          case "json":
            return JSON.parse(value);
          default:
            return value;
        }
      };
      const shown = rows.map((row) =>
        Object.fromEntries(Object.entries(row).map(([column, value]) => [column, same(column, value)])),
      );
      return [name, { columns: [...kinds], rows: shown }];
    }),
  );
  const { destination_type: _, ...state } = expectation.state ?? {};
  const known = expectation.state === null || expectation.state === undefined;
  return {
    ...(comparable({ ...expectation, state: known ? expectation.state : state, tables: {} }) as object),
    state_hash: null,
    tables,
  };
}

/** Doubles as numbers; a state whose hash dlt leaves to chance without its hash, its lists sorted. */
function comparable(expectation: GoldenExpectation): unknown {
  const tables = Object.fromEntries(
    Object.entries(expectation.tables).map(([name, table]) => {
      const doubles = new Set(
        table.columns.filter(([, type]) => type === "DOUBLE").map(([column]) => column),
      );
      const rows = table.rows.map((row) =>
        Object.fromEntries(
          Object.entries(row).map(([column, value]) => [
            column,
            doubles.has(column) && value !== null ? Number(value) + 0 : value,
          ]),
        ),
      );
      return [name, { ...table, rows }];
    }),
  );
  const { state, schema, ...rest } = expectation;

  const { _version_hash: _, ...content } = (state ?? {}) as Record<string, unknown>;
  const manyHashes = hashListLengths(content).some((length) => length > 1);
  const { version, previous_hashes, ...schemaContent } = (schema ?? {}) as Record<string, unknown>;
  return {
    ...rest,
    dlt_tables: undefined,
    error: undefined,
    state_hash: manyHashes ? null : rest.state_hash,
    tables,
    // 1.0 and 1 are told apart by the hash
    state: sortHashes(JSON.parse(JSON.stringify(content))),
    schema: schemaContent,
    schema_version: version,
    previous_hashes: (previous_hashes as string[] | undefined)?.length,
  };
}

function hashListLengths(value: unknown): number[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, member]) =>
    key === "unique_hashes" ? [(member as string[]).length] : hashListLengths(member),
  );
}

function sortHashes(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortHashes);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => [
      key,
      key === "unique_hashes" ? [...(member as string[])].sort() : sortHashes(member),
    ]),
  );
}
