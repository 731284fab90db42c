/** Which changes of a column's declared type an existing table can follow without losing a value. */

import { EngineError } from "../errors.ts";
import type { Column } from "./types.ts";

/** Digits before the point that an integer of so many bits may have. */
const INTEGER_DIGITS: readonly (readonly [bits: number, digits: number])[] = [
  [8, 3],
  [16, 5],
  [32, 10],
  [64, 19],
  [128, 39],
];
const BIGINT_BITS = 64;
const FRACTION_DIGITS = 6;

/**
 * Is every value of `before` a value of `after`? Integers become larger integers, decimals with room for them,
 * doubles and text; decimals, text, bytes, times and timestamps may get longer or more precise. (A double
 * holds integers beyond 2^53 only nearly; dlt's users ask for that change, so it counts as widening.)
 */
export function isWidening(before: Column, after: Column): boolean {
  switch (before.data_type) {
    case "bigint":
      return integerFits(before.precision ?? BIGINT_BITS, after);
    case "decimal":
    case "wei": {
      if (after.data_type !== "decimal" && after.data_type !== "wei") return false;
      const [from, to] = [decimalDigits(before), decimalDigits(after)];
      return to.whole >= from.whole && to.fraction >= from.fraction;
    }
    case "text":
    case "binary":
      return after.data_type === before.data_type && lengthOf(after) >= lengthOf(before);
    case "timestamp":
    case "time":
      return (
        after.data_type === before.data_type &&
        (after.timezone !== false) === (before.timezone !== false) &&
        (after.precision ?? FRACTION_DIGITS) >= (before.precision ?? FRACTION_DIGITS)
      );
    default:
      return false;
  }
}

function integerFits(bits: number, after: Column): boolean {
  const digits = INTEGER_DIGITS.find(([most]) => bits <= most)?.[1] ?? Number.POSITIVE_INFINITY;
  switch (after.data_type) {
    case "bigint":
      return (after.precision ?? BIGINT_BITS) >= bits;
    case "double":
      return true;
    case "text":
      return lengthOf(after) >= digits + 1; // a sign
    case "decimal":
    case "wei":
      return decimalDigits(after).whole >= digits;
    default:
      return false;
  }
}

function decimalDigits({ data_type, precision, scale }: Column): { whole: number; fraction: number } {
  const fraction = scale ?? (data_type === "wei" ? 0 : 9);
  return { whole: (precision ?? 38) - fraction, fraction };
}

function lengthOf({ precision }: Column): number {
  return precision ?? Number.POSITIVE_INFINITY;
}

/** `decimal(18,4)`, for messages. */
export function describeType({ data_type, precision, scale, timezone }: Column): string {
  const size = [precision, scale].filter((part) => part !== undefined && part !== null);
  const zone = timezone === false ? " without time zone" : "";
  return `${data_type}${size.length > 0 ? `(${size.join(",")})` : ""}${zone}`;
}

/** The choices are in the hint of the code. */
export function typeChangeRefused(table: string, before: Column, after: Column): EngineError {
  const from = describeType(before);
  const to = describeType(after);
  return new EngineError(
    "TYPE_CHANGE_REFUSED",
    `Column ${before.name} of table ${table} is ${from} and has data; as ${to} it could not keep every value.`,
    { details: { table, column: before.name, before: from, after: to } },
  );
}
