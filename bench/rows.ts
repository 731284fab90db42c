/**
 * The rows that a source written in TypeScript yields: ten fields, computed and not random, so that
 * contenders/rows.py yields the same ones and making them costs little.
 */

import type { Row } from "../src/engine/index.ts";

export const PAGE_ROWS = 5000;

const NOTES = Array.from({ length: 97 }, (_, i) =>
  `note ${i}: ${"load extract normalize schema table column größe ".repeat(2)}`.slice(0, 60 + (i % 20)),
);

/** `price` and `rate` are never whole numbers, which JavaScript could not tell from integers. */
export function eventRow(i: number): Row {
  const spread = (i * 7919) % 100_000;
  return {
    id: i,
    account: spread,
    quantity: (i * 31) % 1000,
    big: 1_000_000_000_000 + i * 1000,
    price: (spread * 100 + 1 + (spread % 99)) / 100,
    rate: (1 + ((i * 104_729) % 999_999)) / 1e6,
    created_at: new Date(1.6e12 + ((i * 7) % 150_000_000) * 1000).toISOString(),
    active: i % 2 === 0,
    code: `C-${(i * 48_271) % 2_147_483_647}`,
    note: i % 10 === 0 ? null : `${NOTES[i % 97]} ${i}`,
  };
}

export function* eventPages(rows: number): Generator<Row[]> {
  for (let from = 0; from < rows; from += PAGE_ROWS) {
    yield Array.from({ length: Math.min(PAGE_ROWS, rows - from) }, (_, i) => eventRow(from + i));
  }
}

/** The same with a cursor: all rows at one value of it, or each at its own. */
export function* cursorPages(rows: number, cursor: "one" | "distinct"): Generator<Row[]> {
  for (const page of eventPages(rows)) {
    yield page.map((row) => ({
      ...row,
      updated_at: 1_700_000_000 + (cursor === "one" ? 0 : Number(row.id)),
    }));
  }
}
