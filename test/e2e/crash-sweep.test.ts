/**
 * A run that is killed leaves no row out and none twice.
 *
 * Method: a dataset that has data is loaded into once more by a child process which kills itself (SIGKILL) at
 * the n-th boundary, n = 1, 2, … until it survives. After each kill the pipeline is run again and the dataset
 * must be what an undisturbed run would have left; a run after that must find nothing to do. For some n the
 * second run is killed as well.
 */

import { spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type Doc,
  pipelineIn,
  type Round,
  type Rows,
  SCENARIOS,
  type Scenario,
  type ScenarioName,
  withDatabase,
} from "../support/crash-scenarios.ts";

const CHILD = join(import.meta.dirname, "../support/crash-child.ts");
const LANES = 2;
/** More than any run has. */
const BOUNDARIES_MAX = 500;

let base: string;
beforeAll(() => {
  // a kill loses nothing of what was written, so memory serves, and it is fast
  base = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "loadwright-crash-"));
});
afterAll(() => rmSync(base, { recursive: true, force: true }));

interface Ended {
  readonly survived: boolean;
  /** The boundary of the kill. */
  readonly at: string;
}

function runChild(scenario: ScenarioName, dir: string, at: number): Promise<Ended> {
  return new Promise((done, fail) => {
    const child = spawn(process.execPath, [CHILD, scenario, dir, String(at)], {
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, NODE_COMPILE_CACHE: join(base, "compiled"), NODE_OPTIONS: "" },
    });
    let output = "";
    child.stdout.on("data", (part) => {
      output += part;
    });
    child.on("error", fail);
    child.on("close", (code, signal) => {
      if (signal === "SIGKILL") done({ survived: false, at: output });
      else if (code === 0) done({ survived: true, at: "" });
      else fail(new Error(`child ended with ${code}: ${output}`));
    });
  });
}

/** Puts the documents of a root table together from its rows and those of its nested tables. */
async function documents(sql: Rows, table: string): Promise<Doc[]> {
  const rows = await sql(
    `select r.id, r.name, l._dlt_list_idx as line, l.sku, t.value as tag
       from shop_data.${table} r
       left join shop_data.${table}__lines l on l._dlt_parent_id = r._dlt_id
       left join shop_data.${table}__lines__tags t on t._dlt_parent_id = l._dlt_id
      order by r.id, r._dlt_id, l._dlt_list_idx, l._dlt_id, t._dlt_list_idx`,
  );
  const docs: { id: number; name: string; lines: { sku: string; tags: string[] }[] }[] = [];
  let last: Record<string, unknown> = {};
  for (const row of rows) {
    if (docs.length === 0 || row.id !== last.id)
      docs.push({ id: Number(row.id), name: String(row.name), lines: [] });
    const { lines } = docs.at(-1)!;
    if (row.sku !== null) {
      if (lines.length === 0 || row.sku !== last.sku) lines.push({ sku: String(row.sku), tags: [] });
      if (row.tag !== null) lines.at(-1)!.tags.push(String(row.tag));
    }
    last = row;
  }
  return docs;
}

async function number(sql: Rows, query: string): Promise<number> {
  return Number(Object.values((await sql(query))[0]!)[0]);
}

async function checkTables(sql: Rows, { tables, expected }: Scenario, round: Round): Promise<void> {
  for (const [table, docs] of Object.entries(expected(round))) {
    expect(await documents(sql, table), table).toEqual(docs);
    const lines = docs.flatMap((doc) => doc.lines);
    const tags = lines.flatMap((line) => line.tags);
    // neither doubled rows, which would show as one document, nor rows whose parent is gone
    const counts = await sql(
      `select (select count(*) from shop_data.${table}) as rows,
              (select count(distinct _dlt_id) from shop_data.${table}) as ids,
              (select count(*) from shop_data.${table}__lines) as lines,
              (select count(*) from shop_data.${table}__lines__tags) as tags`,
    );
    expect(counts, table).toEqual([
      { rows: `${docs.length}`, ids: `${docs.length}`, lines: `${lines.length}`, tags: `${tags.length}` },
    ]);
  }
  const twice = `select count(*) from (select load_id from shop_data._dlt_loads group by 1 having count(*) > 1)`;
  expect(await number(sql, twice)).toBe(0);
  const notDone = "select count(*) from shop_data._dlt_loads where status <> 0";
  expect(await number(sql, notDone)).toBe(0);
  for (const table of [...tables, "_dlt_pipeline_state"]) {
    const unknown = `select count(*) from shop_data.${table}
      where _dlt_load_id not in (select load_id from shop_data._dlt_loads)`;
    expect(await number(sql, unknown), table).toBe(0);
  }
  const versions = "select count(*) - count(distinct version_hash) from shop_data._dlt_version";
  expect(await number(sql, versions)).toBe(0);
}

function checkDataset(dir: string, scenario: Scenario, round: Round): Promise<void> {
  return withDatabase(dir, (sql) => checkTables(sql, scenario, round));
}

/** Nothing of a package but loaded manifests, no lock, no temporary file. */
function checkFolder(dir: string): void {
  const left = readdirSync(join(dir, "work"), { recursive: true }).map(String).sort();
  const odd = left.filter(
    (path) =>
      /^(extract|normaliz|failed|dropped|removing|scratch)[^/]*\/./.test(path) ||
      /^loaded\/[^/]+\/new/.test(path) ||
      /run\.lock|\.tmp$/.test(path),
  );
  expect(odd).toEqual([]);
}

async function runHere(name: ScenarioName, dir: string, round: Round) {
  const report = await pipelineIn(dir).run(SCENARIOS[name].source(dir, round));
  expect(report.error).toBeUndefined();
  return report;
}

/** After the run that follows a crash; `at` is where that was, when it was the only one. */
async function checkRecovered(name: ScenarioName, dir: string, at?: string): Promise<void> {
  const { packages } = await runHere(name, dir, 2);
  // the destination is asked first: what it has is not loaded again, not even to find that out
  if (at === "load:committed") {
    expect(packages[0]).toMatchObject({ status: "loaded", recovered: true });
    expect(packages[0]?.warnings.join()).toContain("had been committed by an earlier run");
  }
  await checkDataset(dir, SCENARIOS[name], 2);
  checkFolder(dir);
}

/** The cursor is where the rows end: one more run adds nothing. */
async function checkNothingNew(name: ScenarioName, dir: string): Promise<void> {
  const report = await runHere(name, dir, 2);
  if (name !== "replace") expect(report.packages).toEqual([]);
  await checkDataset(dir, SCENARIOS[name], 2);
}

/** Runs `work` for 1, 2, … until it answers false, a few at a time. */
async function count(work: (n: number) => Promise<boolean>): Promise<void> {
  let next = 1;
  let goesOn = true;
  const lane = async (): Promise<void> => {
    while (goesOn && next < BOUNDARIES_MAX) if (!(await work(next++))) goesOn = false;
  };
  await Promise.all(Array.from({ length: LANES }, lane));
}

const names = Object.keys(SCENARIOS) as ScenarioName[];

const cases = [...names.map((name) => ["second", name] as const), ["first", "append"] as const];

describe.each(cases)("a %s run (%s) that is killed", (which, name) => {
  let start: string;
  beforeAll(async () => {
    start = join(base, `${which}-${name}`);
    mkdirSync(start);
    if (which === "first") return;
    await runHere(name, start, 1);
    await checkDataset(start, SCENARIOS[name], 1);
  });

  function copy(suffix: string): string {
    const dir = join(base, `${which}-${name}-${suffix}`);
    cpSync(start, dir, { recursive: true, preserveTimestamps: true });
    return dir;
  }

  it("at any boundary is completed by the next run, each row once", async () => {
    const boundaries = new Map<string, number>();
    await count(async (n) => {
      const dir = copy(String(n));
      const { survived, at } = await runChild(name, dir, n);
      try {
        if (!survived) boundaries.set(at, n);
        await checkRecovered(name, dir, at);
        if (n % 6 === 0) await checkNothingNew(name, dir);
      } catch (error) {
        throw new Error(
          `killed at boundary ${n} (${at}): ${error instanceof Error ? error.message : error}`,
          {
            cause: error,
          },
        );
      }
      rmSync(dir, { recursive: true });
      return !survived;
    });
    for (const expected of [
      "run:locked",
      "package:extracted:before",
      "package:normalized:after",
      "load:ddl",
      "load:commit",
      "load:committed",
      "committed:state",
      "package:loaded:after",
      "run:finished",
    ]) {
      expect([...boundaries.keys()]).toContain(expected);
    }
    if (name !== "ahead") return;
    // the load had begun while rows were still to come
    expect(boundaries.get("load:begin")).toBeLessThan(boundaries.get("package:extracted:before")!);
  });

  it.skipIf(name === "ahead")("and killed again while it recovers is completed by the third", async () => {
    // each pair: the boundary of the first kill, and of the one in the run after it
    const pairs = [12, 24, 29].flatMap((first, i) =>
      [2 + i, 14 + 3 * i].map((second) => [first, second] as const),
    );
    await count(async (n) => {
      const pair = pairs[n - 1];
      if (!pair) return false;
      const dir = copy(`twice-${n}`);
      const first = await runChild(name, dir, pair[0]);
      const second = await runChild(name, dir, pair[1]);
      try {
        await checkRecovered(name, dir);
        await checkNothingNew(name, dir);
      } catch (error) {
        throw new Error(`killed at ${first.at}, then at ${second.at}: ${error}`, { cause: error });
      }
      rmSync(dir, { recursive: true });
      return true;
    });
  });
});
