/**
 * Columns of one table while rows are being normalized: typed arrays that grow, one validity bitmap a
 * column, one byte arena a table. Rows never become JS objects. The layout of a cell is the one DuckDB's
 * vectors have, so that loading is copying (see ../package/block-format.ts for the file form):
 *
 * - bool: 1 byte; int64, timestamp (microseconds since 1970 UTC), time (microseconds of the day): 8 bytes
 *   little-endian; float64: 8 bytes; date (days since 1970): 4 bytes.
 * - text, bytes: 16 bytes: u32 length; then, up to 12 bytes long, the bytes themselves (zero padded), else
 *   u32 first 4 bytes and u64 offset into the table's arena.
 *
 * A cell whose validity bit is 0 is null and its bytes are zero.
 */

import { writeRandomRowId } from "../interop/hash.ts";
import { ROW_ID_LENGTH } from "../interop/keccak.ts";
import type { DataType } from "../schema/types.ts";

export type Kind = "bool" | "int64" | "float64" | "text" | "bytes" | "timestamp" | "date" | "time";

export const WIDTH: Readonly<Record<Kind, number>> = {
  bool: 1,
  int64: 8,
  float64: 8,
  text: 16,
  bytes: 16,
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

/** Up to this many bytes a text lives in its cell and needs no arena. */
export const INLINE_BYTES = 12;

const ROWS_AT_START = 2048;
const ARENA_AT_START = 1 << 16;
const TWO_32 = 4294967296;

export class ColumnBuffer {
  readonly name: string;
  readonly kind: Kind;
  readonly width: number;
  /** Bit r = 1: row r has a value. */
  valid: Uint8Array;
  /** The cells' bytes; the views below look at the same memory. */
  bytes: Uint8Array;
  u32: Uint32Array;
  i32: Int32Array;
  f64: Float64Array;

  constructor(name: string, kind: Kind, capacity: number) {
    this.name = name;
    this.kind = kind;
    this.width = WIDTH[kind];
    const memory = new ArrayBuffer(capacity * this.width);
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

  /** Rows from `from` up to `to` become null, their bytes zero. */
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
  readonly byName = new Map<string, ColumnBuffer>();
  /** Rows begun so far; the row being filled is `rows - 1`. */
  rows = 0;
  capacity: number;
  arena: Uint8Array = new Uint8Array(ARENA_AT_START);
  arenaLength = 0;

  constructor(name: string, capacity = ROWS_AT_START) {
    this.name = name;
    this.capacity = capacity;
  }

  addColumn(name: string, kind: Kind): ColumnBuffer {
    const column = new ColumnBuffer(name, kind, this.capacity);
    this.columns.push(column);
    this.byName.set(name, column);
    return column;
  }

  /** Starts a row, all null; returns its index. */
  beginRow(): number {
    if (this.rows === this.capacity) {
      this.capacity *= 2;
      for (const column of this.columns) column.grow(this.capacity);
    }
    return this.rows++;
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

  /** Copies `source[start, end)` into a text or bytes cell. */
  setBytes(column: ColumnBuffer, row: number, source: Uint8Array, start: number, end: number): void {
    const length = end - start;
    const cell = row * 4;
    column.u32[cell] = length;
    if (length <= INLINE_BYTES) {
      const at = row * 16 + 4;
      const bytes = column.bytes;
      for (let i = 0; i < length; i++) bytes[at + i] = source[start + i]!;
    } else {
      const offset = this.arenaLength;
      if (offset + length > this.arena.length) this.growArena(offset + length);
      const arena = this.arena;
      if (length < 64) {
        for (let i = 0; i < length; i++) arena[offset + i] = source[start + i]!;
      } else {
        arena.set(source.subarray(start, end), offset);
      }
      this.arenaLength = offset + length;
      const at = row * 16 + 4;
      const bytes = column.bytes;
      bytes[at] = source[start]!;
      bytes[at + 1] = source[start + 1]!;
      bytes[at + 2] = source[start + 2]!;
      bytes[at + 3] = source[start + 3]!;
      column.u32[cell + 2] = offset >>> 0;
      column.u32[cell + 3] = Math.floor(offset / TWO_32);
    }
    column.valid[row >> 3]! |= 1 << (row & 7);
  }

  /** A fresh row id for each of `count` rows. */
  setRowIds(column: ColumnBuffer, first: number, count: number): void {
    const bytes = count * ROW_ID_LENGTH;
    if (this.arenaLength + bytes > this.arena.length) this.growArena(this.arenaLength + bytes);
    const { arena } = this;
    const { u32, bytes: cells } = column;
    for (let row = first; row < first + count; row++) {
      const offset = this.arenaLength;
      writeRandomRowId(arena, offset);
      this.arenaLength = offset + ROW_ID_LENGTH;
      u32[row * 4] = ROW_ID_LENGTH;
      const at = row * 16 + 4;
      cells[at] = arena[offset]!;
      cells[at + 1] = arena[offset + 1]!;
      cells[at + 2] = arena[offset + 2]!;
      cells[at + 3] = arena[offset + 3]!;
      u32[row * 4 + 2] = offset;
      u32[row * 4 + 3] = Math.floor(offset / TWO_32);
    }
    column.setValid(first, null, 0, count);
  }

  private growArena(needed: number): void {
    let size = this.arena.length * 2;
    while (size < needed) size *= 2;
    const arena = new Uint8Array(size);
    arena.set(this.arena.subarray(0, this.arenaLength));
    this.arena = arena;
  }

  /** Takes back every row from `rows` on, as if it had never begun. */
  truncate(rows: number, arenaLength: number): void {
    for (const column of this.columns) column.clear(rows, this.rows);
    this.rows = rows;
    this.arenaLength = arenaLength;
  }

  /** Bytes this buffer holds for its rows; what bounds a block. */
  byteLength(): number {
    let width = 0;
    for (const column of this.columns) width += column.width;
    return this.rows * width + this.arenaLength;
  }
}
