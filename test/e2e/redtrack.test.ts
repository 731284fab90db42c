/** The redtrack source against a server that answers as the API is documented, over a truth that is known. */

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { RedtrackApi } from "../../src/sources/redtrack/api.ts";
import { redtrackConfigSchema } from "../../src/sources/redtrack/config.ts";
import { redtrackResources } from "../../src/sources/redtrack/resources.ts";
import {
  REDTRACK_KEY,
  type RedtrackOptions,
  RedtrackServer,
  type SourceDay,
} from "../support/vendors/redtrack.ts";
import { documentedQueries, VendorPipeline } from "../support/vendors/vendor-pipeline.ts";

/** Noon of the day after the last complete one, the tenth of March. */
const NOW = Date.parse("2026-03-11T12:00:00-04:00");

/** What the vendor knows; tests change it between runs. */
let truth: Map<string, SourceDay[]>;
let conversions: Map<string, Record<string, unknown>[]>;
let server: RedtrackServer;
let pipeline: VendorPipeline;
let url: string;

beforeEach(() => {
  truth = new Map();
  conversions = new Map();
  pipeline = new VendorPipeline("redtrack");
});
afterEach(async () => {
  await server?.stop();
  pipeline.remove();
});

async function serve(options: Partial<RedtrackOptions> = {}): Promise<void> {
  server = new RedtrackServer({
    ...options,
    truth: { report: (day) => truth.get(day) ?? [], conversions: (day) => conversions.get(day) ?? [] },
  });
  url = await server.start();
}

function source(config: Record<string, unknown> = {}, now = NOW) {
  return redtrackResources({ start_date: "2026-03-01", base_url: url, ...config }, REDTRACK_KEY, {
    now: () => now,
    pauseMs: 20,
    requestsPerMinute: 100_000,
  });
}

const dayOfMarch = (at: number) => `2026-03-${String(at).padStart(2, "0")}`;

function row(source_id: string | null, cents: number, more: Record<string, unknown> = {}): SourceDay {
  return {
    source_id,
    clicks: cents % 89,
    conversions: cents % 5,
    revenueCents: cents * 2 + 1,
    costCents: cents,
    more,
  };
}

function fill(from: number, to: number, sources = ["a", "b", ""]): void {
  for (let at = from; at <= to; at++) {
    truth.set(
      dayOfMarch(at),
      sources.map((id, n) => row(id, at * 1000 + n * 11 + 7)),
    );
  }
}

function trueSums(): string[][] {
  return [...truth.entries()]
    .filter(([, rows]) => rows.length > 0)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([day, rows]) => {
      const sum = (of: (each: SourceDay) => number) => rows.reduce((total, each) => total + of(each), 0);
      const keys = new Set(rows.map((each) => each.source_id ?? ""));
      return [day, keys.size, sum((r) => r.clicks), sum((r) => r.costCents), sum((r) => r.revenueCents)].map(
        String,
      );
    });
}

function loadedSums() {
  return pipeline.rows(
    `select date, count(*), sum(clicks), (sum(cost) * 100)::bigint, (sum(revenue) * 100)::bigint
     from shop.report group by date order by date`,
  );
}

const report = ["report"];

describe("the report", () => {
  it("is loaded to yesterday in the account's zone, rows without a source included", async () => {
    fill(1, 11);
    await serve();
    await pipeline.load(source(), report);
    truth.delete("2026-03-11");
    expect(await loadedSums()).toEqual(trueSums());
    expect(await pipeline.rows("select count(*) from shop.report where source_id = ''")).toEqual([["10"]]);
    const { query } = server.to("/report")[0]!;
    expect(Object.fromEntries(query)).toMatchObject({
      group: "date,source",
      timezone: "America/New_York",
      page: "1",
      per: "1000",
    });
  });

  it("comes in windows of days and pages of 1000", async () => {
    const sources = Array.from({ length: 450 }, (_, at) => `s${at}`);
    fill(1, 10, sources);
    await serve();
    await pipeline.load(source({ window_days: 5 }), report);
    expect(await loadedSums()).toEqual(trueSums());
    const asked = server.to("/report").map(({ query }) => `${query.get("date_from")} ${query.get("page")}`);
    expect(asked).toEqual([1, 6].flatMap((day) => [1, 2, 3].map((page) => `${dayOfMarch(day)} ${page}`)));
  });

  it("is the same after a second run that finds nothing new", async () => {
    fill(1, 10);
    await serve();
    await pipeline.load(source(), report);
    server.forget();
    await pipeline.load(source(), report);
    expect(await loadedSums()).toEqual(trueSums());
    expect(server.to("/report").map(({ query }) => query.get("date_from"))).toEqual(["2026-03-03"]);
  });

  it("follows restated costs, late rows, rows and whole days that vanished", async () => {
    fill(1, 10);
    await serve();
    await pipeline.load(source(), report);
    truth.set("2026-03-05", [row("a", 77_777)]);
    truth.get("2026-03-09")!.push(row("late", 4242));
    truth.set("2026-03-07", []);
    fill(11, 11);
    await pipeline.load(source({}, NOW + 86_400_000), report);
    expect(await loadedSums()).toEqual(trueSums());
    const marks = await pipeline.rows("select count(*) from shop.report where _day_empty is not null");
    expect(marks).toEqual([["0"]]);
  });

  it("goes on behind the windows that were committed when a run is interrupted", async () => {
    fill(1, 31);
    pipeline.remove();
    pipeline = new VendorPipeline("redtrack", { packageRowsMax: 15 });
    await serve();
    const config = { end_date: "2026-03-31", window_days: 5, lookback_days: 0 };
    server.fail(
      { kind: "reply", reply: { status: 400, body: { error: "no" } } },
      { times: 9, when: ({ query }) => query.get("date_from") === "2026-03-21" },
    );
    expect(await pipeline.run(source(config), report)).toMatchObject({
      status: "failed",
      error: { code: "HTTP_BAD_REQUEST" },
    });
    expect(await loadedSums()).toEqual(trueSums().slice(0, 20));
    await server.stop();
    await serve();
    await pipeline.load(source(config), report);
    expect(server.to("/report").map(({ query }) => query.get("date_from"))[0]).toBe("2026-03-20");
    expect(await loadedSums()).toEqual(trueSums());
  });

  it("keeps the money of two rows that both have no source", async () => {
    truth.set("2026-03-01", [row("", 1010), row(null, 2020), row("a", 30)]);
    await serve();
    await pipeline.load(source({ end_date: "2026-03-01" }), report);
    expect(await loadedSums()).toEqual(trueSums());
  });

  it("gets the day that was asked for where the account's rows have no date", async () => {
    fill(1, 4);
    await serve({ withoutDate: true });
    await pipeline.load(source({ end_date: "2026-03-04" }), report);
    expect(await loadedSums()).toEqual(trueSums());
  });

  it("has the allowed columns and no others; a warning names conversion types with values", async () => {
    truth.set("2026-03-01", [row("a", 100, { convtype2: 3, revenuetype2: 9.5, convtype3: 4, surprise: 1 })]);
    await serve();
    const config = { end_date: "2026-03-01", extra_metrics: ["convtype2", "revenuetype2"] };
    const done = await pipeline.load(source(config), report);
    const columns = await pipeline.rows(
      "select column_name from information_schema.columns where table_name = 'report'",
    );
    const names = columns.flat();
    expect(["convtype1", "convtype3", "surprise", "roi"].filter((name) => names.includes(name))).toEqual([]);
    expect(await pipeline.rows("select convtype2, revenuetype2 from shop.report")).toEqual([
      ["3.000000000", "9.500000000"],
    ]);
    expect(done.warnings.join()).toContain("convtype3");
    expect(done.warnings.join()).not.toContain("convtype2");
  });

  it("takes counts that come as floats", async () => {
    truth.set("2026-03-01", [row("a", 100, { clicks: 45 }), row("b", 100)]);
    await serve();
    const body = '[{"date":"2026-03-01","source_id":"a","source":"A","clicks":45.0,"cost":1.10}]';
    server.fail({ kind: "reply", reply: { body } }, { path: "/report" });
    await pipeline.load(source({ end_date: "2026-03-01" }), report);
    expect(await pipeline.rows("select clicks, cost from shop.report")).toEqual([["45", "1.100000000"]]);
  });
});

describe("totals", () => {
  it.each(["count", "sums", "row"] as const)("of the shape %s agree with the rows", async (totalShape) => {
    fill(1, 5);
    await serve({ totalShape });
    await pipeline.load(source({ end_date: "2026-03-05", verify_totals: true }), report);
    expect(await loadedSums()).toEqual(trueSums());
    expect(server.to("/report").length).toBe(1);
  });

  it("that never agree end in an error that says to run again", async () => {
    fill(1, 1);
    await serve();
    const body = { items: [], total: 7 };
    server.fail({ kind: "reply", reply: { body } }, { path: "/report", times: 99 });
    const done = await pipeline.run(source({ end_date: "2026-03-01", verify_totals: true }), report);
    expect(done.error).toMatchObject({ code: "REPORT_SHIFTED", retry: "yes" });
  });
});

describe("pages that shift while they are read", () => {
  it("are read again day by day, and no row is lost or there twice", async () => {
    fill(
      1,
      4,
      Array.from({ length: 400 }, (_, at) => `s${at}`),
    );
    let arrived = false;
    await serve({
      beforeReportPage: (page) => {
        if (page !== 2 || arrived) return;
        arrived = true;
        truth.get("2026-03-01")!.unshift(row("new", 5005));
      },
    });
    await pipeline.load(source({ end_date: "2026-03-04" }), report);
    expect(await loadedSums()).toEqual(trueSums());
    expect(server.to("/report").length).toBe(2 + 4);
  });
});

describe("conversions", () => {
  const conversion = (id: string, more: Record<string, unknown> = {}) => ({
    id,
    clickid: `click-${id}`,
    created_at: "2026-03-02T10:00:00Z",
    status: "approved",
    payout: 1.1,
    source_id: "",
    ...more,
  });

  it("are loaded by day, change and vanish as they do at the vendor", async () => {
    for (let at = 1; at <= 10; at++)
      conversions.set(dayOfMarch(at), [conversion(`x${at}`), conversion(`y${at}`)]);
    await serve();
    await pipeline.load(source(), ["conversions"]);
    conversions.set("2026-03-08", [conversion("x8", { status: "declined", payout: 0 })]);
    conversions.set("2026-03-09", []);
    await pipeline.load(source(), ["conversions"]);
    expect(
      await pipeline.rows(
        "select id, status, payout from shop.conversions where date between '2026-03-08' and '2026-03-09'",
      ),
    ).toEqual([["x8", "declined", "0.000000000"]]);
    expect(await pipeline.rows("select count(*), sum(payout) from shop.conversions")).toEqual([
      ["17", "17.600000000"],
    ]);
  });
});

describe("docs/redtrack.md", () => {
  it("asks questions that the loaded tables answer", async () => {
    fill(1, 3);
    conversions.set("2026-03-01", [{ id: "c", status: "approved", payout: 2.5, source_id: "a" }]);
    await serve();
    await pipeline.load(source({ end_date: "2026-03-03" }));
    const answers = await documentedQueries("redtrack", "tracker_dataset", pipeline);
    expect(answers.map((rows) => rows.length)).toEqual([3, 3, 1]);
  });
});

describe("limits and faults of the service", () => {
  it("no more than 20 requests a minute are sent, whatever the configuration says", () => {
    const paced = (config: Record<string, unknown>) =>
      new RedtrackApi(redtrackConfigSchema.parse({ start_date: "2026-03-01", ...config }), "key").http
        .options;
    expect(paced({})).toMatchObject({ requestsPerMinute: 20, concurrency: 1, pauseMsDefault: 60_000 });
    expect(paced({ requests_per_minute: 5 })).toMatchObject({ requestsPerMinute: 5 });
    expect(() => paced({ requests_per_minute: 21 })).toThrow();
  });

  it("a spent window of requests is waited for", async () => {
    fill(1, 10);
    await serve({ limits: { requestsMax: 3, windowMs: 60 } });
    await pipeline.load(source({ window_days: 1 }), report);
    expect(server.refused).toBeGreaterThan(0);
    expect(await loadedSums()).toEqual(trueSums());
  });

  it.each([
    ["429", { kind: "reply", reply: { status: 429, body: {} } }],
    ["500", { kind: "reply", reply: { status: 500, body: { error: "oops" } } }],
    ["a dropped connection", { kind: "hang_up" }],
    ["a truncated body", { kind: "truncate" }],
  ] as const)("%s is tried again, and the load is complete", async (_name, fault) => {
    fill(1, 3);
    await serve();
    server.fail(fault, { path: "/report" });
    await pipeline.load(source({ end_date: "2026-03-03" }), report);
    expect(await loadedSums()).toEqual(trueSums());
  });

  it.each([
    [400, "HTTP_BAD_REQUEST", ""],
    [401, "HTTP_UNAUTHORIZED", "SOURCES__REDTRACK__API_KEY"],
    [404, "HTTP_NOT_FOUND", ""],
  ])("%i ends the run at once with %s, and the key is nowhere in the report", async (status, code, hint) => {
    await serve();
    server.fail({ kind: "reply", reply: { status, body: { error: "no" } } }, { path: "/report", times: 9 });
    const done = await pipeline.run(source(), report);
    expect(done.error).toMatchObject({ code, retry: "after_fix" });
    expect(done.error!.hint).toContain(hint);
    expect(server.to("/report").length).toBe(1);
    expect(JSON.stringify(done)).not.toContain(REDTRACK_KEY);
  });

  it("a report that is not grouped by source is refused", async () => {
    await serve();
    server.fail({ kind: "reply", reply: { body: [{ clicks: 12, cost: 3 }] } }, { path: "/report" });
    const done = await pipeline.run(source(), report);
    expect(done.error).toMatchObject({ code: "REPORT_MISMATCH" });
  });

  it("rows of days that nobody asked for are refused", async () => {
    await serve();
    const body = [{ date: "2026-02-27", source_id: "a", clicks: 1 }];
    server.fail({ kind: "reply", reply: { body } }, { path: "/report" });
    expect((await pipeline.run(source(), report)).error).toMatchObject({ code: "REPORT_MISMATCH" });
  });
});
