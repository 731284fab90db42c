/** The everflow source against a server that answers as the API is documented, over a truth that is known. */

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { everflowResources } from "../../src/sources/everflow/resources.ts";
import {
  EVERFLOW_KEY,
  type EverflowOptions,
  EverflowServer,
  type StatCell,
} from "../support/vendors/everflow.ts";
import { VendorPipeline } from "../support/vendors/vendor-pipeline.ts";
import type { VendorLimits } from "../support/vendors/vendor-server.ts";

const TABLE = "/v1/networks/reporting/entity/table";
const CONVERSIONS = "/v1/networks/reporting/conversions";
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
});
