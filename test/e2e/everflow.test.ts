/** The everflow source against a server that answers as the API is documented, over a truth that is known. */

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { everflowResources } from "../../src/sources/everflow/resources.ts";
import { cli } from "../support/cli.ts";
import {
  EVERFLOW_KEY,
  type EverflowOptions,
  EverflowServer,
  type StatCell,
} from "../support/vendors/everflow.ts";
import { documentedQueries, VendorPipeline } from "../support/vendors/vendor-pipeline.ts";
import type { VendorLimits } from "../support/vendors/vendor-server.ts";
import { makeWorkspace } from "../support/workspace.ts";

const TABLE = "/v1/networks/reporting/entity/table";
/** Noon of the day after the last complete one, the tenth of March. */
const NOW = Date.parse("2026-03-11T12:00:00-04:00");

/** What the vendor knows; tests change it between runs. */
let stats: Map<string, StatCell[]>;
let conversions: Map<string, Record<string, unknown>[]>;
let moreMetrics: Record<string, number> | undefined;
let server: EverflowServer;
let pipeline: VendorPipeline;
let url: string;

beforeEach(() => {
  stats = new Map();
  conversions = new Map();
  moreMetrics = undefined;
  pipeline = new VendorPipeline("everflow");
});
afterEach(async () => {
  await server?.stop();
  pipeline.remove();
});

async function serve(options: Partial<EverflowOptions> & { limits?: VendorLimits } = {}): Promise<void> {
  server = new EverflowServer({
    today: "2026-03-11",
    ...options,
    truth: {
      stats: (day) => stats.get(day) ?? [],
      conversions: (day) => conversions.get(day) ?? [],
      moreMetrics: () => moreMetrics ?? {},
      ...options.truth,
    },
  });
  url = await server.start();
}

function source(config: Record<string, unknown> = {}, options: { rowsMax?: number; now?: number } = {}) {
  const { now = NOW, ...rest } = options;
  return everflowResources({ start_date: "2026-03-01", base_url: url, ...config }, EVERFLOW_KEY, {
    now: () => now,
    pauseMs: 20,
    ...rest,
  });
}

function cell(affiliate: number, advertiser: number, cents: number, offer = 1): StatCell {
  return {
    affiliate,
    advertiser,
    offer,
    clicks: cents % 97,
    conversions: cents % 7,
    payoutCents: cents,
    revenueCents: cents * 2 + 1,
  };
}

function fill(
  from: number,
  to: number,
  pairs: readonly (readonly [number, number])[] = [
    [1, 7],
    [2, 7],
    [2, 8],
  ],
) {
  for (let at = from; at <= to; at++) {
    const day = `2026-03-${String(at).padStart(2, "0")}`;
    stats.set(
      day,
      pairs.map(([affiliate, advertiser]) =>
        cell(affiliate, advertiser, at * 1000 + affiliate * 10 + advertiser),
      ),
    );
  }
}

/** Sums of the truth, in the form of `loadedSums`. */
function trueSums(): string[][] {
  return [...stats.entries()]
    .filter(([, cells]) => cells.length > 0)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([day, cells]) => {
      const sum = (of: (each: StatCell) => number) => cells.reduce((total, each) => total + of(each), 0);
      const keys = new Set(cells.map((each) => `${each.affiliate}/${each.advertiser}`));
      return [
        day,
        keys.size,
        sum((c) => c.clicks),
        sum((c) => c.payoutCents),
        sum((c) => c.revenueCents),
      ].map(String);
    });
}

function loadedSums() {
  return pipeline.rows(
    `select date, count(*), sum(total_click), (sum(payout) * 100)::bigint, (sum(revenue) * 100)::bigint
     from shop.stats group by date order by date`,
  );
}

describe("stats", () => {
  it("load every day from start_date to yesterday in the account's time zone", async () => {
    fill(1, 11);
    await serve();
    await pipeline.load(source(), ["stats"]);
    stats.delete("2026-03-11");
    expect(await loadedSums()).toEqual(trueSums());
    const [first] = await pipeline.rows(
      "select affiliate_id, affiliate_name, advertiser_id, total_click, payout, timezone, currency from shop.stats order by date, 1, 3 limit 1",
    );
    expect(first).toEqual(["1", "affiliate 1", "7", "47", "10.170000000", "America/New_York", "USD"]);
  });

  it("ask in the zone of the configuration, by the vendor's id, found by name", async () => {
    fill(1, 3);
    await serve();
    await pipeline.load(source({ timezone: "America/Chicago", end_date: "2026-03-03" }), ["stats"]);
    const ids = new Set(
      server.to(TABLE).map((request) => (request.body as { timezone_id: number }).timezone_id),
    );
    expect([...ids]).toEqual([85]);
  });

  it("are the same after a second run that finds nothing new", async () => {
    fill(1, 10);
    await serve();
    await pipeline.load(source(), ["stats"]);
    server.forget();
    await pipeline.load(source(), ["stats"]);
    expect(await loadedSums()).toEqual(trueSums());
    const days = server.to(TABLE).map((request) => (request.body as { from: string }).from);
    expect([days.length, days.sort()[0]]).toEqual([8, "2026-03-03"]);
  });

  it("follow days that were restated, rows that came late and rows that vanished", async () => {
    fill(1, 10);
    await serve();
    await pipeline.load(source(), ["stats"]);
    stats.set("2026-03-05", [cell(1, 7, 99_999), cell(2, 7, 5027)]);
    stats.get("2026-03-09")!.push(cell(9, 9, 123_456));
    fill(11, 11);
    await pipeline.load(source({}, { now: NOW + 86_400_000 }), ["stats"]);
    expect(await loadedSums()).toEqual(trueSums());
  });

  it("lose a whole day that became empty, and get it back", async () => {
    fill(1, 10);
    await serve();
    await pipeline.load(source(), ["stats"]);
    const day = stats.get("2026-03-08")!;
    stats.set("2026-03-08", []);
    stats.set("2026-03-10", []);
    await pipeline.load(source(), ["stats"]);
    expect(await loadedSums()).toEqual(trueSums());
    expect(await pipeline.rows("select count(*) from shop.stats where _day_empty is not null")).toEqual([
      ["0"],
    ]);
    stats.set("2026-03-08", day);
    await pipeline.load(source(), ["stats"]);
    expect(await loadedSums()).toEqual(trueSums());
  });

  it("with lookback_days 0 still read the last day whole", async () => {
    fill(1, 10);
    await serve();
    const config = { lookback_days: 0, sweep_days: 0, include_today: true };
    fill(11, 11);
    await pipeline.load(source(config), ["stats"]);
    stats.get("2026-03-11")!.push(cell(4, 4, 4444));
    await pipeline.load(source(config), ["stats"]);
    expect(await loadedSums()).toEqual(trueSums());
  });

  it("are swept further back when a sweep is due, and only then", async () => {
    fill(1, 31);
    await serve();
    const config = { lookback_days: 1, sweep_days: 20, sweep_every_days: 7 };
    const days = (count: number) => ({ now: NOW + count * 86_400_000 });
    await pipeline.load(source(config, days(0)), ["stats"]);
    // behind the lookback: seen by the sweep
    stats.set("2026-03-02", [cell(1, 7, 1)]);
    for (const [later, reads] of [
      [1, 3],
      [6, 7],
      [7, 17],
      [8, 3],
    ] as const) {
      server.forget();
      await pipeline.load(source(config, days(later)), ["stats"]);
      expect([later, server.to(TABLE).length]).toEqual([later, reads]);
    }
    for (let at = 19; at <= 31; at++) stats.delete(`2026-03-${at}`);
    expect(await loadedSums()).toEqual(trueSums());
  });

  it("go on behind the packages that were committed when a run is interrupted", async () => {
    fill(1, 31);
    pipeline.remove();
    pipeline = new VendorPipeline("everflow", { packageRowsMax: 12 });
    await serve();
    const config = { end_date: "2026-03-31", concurrency: 2, lookback_days: 0 };
    server.fail(
      { kind: "reply", reply: { status: 400, body: { error: "no" } } },
      { times: 99, when: ({ body }) => (body as { from?: string })?.from === "2026-03-21" },
    );
    const report = await pipeline.run(source(config), ["stats"]);
    expect(report).toMatchObject({ status: "failed", error: { code: "HTTP_BAD_REQUEST" } });
    const kept = await loadedSums();
    expect(kept).toEqual(trueSums().slice(0, 20));
    await server.stop();
    await serve();
    await pipeline.load(source(config), ["stats"]);
    const asked = server.to(TABLE).map((request) => (request.body as { from: string }).from);
    expect([asked.length, asked.sort()[0]]).toEqual([12, "2026-03-20"]);
    expect(await loadedSums()).toEqual(trueSums());
  });

  it("get a column for a metric that nobody knew, whole or not", async () => {
    fill(1, 10);
    await serve();
    await pipeline.load(source(), ["stats"]);
    moreMetrics = { bonus: 2 };
    await pipeline.load(source(), ["stats"]);
    moreMetrics = { bonus: 2.75 };
    await pipeline.load(source({ lookback_days: 2 }), ["stats"]);
    expect(
      await pipeline.rows("select bonus, count(*) from shop.stats group by 1 order by 1 nulls first"),
    ).toEqual([
      [null, "6"],
      ["2.000000000", "15"],
      ["2.750000000", "9"],
    ]);
  });

  it("keep cents exact that floating point would not add up", async () => {
    const pairs = Array.from({ length: 200 }, (_, at) => [at + 1, 1] as const);
    stats.set(
      "2026-03-01",
      pairs.map(([affiliate]) => cell(affiliate, 1, 10)),
    );
    await serve();
    await pipeline.load(source({ end_date: "2026-03-01" }), ["stats"]);
    expect(await pipeline.rows("select sum(payout), sum(revenue), sum(profit) from shop.stats")).toEqual([
      ["20.000000000", "42.000000000", "22.000000000"],
    ]);
  });

  it("have no ratios, which do not add up", async () => {
    fill(1, 1);
    await serve();
    await pipeline.load(source({ end_date: "2026-03-01" }), ["stats"]);
    const columns = await pipeline.rows(
      "select column_name from information_schema.columns where table_name = 'stats'",
    );
    expect(columns.flat().filter((name) => ["ctr", "cvr", "cpc", "margin"].includes(name!))).toEqual([]);
  });
});

describe("a day with more rows than an answer holds", () => {
  const grid = (affiliates: number, advertisers: number, offers = 1) =>
    Array.from({ length: affiliates * advertisers * offers }, (_, at) =>
      cell(
        (at % affiliates) + 1,
        (Math.floor(at / affiliates) % advertisers) + 1,
        at * 31 + 7,
        Math.floor(at / affiliates / advertisers) + 1,
      ),
    );

  it.each([
    ["says incomplete_results", false],
    ["only has the maximum of rows", true],
  ])("is split by advertiser when the answer %s", async (_name, hidesCut) => {
    stats.set("2026-03-01", grid(8, 4));
    await serve({ rowsMax: 10, hidesCut });
    await pipeline.load(source({ end_date: "2026-03-01" }, { rowsMax: 10 }), ["stats"]);
    expect(await loadedSums()).toEqual(trueSums());
    // the day, its advertisers, each of them
    expect(server.to(TABLE).length).toBe(1 + 1 + 4);
  });

  it("is split by offer where one advertiser is too large, and the offers are summed", async () => {
    // two offers of 6 affiliates each share keys: 12 rows by affiliate and offer, 9 of different affiliates
    const shared = [1, 2, 3, 4, 5, 6].map((affiliate) => cell(affiliate, 1, affiliate * 101, 1));
    const more = [5, 6, 7, 8, 9, 10, 11].map((affiliate) => cell(affiliate, 1, affiliate * 103, 2));
    stats.set("2026-03-01", [...shared, ...more, ...grid(3, 2).map((each) => ({ ...each, advertiser: 2 }))]);
    await serve({ rowsMax: 10 });
    await pipeline.load(source({ end_date: "2026-03-01" }, { rowsMax: 10 }), ["stats"]);
    expect(await loadedSums()).toEqual(trueSums());
  });

  it("that cannot be split far enough is refused, and nothing of it is loaded", async () => {
    stats.set("2026-03-01", grid(40, 1));
    await serve({ rowsMax: 10 });
    const report = await pipeline.run(source({ end_date: "2026-03-01" }, { rowsMax: 10 }), ["stats"]);
    expect(report.error).toMatchObject({ code: "REPORT_INCOMPLETE", details: { day: "2026-03-01" } });
    expect(await pipeline.shop.tables()).not.toContain("stats");
  });

  it("is refused when the service ignores the filter", async () => {
    stats.set("2026-03-01", grid(8, 4));
    await serve({ rowsMax: 12, ignoresFilters: true });
    const report = await pipeline.run(source({ end_date: "2026-03-01" }, { rowsMax: 12 }), ["stats"]);
    expect(report.error).toMatchObject({ code: "REPORT_MISMATCH", retry: "after_fix" });
  });
});

describe("conversions", () => {
  const conversion = (day: string, at: number, more: Record<string, unknown> = {}) => ({
    conversion_id: `c-${day}-${at}`,
    conversion_unix_timestamp: Date.parse(`${day}T12:00:00Z`) / 1000 + at,
    click_unix_timestamp: 0,
    status: "approved",
    is_event: false,
    payout: 1.1,
    revenue: 3,
    sale_amount: 0,
    currency_id: "EUR",
    relationship: {
      offer: { network_offer_id: 4, name: "Offer" },
      advertiser: { network_advertiser_id: 7 },
      affiliate: { network_affiliate_id: 12 },
      events_count: 0,
    },
    ...more,
  });
  const fillConversions = (from: number, to: number, each: number) => {
    for (let at = from; at <= to; at++) {
      const day = `2026-03-${String(at).padStart(2, "0")}`;
      conversions.set(
        day,
        Array.from({ length: each }, (_, n) => conversion(day, n)),
      );
    }
  };

  it("are loaded over several pages, with the ids of what they belong to", async () => {
    fillConversions(1, 2, 2500);
    await serve();
    await pipeline.load(source({ end_date: "2026-03-02" }), ["conversions"]);
    expect(
      await pipeline.rows(
        `select date, count(*), sum(payout), min(offer_id), min(advertiser_id), min(affiliate_id), count(click_unix_timestamp)
         from shop.conversions group by date order by date`,
      ),
    ).toEqual([
      ["2026-03-01", "2500", "2750.000000000", "4", "7", "12", "0"],
      ["2026-03-02", "2500", "2750.000000000", "4", "7", "12", "0"],
    ]);
    expect(await pipeline.shop.tables()).toEqual(["conversions"]);
    expect(
      await pipeline.rows(
        "select conversion_unix_timestamp at time zone 'UTC' from shop.conversions where conversion_id = 'c-2026-03-02-0'",
      ),
    ).toEqual([["2026-03-02 12:00:00"]]);
  });

  it("change their status and vanish as they do at the vendor", async () => {
    fillConversions(1, 10, 5);
    await serve();
    await pipeline.load(source(), ["conversions"]);
    conversions.set("2026-03-06", [conversion("2026-03-06", 1, { status: "rejected", payout: 0 })]);
    conversions.set("2026-03-07", []);
    await pipeline.load(source(), ["conversions"]);
    expect(
      await pipeline.rows(
        "select conversion_id, status from shop.conversions where date in ('2026-03-06', '2026-03-07')",
      ),
    ).toEqual([["c-2026-03-06-1", "rejected"]]);
    expect(await pipeline.rows("select count(*) from shop.conversions")).toEqual([["41"]]);
  });

  it("that arrive while the pages are read are not lost and not there twice", async () => {
    fillConversions(1, 1, 4500);
    let arrivals = 0;
    await serve({
      beforeConversionsPage: (page) => {
        if (page === 2 && arrivals++ === 0)
          conversions.get("2026-03-01")!.unshift(conversion("2026-03-01", 9999));
      },
    });
    await pipeline.load(source({ end_date: "2026-03-01" }), ["conversions"]);
    expect(
      await pipeline.rows("select count(*), count(distinct conversion_id) from shop.conversions"),
    ).toEqual([["4501", "4501"]]);
  });

  it("that never stand still end in an error that says to run again", async () => {
    fillConversions(1, 1, 4500);
    let at = 10_000;
    await serve({
      beforeConversionsPage: (page) => {
        if (page === 2) conversions.get("2026-03-01")!.unshift(conversion("2026-03-01", at++));
      },
    });
    const report = await pipeline.run(source({ end_date: "2026-03-01" }), ["conversions"]);
    expect(report.error).toMatchObject({ code: "REPORT_SHIFTED", retry: "yes" });
  });

  it("leave out events on request, and days that the vendor no longer gives, with a warning", async () => {
    fillConversions(1, 2, 2);
    conversions.get("2026-03-01")!.push(conversion("2026-03-01", 77, { is_event: true, event: "deposit" }));
    await serve({ today: "2026-03-11" });
    const config = { start_date: "2025-01-01", end_date: "2026-03-02", events: false };
    const report = await pipeline.load(source(config), ["conversions"]);
    expect(report.warnings.join()).toContain("last 365 days");
    expect(await pipeline.rows("select count(*) from shop.conversions")).toEqual([["4"]]);
  });
});

describe("offers, affiliates and advertisers", () => {
  it("are replaced by what the network has now", async () => {
    const truth = {
      offers: Array.from({ length: 2100 }, (_, at) => ({
        network_offer_id: at + 1,
        name: `Offer ${at}`,
        time_created: 1_772_323_200,
        relationship: { labels: { total: 1, entries: ["a"] } },
      })),
      affiliates: [{ network_affiliate_id: 12, name: "Acme", account_status: "active" }],
      advertisers: [{ network_advertiser_id: 7, name: "Brand X" }] as Record<string, unknown>[],
    };
    await serve({ truth: { stats: () => [], ...truth } });
    const lists = ["offers", "affiliates", "advertisers"];
    await pipeline.load(source(), lists);
    truth.advertisers.splice(0, 1, { network_advertiser_id: 8, name: "Brand Y" });
    await pipeline.load(source(), lists);
    expect(await pipeline.shop.tables()).toEqual(["advertisers", "affiliates", "offers"]);
    expect(await pipeline.rows("select count(*), count(distinct network_offer_id) from shop.offers")).toEqual(
      [["2100", "2100"]],
    );
    expect(await pipeline.rows("select network_advertiser_id, name from shop.advertisers")).toEqual([
      ["8", "Brand Y"],
    ]);
  });
});

describe("docs/everflow.md", () => {
  it("asks questions that the loaded tables answer", async () => {
    fill(1, 3);
    const related = { offer: { network_offer_id: 4 } };
    conversions.set("2026-03-01", [{ conversion_id: "c", status: "rejected", relationship: related }]);
    await serve({
      truth: { stats: (day) => stats.get(day) ?? [], offers: [{ network_offer_id: 4, name: "Offer" }] },
    });
    await pipeline.load(source({ end_date: "2026-03-03" }));
    const answers = await documentedQueries("everflow", "network_dataset", pipeline);
    expect(answers.map((rows) => rows.length)).toEqual([2, 3, 1]);
  });
});

describe("faults of the service", () => {
  it.each([
    ["429", { kind: "reply", reply: { status: 429, body: { error: "Too Many Requests" } } }],
    ["500", { kind: "reply", reply: { status: 500, body: { error: "oops" } } }],
    ["a dropped connection", { kind: "hang_up" }],
    ["a truncated body", { kind: "truncate" }],
    ["a slow answer", { kind: "slow", ms: 50 }],
  ] as const)("%s is tried again, and the load is complete", async (_name, fault) => {
    fill(1, 3);
    await serve();
    server.fail(fault, { path: TABLE });
    await pipeline.load(source({ end_date: "2026-03-03" }), ["stats"]);
    expect(await loadedSums()).toEqual(trueSums());
  });

  it("a spent window of requests is waited for", async () => {
    fill(1, 10);
    await serve({ limits: { requestsMax: 4, windowMs: 60 } });
    await pipeline.load(source({ concurrency: 1 }), ["stats"]);
    expect(server.refused).toBeGreaterThan(0);
    expect(await loadedSums()).toEqual(trueSums());
  });

  it("no more requests run at once than the configuration says", async () => {
    fill(1, 10);
    await serve({ limits: { concurrentMax: 3 } });
    server.fail({ kind: "slow", ms: 30 }, { times: 99, path: TABLE });
    await pipeline.load(source({ concurrency: 3 }));
    expect([server.concurrentPeak, server.refused]).toEqual([3, 0]);
  });

  it.each([
    [400, "HTTP_BAD_REQUEST", "after_fix", ""],
    [401, "HTTP_UNAUTHORIZED", "after_fix", "SOURCES__EVERFLOW__API_KEY"],
    [403, "HTTP_FORBIDDEN", "after_fix", "network API key"],
    [404, "HTTP_NOT_FOUND", "after_fix", ""],
  ])("%i ends the run at once with %s", async (status, code, retry, hint) => {
    fill(1, 3);
    await serve();
    server.fail(
      { kind: "reply", reply: { status, body: { error: "Out Of Realm" } } },
      { path: TABLE, times: 99 },
    );
    const report = await pipeline.run(source({ concurrency: 1 }), ["stats"]);
    expect(report.error).toMatchObject({ code, retry });
    expect(report.error!.hint).toContain(hint);
    expect(server.to(TABLE).length).toBe(1);
  });

  it("an answer of another shape is an error that names the path and the keys it has", async () => {
    await serve();
    server.fail({ kind: "reply", reply: { body: { rows: [] } } }, { path: TABLE, times: 9 });
    const report = await pipeline.run(source(), ["stats"]);
    expect(report.error).toMatchObject({ code: "HTTP_BODY_INVALID", details: { keys: ["rows"] } });
  });

  it("rows of another day are refused", async () => {
    await serve();
    const columns = [
      { column_type: "date", id: "1772150400" },
      { column_type: "affiliate", id: "1" },
      { column_type: "advertiser", id: "1" },
    ];
    server.fail(
      { kind: "reply", reply: { body: { table: [{ columns, reporting: {} }], incomplete_results: false } } },
      { path: TABLE },
    );
    const report = await pipeline.run(source(), ["stats"]);
    expect(report.error).toMatchObject({
      code: "REPORT_MISMATCH",
      details: { day: "2026-03-01", answered: "2026-02-27" },
    });
  });
});

describe("on the command line", () => {
  it("runs from loadwright.toml with the key from .env, and a missing key is named", async () => {
    fill(1, 3);
    await serve();
    const toml = `[pipelines.network]\nsource = "everflow"\n[pipelines.network.config]\nstart_date = "2026-03-01"\nend_date = "2026-03-03"\nbase_url = "${url}"\n`;
    const workspace = makeWorkspace({ "loadwright.toml": toml });
    try {
      const without = await cli(workspace.dir, "run", "network", "--json");
      expect(without.stdout + without.stderr).toContain("SOURCES__EVERFLOW__API_KEY");
      workspace.write(".env", `SOURCES__EVERFLOW__API_KEY=${EVERFLOW_KEY}\n`);
      const run = await cli(workspace.dir, "run", "network", "--json");
      expect(run.stdout + run.stderr).toContain('"succeeded"');
      expect(run.stdout + run.stderr).not.toContain(EVERFLOW_KEY);
    } finally {
      workspace.remove();
    }
  });
});

describe("configuration", () => {
  it("a time zone that Everflow does not have is refused with the nearest name", async () => {
    await serve();
    const report = await pipeline.run(source({ timezone: "America/Boise" }), ["stats"]);
    expect(report.error).toMatchObject({ code: "CONFIG_INVALID", details: { setting: "timezone" } });
  });

  it("another time zone than that of the loaded days is refused", async () => {
    fill(1, 3);
    await serve();
    await pipeline.load(source({ end_date: "2026-03-03" }), ["stats"]);
    const report = await pipeline.run(source({ end_date: "2026-03-03", timezone: "UTC" }), ["stats"]);
    expect(report.error).toMatchObject({ code: "CONFIG_INVALID" });
    expect(report.error!.hint).toContain("America/New_York");
  });

  it.each([
    [{ start_dat: "2026-03-01" }, "CONFIG_MISSING"],
    [{ start_date: "2026-03-01", lookbck_days: 3 }, "CONFIG_INVALID"],
    [{ start_date: "2026-02-30" }, "CONFIG_INVALID"],
    [{ start_date: "2026-03-01", timezone: "Mars/Base" }, "CONFIG_INVALID"],
    [{ start_date: "2026-03-01", concurrency: 11 }, "CONFIG_INVALID"],
  ])("%o is refused with %s", (config, code) => {
    expect(() => everflowResources(config, "key")).toThrow(expect.objectContaining({ code }));
  });
});
