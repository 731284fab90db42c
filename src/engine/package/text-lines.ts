/**
 * Rows whose cells are texts, as JSON Lines: for whatever has to look at single rows. A row has the keys of its cells
 * only. It is followed by as many blank lines as there are in its file before the next one: the n-th line is
 * the n-th of the file from the first row on.
 *
 * Bytes are copied to bytes: through strings, as linesOfColumns does it, a CSV file with a filter takes half as long again.
 */

import { type BlockColumn, isValidAt } from "./block-format.ts";
import type { ColumnsView } from "./column-lines.ts";

/** The column of lines in the file, of rows that do not follow on the line of the row before. No key of a file is empty. */
export const LINE_NUMBERS = "";

const LF = 0x0a;
const QUOTE = 0x22;
const OPEN = 0x7b;
const CLOSE = 0x7d;
/** A byte of a text takes at most six (`\u0001`). */
const ESCAPE_BYTES_MAX = 6;
/** So much of a text is written at a time, since room is made for escapes. */
const PIECE_BYTES = 1 << 16;
const NUMBER_BYTES_MAX = 25;

/** `firstLine`: the line of the first row in its file. */
export function linesOfTexts(view: ColumnsView, keys: readonly string[], firstLine: number): Uint8Array {
  const lineOf = lineReader(view, firstLine);
  const cells = keys.flatMap((key) => {
    const column = view.columns.find((candidate) => candidate.name === key);
    return column === undefined ? [] : [new Cells(column, key)];
  });
  const out = new Output();
  for (let row = 0; row < view.rows; row++) {
    if (row > 0) out.blankLines(lineOf(row) - lineOf(row - 1) - 1);
    const from = out.length;
    for (const each of cells) each.write(row, out);
    out.closeRow(from);
  }
  return out.bytes.subarray(0, out.length);
}

/** The line of each row in its file. */
export function lineReader(
  { columns }: Pick<ColumnsView, "columns">,
  firstLine: number,
): (row: number) => number {
  const column = columns.find(({ name }) => name === LINE_NUMBERS);
  if (column === undefined) return (row) => firstLine + row;
  const { data, valid } = column;
  const numbers = new DataView(data.buffer, data.byteOffset, data.byteLength);
  return (row) => (isValidAt(valid, row) ? numbers.getFloat64(row * 8, true) : firstLine + row);
}

class Output {
  bytes: Buffer = Buffer.allocUnsafeSlow(1 << 16);
  length = 0;

  reserve(bytes: number): void {
    if (this.length + bytes <= this.bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(2 * this.bytes.length, this.length + bytes));
    this.bytes.copy(larger, 0, 0, this.length);
    this.bytes = larger;
  }

  blankLines(count: number): void {
    this.reserve(Math.max(0, count));
    for (let i = 0; i < count; i++) this.bytes[this.length++] = LF;
  }

  /** The first key's comma is the place of the brace. */
  closeRow(from: number): void {
    this.reserve(3);
    if (this.length === from) this.length++;
    this.bytes[from] = OPEN;
    this.bytes[this.length++] = CLOSE;
    this.bytes[this.length++] = LF;
  }
}

/** One column, written from its first row to its last. */
class Cells {
  private readonly column: BlockColumn;
  private readonly key: Uint8Array;
  private readonly numbers: DataView;
  private at = 0;

  constructor(column: BlockColumn, key: string) {
    this.column = column;
    this.key = Buffer.from(`,${JSON.stringify(key)}:`);
    const { data } = column;
    this.numbers = new DataView(data.buffer, data.byteOffset, data.byteLength);
  }

  write(row: number, out: Output): void {
    const { column, key, numbers } = this;
    if (!isValidAt(column.valid, row)) return;
    out.reserve(key.length + NUMBER_BYTES_MAX);
    out.bytes.set(key, out.length);
    out.length += key.length;
    if (column.kind !== "text") {
      out.length += out.bytes.write(String(numbers.getFloat64(row * 8, true)), out.length);
      return;
    }
    const start = this.at + 4;
    this.at = start + numbers.getUint32(this.at, true);
    out.bytes[out.length++] = QUOTE;
    for (let from = start; from < this.at; from += PIECE_BYTES) {
      const to = Math.min(this.at, from + PIECE_BYTES);
      out.reserve((to - from) * ESCAPE_BYTES_MAX + 1);
      out.length = writeText(out.bytes, out.length, column.data, from, to);
    }
    out.bytes[out.length++] = QUOTE;
  }
}

/** Bytes that a JSON string holds as they are. */
const PLAIN = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte < 0x20 || byte === 0x22 || byte === 0x5c ? 0 : 1,
);
const SHORT: Readonly<Record<number, number>> = {
  8: 0x62,
  9: 0x74,
  10: 0x6e,
  12: 0x66,
  13: 0x72,
  34: 0x22,
  92: 0x5c,
};
const HEX = Buffer.from("0123456789abcdef");

/** The inside of a string of JSON; returns the place behind it. */
function writeText(out: Uint8Array, at: number, bytes: Uint8Array, start: number, end: number): number {
  let to = at;
  for (let p = start; p < end; p++) {
    const byte = bytes[p]!;
    if (PLAIN[byte] === 1) out[to++] = byte;
    else to = writeEscape(out, to, byte);
  }
  return to;
}

function writeEscape(out: Uint8Array, at: number, byte: number): number {
  out[at++] = 0x5c;
  const short = SHORT[byte];
  if (short !== undefined) {
    out[at++] = short;
    return at;
  }
  out[at++] = 0x75;
  out[at++] = 0x30;
  out[at++] = 0x30;
  out[at++] = HEX[byte >> 4]!;
  out[at++] = HEX[byte & 15]!;
  return at;
}
