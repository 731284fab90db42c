/** A number that the destination's column would round is refused. */

import { EngineError } from "../../engine/errors.ts";
import type { ColumnHints } from "../../engine/extract/resource.ts";

const DOT = 0x2e;
const ZERO = 0x30;
/** Digits after the point of a decimal that declares none. */
const SCALE_DEFAULT = 9;

/** Digits after the point that the column at the destination keeps. */
export function scaleMaxOf(hints: ColumnHints): number {
  if (hints.data_type !== "decimal") return Number.POSITIVE_INFINITY;
  return typeof hints.scale === "number" ? hints.scale : SCALE_DEFAULT;
}

/** Zeros at the end do not count. Errors: VALUE_UNSUPPORTED. */
export function checkScale(
  source: Uint8Array,
  start: number,
  end: number,
  scaleMax: number,
  table: string,
  column: string,
): void {
  if (end - start <= scaleMax) return;
  let last = end - 1;
  while (last > start && source[last] === ZERO) last--;
  for (let at = start; at < last - scaleMax; at++) {
    if (source[at] !== DOT) continue;
    throw new EngineError(
      "VALUE_UNSUPPORTED",
      `Column ${column} of table ${table} has a number with more than ${scaleMax} digits after the point.`,
      {
        hint: `Declare what it needs, e.g. columns = { ${column} = { data_type = "decimal", precision = 38, scale = 18 } }, or data_type = "text".`,
        details: { table, column, scale: scaleMax },
      },
    );
  }
}
