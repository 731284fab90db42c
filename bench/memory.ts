/**
 * That memory does not grow with the data: peak of a run over 1 and 5 million flat rows.
 *
 *     node bench/memory.ts [--rows 1000000] [--times 5]
 */

import { parseArgs } from "node:util";
import { CASES } from "./cases.ts";
import { difference, measure } from "./contenders.ts";
import { dataFile } from "./data.ts";

const { values } = parseArgs({
  options: {
    only: { type: "string", default: "flat" },
    rows: { type: "string", default: "1000000" },
    times: { type: "string", default: "5" },
  },
});
const load = CASES.find(({ name }) => name === values.only)!;
const peaks: number[] = [];
for (const rows of [Number(values.rows), Number(values.rows) * Number(values.times)]) {
  const file = await dataFile(load.data, rows);
  const ours = await measure("loadwright", load, file);
  const found = difference(load, ours, await measure("duckdb", load, file));
  if (found !== undefined) throw new Error(`The tables of ${rows} rows differ in ${found}.`);
  peaks.push(ours.peakMb);
  console.log(
    `${load.name} ${rows} rows: ${ours.seconds.toFixed(2)} s, ${Math.round(rows / ours.seconds)} rows/s, peak ${ours.peakMb} MB`,
  );
}
console.log(`${values.times} times the rows take ${(peaks[1]! / peaks[0]!).toFixed(2)} times the memory.`);
