/**
 * Columns of one table while rows are being normalized: typed arrays that grow, and one validity bitmap a
 * column. Rows never become JS objects. Values have the bytes that they have in a job file, so that writing one
 * is copying:
 *
 * - bool: 1 byte; int64, timestamp (microseconds since 1970 UTC), time (microseconds of the day): 8 bytes
 *   little-endian; float64: 8 bytes; date (days since 1970): 4 bytes. Each at its row's place; a null's are zero.
 * - text, bytes: u32 length and the bytes, one behind the other, of the rows that have a value: Parquet's plain
 *   encoding. So a column is filled from the first row to the last, and each row at most once.
 *
 * A cell whose validity bit is 0 is null.
 */

import { ROW_ID_LENGTH, writeFreshRowId } from "../interop/row-id.ts";
import type { DataType } from "../schema/types.ts";

export type Kind = "bool" | "int64" | "float64" | "text" | "bytes" | "timestamp" | "date" | "time";

/** Bytes of a cell; 0: as many as the value has. */
export const WIDTH: Readonly<Record<Kind, number>> = {
  bool: 1,
  int64: 8,
  float64: 8,
  text: 0,
  bytes: 0,
  timestamp: 8,
  date: 4,
  time: 8,
};

const KINDS: Readonly<Record<DataType, Kind>> = {
  bigint: "int64",
  double: "float64",
  bool: "bool",
  timestamp: "timestamp",
  date: "date",
  time: "time",
  binary: "bytes",
  text: "text",
  json: "text",
  decimal: "text",
  wei: "text",
};

/** What a cell of this type is. Digits and JSON travel as text; the destination casts them to its own type. */
export function kindOf(type: DataType): Kind {
  return KINDS[type];
}

const ROWS_AT_START = 2048;
const TEXT_AT_START = 1 << 14;
const TWO_32 = 4294967296;
/** Fewer bytes are copied one by one: it takes less time than the call of a copy. */
const COPY_BYTES_MIN = 24;

export class ColumnBuffer {
  readonly name: string;
  readonly kind: Kind;
  readonly width: number;
  /** Bit r = 1: row r has a value. */
  valid: Uint8Array;
  /** Texts with their lengths, `textLength` bytes so far. */
  text: Buffer;
  textLength = 0;
  /** The cells' bytes; the views below look at the same memory. */
  bytes: Uint8Array;
  u32: Uint32Array;
  i32: Int32Array;
  f64: Float64Array;

  constructor(name: string, kind: Kind, capacity: number, textBytes = TEXT_AT_START) {
    this.name = name;
    this.kind = kind;
    this.width = WIDTH[kind];
    const memory = new ArrayBuffer(capacity * this.width);
    this.text = Buffer.allocUnsafeSlow(this.width === 0 ? textBytes : 0);
    this.valid = new Uint8Array(capacity >> 3);
    this.bytes = new Uint8Array(memory);
    this.u32 = new Uint32Array(memory, 0, memory.byteLength >> 2);
    this.i32 = new Int32Array(memory, 0, memory.byteLength >> 2);
    this.f64 = new Float64Array(memory, 0, memory.byteLength >> 3);
  }

  grow(capacity: number): void {
    const memory = new ArrayBuffer(capacity * this.width);
    const bytes = new Uint8Array(memory);
    bytes.set(this.bytes);
    const valid = new Uint8Array(capacity >> 3);
    valid.set(this.valid);
    this.valid = valid;
    this.bytes = bytes;
    this.u32 = new Uint32Array(memory, 0, memory.byteLength >> 2);
    this.i32 = new Int32Array(memory, 0, memory.byteLength >> 2);
    this.f64 = new Float64Array(memory, 0, memory.byteLength >> 3);
  }

  setBool(row: number, value: boolean): void {
    this.bytes[row] = value ? 1 : 0;
    this.valid[row >> 3]! |= 1 << (row & 7);
  }

  setFloat(row: number, value: number): void {
    this.f64[row] = value;
    this.valid[row >> 3]! |= 1 << (row & 7);
  }

  /** An integer that a double holds exactly (int64, timestamp, time; date uses setDays). */
  setInt(row: number, value: number): void {
    const high = Math.floor(value / TWO_32);
    this.i32[row * 2] = value - high * TWO_32;
    this.i32[row * 2 + 1] = high;
    this.valid[row >> 3]! |= 1 << (row & 7);
  }

  setBigInt(row: number, value: bigint): void {
    this.i32[row * 2] = Number(BigInt.asIntN(32, value));
    this.i32[row * 2 + 1] = Number(BigInt.asIntN(32, value >> 32n));
    this.valid[row >> 3]! |= 1 << (row & 7);
  }

  setDays(row: number, days: number): void {
    this.i32[row] = days;
    this.valid[row >> 3]! |= 1 << (row & 7);
  }

  /** Copies `source[start, end)` into a text or bytes cell; no later row of the column may have a value yet. */
  setBytes(row: number, source: Buffer, start: number, end: number): void {
    const length = end - start;
    let at = this.textLength;
    if (at + 4 + length > this.text.length) this.growText(at + 4 + length);
    const { text } = this;
    text[at] = length & 0xff;
    text[at + 1] = (length >>> 8) & 0xff;
    text[at + 2] = (length >>> 16) & 0xff;
    text[at + 3] = length >>> 24;
    at += 4;
    if (length < COPY_BYTES_MIN) for (let i = 0; i < length; i++) text[at + i] = source[start + i]!;
    else source.copy(text, at, start, end);
    this.textLength = at + length;
    this.valid[row >> 3]! |= 1 << (row & 7);
  }

  /** The texts, and behind them zeros up to a multiple of 8 bytes. */
  paddedText(): Buffer {
    this.reserveText(8);
    return this.text.fill(0, this.textLength, this.textLength + 8);
  }

  /** Makes room for so many bytes behind the texts. */
  reserveText(bytes: number): void {
    if (this.textLength + bytes > this.text.length) this.growText(this.textLength + bytes);
  }

  private growText(needed: number): void {
    const grown = Buffer.allocUnsafeSlow(Math.max(this.text.length * 2, needed));
    this.text.copy(grown, 0, 0, this.textLength);
    this.text = grown;
  }

  /** Texts of the next rows as they stand in a column, each behind its length; `setValid` tells of which rows. */
  addTexts(texts: Uint8Array): void {
    const end = this.textLength + texts.length;
    if (end > this.text.length) this.growText(end);
    this.text.set(texts, this.textLength);
    this.textLength = end;
  }

  /** The same text in each of `count` rows. */
  fillText(first: number, count: number, text: Buffer): void {
    for (let row = first; row < first + count; row++) this.setBytes(row, text, 0, text.length);
  }

  /** A fresh row id in each of `count` rows. */
  fillRowIds(first: number, count: number): void {
    const end = this.textLength + count * (4 + ROW_ID_LENGTH);
    if (end > this.text.length) this.growText(end);
    const { text } = this;
    for (let at = this.textLength; at < end; at += 4 + ROW_ID_LENGTH) {
      text[at] = ROW_ID_LENGTH;
      text[at + 1] = 0;
      text[at + 2] = 0;
      text[at + 3] = 0;
      writeFreshRowId(text, at + 4);
    }
    this.textLength = end;
    this.setValid(first, null, 0, count);
  }

  /** Rows from `to` on, none of which has a value yet, get the bits of `valid` from `from` on; null: all have one. */
  setValid(to: number, valid: Uint8Array | null, from: number, count: number): void {
    const target = this.valid;
    for (let i = 0; i < count; ) {
      const row = to + i;
      const source = from + i;
      if ((row & 7) === 0 && count - i >= 8 && (valid === null || (source & 7) === 0)) {
        target[row >> 3] = valid === null ? 0xff : valid[source >> 3]!;
        i += 8;
        continue;
      }
      if (valid === null || (valid[source >> 3]! & (1 << (source & 7))) !== 0)
        target[row >> 3]! |= 1 << (row & 7);
      i++;
    }
  }

  isValid(row: number): boolean {
    return (this.valid[row >> 3]! & (1 << (row & 7))) !== 0;
  }

  /** Does every one of the first `rows` rows have a value? */
  allValid(rows: number): boolean {
    const full = rows >> 3;
    for (let i = 0; i < full; i++) if (this.valid[i] !== 0xff) return false;
    const rest = (1 << (rows & 7)) - 1;
    return (this.valid[full]! & rest) === rest || rest === 0;
  }

  /** Rows from `from` up to `to` become null, their bytes zero. Texts are cut by who knows where they begin. */
  clear(from: number, to: number): void {
    this.bytes.fill(0, from * this.width, to * this.width);
    for (let row = from; row < to && (row & 7) !== 0; row++) this.valid[row >> 3]! &= ~(1 << (row & 7));
    const aligned = (from + 7) & ~7;
    const end = (to + 7) >> 3;
    if (aligned >> 3 < end) this.valid.fill(0, aligned >> 3, end);
  }
}

/** The rows of one table that are not yet written to a job. */
export class TableBuffer {
  readonly name: string;
  readonly columns: ColumnBuffer[] = [];
  /** Those of `columns` that hold texts or bytes. */
  readonly texts: ColumnBuffer[] = [];
  readonly byName = new Map<string, ColumnBuffer>();
  /** Rows begun so far; the row being filled is `rows - 1`. */
  rows = 0;
  capacity: number;

  constructor(name: string, capacity = ROWS_AT_START) {
    this.name = name;
    this.capacity = capacity;
  }

  /** `textBytes`: room for its texts until there are more. */
  addColumn(name: string, kind: Kind, textBytes?: number): ColumnBuffer {
    const column = new ColumnBuffer(name, kind, this.capacity, textBytes);
    this.columns.push(column);
    if (column.width === 0) this.texts.push(column);
    this.byName.set(name, column);
    return column;
  }

  /** For a name that comes with another kind. */
  removeColumn(column: ColumnBuffer): void {
    this.byName.delete(column.name);
    this.columns.splice(this.columns.indexOf(column), 1);
    if (column.width === 0) this.texts.splice(this.texts.indexOf(column), 1);
  }

  /** Starts a row, all null; returns its index. */
  beginRow(): number {
    if (this.rows === this.capacity) {
      this.capacity *= 2;
      for (const column of this.columns) column.grow(this.capacity);
    }
    return this.rows++;
  }

  /** Every row is written: none is left. */
  clear(): void {
    for (const column of this.columns) column.clear(0, this.rows);
    for (const column of this.texts) column.textLength = 0;
    this.rows = 0;
  }

  /** Notes in `marks`, from `at` on, what `takeBack` needs; returns the place behind it. */
  mark(marks: number[], at: number): number {
    marks[at++] = this.rows;
    const { texts } = this;
    for (let i = 0; i < texts.length; i++) marks[at++] = texts[i]!.textLength;
    return at;
  }

  /** Starts so many rows, all null; returns the index of the first. */
  beginRows(count: number): number {
    const first = this.rows;
    while (first + count > this.capacity) {
      this.capacity *= 2;
      for (const column of this.columns) column.grow(this.capacity);
    }
    this.rows = first + count;
    return first;
  }

  /** Takes back every row begun since `mark`, as if it had never been; returns the place behind its marks. */
  takeBack(marks: readonly number[], at: number): number {
    const rows = marks[at++]!;
    for (const column of this.columns) column.clear(rows, this.rows);
    for (const column of this.texts) column.textLength = marks[at++]!;
    this.rows = rows;
    return at;
  }

  /** Bytes of its texts, with their lengths. */
  textBytes(): number {
    let bytes = 0;
    for (const { textLength } of this.texts) bytes += textLength;
    return bytes;
  }

  /** Bytes this buffer holds for its rows; what bounds a block. */
  byteLength(): number {
    let bytes = 0;
    for (const { width, textLength } of this.columns) bytes += this.rows * width + textLength;
    return bytes;
  }
}
