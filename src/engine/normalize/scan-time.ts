/** ISO timestamps in their common form, straight from bytes. */

const ZERO = 0x30;

/** Two digits as a number, or NaN. */
function two(bytes: Uint8Array, at: number): number {
  const tens = bytes[at]! - ZERO;
  const ones = bytes[at + 1]! - ZERO;
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : Number.NaN;
}

/** Days since 1970 of a date of the proleptic Gregorian calendar (H. Hinnant, "days_from_civil"). */
export function daysFromCivil(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year;
  const era = Math.floor(y / 400);
  const yearOfEra = y - era * 400;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146097 + dayOfEra - 719468;
}

const MONTH_DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/**
 * Microseconds since 1970 of `YYYY-MM-DD[T ]HH:MM:SS[.f{1,6}][Z|±HH:MM]`, without a zone read as UTC; NaN for
 * every other text, which is then the row path's to judge.
 */
export function scanTimestamp(bytes: Uint8Array, start: number, end: number): number {
  const length = end - start;
  if (length < 19 || length > 32) return Number.NaN;
  const separator = bytes[start + 10];
  if (
    bytes[start + 4] !== 0x2d ||
    bytes[start + 7] !== 0x2d ||
    (separator !== 0x54 && separator !== 0x20) ||
    bytes[start + 13] !== 0x3a ||
    bytes[start + 16] !== 0x3a
  ) {
    return Number.NaN;
  }
  const year = two(bytes, start) * 100 + two(bytes, start + 2);
  const month = two(bytes, start + 5);
  const day = two(bytes, start + 8);
  const hour = two(bytes, start + 11);
  const minute = two(bytes, start + 14);
  const second = two(bytes, start + 17);
  // written so that NaN fails
  if (!(isDate(year, month, day) && hour <= 23 && minute <= 59 && second <= 59)) return Number.NaN;
  let at = start + 19;
  let micros = 0;
  if (at < end && bytes[at] === 0x2e) {
    at++;
    let scale = 100_000;
    const from = at;
    for (; at < end && at - from < 6; at++) {
      const digit = bytes[at]! - ZERO;
      if (digit < 0 || digit > 9) break;
      micros += digit * scale;
      scale /= 10;
    }
    if (at === from) return Number.NaN;
  }
  let offsetMinutes = 0;
  if (at < end) {
    const sign = bytes[at];
    if (sign === 0x5a) {
      at++;
    } else if ((sign === 0x2b || sign === 0x2d) && end - at === 6 && bytes[at + 3] === 0x3a) {
      const hours = two(bytes, at + 1);
      const minutes = two(bytes, at + 4);
      if (!(hours <= 23 && minutes <= 59)) return Number.NaN;
      offsetMinutes = (hours * 60 + minutes) * (sign === 0x2b ? 1 : -1);
      at += 6;
    } else {
      return Number.NaN;
    }
  }
  if (at !== end) return Number.NaN;
  const minutes = daysFromCivil(year, month, day) * 1440 + hour * 60 + minute - offsetMinutes;
  const instant = (minutes * 60 + second) * 1_000_000 + micros;
  // beyond 2255 whole seconds are exact, as in the usual 9999-12-31, but microseconds are not
  if (!Number.isSafeInteger(instant) && (micros !== 0 || offsetMinutes !== 0)) return Number.NaN;
  return instant;
}

/** Days since 1970 of `YYYY-MM-DD`; NaN for every other text. */
export function scanDate(bytes: Uint8Array, start: number, end: number): number {
  if (end - start !== 10 || bytes[start + 4] !== 0x2d || bytes[start + 7] !== 0x2d) return Number.NaN;
  const year = two(bytes, start) * 100 + two(bytes, start + 2);
  const month = two(bytes, start + 5);
  const day = two(bytes, start + 8);
  if (!isDate(year, month, day)) return Number.NaN;
  return daysFromCivil(year, month, day);
}

/** NaN anywhere is no date. */
function isDate(year: number, month: number, day: number): boolean {
  if (!(year >= 1 && month >= 1 && month <= 12 && day >= 1)) return false;
  const leap = month === 2 && year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  return day <= MONTH_DAYS[month - 1]! + (leap ? 1 : 0);
}
