/**
 * A large truth that is computed and not stored: each day has a cell for each affiliate and advertiser, or for
 * a share of them, and every restatement of a day gives it other values and other cells.
 */

import type { StatCell } from "./everflow.ts";

export interface Grid {
  readonly affiliates: number;
  readonly advertisers: number;
  /** Share of the pairs that have something on a day, 0 to 1. */
  readonly density: number;
}

/** Restatements by day, 0 at first; -1 stands for a day that became empty. */
export type Versions = Map<string, number>;

export function* gridDay(grid: Grid, day: string, version: number): Generator<StatCell> {
  if (version < 0) return;
  const start = hash(Date.parse(`${day}T00:00Z`) / 86_400_000, version);
  const share = Math.round(grid.density * 1000);
  for (let affiliate = 1; affiliate <= grid.affiliates; affiliate++) {
    for (let advertiser = 1; advertiser <= grid.advertisers; advertiser++) {
      const random = hash(start + affiliate, advertiser);
      if (random % 1000 >= share) continue;
      const payoutCents = (random >>> 3) % 100_000;
      yield {
        affiliate,
        advertiser,
        offer: 1 + (random % 3),
        clicks: (random >>> 7) % 5000,
        conversions: (random >>> 11) % 50,
        payoutCents,
        revenueCents: payoutCents + ((random >>> 5) % 50_000),
      };
    }
  }
}

export interface DaySums {
  readonly rows: number;
  readonly clicks: number;
  readonly payoutCents: number;
  readonly revenueCents: number;
}

export function gridSums(grid: Grid, day: string, version: number): DaySums {
  const sums = { rows: 0, clicks: 0, payoutCents: 0, revenueCents: 0 };
  for (const cell of gridDay(grid, day, version)) {
    sums.rows++;
    sums.clicks += cell.clicks;
    sums.payoutCents += cell.payoutCents;
    sums.revenueCents += cell.revenueCents;
  }
  return sums;
}

/** A 32-bit mix of two numbers (the finalizer of MurmurHash3). */
function hash(a: number, b: number): number {
  let h = Math.imul(a, 0x9e3779b1) ^ Math.imul(b, 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
