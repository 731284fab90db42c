/**
 * Numbers of reports without floating point. Vendors send money as JSON numbers; a double gives back any number
 * of up to 15 significant digits as it was written, so its shortest text is what was delivered. That text goes
 * into a decimal column, and sums are made of integers.
 */

import { PyFloat, TypedValue } from "../../engine/interop/json.ts";

/** A JSON number, or text that is one, as a decimal; undefined when it is something else. */
export function decimalOf(value: unknown): TypedValue | undefined {
  const text = numberText(value);
  return text === undefined ? undefined : new TypedValue("decimal", text);
}

/** An integer as it is, also when it came as `45.0`; another number as a decimal, undefined when it is none. */
export function countOf(value: unknown): number | bigint | TypedValue | undefined {
  if (typeof value === "bigint" || (typeof value === "number" && Number.isInteger(value))) return value;
  const text = numberText(value);
  if (text === undefined) return undefined;
  const number = Number(text);
  return Number.isSafeInteger(number) ? number : new TypedValue("decimal", text);
}

/** The sum of two values that `decimalOf` or `countOf` made; of another and nothing the other. */
export function addExact(a: unknown, b: unknown): unknown {
  if (a === undefined || a === null) return b;
  if (b === undefined || b === null) return a;
  if (a instanceof TypedValue || b instanceof TypedValue) {
    const left = scaled(String(a));
    const right = scaled(String(b));
    const scale = Math.max(left.scale, right.scale);
    const sum =
      left.digits * 10n ** BigInt(scale - left.scale) + right.digits * 10n ** BigInt(scale - right.scale);
    return new TypedValue("decimal", unscaled(sum, scale));
  }
  return BigInt(a as number) + BigInt(b as number);
}

function numberText(value: unknown): string | undefined {
  if (value instanceof PyFloat) return Number.isFinite(value.value) ? String(value.value) : undefined;
  if (typeof value === "bigint") return String(value);
  if (typeof value === "number") return Number.isFinite(value) ? String(value) : undefined;
  if (typeof value === "string" && /^-?\d+(\.\d+)?(e[+-]?\d+)?$/i.test(value)) return value;
  return undefined;
}

function scaled(text: string): { digits: bigint; scale: number } {
  const [mantissa = "0", exponent = "0"] = text.toLowerCase().split("e");
  const [whole = "0", fraction = ""] = mantissa.split(".");
  const scale = fraction.length - Number(exponent);
  const digits = BigInt(whole + fraction);
  return scale >= 0 ? { digits, scale } : { digits: digits * 10n ** BigInt(-scale), scale: 0 };
}

function unscaled(digits: bigint, scale: number): string {
  if (scale === 0) return String(digits);
  const sign = digits < 0n ? "-" : "";
  const text = String(digits < 0n ? -digits : digits).padStart(scale + 1, "0");
  return `${sign}${text.slice(0, -scale)}.${text.slice(-scale)}`;
}
