/** Dates in keys: `daily/2024/01/31/orders.csv` under the prefix `daily/` with the pattern `YYYY/MM/DD`. */

const DAY_MS = 86_400_000;

/** Year, month and day in this order, once each: then the order of keys is the order of days. */
export function isDatePattern(pattern: string): boolean {
  return /^[^YMD]*YYYY[^YMD]*MM[^YMD]*DD[^YMD]*$/.test(pattern);
}

/** The day (ISO) that a key says right behind its prefix, or undefined. */
export function dayOfKey(pattern: string, behindPrefix: string): string | undefined {
  if (behindPrefix.length < pattern.length) return undefined;
  let digits = "";
  for (let i = 0; i < pattern.length; i++) {
    const expected = pattern[i]!;
    const found = behindPrefix[i]!;
    if (expected === "Y" || expected === "M" || expected === "D") digits += found;
    else if (expected !== found) return undefined;
  }
  if (!/^\d{8}$/.test(digits)) return undefined;
  const day = `${digits.slice(0, 4)}-${digits.slice(4, 6)}-${digits.slice(6)}`;
  const time = Date.parse(day);
  return Number.isNaN(time) || new Date(time).toISOString().slice(0, 10) !== day ? undefined : day;
}

/** How keys of a day begin, behind the prefix. */
export function keyOfDay(pattern: string, day: string): string {
  return pattern.replace("YYYY", day.slice(0, 4)).replace("MM", day.slice(5, 7)).replace("DD", day.slice(8));
}

export function daysBefore(day: string, days: number): string {
  return new Date(Date.parse(day) - days * DAY_MS).toISOString().slice(0, 10);
}
