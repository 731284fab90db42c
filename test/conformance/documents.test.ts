/**
 * Random documents, in and out: what is put together from parent and child tables is what went in, on both
 * databases, however the documents were cut into pages, packages and runs, and in whatever order their keys came.
 *
 * A failure prints the seed and the path of its smallest case; PROPERTY_SEED runs a seed again,
 * PROPERTY_SECONDS searches longer.
 */

import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { JsonlPage, type Row } from "../../src/engine/extract/page.ts";
import { type ResourceData, resource, Source } from "../../src/engine/extract/resource.ts";
import { comparable, documents, keysReversed, leaves } from "../support/documents.ts";
import { Shop, succeeded } from "../support/item-shop.ts";
import { type Cell, DUCKDB, type TestStore, testStores } from "../support/stores.ts";

const [, POSTGRES] = await testStores("conformance_documents");
/** How long new cases are begun; a longer search is worth it after a change of the normalizer. */
const SECONDS = Number(process.env.PROPERTY_SECONDS ?? 30);
const shops: Shop[] = [];
let cases = 0;
afterAll(async () => {
  for (const shop of shops) await shop.remove();
});

type Loading = (shop: Shop, docs: readonly Row[]) => Promise<void>;

const runOf = async (shop: Shop, data: ResourceData): Promise<void> => {
  succeeded(
    await shop.pipeline().run(new Source({ name: "shop", resources: [resource({ name: "t" }, data)] })),
  );
};
const chunks = (docs: readonly Row[], size: number): Row[][] =>
  Array.from({ length: Math.ceil(docs.length / size) }, (_, i) => docs.slice(i * size, (i + 1) * size));

const atOnce: Loading = (shop, docs) => runOf(shop, [[...docs]]);
const inPages =
  (size: number): Loading =>
  (shop, docs) =>
    runOf(shop, chunks(docs, size));
const inRuns =
  (size: number): Loading =>
  async (shop, docs) => {
    for (const chunk of chunks(docs, size)) await runOf(shop, [chunk]);
  };
/** As files come: lines of JSON. */
const asLines =
  (size: number): Loading =>
  (shop, docs) =>
    runOf(
      shop,
      chunks(docs, size).map(
        (chunk) => new JsonlPage(Buffer.from(chunk.map((row) => `${JSON.stringify(row)}\n`).join(""))),
      ),
    );
const reversed: Loading = (shop, docs) => runOf(shop, [docs.map((row) => keysReversed(row) as Row)]);

interface Loaded {
  /** By the document's number. */
  readonly documents: readonly (readonly string[])[];
  readonly columns: readonly string[];
}

/** Loads into a dataset of its own and reads back. */
async function loaded(store: TestStore, docs: readonly Row[], load: Loading): Promise<Loaded> {
  const shop = new Shop({ store, dataset: `case_${++cases}` });
  shops.push(shop);
  await load(shop, docs);
  return readBack(shop, docs.length);
}

interface StoredRow {
  readonly table: string;
  readonly cells: ReadonlyMap<string, Cell>;
}

async function readBack(shop: Shop, count: number): Promise<Loaded> {
  const listed = await shop.sql(
    `select table_name, column_name, data_type from information_schema.columns where table_schema = '${shop.dataset}' and table_name not like '\\_%' escape '\\'`,
  );
  const columns = new Map<string, string[]>();
  for (const [table, column] of listed) {
    columns.set(String(table), [...(columns.get(String(table)) ?? []), String(column)]);
  }
  const byId = new Map<string, StoredRow>();
  for (const [table, names] of columns) {
    const quoted = names.map((name) => `"${name}"`).join(", ");
    for (const row of await shop.sql(`select ${quoted} from {}."${table}"`)) {
      const cells = new Map(names.map((name, i) => [name, row[i]!]));
      byId.set(String(cells.get("_dlt_id")), { table, cells });
    }
  }
  const documents = Array.from({ length: count }, (): string[] => []);
  for (const row of byId.values()) {
    const { number, path } = placeOf(row, byId);
    for (const [name, cell] of row.cells) {
      if (name.startsWith("_dlt_") || cell === null) continue;
      const field = name.replace(/__v_[a-z]+$/, "");
      documents[number]!.push(`${path}${field}=${comparable(cell)}`);
    }
  }
  return {
    documents: documents.map((found) => found.sort()),
    columns: listed.map(([table, column]) => `${table}.${column}`).sort(),
  };
}

/** The way from the document to a row, up through its parents. */
function placeOf(row: StoredRow, byId: ReadonlyMap<string, StoredRow>): { number: number; path: string } {
  const parentId = row.cells.get("_dlt_parent_id");
  if (parentId === undefined) return { number: Number(row.cells.get("n")), path: "" };
  const parent = byId.get(String(parentId));
  if (!parent) throw new Error(`a row of ${row.table} has no parent`);
  const above = placeOf(parent, byId);
  const field = row.table.slice(parent.table.length + 2);
  return { number: above.number, path: `${above.path}${field}[${row.cells.get("_dlt_list_idx")}]` };
}

test(
  "documents come back as they went in, whatever the database, pages, runs and order of keys",
  async () => {
    const seed = process.env.PROPERTY_SEED ? { seed: Number(process.env.PROPERTY_SEED) } : {};
    await fc.assert(
      fc.asyncProperty(documents, fc.integer({ min: 1, max: 4 }), async (docs, size) => {
        const expected = docs.map((doc) => leaves(doc).sort());
        const first = await loaded(DUCKDB, docs, atOnce);
        expect(first.documents, "what went in").toEqual(expected);
        const others: [string, TestStore, Loading][] = [
          ["on Postgres", POSTGRES!, atOnce],
          ["in pages", DUCKDB, inPages(size)],
          ["as lines", DUCKDB, asLines(size)],
          ["with other keys first", DUCKDB, reversed],
          ["in runs", POSTGRES!, inRuns(size)],
        ];
        for (const [how, store, load] of others) expect(await loaded(store, docs, load), how).toEqual(first);
      }),
      { ...seed, numRuns: SECONDS * 2, interruptAfterTimeLimit: SECONDS * 1000, endOnFailure: false },
    );
  },
  // shrinking a failure takes a while
  SECONDS * 10_000,
);
