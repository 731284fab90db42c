/**
 * The everflow source over years of days, affiliates and advertisers: a full load, a run with nothing new, and
 * a run after restatements, each followed by a comparison of every day's sums with the truth. The vendor's
 * stand-in runs in a process of its own.
 *
 *     node bench/everflow.ts --days 1096 --affiliates 400 --advertisers 20 --density 0.2
 */

import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { defaultContext } from "../src/engine/context.ts";
import { duckdb, pipeline, Source } from "../src/engine/index.ts";
import { addDays, daysOf } from "../src/sources/daily-report/days.ts";
import { everflowResources } from "../src/sources/everflow/resources.ts";
import { EVERFLOW_KEY } from "../test/support/vendors/everflow.ts";
import { type Grid, gridSums, type Versions } from "../test/support/vendors/everflow-grid.ts";

const { values } = parseArgs({
  options: {
    days: { type: "string", default: "1096" },
    affiliates: { type: "string", default: "400" },
    advertisers: { type: "string", default: "20" },
    density: { type: "string", default: "0.2" },
  },
});
const grid: Grid = {
  affiliates: Number(values.affiliates),
  advertisers: Number(values.advertisers),
  density: Number(values.density),
};
const last = "2026-03-09";
const first = addDays(last, 1 - Number(values.days));
const versions: Versions = new Map();
const dir = mkdtempSync(join(tmpdir(), "loadwright-everflow-"));
const destination = duckdb({ path: join(dir, "network.duckdb") });
const child = fork(new URL("../test/support/vendors/everflow-grid-server.ts", import.meta.url), [
  JSON.stringify(grid),
]);
const [{ url }] = (await once(child, "message")) as [{ url: string }];
try {
  await step("full load", last);
  await step("nothing new", last);
  // values of the days behind, one of them emptied, two that only a sweep sees, and a new day
  await restate(child, [
    ...daysOf(addDays(last, -6), last).map((day): [string, number] => [day, 1]),
    [addDays(last, -3), -1],
    [addDays(last, -20), 1],
    [addDays(last, -30), -1],
  ]);
  await step("restated, with a sweep", addDays(last, 8));
} finally {
  child.kill();
  rmSync(dir, { recursive: true, force: true });
}

async function step(name: string, end: string): Promise<void> {
  const started = performance.now();
  const resources = everflowResources(
    { start_date: first, end_date: end, base_url: url, requests_per_minute: 1200 },
    EVERFLOW_KEY,
  );
  const run = pipeline({ name: "everflow", destination, dataset: "everflow", dir: join(dir, "work") });
  const report = await run.run(new Source({ name: "everflow", resources }), { resources: ["stats"] });
  if (report.status !== "succeeded") throw new Error(JSON.stringify(report.error));
  const seconds = Math.round((performance.now() - started) / 100) / 10;
  const peakMib = Math.round(process.resourceUsage().maxRSS / 1024);
  const { rows, different } = await compare(end);
  const packages = report.packages.length;
  console.log(
    JSON.stringify({ step: name, seconds, peak_mib: peakMib, packages, rows, days_different: different }),
  );
  if (different > 0) process.exitCode = 1;
}

async function compare(end: string): Promise<{ rows: number; different: number }> {
  const session = await destination.open("everflow", defaultContext());
  const loaded = new Map<string, string>();
  let rows = 0;
  try {
    const found = await session.query(
      `select date::varchar, count(*), sum(total_click), sum(payout) * 100, sum(revenue) * 100, count(distinct (affiliate_id, advertiser_id))
       from everflow.stats group by date`,
    );
    for (const [day, count, clicks, payout, revenue, keys] of found.rows) {
      rows += Number(count);
      loaded.set(String(day), [count, clicks, payout, revenue, keys].map(Number).join(" "));
    }
  } finally {
    await session.close();
  }
  let different = 0;
  for (const day of daysOf(first, end)) {
    const truth = gridSums(grid, day, versions.get(day) ?? 0);
    const { rows: count, clicks, payoutCents, revenueCents } = truth;
    const wanted = count === 0 ? undefined : [count, clicks, payoutCents, revenueCents, count].join(" ");
    if (loaded.get(day) !== wanted) different++;
  }
  return { rows, different };
}

async function restate(server: ChildProcess, changed: [string, number][]): Promise<void> {
  for (const [day, version] of changed) versions.set(day, version);
  server.send(changed);
  await once(server, "message");
}
