/** The texts of a column that is read from its first row to its last. */

import { type BlockColumn, corruptCell, isValidAt } from "../package/block-format.ts";
import type { ColumnsView } from "../package/column-lines.ts";

/** The UTF-8 form of dlt's type marks, U+F026…U+F02E. */
const MARK_LEAD = 0xef;
const MARK_SECOND = 0x80;
const MARK_FIRST = 0xa6;
const MARK_LAST = 0xae;

export type Allowed = (data: Uint8Array, start: number, end: number) => boolean;

export const always: Allowed = () => true;

/** Does it carry none of dlt's type marks? */
export const isUnmarked: Allowed = (data, start, end) =>
  end - start < 3 ||
  data[start] !== MARK_LEAD ||
  data[start + 1] !== MARK_SECOND ||
  data[start + 2]! < MARK_FIRST ||
  data[start + 2]! > MARK_LAST;

/**
 * Where the texts of the rows from `from` up to `to` end that begin at `at`; -1: one of them is not allowed.
 * Errors: PACKAGE_CORRUPT for a text that is longer than the column.
 */
export function textsEnd(
  block: ColumnsView,
  column: BlockColumn,
  from: number,
  to: number,
  at: number,
  allowed: Allowed,
): number {
  const { data, valid } = column;
  for (let row = from; row < to; row++) {
    if (valid !== null && !isValidAt(valid, row)) continue;
    const start = at + 4;
    at = textEnd(block, column, row, at);
    if (!allowed(data, start, at)) return -1;
  }
  return at;
}

/** The same of one row, which has a text. */
export function textEnd(block: ColumnsView, { name, data }: BlockColumn, row: number, at: number): number {
  const start = at + 4;
  if (start > data.length) throw corruptCell(block, name, row);
  const end =
    start + ((data[at]! | (data[at + 1]! << 8) | (data[at + 2]! << 16) | (data[at + 3]! << 24)) >>> 0);
  if (end > data.length) throw corruptCell(block, name, row);
  return end;
}
