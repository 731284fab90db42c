/** Values a cursor can have: how they are stored, compared and moved back by a lag. */

import { EngineError } from "../errors.ts";
import { compareCodePoints, PyFloat, TypedValue } from "../interop/json.ts";
import {
  formatDate,
  formatTimestamp,
  parseDateDays,
  parseTimeMicros,
  timestampMicros,
} from "../schema/values.ts";

export type CursorValue = string | number | bigint | boolean | PyFloat | TypedValue | null;

const DAY_SECONDS = 86_400;

/** The form in which a value is kept in state: JSON scalars and typed values; absent is null. */
export function storable(value: unknown): CursorValue {
  if (value === undefined || value === null) return null;
  if (value instanceof Date) return new TypedValue("datetime", formatTimestamp(value.getTime() * 1000));
  if (value instanceof PyFloat || value instanceof TypedValue) return value;
  switch (typeof value) {
    case "string":
    case "number":
    case "bigint":
    case "boolean":
      return value;
    default:
      throw new EngineError(
        "CURSOR_TYPE",
        "A cursor must be a text, a number, a date or a timestamp, not an object.",
      );
  }
}

type Comparable = {
  readonly group: "number" | "text" | "instant" | "time";
  readonly value: number | bigint | string;
};

function comparable(value: Exclude<CursorValue, null>): Comparable {
  switch (typeof value) {
    case "string":
      return { group: "text", value };
    case "number":
    case "bigint":
      return { group: "number", value };
    case "boolean":
      return { group: "number", value: value ? 1 : 0 };
  }
  if (value instanceof PyFloat) return { group: "number", value: value.value };
  switch (value.kind) {
    case "datetime":
      return { group: "instant", value: timestampMicros(value.text) ?? Number.NaN };
    case "date":
      return { group: "instant", value: (parseDateDays(value.text) ?? Number.NaN) * DAY_SECONDS * 1_000_000 };
    case "time":
      return { group: "time", value: parseTimeMicros(value.text) ?? Number.NaN };
    case "decimal":
    case "wei":
      return { group: "number", value: Number(value.text) };
    default:
      return { group: "text", value: value.text };
  }
}

/** Below, above or zero; undefined when the two cannot be compared. */
export function compareCursorValues(a: CursorValue, b: CursorValue): number | undefined {
  if (a === null || b === null) return undefined;
  const left = comparable(a);
  const right = comparable(b);
  if (left.group !== right.group) return undefined;
  if (left.group === "text") return compareCodePoints(left.value as string, right.value as string);
  if (left.value < right.value) return -1;
  if (left.value > right.value) return 1;
  // decimals that a double cannot tell apart
  if (a instanceof TypedValue && b instanceof TypedValue && a.kind === "decimal" && a.text !== b.text) {
    return compareDecimals(a.text, b.text);
  }
  return left.value === right.value || Number(left.value) === Number(right.value) ? 0 : undefined;
}

function compareDecimals(a: string, b: string): number {
  const scale = Math.max(fraction(a).length, fraction(b).length);
  const left = scaled(a, scale);
  const right = scaled(b, scale);
  return left < right ? -1 : left > right ? 1 : 0;
}

function fraction(text: string): string {
  return text.split(".")[1] ?? "";
}

function scaled(text: string, scale: number): bigint {
  const [whole = "0", digits = ""] = text.split(".");
  return BigInt(whole + digits.padEnd(scale, "0"));
}

/**
 * The value moved back by `lag` (forward when negative): seconds for date-times, days for dates, else a
 * number. A text stays in its form.
 */
export function applyLag(
  value: Exclude<CursorValue, null>,
  lag: number,
  resource: string,
  path: string,
): CursorValue {
  if (typeof value === "number") return Number.isInteger(value) ? Math.trunc(value - lag) : value - lag;
  if (typeof value === "bigint") return value - BigInt(Math.trunc(lag));
  if (value instanceof PyFloat) return new PyFloat(value.value - lag);
  if (value instanceof TypedValue) {
    if (value.kind === "datetime") {
      const micros = timestampMicros(value.text);
      if (micros !== undefined) {
        const moved = formatTimestamp(Number(micros) - Math.round(lag * 1_000_000));
        return new TypedValue("datetime", isNaive(value.text) ? moved.replace(/\+00:00$/, "") : moved);
      }
    } else if (value.kind === "date") {
      const days = parseDateDays(value.text);
      if (days !== undefined) return new TypedValue("date", formatDate(days - Math.trunc(lag)));
    } else if (value.kind === "decimal") {
      return new TypedValue("decimal", String(Number(value.text) - lag));
    }
  }
  if (typeof value === "string") {
    const moved = lagText(value, lag);
    if (moved !== undefined) return moved;
  }
  throw new EngineError(
    "CURSOR_TYPE",
    `Resource ${resource}: a lag needs a cursor that is a number, a date or a timestamp; ${path} is neither.`,
    {
      details: { resource, cursor: path },
    },
  );
}

function isNaive(text: string): boolean {
  return !/(?:Z|[+-]\d{2}:?\d{2})$/.test(text);
}

const DATE_TEXT = /^(\d{4})(-?)(\d{2})\2(\d{2})$/;
const TIME_TEXT = /^(\d{4}-\d{2}-\d{2})([T ])(\d{2}:\d{2}(?::\d{2})?)(\.\d+)?(Z|[+-]\d{2}:?\d{2})?$/;

function lagText(text: string, lag: number): string | undefined {
  const date = DATE_TEXT.exec(text);
  if (date) {
    const days = parseDateDays(`${date[1]}-${date[3]}-${date[4]}`);
    if (days === undefined) return undefined;
    const moved = formatDate(days - Math.trunc(lag));
    return date[2] === "-" ? moved : moved.replaceAll("-", "");
  }
  const time = TIME_TEXT.exec(text);
  if (!time) return undefined;
  const [, day, separator, clock = "", decimals, zone] = time;
  const offset = zone && zone !== "Z" ? zone : "+00:00";
  const micros = timestampMicros(`${day}T${clock}${decimals ?? ""}${offset}`);
  if (micros === undefined) return undefined;
  const offsetMicros = offsetMinutes(offset) * 60_000_000;
  const wall = formatTimestamp(Number(micros) - Math.round(lag * 1_000_000) + offsetMicros).replace(
    /\+00:00$/,
    "",
  );
  const [movedDay = "", movedTime = ""] = wall.split("T");
  const [hms = "", fractionDigits = ""] = movedTime.split(".");
  const width = decimals ? decimals.length - 1 : 0;
  return (
    movedDay +
    separator +
    hms.slice(0, clock.length) +
    (width > 0 ? "." + fractionDigits.padEnd(width, "0").slice(0, width) : "") +
    (zone ?? "")
  );
}

function offsetMinutes(offset: string): number {
  const sign = offset.startsWith("-") ? -1 : 1;
  const digits = offset.slice(1).replace(":", "");
  return sign * (Number(digits.slice(0, 2)) * 60 + Number(digits.slice(2, 4)));
}

/** The value as source code wants it: text for everything that is not a number. */
export function publicValue(value: CursorValue): unknown {
  if (value === null) return undefined;
  return typeof value === "object" && "text" in value ? value.text : value;
}

/** A bound that came as text, in the type of a value it is to be compared with; as it is where it cannot be. */
export function boundLike(bound: CursorValue, like: Exclude<CursorValue, null>): CursorValue {
  if (typeof bound !== "string" || typeof like === "string") return bound;
  const isNumber = like instanceof TypedValue ? like.kind === "decimal" : typeof like !== "boolean";
  if (isNumber) {
    const number = Number(bound);
    if (bound.trim() === "" || !Number.isFinite(number)) return bound;
    if (Number.isInteger(number) && !Number.isSafeInteger(number)) return BigInt(bound);
    return number;
  }
  if (!(like instanceof TypedValue)) return bound;
  const day = parseDateDays(bound);
  if (like.kind === "date") return day === undefined ? bound : new TypedValue("date", formatDate(day));
  if (like.kind !== "datetime") return bound;
  const micros = day === undefined ? timestampMicros(bound) : day * DAY_SECONDS * 1_000_000;
  return micros === undefined ? bound : new TypedValue("datetime", formatTimestamp(Number(micros)));
}
