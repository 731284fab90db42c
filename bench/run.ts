/**
 * How fast files are loaded into a DuckDB file, beside DuckDB's own reader and, if there is one, dlt.
 *
 *     npm run bench -- [--only flat|nested|csv] [--rows 1000000] [--runs 3] [--dlt-rows 100000]
 *
 * Every run is a whole process, timed from outside, with commit and checkpoint, into a fresh database; the
 * contenders take turns, and the median counts. That the tables are the same is checked before anything is
 * printed. dlt takes part when DLT_PYTHON names a Python that has it; on fewer rows when --dlt-rows says so,
 * and then its rate is what is compared. Only ratios of one run mean something: machines have phases.
 */

import { mkdirSync, writeFileSync } from "node:fs";
import { availableParallelism, totalmem } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import Table from "cli-table3";
import { CASES, type Case } from "./cases.ts";
import { type Contender, difference, type Measured, measure } from "./contenders.ts";
import { dataFile } from "./data.ts";

const RESULTS_DIR = join(import.meta.dirname, "results");

interface Result {
  readonly contender: Contender;
  readonly rows: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly rowsPerSecond: number;
  readonly peakMb: number;
  readonly runs: readonly Omit<Measured, "checksums">[];
}

const { values } = parseArgs({
  options: {
    only: { type: "string", multiple: true },
    rows: { type: "string", default: "1000000" },
    runs: { type: "string", default: "3" },
    "dlt-rows": { type: "string" },
  },
});
const rows = Number(values.rows);
const runs = Number(values.runs);
const dltRows = Math.min(rows, Number(values["dlt-rows"] ?? rows));

const chosen = CASES.filter(({ name }) => values.only === undefined || values.only.includes(name));
if (chosen.length === 0) throw new Error(`There are the cases ${CASES.map(({ name }) => name).join(", ")}.`);

const table = new Table({
  head: ["case", "who", "rows", "seconds", "CPU s", "rows/s", "peak MB", "of DuckDB", "times dlt"],
  colAligns: ["left", "left", "right", "right", "right", "right", "right", "right", "right"],
  style: { head: [], border: [] },
});
for (const load of chosen) {
  const results = await compare(load);
  const rate = (name: Contender): number | undefined =>
    results.find(({ contender }) => contender === name)?.rowsPerSecond;
  for (const { contender, rows, seconds, cpuSeconds, rowsPerSecond, peakMb } of results) {
    table.push([
      load.name,
      contender,
      rows,
      seconds.toFixed(2),
      cpuSeconds.toFixed(2),
      Math.round(rowsPerSecond),
      peakMb,
      ratio(rowsPerSecond, rate("duckdb")),
      ratio(rowsPerSecond, rate("dlt")),
    ]);
  }
  const machine = {
    cpus: availableParallelism(),
    memoryGb: Math.round(totalmem() / 2 ** 30),
    node: process.version,
  };
  mkdirSync(RESULTS_DIR, { recursive: true });
  writeFileSync(
    join(RESULTS_DIR, `${load.name}.json`),
    JSON.stringify({ case: load.name, machine, results }, null, 2),
  );
}
console.log(table.toString());
console.log(`Median of ${runs}. Every table of a case has the same rows and column sums, whoever loaded it.`);
if (process.env.DLT_PYTHON === undefined) console.log("dlt did not take part: DLT_PYTHON is not set.");
else if (dltRows < rows) console.log(`dlt loaded ${dltRows} of the ${rows} rows; its rate is compared.`);

async function compare(load: Case): Promise<Result[]> {
  const file = await dataFile(load.data, rows);
  const contenders: Contender[] = ["loadwright", "duckdb"];
  if (process.env.DLT_PYTHON !== undefined) contenders.push("dlt");
  const dltFile = contenders.includes("dlt") ? await dataFile(load.data, dltRows) : file;
  const measured = new Map<Contender, Measured[]>(contenders.map((each) => [each, []]));
  for (let run = 0; run < runs; run++) {
    for (const [contender, list] of measured) {
      list.push(await measure(contender, load, contender === "dlt" ? dltFile : file));
      const { seconds, cpuSeconds, peakMb, steps } = list.at(-1)!;
      console.error(
        `${load.name} ${contender} ${seconds.toFixed(2)} s, CPU ${cpuSeconds.toFixed(2)} s, ${peakMb} MB ${JSON.stringify(steps)}`,
      );
    }
  }
  const reference = measured.get("duckdb")![0]!;
  const small = dltRows < rows && measured.has("dlt") ? await measure("duckdb", load, dltFile) : reference;
  for (const [contender, list] of measured) {
    for (const each of list) {
      const found = difference(load, each, contender === "dlt" ? small : reference);
      if (found !== undefined) throw new Error(`${load.name}: ${contender} and DuckDB differ in ${found}.`);
    }
  }
  return contenders.map((contender) => {
    const list = measured.get(contender)!;
    const seconds = median(list.map((each) => each.seconds));
    const loaded = contender === "dlt" ? dltRows : rows;
    return {
      contender,
      rows: loaded,
      seconds,
      cpuSeconds: median(list.map((each) => each.cpuSeconds)),
      rowsPerSecond: loaded / seconds,
      peakMb: Math.max(...list.map((each) => each.peakMb)),
      runs: list.map(({ checksums: _, ...run }) => run),
    };
  });
}

function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function ratio(rate: number, other: number | undefined): string {
  return other === undefined ? "" : (rate / other).toFixed(2);
}
