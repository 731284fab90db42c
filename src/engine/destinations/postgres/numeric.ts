/**
 * Decimal digits as Postgres's binary numeric, without a detour over doubles:
 *
 *     i16 groups, i16 weight of the first group, u16 sign, u16 digits after the point, i16 group of four, …
 *
 * The server rounds to the column's scale and refuses what does not fit, as it does for text.
 */

const NEGATIVE = 0x4000;
const NOT_A_NUMBER = 0xc000;
const INFINITY = 0xd000;
const MINUS_INFINITY = 0xf000;
/** The most digits after the point that the binary form can say, and before it that a numeric can have. */
const SCALE_MAX = 16_383;
const INTEGER_DIGITS_MAX = 131_072;

const HEADER_BYTES = 8;

/** Room that `writeNumeric` needs at most for a text of that length without an exponent. */
export const numericBytesMax = (textBytes: number): number => HEADER_BYTES + textBytes + 8;

/**
 * Writes the number in `source[start, end)` at `at`; returns the bytes written, or -1 for what is not plain
 * digits with a sign and a point (then `plainDigits` may help).
 */
export function writeNumeric(
  out: DataView,
  at: number,
  source: Uint8Array,
  start: number,
  end: number,
): number {
  let i = start;
  let sign = 0;
  const first = source[i];
  if (first === 0x2d || first === 0x2b) {
    if (first === 0x2d) sign = NEGATIVE;
    i++;
  }
  const integerStart = i;
  while (i < end && isDigit(source[i]!)) i++;
  let from = integerStart;
  const point = i;
  let scale = 0;
  if (i < end && source[i] === 0x2e) {
    i++;
    while (i < end && isDigit(source[i]!)) i++;
    scale = i - point - 1;
  }
  if (i !== end || point - integerStart + scale === 0) return -1;
  while (from < point && source[from] === 0x30) from++;
  const integerDigits = point - from;
  if (scale > SCALE_MAX || integerDigits > INTEGER_DIGITS_MAX) return -1;

  let weight = ((integerDigits + 3) >> 2) - 1;
  let groups = 0;
  let cell = at + HEADER_BYTES;
  /** Groups of zeros, written only when another group follows. */
  let zeros = 0;
  const put = (group: number): void => {
    if (group === 0) {
      if (groups === 0) weight--;
      else zeros++;
      return;
    }
    for (; zeros > 0; zeros--) {
      out.setInt16(cell, 0);
      cell += 2;
      groups++;
    }
    out.setInt16(cell, group);
    cell += 2;
    groups++;
  };
  let group = 0;
  for (let digit = from, left = integerDigits; digit < point; digit++, left--) {
    group = group * 10 + source[digit]! - 0x30;
    if ((left & 3) === 1) {
      put(group);
      group = 0;
    }
  }
  let inGroup = 0;
  for (let digit = point + 1; digit <= point + scale; digit++) {
    group = group * 10 + source[digit]! - 0x30;
    if (++inGroup === 4) {
      put(group);
      group = 0;
      inGroup = 0;
    }
  }
  if (inGroup > 0) {
    for (; inGroup < 4; inGroup++) group *= 10;
    put(group);
  }
  out.setInt16(at, groups);
  out.setInt16(at + 2, groups === 0 ? 0 : weight);
  out.setUint16(at + 4, groups === 0 ? 0 : sign);
  out.setUint16(at + 6, scale);
  return cell - at;
}

const isDigit = (byte: number): boolean => byte >= 0x30 && byte <= 0x39;

/** An exponent written out as digits; undefined for what is no number, or one that no numeric holds. */
export function plainDigits(text: string): string | undefined {
  const parts = /^([+-]?)(\d*)(?:\.(\d*))?[eE]([+-]?\d{1,6})$/.exec(text);
  if (parts === null) return undefined;
  const [, sign = "", integer = "", fraction = "", exponentText = "0"] = parts;
  const exponent = Number(exponentText);
  const digits = integer + fraction;
  const point = integer.length + exponent;
  if (digits === "" || point > INTEGER_DIGITS_MAX || digits.length - point > SCALE_MAX) return undefined;
  if (point <= 0) return `${sign}0.${"0".repeat(-point)}${digits}`;
  if (point >= digits.length) return sign + digits + "0".repeat(point - digits.length);
  return `${sign}${digits.slice(0, point)}.${digits.slice(point)}`;
}

const SPECIAL = new Map([
  ["nan", NOT_A_NUMBER],
  ["infinity", INFINITY],
  ["inf", INFINITY],
  ["-infinity", MINUS_INFINITY],
  ["-inf", MINUS_INFINITY],
]);

/** NaN and infinities: 8 bytes, or -1 for anything else. Postgres before 14 refuses the infinities. */
export function writeSpecialNumeric(out: DataView, at: number, text: string): number {
  const sign = SPECIAL.get(text.toLowerCase());
  if (sign === undefined) return -1;
  out.setInt16(at, 0);
  out.setInt16(at + 2, 0);
  out.setUint16(at + 4, sign);
  out.setUint16(at + 6, 0);
  return HEADER_BYTES;
}
