/** Loads as a user's pipeline does: a source, a whole run, a database. Tells how long each step took. */

import { dirname, join } from "node:path";
import {
  type Destination,
  duckdb,
  incremental,
  pipeline,
  postgres,
  type Resource,
  resource,
  Source,
} from "../../src/engine/index.ts";
import { filesystemResources } from "../../src/sources/filesystem/resources.ts";
import { DATASET, type Job } from "../job.ts";
import { cursorPages, eventPages } from "../rows.ts";

const job = JSON.parse(process.argv[2]!) as Job & { readonly createIndexes?: boolean };

const report = await pipeline({
  name: "bench",
  dataset: DATASET,
  destination: destinationOf(job),
  dir: join(job.folder, "pipeline"),
}).run(new Source({ name: "bench", resources: resourcesOf(job) }));
if (report.status !== "succeeded") throw new Error(JSON.stringify(report.error));
const steps: Record<string, number> = {};
for (const { step, duration_ms } of report.steps) steps[step] = (steps[step] ?? 0) + duration_ms;
console.log(JSON.stringify({ steps }));

function destinationOf({ destination, address, createIndexes }: typeof job): Destination {
  return destination === "duckdb" ? duckdb({ path: address }) : postgres({ url: address, createIndexes });
}

function resourcesOf({ input, table, rows, path, s3, primaryKey }: Job): Resource[] {
  if (input.kind === "rows") {
    const { cursor } = input;
    if (cursor === undefined) return [resource({ name: table }, () => eventPages(rows))];
    const hints = { name: table, incremental: incremental("updated_at") };
    return [resource(hints, () => cursorPages(rows, cursor))];
  }
  const merge = primaryKey === undefined ? {} : { write_disposition: "merge", primary_key: primaryKey };
  const resources = { [table]: merge };
  if (s3 === undefined) return filesystemResources({ path: dirname(path), resources });
  return filesystemResources(
    { path: `s3://${s3.bucket}`, s3: { endpoint: s3.endpoint, region: "us-east-1" }, resources },
    ".",
    {
      "credentials.aws_access_key_id": s3.accessKeyId,
      "credentials.aws_secret_access_key": s3.secretAccessKey,
    },
  );
}
