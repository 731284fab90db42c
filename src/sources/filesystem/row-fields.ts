/** Adds where a row comes from to rows that are bytes or columns already. */

import { JsonlPage, TextsPage } from "../../engine/extract/page.ts";
import type { FilePage } from "./file-page.ts";

export const FILE_NAME_KEY = "_file_name";
export const ROW_ID_KEY = "_row_id";

const LF = 10;
const OPEN = 0x7b;
const CLOSE = 0x7d;
const ZERO = 0x30;
const DIGITS_MAX = 16;

/** The page with `_file_name` as last key of each row. Lines that are not objects stay: the normalizer reports them. */
export function withFileName(page: FilePage, name: string): FilePage {
  return withRowFields(page, name).page;
}

/** The same, and `_row_id` behind it where a number is given for the page's first row; with the rows counted. */
export function withRowFields(
  page: FilePage,
  name: string,
  firstRow?: number,
): { page: FilePage; rows: number } {
  if (page instanceof JsonlPage) return inLines(page, name, firstRow);
  // of a key that comes twice the later one counts
  if (page.keys.includes(FILE_NAME_KEY) || page.keys.includes(ROW_ID_KEY))
    return inLines(page.lines(), name, firstRow);
  return inColumns(page, name, firstRow);
}

function inColumns(
  page: TextsPage,
  name: string,
  firstRow: number | undefined,
): { page: TextsPage; rows: number } {
  const { buffer, keys } = page;
  const { rows } = buffer;
  const text = Buffer.from(name);
  const names = buffer.byName.get(FILE_NAME_KEY) ?? buffer.addColumn(FILE_NAME_KEY, "text");
  names.reserveText(rows * (4 + text.length));
  names.fillText(0, rows, text);
  if (firstRow === undefined) return { page: new TextsPage(buffer, [...keys, FILE_NAME_KEY], page), rows };
  const ids = buffer.byName.get(ROW_ID_KEY) ?? buffer.addColumn(ROW_ID_KEY, "float64");
  for (let row = 0; row < rows; row++) ids.setFloat(row, firstRow + row);
  return { page: new TextsPage(buffer, [...keys, FILE_NAME_KEY, ROW_ID_KEY], page), rows };
}

function inLines(
  page: JsonlPage,
  name: string,
  firstRow: number | undefined,
): { page: JsonlPage; rows: number } {
  const numbered = firstRow !== undefined;
  const rowId = numbered ? `,${JSON.stringify(ROW_ID_KEY)}:` : "";
  const field = Buffer.from(`,${JSON.stringify(FILE_NAME_KEY)}:${JSON.stringify(name)}${rowId}`);
  const { bytes } = page;
  let lines = 1;
  for (let at = bytes.indexOf(LF); at !== -1; at = bytes.indexOf(LF, at + 1)) lines++;
  const out = new Uint8Array(bytes.length + lines * (field.length + (numbered ? DIGITS_MAX : 0)));
  let o = 0;
  let start = 0;
  let rows = 0;
  while (start < bytes.length) {
    let end = bytes.indexOf(LF, start);
    if (end === -1) end = bytes.length;
    const last = lastOf(bytes, start, end);
    const close = last >= start && bytes[last] === CLOSE ? last : end;
    out.set(bytes.subarray(start, close), o);
    o += close - start;
    if (close < end) {
      const empty = bytes[lastOf(bytes, start, close)] === OPEN;
      out.set(empty ? field.subarray(1) : field, o);
      o += empty ? field.length - 1 : field.length;
      if (numbered) o = writeNumber(out, o, firstRow + rows);
    }
    if (last >= start) rows++;
    const rest = Math.min(end + 1, bytes.length);
    out.set(bytes.subarray(close, rest), o);
    o += rest - close;
    start = rest;
  }
  return { page: new JsonlPage(out.subarray(0, o), { origin: page.origin, guesses: page.guesses }), rows };
}

function writeNumber(out: Uint8Array, at: number, value: number): number {
  let digits = 1;
  for (let rest = value; rest >= 10; rest = Math.floor(rest / 10)) digits++;
  let rest = value;
  for (let i = at + digits - 1; i >= at; i--) {
    out[i] = ZERO + (rest % 10);
    rest = Math.floor(rest / 10);
  }
  return at + digits;
}

/** The last byte of `bytes[start, end)` that is not white space. */
function lastOf(bytes: Uint8Array, start: number, end: number): number {
  let at = end - 1;
  while (at >= start && (bytes[at] === 0x20 || bytes[at] === 0x0d || bytes[at] === 0x09)) at--;
  return at;
}
