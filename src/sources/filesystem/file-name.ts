/** Adds the file's name to rows that are bytes already. */

import { JsonlPage } from "../../engine/extract/page.ts";

export const FILE_NAME_KEY = "_file_name";

const LF = 10;
const OPEN = 0x7b;
const CLOSE = 0x7d;

/** The page with `_file_name` as last key of each row. Lines that are not objects stay: the normalizer reports them. */
export function withFileName(page: JsonlPage, name: string): JsonlPage {
  const field = Buffer.from(`,${JSON.stringify(FILE_NAME_KEY)}:${JSON.stringify(name)}`);
  const { bytes } = page;
  let rows = 1;
  for (let at = bytes.indexOf(LF); at !== -1; at = bytes.indexOf(LF, at + 1)) rows++;
  const out = new Uint8Array(bytes.length + rows * field.length);
  let o = 0;
  let start = 0;
  while (start < bytes.length) {
    let end = bytes.indexOf(LF, start);
    if (end === -1) end = bytes.length;
    let close = lastOf(bytes, start, end);
    if (close < start || bytes[close] !== CLOSE) close = end;
    out.set(bytes.subarray(start, close), o);
    o += close - start;
    if (close < end) {
      const empty = bytes[lastOf(bytes, start, close)] === OPEN;
      out.set(empty ? field.subarray(1) : field, o);
      o += empty ? field.length - 1 : field.length;
    }
    const rest = Math.min(end + 1, bytes.length);
    out.set(bytes.subarray(close, rest), o);
    o += rest - close;
    start = rest;
  }
  return new JsonlPage(out.subarray(0, o), { origin: page.origin, guesses: page.guesses });
}

/** The last byte of `bytes[start, end)` that is not white space. */
function lastOf(bytes: Uint8Array, start: number, end: number): number {
  let at = end - 1;
  while (at >= start && (bytes[at] === 0x20 || bytes[at] === 0x0d || bytes[at] === 0x09)) at--;
  return at;
}
