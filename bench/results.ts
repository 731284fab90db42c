/** What was measured, as a table and as files: bench/results/<case>.json, from which the documentation is made. */

import { mkdirSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, totalmem } from "node:os";
import { join } from "node:path";
import Table from "cli-table3";
import type { Case } from "./cases.ts";
import type { Measured } from "./child.ts";

export const RESULTS_DIR = join(import.meta.dirname, "results");

export interface Result {
  readonly contender: string;
  readonly rows: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly rowsPerSecond: number;
  readonly peakMb: number;
  readonly runs: readonly Measured[];
}

export interface TargetResult {
  readonly who: string;
  /** Absent: `wanted` and `reached` are seconds of the whole process. */
  readonly of?: string;
  readonly wanted: number;
  readonly reached: number;
  readonly met: boolean;
}

export interface CaseResult {
  readonly case: string;
  readonly title: string;
  readonly measured: string;
  readonly machine: {
    readonly cpus: number;
    readonly model: string;
    readonly memoryGb: number;
    readonly node: string;
    readonly database: string;
  };
  readonly medianOf: number;
  readonly results: readonly Result[];
  readonly targets: readonly TargetResult[];
}

/** Compared at the largest number of rows; a peer's rate may come from fewer. */
export function judge(
  { name, title, targets, secondsMax }: Case,
  results: readonly Result[],
  { runs, database }: { readonly runs: number; readonly database: string },
): CaseResult {
  const largest = (contender: string): Result | undefined =>
    results.findLast((result) => result.contender === contender);
  const judged: TargetResult[] = [];
  for (const { who, of, times } of targets) {
    const [ours, other] = [largest(who), largest(of)];
    if (ours === undefined || other === undefined) continue;
    const reached = ours.rowsPerSecond / other.rowsPerSecond;
    judged.push({ who, of, wanted: times, reached, met: reached >= times });
  }
  const timed = secondsMax === undefined ? undefined : largest(secondsMax.who);
  if (secondsMax !== undefined && timed !== undefined) {
    const { who, seconds } = secondsMax;
    judged.push({ who, wanted: seconds, reached: timed.seconds, met: timed.seconds <= seconds });
  }
  return {
    case: name,
    title,
    measured: new Date().toISOString().slice(0, 10),
    machine: {
      cpus: availableParallelism(),
      model: cpus()[0]?.model ?? "",
      memoryGb: Math.round(totalmem() / 2 ** 30),
      node: process.version,
      database,
    },
    medianOf: runs,
    results,
    targets: judged,
  };
}

export function writeResult(name: string, result: CaseResult): void {
  mkdirSync(RESULTS_DIR, { recursive: true });
  writeFileSync(join(RESULTS_DIR, `${name}.json`), `${JSON.stringify(result, null, 2)}\n`);
}

export function printTable(measured: readonly CaseResult[]): void {
  const style = { head: [], border: [] };
  const table = new Table({
    head: ["case", "who", "rows", "seconds", "CPU s", "rows/s", "peak MB", "to the first"],
    colAligns: ["left", "left", "right", "right", "right", "right", "right", "right"],
    style,
  });
  const targets = new Table({ head: ["case", "who", "measured", "wanted", "met"], style });
  for (const { case: name, results, targets: judged } of measured) {
    for (const each of results) {
      const [first] = results;
      table.push([
        name,
        each.contender,
        each.rows,
        each.seconds.toFixed(2),
        each.cpuSeconds.toFixed(2),
        Math.round(each.rowsPerSecond),
        each.peakMb,
        (each.rowsPerSecond / first!.rowsPerSecond).toFixed(2),
      ]);
    }
    for (const { who, of, wanted, reached, met } of judged) {
      const inUnit = (value: number): string =>
        of === undefined ? `${value.toFixed(2)} s` : `${value.toFixed(2)} of ${of}`;
      targets.push([name, who, inUnit(reached), inUnit(wanted), met ? "yes" : "no"]);
    }
  }
  console.log(table.toString());
  console.log(targets.toString());
  const [one] = measured;
  console.log(
    `Median of ${one!.medianOf}. Every table of a case has the same rows and column sums, whoever loaded it.`,
  );
}

export function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
