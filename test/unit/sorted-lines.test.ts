/** A page in cursor order gives the same rows and the same cursor, whether each line is looked at or only the ends. */

import fc from "fast-check";
import { expect, it } from "vitest";
import { CursorRun } from "../../src/engine/extract/cursor-run.ts";
import { incremental } from "../../src/engine/extract/incremental.ts";
import { sortedLines } from "../../src/engine/extract/sorted-lines.ts";

interface Row {
  readonly id: number;
  readonly at: number;
}

const OPTIONS = fc.record(
  {
    initialValue: fc.integer({ min: 0, max: 6 }),
    rangeStart: fc.constantFrom<"open" | "closed">("open", "closed"),
    lag: fc.integer({ min: 0, max: 3 }),
    endValue: fc.integer({ min: 5, max: 12 }),
    primaryKey: fc.constantFrom<string | string[]>("id", []),
  },
  { requiredKeys: [] },
);

/** Runs of sorted pages; later runs meet rows of earlier ones again. */
const runs = fc.array(
  fc.array(fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 8 }), { maxLength: 3 }),
  {
    minLength: 1,
    maxLength: 3,
  },
);

it("for any sorted pages and any options", () => {
  fc.assert(
    fc.property(runs, OPTIONS, (all, options) => {
      const declared = incremental("at", { ...options, rowOrder: "asc" });
      const slots: [Record<string, unknown>, Record<string, unknown>] = [{}, {}];
      for (const pages of all) {
        const values = pages.flat().sort((a, b) => a - b);
        const cursors = slots.map((slot) => new CursorRun(declared, { resource: "rows", slot })) as [
          CursorRun,
          CursorRun,
        ];
        let at = 0;
        for (const page of pages) {
          const rows: Row[] = page.map((_, index) => ({ id: (at + index) % 4, at: values[at + index]! }));
          at += page.length;
          const bytes = Buffer.from(rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
          const slow = rows.filter((row) => cursors[0].admit(row) === "yes");
          cursors[0].pageDone(slow.length > 0);
          const kept = sortedLines(bytes, cursors[1]);
          const fast =
            kept === undefined
              ? rows.filter((row) => cursors[1].admit(row) === "yes")
              : Buffer.from(kept)
                  .toString()
                  .split("\n")
                  .filter(Boolean)
                  .map((line) => JSON.parse(line) as Row);
          cursors[1].pageDone(fast.length > 0);
          expect(fast).toEqual(slow);
        }
        for (const cursor of cursors) cursor.settle();
        expect(slots[1]).toEqual(slots[0]);
      }
    }),
    { numRuns: 1000 },
  );
});

it("a page that begins before the end of the one before is refused, as row by row", () => {
  const cursor = new CursorRun(incremental("at", { rowOrder: "asc" }), { resource: "rows", slot: {} });
  sortedLines(Buffer.from('{"at":5}\n{"at":6}\n'), cursor);
  expect(() => sortedLines(Buffer.from('{"at":4}\n{"at":7}\n'), cursor)).toThrow(/CURSOR_ORDER|lies before/);
});

it("a line without a value makes each line be looked at", () => {
  const cursor = new CursorRun(incremental("at", { rowOrder: "asc" }), { resource: "rows", slot: {} });
  expect(sortedLines(Buffer.from('{"at":null}\n{"at":6}\n'), cursor)).toBeUndefined();
});
