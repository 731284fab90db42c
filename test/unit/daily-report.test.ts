/** The parts of daily reports that do no I/O: which days are due, sums without floating point, order of fetches. */

import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { PyFloat, TypedValue } from "../../src/engine/interop/json.ts";
import { dayIn, daysOf } from "../../src/sources/daily-report/days.ts";
import { dueDays } from "../../src/sources/daily-report/due-days.ts";
import { addExact, countOf, decimalOf } from "../../src/sources/daily-report/exact.ts";
import { readAhead } from "../../src/sources/daily-report/read-ahead.ts";
import { dayOfColumn } from "../../src/sources/everflow/report.ts";

const LOOKBACK = { lookback_days: 7, sweep_days: 35, sweep_every_days: 7 };

function due(state: Record<string, unknown>, end: string, cursor: object = {}) {
  const view = {
    path: "date",
    lastValue: undefined,
    startValue: undefined,
    endValue: undefined,
    initialValue: undefined,
  };
  return dueDays({ state, cursor: { ...view, ...cursor } }, "2026-01-01", end, LOOKBACK);
}
const at = (last_value: unknown, more = {}): Record<string, unknown> => ({
  incremental: { date: { last_value } },
  ...more,
});

describe("due days", () => {
  it("are all since start_date at first, and the last ones afterwards", () => {
    expect(due({}, "2026-03-10")).toMatchObject({ from: "2026-01-01", to: "2026-03-10" });
    const loaded = at(new TypedValue("date", "2026-03-10"), { swept_on: "2026-03-10" });
    expect(due(loaded, "2026-03-11")).toMatchObject({ from: "2026-03-03", to: "2026-03-11" });
    expect(due(at("2026-01-03"), "2026-01-04")).toMatchObject({ from: "2026-01-01" });
  });

  it("go further back for a sweep, again and again until one is finished", () => {
    const state: Record<string, unknown> = at("2026-03-16", { swept_on: "2026-03-10" });
    expect(due(state, "2026-03-17").from).toBe("2026-02-09");
    const second = due(state, "2026-03-17");
    expect(second.from).toBe("2026-02-09");
    second.done();
    expect(due(state, "2026-03-18").from).toBe("2026-03-09");
  });

  it("are those of a window from outside, which moves no state", () => {
    const state = at("2026-03-16", { swept_on: "2026-01-01" });
    const window = due(state, "2026-03-17", { startValue: "2026-02-01", endValue: "2026-02-03" });
    window.done();
    expect([window.from, window.to, state.swept_on]).toEqual(["2026-02-01", "2026-02-03", "2026-01-01"]);
  });
});

describe("exact numbers", () => {
  it("add up to the cent, whatever floating point would give", () => {
    const cents = fc.array(fc.integer({ min: -1_000_000_000, max: 1_000_000_000 }), { maxLength: 50 });
    fc.assert(
      fc.property(cents, (all) => {
        const sum = all.map((each) => decimalOf(each / 100)).reduce<unknown>(addExact, decimalOf(0));
        expect(Math.round(Number(String(sum)) * 100)).toBe(all.reduce((total, each) => total + each, 0));
      }),
    );
    expect(String(addExact(decimalOf(new PyFloat(0.1)), decimalOf(new PyFloat(0.2))))).toBe("0.3");
    expect(String(addExact(decimalOf(1e-7), decimalOf(-2)))).toBe("-1.9999999");
    expect(String(addExact(decimalOf(1e21), decimalOf(0.5)))).toBe("1000000000000000000000.5");
  });

  it("keep what was delivered, and take counts that came as floats", () => {
    expect(decimalOf(new PyFloat(1875.1))?.text).toBe("1875.1");
    expect(countOf(new PyFloat(45))).toBe(45);
    expect(addExact(40, 2)).toBe(42n);
    expect([decimalOf("abc"), decimalOf(null), countOf(true)]).toEqual([undefined, undefined, undefined]);
  });
});

describe("days", () => {
  it("are cut in the zone that is asked for, not in the machine's", () => {
    const instant = Date.parse("2026-03-02T03:30:00Z");
    expect([dayIn("UTC", instant), dayIn("America/New_York", instant)]).toEqual(["2026-03-02", "2026-03-01"]);
    expect(daysOf("2026-02-27", "2026-03-01")).toEqual(["2026-02-27", "2026-02-28", "2026-03-01"]);
  });

  it("of a report are the label, midnight UTC, or an instant in the report's zone", () => {
    const zone = "America/New_York";
    expect(dayOfColumn({ id: "0", label: "2026-03-01" }, zone)).toBe("2026-03-01");
    expect(dayOfColumn({ id: "1733097600" }, zone)).toBe("2024-12-02");
    expect(dayOfColumn({ id: String(Date.parse("2026-03-01T05:00Z") / 1000) }, zone)).toBe("2026-03-01");
    expect(dayOfColumn({ id: "" }, zone)).toBe(undefined);
  });
});

describe("fetching ahead", () => {
  const context = { signal: new AbortController().signal, log: () => {} };

  it("gives results in order and keeps within its bound", async () => {
    let running = 0;
    let most = 0;
    const fetch = async (item: number): Promise<number> => {
      most = Math.max(most, ++running);
      await new Promise((resolve) => setTimeout(resolve, (7 - item) * 3));
      running--;
      return item * 10;
    };
    const seen: number[] = [];
    for await (const [, value] of readAhead([1, 2, 3, 4, 5, 6], 3, context, fetch)) seen.push(value);
    expect([seen, most]).toEqual([[10, 20, 30, 40, 50, 60], 3]);
  });

  it("aborts what is under way when one fails", async () => {
    let aborted = false;
    const fetch = (item: number, { signal }: { signal: AbortSignal }): Promise<number> =>
      item === 1
        ? Promise.reject(new Error("no"))
        : new Promise((_, reject) =>
            signal.addEventListener("abort", () => {
              aborted = true;
              reject(signal.reason as Error);
            }),
          );
    const all = async (): Promise<void> => {
      for await (const _ of readAhead([1, 2], 2, context, fetch));
    };
    await expect(all()).rejects.toThrow("no");
    expect(aborted).toBe(true);
  });
});
