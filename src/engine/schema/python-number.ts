/** Numbers in text, read and written as Python does: `int()`, `float()`, `str(float)` and `Decimal`. */

import { stripSpace } from "./naming.ts";

/** Digits of other scripts as ASCII: Python's number constructors take any decimal digit. */
function asciiDigits(text: string): string {
  if (/^[\x00-\x7f]*$/.test(text)) return text;
  return text.replace(/\p{Nd}/gu, (char) => {
    // scripts have their digits in runs of ten that start with zero
    const point = char.codePointAt(0) as number;
    let start = point;
    while (/\p{Nd}/u.test(String.fromCodePoint(start - 1))) start -= 1;
    return String((point - start) % 10);
  });
}

/** `int(text)`, or with base 16 `int(text, 16)`. */
export function pythonInteger(text: string, base: 10 | 16 = 10): bigint | undefined {
  const source = asciiDigits(stripSpace(text));
  const pattern =
    base === 10 ? /^([+-]?)(\d(?:_?\d)*)$/ : /^([+-]?)(?:0[xX]_?)?([0-9a-fA-F](?:_?[0-9a-fA-F])*)$/;
  const match = pattern.exec(source);
  if (match === null) return undefined;
  const digits = (match[2] as string).replaceAll("_", "");
  // Python refuses longer decimal texts, to bound the time that they take
  if (base === 10 && digits.length > 4300) return undefined;
  const value = BigInt(base === 16 ? "0x" + digits : digits);
  return match[1] === "-" ? -value : value;
}

/** Digits with single underscores between them, a point, an exponent. */
const FLOAT = /^[+-]?(?:\d(?:_?\d)*\.?(?:\d(?:_?\d)*)?|\.\d(?:_?\d)*)(?:e[+-]?\d(?:_?\d)*)?$/;

/** `float(text)`. */
export function pythonFloat(text: string): number | undefined {
  const source = asciiDigits(stripSpace(text)).toLowerCase();
  const special = /^([+-]?)(inf(?:inity)?|nan)$/.exec(source);
  if (special !== null) {
    if (special[2] === "nan") return Number.NaN;
    return special[1] === "-" ? -Infinity : Infinity;
  }
  return FLOAT.test(source) ? Number(source.replaceAll("_", "")) : undefined;
}

/** `str(value)` of a Python float: `1.0`, `1e+20`, `1e-05`, `nan`. */
export function pythonFloatText(value: number): string {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  if (value === 0) return Object.is(value, -0) ? "-0.0" : "0.0";
  const size = Math.abs(value);
  if (size >= 1e16 || size < 1e-4) return value.toExponential().replace(/e([+-])(\d)$/, "e$10$2");
  return Number.isInteger(value) ? value + ".0" : String(value);
}

/** A finite decimal: `digits` (no leading zeros) times ten to the `exponent`. */
export interface Decimal {
  readonly negative: boolean;
  readonly digits: string;
  readonly exponent: number;
}

/** Digits a decimal may need when written out; an exponent must not turn a short text into gigabytes. */
const PLAIN_DIGITS_MAX = 1000;

/** `Decimal(text)`, finite values only. */
export function parseDecimal(text: string): Decimal | undefined {
  const source = asciiDigits(stripSpace(text).replaceAll("_", ""));
  const match = /^([+-]?)(?:(\d+)\.?(\d*)|\.(\d+))(?:[eE]([+-]?\d+))?$/.exec(source);
  if (match === null) return undefined;
  const fraction = match[3] ?? match[4] ?? "";
  const exponent = Number(match[5] ?? 0) - fraction.length;
  const digits = ((match[2] ?? "") + fraction).replace(/^0+(?=\d)/, "");
  if (digits.length + Math.abs(exponent) > PLAIN_DIGITS_MAX) return undefined;
  return { negative: match[1] === "-", digits, exponent };
}

/** `str(decimal)`: keeps trailing zeros, and an exponent where Python writes one (`1E+5`, `1E-7`). */
export function decimalText({ negative, digits, exponent }: Decimal): string {
  const adjusted = exponent + digits.length - 1;
  const sign = negative ? "-" : "";
  if (exponent <= 0 && adjusted >= -6) return decimalPlain({ negative, digits, exponent });
  const fraction = digits.length > 1 ? "." + digits.slice(1) : "";
  const power = adjusted === 0 ? "" : "E" + (adjusted > 0 ? "+" : "") + adjusted;
  return sign + digits[0] + fraction + power;
}

/** The canonical form for loading: digits and a point, never an exponent, trailing zeros kept. */
export function decimalPlain({ negative, digits, exponent }: Decimal): string {
  const sign = negative ? "-" : "";
  if (exponent >= 0) return sign + (digits === "0" ? "0" : digits + "0".repeat(exponent));
  const padded = digits.padStart(1 - exponent, "0");
  return `${sign}${padded.slice(0, exponent)}.${padded.slice(exponent)}`;
}

/** The decimal as an integer, if it has no fraction. */
export function decimalInteger({ negative, digits, exponent }: Decimal): bigint | undefined {
  const whole = exponent >= 0 ? digits + "0".repeat(exponent) : digits.slice(0, exponent);
  if (exponent < 0 && /[^0]/.test(digits.slice(exponent))) return undefined;
  const value = BigInt(whole === "" ? "0" : whole);
  return negative ? -value : value;
}
