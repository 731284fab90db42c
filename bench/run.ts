/**
 * How fast loadwright loads, beside what the database can do by itself and beside other loaders.
 *
 *     npm run bench -- [--only NAME]… [--who CONTENDER]… [--rows 1000000] [--runs 3]
 *                      [--dlt-rows 100000] [--tuned-rows 500000]
 *     npm run bench -- --only flat --sizes 10000,100000,1000000,10000000     # against the number of rows
 *
 * Every run is a whole process, timed from outside, with commit and checkpoint, into a fresh database; the
 * contenders take turns, and the median counts. That the tables are the same is checked before anything is
 * printed. dlt takes part when DLT_PYTHON names a Python that has it, on fewer rows when --dlt-rows says so
 * (--tuned-rows for dlt with its best settings): its rate is compared. Sling takes part when SLING names its binary, psql when there is one. Only ratios of
 * one run mean something: machines have phases.
 */

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { CASES, type Case } from "./cases.ts";
import { CONTENDERS, type Contender, type ContenderName } from "./contenders.ts";
import { difference, startDatabases } from "./databases.ts";
import { measure, type Services } from "./measure.ts";
import { type CaseResult, judge, median, printTable, type Result, writeResult } from "./results.ts";
import { startS3 } from "./s3-store.ts";

const { values } = parseArgs({
  options: {
    only: { type: "string", multiple: true },
    who: { type: "string", multiple: true },
    rows: { type: "string", default: "1000000" },
    sizes: { type: "string" },
    runs: { type: "string", default: "3" },
    "dlt-rows": { type: "string" },
    "tuned-rows": { type: "string" },
  },
});
const runs = Number(values.runs);

/** A table of Postgres as a source has a bench of its own. */
const SQL_DATABASE = "sql-database";
const names = [...CASES.map(({ name }) => name), SQL_DATABASE];
const only = values.only ?? names;
const unknown = only.filter((name) => !names.includes(name));
if (unknown.length > 0) throw new Error(`There is no case ${unknown.join(", ")}, but ${names.join(", ")}.`);

const measured: CaseResult[] = [];
const leftOut = new Map<string, string>();
for (const wanted of CASES.filter(({ name }) => only.includes(name))) {
  const services = await servicesOf(wanted);
  try {
    const sizes = values.sizes?.split(",").map(Number) ?? [wanted.rows ?? Number(values.rows)];
    const results: Result[] = [];
    for (const rows of sizes) results.push(...(await compare(wanted, rows, services)));
    const result = judge(wanted, results, { runs, database: services.databases.version });
    writeResult(values.sizes === undefined ? wanted.name : `${wanted.name}-sizes`, result);
    measured.push(result);
  } finally {
    await services.databases.stop();
    await services.s3?.stop();
  }
}
if (measured.length > 0) printTable(measured);
for (const [name, why] of leftOut) console.log(`${name} did not take part: ${why}.`);
if (only.includes(SQL_DATABASE)) {
  const script = join(import.meta.dirname, "sql-database.ts");
  const args = [script, "--rows", values.rows, "--runs", values.runs];
  process.exitCode = spawnSync(process.execPath, args, { stdio: "inherit" }).status ?? 1;
}

async function servicesOf({ destination, s3 }: Case): Promise<Services & { s3?: { stop(): Promise<void> } }> {
  const databases = await startDatabases(destination);
  return s3 === true ? { databases, s3: await startS3() } : { databases };
}

function taking(wanted: Case): ContenderName[] {
  return wanted.contenders.filter((name, i) => {
    // the first tells what the tables have to hold
    if (i > 0 && values.who !== undefined && !values.who.includes(name)) return false;
    const missing = (CONTENDERS[name] as Contender).missing({ s3: wanted.s3 === true });
    if (missing !== undefined) leftOut.set(wanted.s3 === true ? `${name} (from S3)` : name, missing);
    return missing === undefined;
  });
}

async function compare(wanted: Case, rows: number, services: Services): Promise<Result[]> {
  const contenders = taking(wanted);
  const rowsOf = (name: ContenderName): number => {
    const option = (CONTENDERS[name] as Contender).rows;
    const most = option === undefined ? undefined : values[option];
    return most === undefined ? rows : Math.min(rows, Number(most));
  };
  const first = contenders[0]!;
  const lists = new Map(
    contenders.map((name) => [name, [] as Awaited<ReturnType<typeof measure>>[]] as const),
  );
  for (let run = 0; run < runs; run++) {
    // whoever comes second may find the processor warmer or cooler
    for (const name of run % 2 === 0 ? contenders : contenders.toReversed()) {
      const one = await measure(name, wanted, rowsOf(name), services);
      lists.get(name)!.push(one);
      const { seconds, cpuSeconds, peakMb, steps } = one;
      console.error(
        `${wanted.name} ${name} ${seconds.toFixed(2)} s, CPU ${cpuSeconds.toFixed(2)} s, ${peakMb} MB ${JSON.stringify(steps)}`,
      );
    }
  }
  const truth = new Map([[rowsOf(first), lists.get(first)![0]!.checksums]]);
  for (const [name, list] of lists) {
    const many = rowsOf(name);
    const expected = truth.get(many) ?? (await measure(first, wanted, many, services)).checksums;
    truth.set(many, expected);
    for (const { checksums } of list) {
      const found = difference(wanted.compared, checksums, expected);
      if (found !== undefined) throw new Error(`${wanted.name}: ${name} and ${first} differ in ${found}.`);
    }
  }
  return contenders.map((name): Result => {
    const list = lists.get(name)!;
    const seconds = median(list.map((each) => each.seconds));
    return {
      contender: name,
      rows: rowsOf(name),
      seconds,
      cpuSeconds: median(list.map((each) => each.cpuSeconds)),
      rowsPerSecond: rowsOf(name) / seconds,
      peakMb: Math.max(...list.map((each) => each.peakMb)),
      runs: list.map(({ checksums: _, ...run }) => run),
    };
  });
}
