/**
 * What is gained by normalizing and loading while a source still yields: a source that gives rows at so many megabytes
 * a second (of job files), as an API or a bucket does, with and without it.
 *
 *     node bench/micro/yielding.ts [duckdb|postgres] [MB a second] [rows] [times]
 */

import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import {
  type Destination,
  duckdb,
  pipeline,
  postgres,
  resource,
  Source,
  type Yielded,
} from "../../src/engine/index.ts";
import { DATA_DIR } from "../data.ts";
import { startDatabases } from "../databases.ts";
import { eventPages } from "../rows.ts";

const [kind = "postgres", megabytes = "40", rows = "1000000", times = "3"] = process.argv.slice(2);
/** Of a page of 5,000 rows in a job file. */
const PAGE_MEGABYTES = 0.55;

async function* slowly(): AsyncGenerator<Yielded> {
  const begun = performance.now();
  let sent = 0;
  for (const page of eventPages(Number(rows))) {
    sent += PAGE_MEGABYTES;
    const early = begun + (sent / Number(megabytes)) * 1000 - performance.now();
    if (early > 1) await setTimeout(early);
    yield page;
  }
}

const databases = await startDatabases(kind === "duckdb" ? "duckdb" : "postgres");
const folder = mkdtempSync(join(DATA_DIR, "run-"));
try {
  for (let time = 0; time < Number(times); time++) {
    for (const ahead of time % 2 === 0 ? [true, false] : [false, true]) {
      const database = await databases.fresh(folder);
      const destination: Destination =
        kind === "duckdb" ? duckdb({ path: database.address }) : postgres({ url: database.address });
      const { capabilities } = destination;
      const without = { ...capabilities, ahead: { ...capabilities.ahead, bytesPerSecondMax: 0 } };
      const begun = performance.now();
      const report = await pipeline({
        name: "bench",
        dataset: "bench",
        dir: join(folder, `pipeline-${time}-${ahead}`),
        destination: ahead ? destination : { ...destination, capabilities: without },
      }).run(new Source({ name: "bench", resources: [resource({ name: "items" }, slowly)] }));
      const seconds = ((performance.now() - begun) / 1000).toFixed(2);
      const steps = report.steps.map(({ step, duration_ms }) => `${step} ${duration_ms}`).join(", ");
      console.log(`${kind}, ${megabytes} MB/s, ${ahead ? "ahead" : "one by one"}: ${seconds} s (${steps})`);
      await database.drop();
    }
  }
} finally {
  await databases.stop();
  rmSync(folder, { recursive: true });
}
