/**
 * Rows of CSV files that are extracted as columns leave the same tables and schema as their lines, and the same errors.
 *
 * Method: files whose cells look like all types, some with other columns than the file before, over tables that know
 * some of the columns, as other types too, or whose contract refuses. The pages of each are written as columns and as lines;
 * then both packages are normalized, and what is in the job files is compared, and all that is told.
 */

import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { DEFAULT_LIMITS, type RunContext } from "../../src/engine/context.ts";
import { JobWriter } from "../../src/engine/extract/job-writer.ts";
import { JsonlPage } from "../../src/engine/extract/page.ts";
import { plainJson } from "../../src/engine/interop/json.ts";
import { PackageNormalizer } from "../../src/engine/normalize/normalize-package.ts";
import { dumpBlocks } from "../../src/engine/package/block-format.ts";
import type { JobInfo } from "../../src/engine/package/types.ts";
import { updateTable } from "../../src/engine/schema/merge.ts";
import { namingByName } from "../../src/engine/schema/naming.ts";
import { type Column, type Contract, type ContractMode, DATA_TYPES } from "../../src/engine/schema/types.ts";
import { bumpSchema, newSchema, schemaToStored } from "../../src/engine/schema/version.ts";
import { memorySource } from "../../src/sources/filesystem/byte-source.ts";
import { type CsvOptions, readCsv } from "../../src/sources/filesystem/csv.ts";
import { RunGuesses } from "../../src/sources/filesystem/guesses.ts";
import { withFileName, withRowFields } from "../../src/sources/filesystem/row-fields.ts";

const folder = mkdtempSync(join(tmpdir(), "texts-scan-"));
afterAll(() => rmSync(folder, { recursive: true }));

const ROOT = "rows";
const context: RunContext = {
  now: () => 0,
  log: () => {},
  signal: new AbortController().signal,
  limits: DEFAULT_LIMITS,
  progress: () => {},
  boundary: () => {},
};

interface Case {
  readonly files: readonly string[];
  readonly columns?: Readonly<Record<string, Partial<Column>>>;
  readonly contract?: Contract | ContractMode | undefined;
  readonly merged?: boolean;
  readonly options?: CsvOptions;
  /** What is added to each row. */
  readonly fields?: "none" | "name" | "name and number";
}

type Form = "columns" | "lines";

let folders = 0;

async function extract(
  form: Form,
  { files, options, fields }: Case,
  dir: string,
): Promise<readonly JobInfo[]> {
  const writer = new JobWriter({ dir, jobBytesMax: 1 << 30, sync: false });
  const guesses = new RunGuesses();
  for (const [i, content] of files.entries()) {
    const name = `${i}.csv`;
    let row = 1;
    for await (const page of readCsv(memorySource(name, content), { ...options, recycle: true })) {
      const guessed = guesses.apply(page);
      const numbered = fields === "name and number" ? withRowFields(guessed, name, row) : undefined;
      const told = numbered?.page ?? (fields === "name" ? withFileName(guessed, name) : guessed);
      row += numbered?.rows ?? 0;
      if (told instanceof JsonlPage) await writer.writePage(ROOT, told);
      else if (form === "lines") await writer.writePage(ROOT, told.lines());
      else await writer.writeColumns(ROOT, told);
    }
  }
  return writer.finish();
}

const withoutId = (value: unknown): unknown =>
  typeof value === "string" ? value.replace(/("_dlt_id":)"[^"]*"/, "$1") : value;

/** Ids of rows are random. */
const shown = (row: Record<string, unknown>) =>
  Object.fromEntries(
    Object.entries(row)
      .filter(([name]) => name !== "_dlt_id")
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, value]) => [name, Object.is(value, -0) ? "-0" : withoutId(value)])
      .filter(([, value]) => value !== null),
  );

async function through(form: Form, given: Case) {
  const from = join(folder, `${folders}`);
  const to = join(folder, `${folders++}-normalized`);
  for (const dir of [from, to]) mkdirSync(dir);
  const jobs = await extract(form, given, from);
  const schema = newSchema("csv");
  const columns = new Map(
    Object.entries(given.columns ?? {}).map(([name, column]) => [name, { ...column, name } as Column]),
  );
  const table = {
    name: ROOT,
    columns,
    write_disposition: given.merged ? "merge" : "append",
    resource: ROOT,
    ...(given.contract ? { schema_contract: given.contract } : {}),
  } as const;
  updateTable(schema, table, { declared: true });
  const naming = namingByName("snake_case", 65536);
  const normalizer = new PackageNormalizer(
    { loadId: "1700000000.123", schema, naming, to, jobFormat: "blocks", sync: false, keepRejected: true },
    context,
  );
  const tables: Record<string, unknown[]> = {};
  let told: unknown;
  try {
    for (const job of jobs) await normalizer.add(job, from);
    const { jobs: made, slowRows: _, ...rest } = await normalizer.finish({ keepNullColumns: false });
    told = rest;
    for (const { file, table: name } of made) {
      tables[name] ??= [];
      for await (const row of dumpBlocks(join(to, file))) tables[name].push(shown(row));
    }
  } catch (error) {
    await normalizer.abort();
    const { code, message, details } = error as { code: string; message: string; details: unknown };
    // else a bug would pass for what both say
    expect(code, message).toBeTruthy();
    told = { code, message, details };
  }
  bumpSchema(schema);
  const asColumns = jobs.reduce((sum, { keys, rows }) => sum + (keys ? rows : 0), 0);
  return { outcome: { tables, told, schema: plainJson(schemaToStored(schema)) }, asColumns, jobs };
}

/** What both forms leave. */
async function same(given: Case) {
  const { outcome, asColumns, jobs } = await through("columns", given);
  const lines = await through("lines", given);
  expect(outcome).toEqual(lines.outcome);
  return { asColumns, jobs, told: outcome.told, rows: outcome.tables[ROOT] };
}

const csv = (header: string, count: number, row: (i: number) => string): string =>
  `${header}\n${Array.from({ length: count }, (_, i) => `${row(i)}\n`).join("")}`;

describe("rows of CSV files as columns", () => {
  it("become what their lines become", async () => {
    const file = csv(
      "id,price,ok,day,at,note,code,never",
      500,
      (i) =>
        `${i},${i}.25,${i % 2 === 0},2024-01-02,2024-01-02T03:04:05Z,${i % 7 ? `größe "${i}` : ""},00${i},`,
    );
    const { asColumns, rows } = await same({ files: [file, file], fields: "name and number" });
    expect(asColumns).toBe(1000);
    expect(rows?.[501]).toMatchObject({ id: 1, ok: false, code: "001", _file_name: "1.csv", _row_id: 2 });
  });

  it("of many small files share blocks and a job", async () => {
    const files = Array.from({ length: 50 }, (_, k) => csv("id,v", 3, (i) => `${k * 3 + i},x${i}`));
    const { jobs, rows } = await same({ files, fields: "name" });
    expect(jobs).toHaveLength(1);
    expect(rows).toHaveLength(150);
  });

  it("lack a key where they have no cell: it is no null that is noted or refused row by row", async () => {
    const columns = { id: { data_type: "bigint", nullable: false } } as const;
    const { told } = await same({ files: ["id,v,w\n1,a,\n,b,\n3,c,\n"], columns });
    expect(told).toMatchObject({ code: "NULL_IN_REQUIRED" });
    const { told: nothing } = await same({ files: ["id,v,w\n1,a,\n,b,\n3,c,\n"] });
    expect(nothing).toMatchObject({ warnings: [] });
    await same({ files: ["a,b\n,\n1,\n,\n", "a,b\n,\n", "b\n2\n"] });
  });

  it.each([
    ["zeros in front", "007"],
    ["a type mark", "\uf0261.5"],
    ["a mark of nothing", "\uf026"],
    ["a byte order mark", "\ufeffx"],
    ["a character that stands for what was none", "\ufffd"],
    ["quotes, commas and line feeds", '"a ""b"", c\nd"'],
    ["a backslash", "a\\n"],
    ["control characters", "\u0001\u001f"],
    ["characters of two units", "😀"],
    ["nothing but quotes", '""""'],
    ["many bytes", "x".repeat(70_000)],
    ["JSON", '"{""a"": [1.0, null]}"'],
  ])("keep cells with %s", async (_what, cell) => {
    const file = csv("id,v,n,d", 30, (i) =>
      i === 20 ? `${i},${cell},${cell},${cell}` : `${i},t${i},${i},${i}.5`,
    );
    const types = ["text", "bigint", "decimal", "json", "timestamp", "bool", undefined] as const;
    for (const data_type of types) {
      const columns: Record<string, Partial<Column>> = data_type
        ? { n: { data_type }, d: { data_type } }
        : {};
      expect(await same({ files: [file, file], columns })).toMatchObject({ asColumns: 60 });
    }
  });

  it.each<[Contract | ContractMode]>([
    ["freeze"],
    [{ columns: "freeze", data_type: "evolve", tables: "evolve" }],
    [{ columns: "discard_row", data_type: "discard_row", tables: "evolve" }],
    [{ columns: "discard_value", data_type: "discard_value", tables: "evolve" }],
  ])("under the contract %j are refused with their file and line", async (contract) => {
    const columns = { id: { data_type: "bigint" }, v: { data_type: "text" } } as const;
    const known = csv("id,v", 40, (i) => `${i},"a\n\n${i}"`);
    const odd = `${csv("id,v", 30, (i) => `${i},b`)}\n\n31,"x\ny"\nno number,z\n`;
    const plain = [csv("id,v", 40, (i) => `${i},a`), `${csv("id,v", 30, (i) => `${i},b`)}no number,z\n`];
    // else the files would disagree about the column, and be jobs of their own
    const regular = await same({ files: plain, columns, contract, options: { types: "text" } });
    if (contract === "freeze")
      expect(regular.told).toMatchObject({ details: { file: "1.csv", line: 32, row: 71 } });
    const fresh = `${csv("id,v,fresh", 3, (i) => `${i},b,`)}\n9,c,new\n`;
    const { told } = await same({ files: [known, odd], columns, contract, fields: "none" });
    if (contract === "freeze")
      expect(told).toMatchObject({
        code: "CONTRACT_VIOLATION",
        details: { file: "1.csv", line: 36, row: 72 },
      });
    const { told: column } = await same({
      files: [known, fresh],
      columns,
      contract,
      options: { pageBytes: 20 },
    });
    if (typeof contract !== "string" && contract.columns === "freeze")
      expect(column).toMatchObject({ code: "CONTRACT_VIOLATION", details: { file: "1.csv", line: 6 } });
  });

  it("of a key that the engine adds as well, or of two keys of one column", async () => {
    await same({ files: ["_file_name,id,_row_id\nx,1,5\n,2,\n"], fields: "name and number" });
    await same({ files: ["a b,a_b\n1,\n,2\n"] });
    await same({ files: ["a b,a_b\n1,2\n"] });
    await same({ files: ["id,_dlt_id\n1,x\n2,\n"] });
    await same({ files: ["price,price__v_text\n1,a\n2,b\n", "price,price__v_text\nx,a\ny,\n"] });
  });

  it("that are merged by the hash of their key", async () => {
    const columns = { id: { data_type: "bigint", primary_key: true, nullable: false } } as const;
    await same({ files: [csv("id,v", 30, (i) => `${i},x`)], columns, merged: true });
  });

  const cell = fc.oneof(
    { weight: 2, arbitrary: fc.constantFrom("", "", "x") },
    fc.constantFrom(
      "1",
      "-1",
      "007",
      "-0",
      "0",
      "1.50",
      "1e5",
      "123456789012345678",
      "9223372036854775808",
      "x,y",
    ),
    fc.constantFrom(
      "true",
      "FALSE",
      "yes",
      "NULL",
      "2024-01-02",
      "2024-01-02T03:04:05.678Z",
      "12:30:00",
      "{}",
      "[1]",
    ),
    fc.string({
      unit: fc.constantFrom("a", '"', "\\", "\n", "\r", "ö", "\uf026", "\uf027", "1", " ", "\u0001"),
      maxLength: 4,
    }),
    fc.string({ unit: "grapheme", maxLength: 12 }).map((text) => text.replaceAll("\0", "").toWellFormed()),
  );
  const kinds = [
    fc.integer().map(String),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
    fc.boolean().map(String),
    fc.date({ min: new Date(0), max: new Date(4e12), noInvalidDate: true }).map((date) => date.toISOString()),
    fc.constant("007"),
    cell,
  ];
  const keys = ["id", "Price", "a b", "größe", "_note", "k2"];
  const fileOf = fc.integer({ min: 1, max: keys.length }).chain((width) =>
    fc
      .array(fc.constantFrom(...kinds), { minLength: width, maxLength: width })
      .chain((drawn) => {
        const cells = drawn.map((kind) => fc.oneof({ weight: 12, arbitrary: kind }, cell, fc.constant("")));
        return fc.tuple(
          fc.shuffledSubarray(keys, { minLength: width, maxLength: width }),
          fc.array(fc.tuple(...cells), { maxLength: 20 }),
        );
      })
      .map(([header, rows]) =>
        [header, ...rows]
          .map((each) => `${each.map((text) => `"${text.replaceAll('"', '""')}"`).join(",")}\n`)
          .join(""),
      ),
  );
  const cases = fc.record({
    files: fc.oneof(
      fc.array(fileOf, { minLength: 1, maxLength: 3 }),
      fileOf.map((file) => [file, file]),
    ),
    columns: fc
      .dictionary(
        fc.constantFrom("id", "price", "a_b", "k2"),
        fc.record({
          data_type: fc.constantFrom(...DATA_TYPES),
          nullable: fc.constantFrom(true, true, false),
        }),
        { maxKeys: 2 },
      )
      // of two required columns without a value either may be the one that is named
      .map((columns) => {
        const required = Object.keys(columns).find((name) => columns[name]?.nullable === false);
        return Object.fromEntries(
          Object.entries(columns).map(([name, column]) => [name, { ...column, nullable: name !== required }]),
        );
      }),
    contract: fc.constantFrom<(Contract | undefined)[]>(undefined, undefined, undefined, {
      columns: "discard_value",
      data_type: "discard_row",
      tables: "evolve",
    }),
    options: fc.record({
      pageBytes: fc.constantFrom(1, 40, 4000),
      null_values: fc.constantFrom([], ["NULL", "x"]),
      types: fc.constantFrom("infer" as const, "infer" as const, "text" as const),
    }),
    fields: fc.constantFrom("none" as const, "name" as const, "name and number" as const),
  });

  it("are the same as their lines, whatever they hold", async () => {
    let asColumns = 0;
    await fc.assert(
      fc.asyncProperty(cases, async (given) => {
        asColumns += (await same(given)).asColumns;
      }),
      { numRuns: 150 },
    );
    expect(asColumns).toBeGreaterThan(500);
  });
});
