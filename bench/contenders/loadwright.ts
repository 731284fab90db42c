/** Loads one file as a user's pipeline does: filesystem source, whole run, DuckDB file. Prints its peak memory. */

import { dirname } from "node:path";
import { duckdb, pipeline, Source } from "../../src/engine/index.ts";
import { filesystemResources } from "../../src/sources/filesystem/resources.ts";
import { printPeak } from "./peak.ts";

const [file = "", database = "", workingDir = "", table = ""] = process.argv.slice(2);

const resources = filesystemResources({ path: dirname(file), resources: { [table]: {} } });
const report = await pipeline({
  name: "bench",
  dataset: "bench",
  destination: duckdb({ path: database }),
  dir: workingDir,
}).run(new Source({ name: "bench", resources }));
if (report.status !== "succeeded") throw new Error(JSON.stringify(report.error));
printPeak(Object.fromEntries(report.steps.map(({ step, duration_ms }) => [step, duration_ms])));
