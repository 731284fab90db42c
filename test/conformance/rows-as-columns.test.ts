/**
 * Rows that a source yields leave the same whether they are extracted as columns or as the lines that they stand
 * for: tables, schema, counts, discards, errors with their row, samples of a dry run, on either database.
 */

import { expect, test } from "vitest";
import {
  incremental,
  JsonlPage,
  type ResourceHints,
  type Row,
  type RunReport,
  resource,
  Source,
  type Yielded,
} from "../../src/engine/index.ts";
import { memorySource } from "../../src/sources/filesystem/byte-source.ts";
import { readCsv } from "../../src/sources/filesystem/csv.ts";
import { type Database, onBothDatabases } from "../support/both-databases.ts";
import { succeeded } from "../support/item-shop.ts";

/** Enough for columns. */
const ROWS = 300;

const page = (row: (i: number) => Row): Row[] => Array.from({ length: ROWS }, (_, i) => row(i));
const usual = (i: number): Row => ({
  id: i,
  price: i % 3 === 0 ? 10 : 9.99,
  at: new Date(1.7e12 + i * 1000).toISOString(),
  note: i % 7 === 0 ? null : `größe ${i}`,
  active: i % 2 === 0,
});

const first = page(usual);
/** Values of other kinds, nulls, a new key, a nested one, and a text with a mark of a type. */
const drifted = [
  page((i) => ({ ...usual(i + ROWS), note: i === 250 ? "\uf0261.50" : null, price: `${i}` })),
  page((i) => ({
    ...usual(i + 2 * ROWS),
    price: i === 280 ? "no number" : `${i}.5`,
    fresh: i === 100 ? "new" : null,
  })),
  page((i) => ({ ...usual(i + 3 * ROWS), tags: i === 10 ? ["a"] : [] })),
  page((i) => usual(i + 4 * ROWS)),
];

const TABLES: Readonly<Record<string, ResourceHints>> = {
  evolving: {},
  discarding_rows: { schemaContract: { columns: "discard_row", data_type: "discard_row" } },
  discarding_values: { schemaContract: { columns: "discard_value", data_type: "discard_value" } },
  merged: { writeDisposition: "merge", primaryKey: "id" },
  upserted: { writeDisposition: { disposition: "merge", strategy: "upsert" }, primaryKey: "id" },
  declared: {
    columns: { price: { data_type: "decimal" }, id: { data_type: "text" }, active: { nullable: false } },
  },
};

const lines = (rows: readonly Row[]): JsonlPage =>
  new JsonlPage(Buffer.from(rows.map((row) => `${JSON.stringify(row)}\n`).join("")));

type Form = "columns" | "lines";

const source = (form: Form, pages: readonly (readonly Row[])[], tables = TABLES): Source =>
  new Source({
    name: "shop",
    resources: Object.entries(tables).map(([name, hints]) =>
      resource({ name, ...hints }, () => (form === "columns" ? pages : pages.map(lines))),
    ),
  });

const csv = `id,at,note,n\n${Array.from({ length: ROWS }, (_, i) => `${i},2024-01-02T03:04:${String(i % 60).padStart(2, "0")}Z,${i % 7 === 0 ? "" : `"größe\n${i}"`},00${i}\n`).join("")}`;

/** The same file as it is, and where its rows have to be looked at. */
const files = (form: Form): Source => {
  const pages = async function* (): AsyncGenerator<Yielded> {
    for await (const page of readCsv(memorySource("a.csv", csv)))
      yield form === "columns" ? page : page.lines();
  };
  return new Source({
    name: "files",
    resources: [
      resource({ name: "plain" }, pages),
      resource(
        { name: "with_cursor", incremental: incremental("at", { initialValue: "2024-01-02T03:04:30Z" }) },
        pages,
      ),
      resource({ name: "mapped" }, pages).map((row) => ({ ...row, more: 1 })),
      resource({ name: "filtered" }, pages).filter((row) => row.note !== undefined),
      resource({ name: "some" }, pages).addLimit({ rows: 7 }),
    ],
  });
};

/** Of a report, what does not tell one run from another. */
const told = ({ status, rows, rejected, warnings, error, packages, dry_run }: RunReport) => ({
  status,
  rows,
  rejected,
  warnings,
  error: error && { code: error.code, message: error.message, row: error.details?.row },
  packages: packages.map(({ schema_changes, resources }) => ({ schema_changes, resources })),
  planned: dry_run?.rows,
  samples: Object.fromEntries(Object.keys(TABLES).map((table) => [table, dry_run?.samples?.[table]])),
});

/** Ids of rows and of loads. */
const RANDOM = /^(load_id|row_id|at|_dlt_.*id)$/;

async function everything(database: Database): Promise<unknown> {
  const tables: Record<string, unknown> = {};
  for (const table of await database.tables()) {
    const types = await database.types(table);
    const columns = Object.keys(types).filter((name) => !RANDOM.test(name));
    const list = columns
      .sort()
      .map((name) => `"${name}"`)
      .join(", ");
    const rows = await database.read(`select ${list} from {}."${table}"`);
    const texts = rows.map((row) =>
      row.map((cell) => String(cell).replace(/("_dlt_id": ?)"[^"]*"/, "$1")).join("|"),
    );
    tables[table] = { types, rows: texts.sort() };
  }
  return {
    tables,
    schemas: await database.read("select version, version_hash from {}._dlt_version order by 1"),
  };
}

onBothDatabases("conformance_rows_as_columns", (database) => {
  const both = async (run: (form: Form) => Promise<unknown>): Promise<void> => {
    const asColumns = await run("columns");
    await database.clear();
    expect(asColumns).toEqual(await run("lines"));
  };

  test("whose kinds drift, under any contract and disposition", async () => {
    await both(async (form) => {
      const reports = [];
      for (const pages of [[first], drifted])
        reports.push(told(succeeded(await database.pipeline().run(source(form, pages)))));
      return { reports, left: await everything(database) };
    });
  });

  test("of a CSV file, also where a cursor, a step or a limit looks at them", async () => {
    await both(async (form) => {
      const report = succeeded(await database.pipeline().run(files(form)));
      expect(report.rows).toMatchObject({ plain: ROWS, with_cursor: ROWS / 2, filtered: 257, some: 7 });
      return { report: told(report), left: await everything(database) };
    });
  });

  test("that a frozen schema refuses, with the row", async () => {
    const fresh = page((i) => ({ ...usual(i), fresh: i === 100 ? "new" : null }));
    const tables = { items: { schemaContract: "freeze" as const } };
    await both(async (form) => {
      succeeded(await database.pipeline().run(source(form, [first], { items: {} })));
      const report = await database.pipeline().run(source(form, [first, fresh], tables));
      expect(report.error).toMatchObject({ code: "CONTRACT_VIOLATION", details: { row: ROWS + 101 } });
      return { report: told(report), left: await everything(database) };
    });
  });

  test("of which a dry run shows the first", async () => {
    await both(async (form) => {
      const report = await database.pipeline().run(source(form, [first, ...drifted]), { dryRun: true });
      expect(report.dry_run?.samples?.evolving?.[1]).toMatchObject({ id: 1, price__v_double: 9.99 });
      return told(succeeded(report));
    });
  });
});
