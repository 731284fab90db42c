/** Which of two cursor values lies farther: by max, by min, or by a function of the user's (dlt's `last_value_func`). */

import { EngineError } from "../errors.ts";
import { PyFloat, TypedValue, typedJson } from "../interop/json.ts";
import { type CursorValue, compareCursorValues, publicValue, storable } from "./cursor-value.ts";
import type { LastValueFunction } from "./incremental.ts";

export interface CursorOrder {
  /** -1 when the cursor goes down. */
  readonly sign: 1 | -1;
  /** The form in which a value is compared and stored; absent is null. */
  form(value: unknown): CursorValue;
  /** Below zero: `a` lies before `b`; undefined when the two cannot be compared. */
  compare(a: CursorValue, b: CursorValue): number | undefined;
  same(a: CursorValue, b: CursorValue): boolean;
  /** The last value after a row that lies beyond it. */
  advance(value: CursorValue, last: CursorValue): CursorValue;
}

export function cursorOrder(by: "max" | "min" | LastValueFunction | undefined): CursorOrder {
  return typeof by === "function" ? orderOf(by) : by === "min" ? DOWN : UP;
}

const UP = plainOrder(1);
const DOWN = plainOrder(-1);

function plainOrder(sign: 1 | -1): CursorOrder {
  return {
    sign,
    form: storable,
    compare(a, b) {
      const order = compareCursorValues(a, b);
      return order === undefined ? undefined : order * sign;
    },
    same: (a, b) => compareCursorValues(a, b) === 0,
    advance: (value) => value,
  };
}

/** Values are JSON here, also objects; the type of cursor values is stretched to them. */
function orderOf(last: LastValueFunction): CursorOrder {
  const form = (value: unknown): CursorValue => {
    if (value === undefined || value === null) return null;
    if (value instanceof Date || value instanceof TypedValue)
      return publicValue(storable(value)) as CursorValue;
    return value as CursorValue;
  };
  const ask = (value: CursorValue, known: CursorValue): CursorValue => {
    const answer = form(known === null ? last([value]) : last([value, known]));
    if (answer === null || !isJson(answer)) {
      throw new EngineError("CURSOR_TYPE", "The cursor's lastValueFunc answered a value that is not JSON.", {
        hint: "Answer a text, a number, an array or a plain object; for a date its ISO text.",
      });
    }
    return answer;
  };
  const same = (a: CursorValue, b: CursorValue): boolean =>
    a === b || typedJson(a, { sortKeys: true }) === typedJson(b, { sortKeys: true });
  return {
    sign: 1,
    form,
    same,
    // the function only tells whether a row moves the last value
    compare(a, b) {
      if (!same(ask(a, b), b)) return 1;
      return same(ask(a, null), b) || same(a, b) ? 0 : -1;
    },
    advance: ask,
  };
}

function isJson(value: unknown): boolean {
  if (value === null) return true;
  if (typeof value === "number") return Number.isFinite(value);
  if (typeof value !== "object") return ["string", "bigint", "boolean"].includes(typeof value);
  if (value instanceof PyFloat) return true;
  if (Array.isArray(value)) return value.every(isJson);
  return Object.getPrototypeOf(value) === Object.prototype && Object.values(value).every(isJson);
}
