/** Which types the text of a cell fits, as a set of bits; on bytes, because it runs for every cell of a file. */

export const BIGINT = 1;
export const DOUBLE = 2;
export const BOOL = 4;
export const DATE = 8;
export const TIMESTAMP = 16;
export const ANY = 31;

/** Up to this many digits a double holds every integer. */
const DOUBLE_DIGITS = 15;
const INT64_MAX = "9223372036854775807";
const INT64_MIN = "9223372036854775808";

/**
 * - bigint: digits without leading zeros, within int64. An integer of up to 15 digits is a double as well;
 *   a longer one is not, because a double would change it, and one beyond int64 is text.
 * - double: the number grammar of JSON; three-digit exponents are text, they may not fit.
 * - bool: `true` and `false` in any case.
 * - date: `YYYY-MM-DD`, which is also a timestamp for a column that has both.
 * - timestamp: `YYYY-MM-DD`, `T` or one space, `HH:MM:SS`, fraction up to 9 digits, zone `Z` or `±HH:MM`, `±HHMM`.
 *
 * What fits nothing (0) is text: `007`, `+1`, `1,5`, `1.`.
 */
export function classify(bytes: Uint8Array, start: number, end: number): number {
  const first = bytes[start]!;
  if (first === 0x2d) return start + 1 < end ? number(bytes, start + 1, end, true) : 0;
  if (first >= 0x30 && first <= 0x39) {
    if (end - start >= 10 && bytes[start + 4] === 0x2d && bytes[start + 7] === 0x2d)
      return moment(bytes, start, end);
    return number(bytes, start, end, false);
  }
  const lower = first | 0x20;
  if (lower === 0x74) return end - start === 4 && spells(bytes, start, "true") ? BOOL : 0;
  if (lower === 0x66) return end - start === 5 && spells(bytes, start, "false") ? BOOL : 0;
  return 0;
}

function number(bytes: Uint8Array, start: number, end: number, negative: boolean): number {
  let at = start;
  while (at < end && isDigit(bytes[at]!)) at++;
  const digits = at - start;
  if (digits === 0 || (digits > 1 && bytes[start] === 0x30)) return 0;
  if (at === end) {
    if (digits <= DOUBLE_DIGITS)
      return negative && digits === 1 && bytes[start] === 0x30 ? DOUBLE : BIGINT | DOUBLE;
    if (digits < 19) return BIGINT;
    return digits === 19 && notAbove(bytes, start, negative ? INT64_MIN : INT64_MAX) ? BIGINT : 0;
  }
  if (bytes[at] === 0x2e) {
    const fraction = ++at;
    while (at < end && isDigit(bytes[at]!)) at++;
    if (at === fraction) return 0;
    if (at === end) return DOUBLE;
  }
  if ((bytes[at]! | 0x20) !== 0x65) return 0;
  at++;
  if (bytes[at] === 0x2b || bytes[at] === 0x2d) at++;
  const exponent = at;
  while (at < end && isDigit(bytes[at]!)) at++;
  return at === end && at > exponent && at - exponent <= 2 ? DOUBLE : 0;
}

function moment(bytes: Uint8Array, start: number, end: number): number {
  const year = two(bytes, start) * 100 + two(bytes, start + 2);
  const month = two(bytes, start + 5);
  const day = two(bytes, start + 8);
  if (!(year >= 1 && month >= 1 && month <= 12 && day >= 1 && day <= daysIn(year, month))) return 0;
  let at = start + 10;
  if (at === end) return DATE | TIMESTAMP;
  if ((bytes[at] !== 0x54 && bytes[at] !== 0x20) || end - at < 9) return 0;
  if (bytes[at + 3] !== 0x3a || bytes[at + 6] !== 0x3a) return 0;
  if (!(two(bytes, at + 1) <= 23 && two(bytes, at + 4) <= 59 && two(bytes, at + 7) <= 59)) return 0;
  at += 9;
  if (at < end && bytes[at] === 0x2e) {
    const fraction = ++at;
    while (at < end && isDigit(bytes[at]!)) at++;
    if (at === fraction || at - fraction > 9) return 0;
  }
  if (at === end) return TIMESTAMP;
  if (bytes[at] === 0x5a) return at + 1 === end ? TIMESTAMP : 0;
  if (bytes[at] !== 0x2b && bytes[at] !== 0x2d) return 0;
  const left = end - at;
  if (left === 6 && bytes[at + 3] !== 0x3a) return 0;
  if (left !== 6 && left !== 5) return 0;
  return two(bytes, at + 1) <= 23 && two(bytes, end - 2) <= 59 ? TIMESTAMP : 0;
}

/** Two digits as a number; NaN, which no comparison holds for, when they are not digits. */
function two(bytes: Uint8Array, at: number): number {
  const tens = bytes[at]! - 0x30;
  const ones = bytes[at + 1]! - 0x30;
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : Number.NaN;
}

function daysIn(year: number, month: number): number {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

function spells(bytes: Uint8Array, start: number, word: string): boolean {
  for (let i = 0; i < word.length; i++) if ((bytes[start + i]! | 0x20) !== word.charCodeAt(i)) return false;
  return true;
}

function notAbove(bytes: Uint8Array, start: number, limit: string): boolean {
  for (let i = 0; i < limit.length; i++) {
    const difference = bytes[start + i]! - limit.charCodeAt(i);
    if (difference !== 0) return difference < 0;
  }
  return true;
}
