/**
 * A value of one type in a column of another (`dlt/common/data_types/type_helpers.py`). What cannot be
 * coerced goes to a variant column; so this table decides where data lands, and is compared with dlt's own
 * results in test/golden/coerce.json.
 *
 * Differences, all where dlt loads nothing: integers that leave 64 bits and non-finite decimals are
 * "cannot", not an error of the whole load. One is laxness of Python 3.11's base64: `AAEC=` is not binary here.
 */

import { parseJson, plainJson, TypedValue } from "../interop/json.ts";
import { removeTypedMark } from "../interop/typed-value.ts";
import { dayOfInstant, formatTimestamp, instantOf, instantOfSeconds, parseIso } from "./iso-time.ts";
import {
  type Decimal,
  decimalInteger,
  decimalPlain,
  decimalText,
  parseDecimal,
  pythonFloat,
  pythonFloatText,
  pythonInteger,
} from "./python-number.ts";
import type { DataType } from "./types.ts";
import { isInt64, parseDateDays, parseTimeMicros, timestampMicros } from "./values.ts";

/**
 * The form in which a value waits for the load. text: string; bigint: number while safe, else bigint;
 * double: number; bool: boolean; timestamp: microseconds in UTC; date: days since the epoch; time:
 * microseconds since midnight; decimal, wei: digits with a point; binary: bytes; json: JSON text.
 */
export type CoercedValue = string | number | bigint | boolean | Uint8Array;

/** The value in a column of `toType`, or undefined: it needs a variant. `fromType` is `inferType(value)`. */
export function coerce(toType: DataType, fromType: DataType, value: unknown): CoercedValue | undefined {
  switch (toType) {
    case "text":
      return toText(fromType, value);
    case "bigint":
      return toBigint(fromType, value);
    case "double":
      return toDouble(fromType, value);
    case "decimal":
    case "wei":
      return toDecimal(fromType, value);
    case "bool":
      return toBool(fromType, value);
    case "json":
      return toJson(fromType, value);
    case "timestamp":
      return toTimestamp(fromType, value);
    case "date":
      return toDate(fromType, value);
    case "time":
      return toTime(fromType, value);
    case "binary":
      return toBinary(fromType, value);
  }
}

function toText(from: DataType, value: unknown): string | undefined {
  if (typeof value === "string") return value;
  switch (from) {
    case "json":
      return jsonText(value);
    case "double":
      return pythonFloatText(Number(value));
    case "bool":
      return value === true ? "True" : "False";
    case "decimal":
    case "wei": {
      const decimal = decimalOf(value);
      return decimal === undefined ? String(value) : decimalText(decimal);
    }
    case "binary": {
      if (value instanceof TypedValue && value.kind === "hexbytes") {
        return "0x" + value.text.replace(/^0x/i, "").toLowerCase();
      }
      return Buffer.from(bytesOf(value)).toString("base64");
    }
    case "timestamp":
      return value instanceof Date ? formatTimestamp(value.getTime() * 1000) : String(value);
    default:
      return String(value);
  }
}

/** JSON text without type marks, which are of no use to whoever queries the column. */
function jsonText(value: unknown): string {
  const text = plainJson(value);
  return /[\uf026-\uf02e]/.test(text) ? plainJson(withoutMarks(value)) : text;
}

function withoutMarks(value: unknown): unknown {
  if (typeof value === "string") return removeTypedMark(value);
  if (Array.isArray(value)) return value.map(withoutMarks);
  if (value instanceof Map) return new Map([...value].map(([key, member]) => [key, withoutMarks(member)]));
  if (typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype) {
    return new Map(Object.entries(value).map(([key, member]) => [key, withoutMarks(member)]));
  }
  return value;
}

function decimalOf(value: unknown): Decimal | undefined {
  return parseDecimal(value instanceof TypedValue ? value.text : String(value));
}

function int64(value: bigint | undefined): number | bigint | undefined {
  if (value === undefined || !isInt64(value)) return undefined;
  const plain = Number(value);
  return Number.isSafeInteger(plain) ? plain : value;
}

function hexInteger(text: string): bigint | undefined {
  return pythonInteger(text.slice(2), 16);
}

function toBigint(from: DataType, value: unknown): number | bigint | undefined {
  switch (from) {
    case "bigint":
      return typeof value === "number" ? value : int64(value as bigint);
    case "text": {
      if (typeof value !== "string") return undefined;
      const trimmed = value.trim();
      return int64(trimmed.startsWith("0x") ? hexInteger(trimmed) : pythonInteger(trimmed));
    }
    case "double": {
      const number = Number(value);
      return Number.isInteger(number) ? int64(BigInt(number)) : undefined;
    }
    case "decimal":
    case "wei": {
      const decimal = decimalOf(value);
      return decimal === undefined ? undefined : int64(decimalInteger(decimal));
    }
    default:
      return undefined;
  }
}

function toDouble(from: DataType, value: unknown): number | undefined {
  switch (from) {
    case "double":
    case "bigint":
      return Number(value);
    case "text": {
      if (typeof value !== "string") return undefined;
      const trimmed = value.trim();
      if (!trimmed.startsWith("0x")) return pythonFloat(trimmed);
      const integer = hexInteger(trimmed);
      return integer === undefined ? undefined : finite(Number(integer));
    }
    case "decimal":
    case "wei":
      return pythonFloat(value instanceof TypedValue ? value.text : String(value));
    default:
      return undefined;
  }
}

function finite(value: number): number | undefined {
  return Number.isFinite(value) ? value : undefined;
}

function toDecimal(from: DataType, value: unknown): string | undefined {
  let decimal: Decimal | undefined;
  switch (from) {
    case "decimal":
    case "wei":
    case "bigint":
      decimal = decimalOf(value);
      break;
    case "double":
      // through the shortest text: the binary expansion would show digits that nobody wrote
      decimal = parseDecimal(pythonFloatText(Number(value)));
      break;
    case "text": {
      if (typeof value !== "string") return undefined;
      const trimmed = value.trim();
      if (trimmed.startsWith("0x")) return hexInteger(trimmed)?.toString();
      decimal = parseDecimal(trimmed);
      break;
    }
    default:
      return undefined;
  }
  return decimal === undefined ? undefined : decimalPlain(decimal);
}

const TRUE = new Set(["yes", "true", "t", "y", "1"]);
const FALSE = new Set(["no", "false", "f", "n", "0"]);

function toBool(from: DataType, value: unknown): boolean | undefined {
  switch (from) {
    case "bool":
      return value === true;
    case "bigint":
    case "double":
      return Number(value) !== 0;
    case "decimal":
    case "wei": {
      const decimal = decimalOf(value);
      return decimal === undefined ? true : decimal.digits !== "0";
    }
    case "text": {
      if (typeof value !== "string") return undefined;
      const lower = value.toLowerCase();
      if (TRUE.has(lower)) return true;
      return FALSE.has(lower) ? false : undefined;
    }
    default:
      return undefined;
  }
}

function toJson(from: DataType, value: unknown): string | undefined {
  if (from === "json") return jsonText(value);
  if (from !== "text" || typeof value !== "string") return undefined;
  try {
    return plainJson(parseJson(value));
  } catch {
    return undefined;
  }
}

function toTimestamp(from: DataType, value: unknown): number | bigint | undefined {
  switch (from) {
    case "timestamp":
      if (value instanceof Date) return Number.isNaN(value.getTime()) ? undefined : value.getTime() * 1000;
      return typedInstant(value);
    case "date":
      return typedInstant(value);
    case "bigint":
    case "double":
      return instantOfSeconds(Number(value));
    case "text":
      return typeof value === "string" ? textInstant(value) : undefined;
    default:
      return undefined;
  }
}

function typedInstant(value: unknown): number | bigint | undefined {
  const text = String(value);
  const seconds = /^(.*)([+-]\d{2}:\d{2}):(\d{2})(?:\.\d+)?$/.exec(text);
  // an offset with seconds: Python writes it for zones before standard time
  if (seconds === null) return timestampMicros(text);
  const instant = timestampMicros((seconds[1] as string) + seconds[2]);
  if (instant === undefined) return undefined;
  const shift = BigInt(Number(seconds[3]) * 1_000_000 * ((seconds[2] as string).startsWith("-") ? 1 : -1));
  const moved = BigInt(instant) + shift;
  return Number.isSafeInteger(Number(moved)) ? Number(moved) : moved;
}

/** An ISO date or datetime, else a number of seconds in text. */
function textInstant(text: string): number | bigint | undefined {
  const parts = parseIso(text);
  if (parts !== undefined) return instantOf(parts);
  const seconds = pythonFloat(text);
  return seconds === undefined ? undefined : instantOfSeconds(seconds);
}

function toDate(from: DataType, value: unknown): number | undefined {
  if (from === "date") return parseDateDays(String(value));
  const instant = toTimestamp(from, value);
  return instant === undefined ? undefined : dayOfInstant(instant);
}

function toTime(from: DataType, value: unknown): number | undefined {
  if (from !== "time" && from !== "text") return undefined;
  return parseTimeMicros(String(value));
}

function bytesOf(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value;
  const { kind, text } = value as TypedValue;
  return kind === "hexbytes" ? Buffer.from(text.replace(/^0x/i, ""), "hex") : Buffer.from(text, "base64");
}

function toBinary(from: DataType, value: unknown): Uint8Array | undefined {
  switch (from) {
    case "binary":
      return bytesOf(value);
    case "text":
      return typeof value === "string" ? textBytes(value) : undefined;
    case "bigint": {
      const integer = BigInt(value as number | bigint);
      if (integer < 0n) return undefined;
      if (integer === 0n) return new Uint8Array(0);
      const hex = integer.toString(16);
      return Uint8Array.from(Buffer.from(hex.length % 2 === 0 ? hex : "0" + hex, "hex")).reverse();
    }
    default:
      return undefined;
  }
}

function textBytes(text: string): Uint8Array | undefined {
  if (text.startsWith("0x")) {
    const pairs = text.slice(2);
    // bytes.fromhex takes space between bytes, not inside
    if (!/^[ \t\n\v\f\r]*(?:[0-9a-fA-F]{2}[ \t\n\v\f\r]*)*$/.test(pairs)) return undefined;
    return Buffer.from(pairs.replace(/[ \t\n\v\f\r]/g, ""), "hex");
  }
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text)) return undefined;
  return Buffer.from(text, "base64");
}
