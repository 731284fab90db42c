/**
 * What it costs when all rows share one value of the cursor: the next run meets them all again, so each has to
 * be remembered. Extract only, the same rows with distinct cursor values against one shared value: wall clock
 * and, for busy machines, processor time.
 *
 *     node bench/micro/boundary.ts [--rows 1000000] [--repeats 5] [--only objects|lines]
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import {
  duckdb,
  incremental,
  JsonlPage,
  Pipeline,
  type Row,
  resource,
  Source,
} from "../../src/engine/index.ts";

const { values: args } = parseArgs({
  options: {
    rows: { type: "string", default: "1000000" },
    repeats: { type: "string", default: "5" },
    only: { type: "string" },
  },
});
const rows = Number(args.rows);
const PAGE_ROWS = 5000;

type Form = "objects" | "lines";

/** An event as an API returns it: seven fields. */
function rowAt(i: number, shared: boolean): Row {
  return {
    id: i,
    updated_at: shared ? 1_700_000_000 : 1_700_000_000 + i,
    email: `user${i}@example.com`,
    country: i % 3 === 0 ? "DE" : "US",
    amount: (i % 100_000) / 100,
    paid: i % 2 === 0,
    note: "an event of some length, as they are",
  };
}

function* pages(form: Form, shared: boolean): Generator<Row[] | JsonlPage> {
  for (let from = 0; from < rows; from += PAGE_ROWS) {
    const page = Array.from({ length: Math.min(PAGE_ROWS, rows - from) }, (_, i) => rowAt(from + i, shared));
    yield form === "objects"
      ? page
      : new JsonlPage(Buffer.from(page.map((row) => `${JSON.stringify(row)}\n`).join("")));
  }
}

interface Seconds {
  readonly wall: number;
  readonly processor: number;
}

/** What one extract takes, the first of its pipeline. */
async function extract(form: Form, shared: boolean, key: boolean): Promise<Seconds> {
  const dir = mkdtempSync(join(tmpdir(), "loadwright-boundary-"));
  try {
    const pipeline = new Pipeline({
      name: "boundary",
      dataset: "data",
      destination: duckdb({ path: join(dir, "boundary.duckdb") }),
      dir,
    });
    const hints = { incremental: incremental("updated_at"), ...(key ? { primaryKey: "id" } : {}) };
    const source = new Source({
      name: "events",
      resources: [resource({ name: "events", ...hints }, () => pages(form, shared))],
    });
    const startedAt = performance.now();
    const before = process.cpuUsage();
    const report = await pipeline.extract(source);
    const { user, system } = process.cpuUsage(before);
    const seconds = { wall: (performance.now() - startedAt) / 1000, processor: (user + system) / 1e6 };
    if (report.status !== "succeeded") throw new Error(`${report.error?.code}: ${report.error?.message}`);
    return seconds;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

for (const form of ["objects", "lines"] as const) {
  if (args.only !== undefined && args.only !== form) continue;
  for (const key of [true, false]) {
    const distinct: Seconds[] = [];
    const shared: Seconds[] = [];
    for (let i = 0; i < Number(args.repeats); i++) {
      distinct.push(await extract(form, false, key));
      shared.push(await extract(form, true, key));
    }
    for (const clock of ["wall", "processor"] as const) {
      const many = median(distinct.map((seconds) => seconds[clock]));
      const one = median(shared.map((seconds) => seconds[clock]));
      console.log(
        `${form}, ${key ? "primary key" : "no key"}, ${rows} rows, ${clock}: distinct values ${many.toFixed(2)} s, one value ${one.toFixed(2)} s, ${(one / many).toFixed(2)} times`,
      );
    }
  }
}
