/** Days of the calendar as text, `2026-03-01`: what vendors take as dates and what their reports are keyed by. */

import { formatDate, parseDateDays } from "../../engine/schema/values.ts";

export type Day = string;

const DAY = /^\d{4}-\d{2}-\d{2}$/;

/** Is it a day that the calendar has? */
export function isDay(text: string): boolean {
  return DAY.test(text) && parseDateDays(text) !== undefined;
}

export function addDays(day: Day, days: number): Day {
  return formatDate(parseDateDays(day)! + days);
}

/** Days from `from` to `to`: 1 from one day to the next. */
export function daysApart(from: Day, to: Day): number {
  return parseDateDays(to)! - parseDateDays(from)!;
}

/** Both ends included; none when `to` lies before `from`. */
export function daysOf(from: Day, to: Day): Day[] {
  return Array.from({ length: Math.max(0, daysApart(from, to) + 1) }, (_, at) => addDays(from, at));
}

export function earlier(a: Day, b: Day): Day {
  return a < b ? a : b;
}

export function later(a: Day, b: Day): Day {
  return a > b ? a : b;
}

/** The day that an instant belongs to in a time zone (IANA name). */
export function dayIn(timezone: string, instantMs: number): Day {
  const parts = new Intl.DateTimeFormat("en-US", {
    timeZone: timezone,
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
  }).formatToParts(instantMs);
  const part = (type: string) => parts.find((each) => each.type === type)!.value;
  return `${part("year")}-${part("month")}-${part("day")}`;
}

/** Does this runtime know the time zone? */
export function isTimezone(name: string): boolean {
  try {
    new Intl.DateTimeFormat("en-US", { timeZone: name });
    return true;
  } catch {
    return false;
  }
}
