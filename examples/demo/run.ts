/** `npm run demo`: the commands a newcomer would type, one after the other. */

import { spawnSync } from "node:child_process";
import { relative } from "node:path";

const here = import.meta.dirname;
const bin = `${here}/../../bin/loadwright.cjs`;

function loadwright(...words: string[]): void {
  const shown = words.map((word) => (/[\s"{}*]/.test(word) ? `'${word}'` : word)).join(" ");
  console.log(`\n$ loadwright ${shown}\n`);
  const { status } = spawnSync(process.execPath, [bin, ...words, "--workspace", here], { stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
}

const LARGEST = `
  select s.federal_state, count(*) as stations, count(distinct r.ril_identifier) as offices, round(avg(s.weight), 1) as weight
  from stations s left join stations__ril100_identifiers r on r._dlt_parent_id = s._dlt_id
  group by 1 order by stations desc limit 5`;

const BY_TYPE =
  "select type, count(*) as airports, max(elevation_ft) as highest_ft from airports group by 1 order by 2 desc";

loadwright("run", "travel");
loadwright("pipeline", "travel", "info");
loadwright("query", "travel", LARGEST.replace(/\s+/g, " ").trim());
loadwright("query", "travel", BY_TYPE);

console.log(`
The data is in ${relative(process.cwd(), `${here}/travel.duckdb`)}. Run the demo again: unchanged files are not read twice.`);
