/**
 * Pipelines for crash tests: what a source held at the first and at the second run, and the documents that
 * the dataset must then hold. Cursor values repeat across the borders of pages and packages, so that the
 * dedup at the boundary has something to do.
 */

import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { DuckDBInstance } from "@duckdb/node-api";
import {
  duckdb,
  incremental,
  type Limits,
  Pipeline,
  type Row,
  resource,
  Source,
} from "../../src/engine/index.ts";
import { filesystemResources } from "../../src/sources/filesystem/resources.ts";

export type Round = 1 | 2;

/** A document as it stands in the dataset, put together again from its tables. */
export interface Doc {
  readonly id: number;
  readonly name: string;
  readonly lines: readonly { readonly sku: string; readonly tags: readonly string[] }[];
}

export interface Scenario {
  /** Root tables. */
  readonly tables: readonly string[];
  source(dir: string, round: Round): Source;
  /** The documents of each root table after a round. */
  expected(round: Round): Record<string, Doc[]>;
}

const ROWS: Readonly<Record<Round, number>> = { 1: 8, 2: 23 };
const PAGE = 4;
const LIMITS: Partial<Limits> = { packageRowsMax: 8, jobBytesMax: 1 };

function doc(id: number, version = 0): Doc {
  const lines = Array.from({ length: (id + version) % 3 }, (_, line) => ({
    sku: `sku-${id}-${line}-${version}`,
    tags: Array.from({ length: (id + line) % 3 }, (_, tag) => `t${tag}`),
  }));
  return { id, name: `row ${id} in a text that is too long for a cell, version ${version}`, lines };
}

const ids = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

function* pages(rows: readonly Row[]): Generator<Row[]> {
  for (let at = 0; at < rows.length; at += PAGE) yield rows.slice(at, at + PAGE);
}

/** Three rows share each cursor value. */
const seq = (position: number) => Math.floor(position / 3);

/** Events that only grow, read in cursor order. */
const append: Scenario = {
  tables: ["events"],
  source: (_dir, round) =>
    new Source({
      name: "shop",
      resources: [
        resource({ name: "events", incremental: incremental("seq", { rowOrder: "asc" }) }, () =>
          pages(ids(1, ROWS[round]).map((id) => ({ ...doc(id), seq: seq(id) }))),
        ),
      ],
    }),
  expected: (round) => ({ events: ids(1, ROWS[round]).map((id) => doc(id)) }),
};

/** Orders of which the second round changes every second one; their lists shrink and grow. */
const merge: Scenario = {
  tables: ["orders"],
  source: (_dir, round) => {
    const first = ids(1, ROWS[1]).map((id) => ({ ...doc(id), changed_at: seq(id) }));
    const changed = ids(1, ROWS[1]).filter((id) => id % 2 === 0);
    const second = [
      ...first.filter(({ id }) => id % 2 === 1),
      ...[...changed, ...ids(ROWS[1] + 1, ROWS[2])].map((id, i) => ({
        ...doc(id, id <= ROWS[1] ? 1 : 0),
        changed_at: 10 + seq(i),
      })),
    ];
    return new Source({
      name: "shop",
      resources: [
        resource(
          {
            name: "orders",
            writeDisposition: "merge",
            primaryKey: "id",
            incremental: incremental("changed_at", { rowOrder: "asc" }),
          },
          () => pages(round === 1 ? first : second),
        ),
      ],
    });
  },
  expected: (round) => ({
    orders: ids(1, ROWS[round]).map((id) => doc(id, round === 2 && id <= ROWS[1] && id % 2 === 0 ? 1 : 0)),
  }),
};

/** A catalogue that is replaced, in the same run as events of which there are several packages. */
const replace: Scenario = {
  tables: ["catalog", "events"],
  source: (dir, round) =>
    new Source({
      name: "shop",
      resources: [
        resource({ name: "catalog", writeDisposition: "replace" }, () =>
          pages(ids(round, 9).map((id) => ({ ...doc(id, round) }))),
        ),
        ...append.source(dir, round).resources,
      ],
    }),
  expected: (round) => ({
    catalog: ids(round, 9).map((id) => doc(id, round)),
    ...append.expected(round),
  }),
};

/** Files of so many documents each, of which each is loaded once; a package ends behind a file. */
function filesOf(sizes: readonly number[], inFirstRound: number): Scenario {
  const ends = sizes.map((_, file) => sizes.slice(0, file + 1).reduce((sum, size) => sum + size));
  return {
    tables: ["files"],
    source: (dir, round) => {
      const folder = join(dir, "in");
      mkdirSync(folder, { recursive: true });
      for (const [file, size] of sizes.entries()) {
        if (round === 1 && file >= inFirstRound) break;
        const path = join(folder, `${file}.jsonl`);
        // a file that is there already must not look changed
        if (existsSync(path)) continue;
        const lines = ids(ends[file]! - size + 1, ends[file]!).map((id) => JSON.stringify(doc(id)));
        writeFileSync(path, `${lines.join("\n")}\n`);
      }
      return new Source({ name: "files", resources: filesystemResources({ path: folder, glob: "*.jsonl" }) });
    },
    expected: (round) => ({
      files: ids(1, ends[round === 1 ? inFirstRound - 1 : sizes.length - 1]!).map((id) => doc(id)),
    }),
  };
}

const files = filesOf([PAGE, PAGE, PAGE, PAGE, PAGE, PAGE], 2);

/**
 * Enough rows for several jobs, in pages with a moment between them: normalizing and loading begin while the source
 * still yields.
 */
const AHEAD_ROWS: Readonly<Record<Round, number>> = { 1: PAGE, 2: 26_000 };
const ahead: Scenario = {
  tables: ["events"],
  source: (_dir, round) =>
    new Source({
      name: "shop",
      resources: [
        // in no order that could be relied on: one package
        resource({ name: "events", incremental: incremental("seq") }, async function* () {
          const rows = ids(1, AHEAD_ROWS[round]).map((id) => ({ ...doc(id), seq: seq(id) }));
          for (let at = 0; at < rows.length; at += 2000) {
            yield rows.slice(at, at + 2000);
            await setTimeout(10);
          }
        }),
      ],
    }),
  expected: (round) => ({ events: ids(1, AHEAD_ROWS[round]).map((id) => doc(id)) }),
};

export const SCENARIOS = { append, merge, replace, files, ahead } satisfies Record<string, Scenario>;
export type ScenarioName = keyof typeof SCENARIOS;

export function pipelineIn(dir: string, limits: Partial<Limits> = LIMITS): Pipeline {
  return new Pipeline({
    name: "shop",
    destination: duckdb({ path: join(dir, "shop.duckdb"), threads: 1 }),
    dataset: "shop_data",
    dir: join(dir, "work"),
    limits,
  });
}

export type Rows = (sql: string) => Promise<Record<string, unknown>[]>;

/** Hands out a pipeline's database file for SQL. */
export async function withDatabase<T>(dir: string, use: (rows: Rows) => Promise<T>): Promise<T> {
  const instance = await DuckDBInstance.fromCache(join(dir, "shop.duckdb"));
  const connection = await instance.connect();
  try {
    return await use(async (sql) => (await connection.runAndReadAll(sql)).getRowObjectsJson());
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}
