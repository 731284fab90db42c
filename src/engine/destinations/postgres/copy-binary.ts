/**
 * Column blocks as the bytes of `copy … from stdin (format binary)`:
 *
 *     file = "PGCOPY\n\xff\r\n\0" u32(0) u32(0) row* i16(-1)
 *     row  = i16 columns, then per column i32 length (-1: null) and that many bytes, big-endian
 *
 * Rows go out in pieces of about 256 KB, from two memories in turn: while one is sent the other is filled. New
 * memory for each piece would keep the garbage collector at work. What the server would take as another value (an integer that loses its upper half, a time that
 * wraps) is refused here; everything else the server checks itself and names the column.
 */

import { EngineError } from "../../errors.ts";
import { type Kind, WIDTH } from "../../normalize/column-buffer.ts";
import { type Block, type BlockColumn, corruptCell } from "../../package/block-format.ts";
import type { LoadColumn } from "../../sql/statement.ts";
import { removeEscapedNuls, removeNuls } from "./nul.ts";
import { numericBytesMax, plainDigits, writeNumeric, writeSpecialNumeric } from "./numeric.ts";

/** What is handed to the socket at a time. */
export const PIECE_BYTES = 256 << 10;
/** A row of usual width fits behind a piece that is nearly full. */
const MEMORY_BYTES = PIECE_BYTES + (32 << 10);

type Codec =
  | "bool"
  | "int2"
  | "int4"
  | "int8"
  | "float8"
  | "timestamp"
  | "date"
  | "time"
  | "raw"
  | "json"
  | "jsonb"
  | "numeric";

/** Bytes of a value; of one without a fixed length, those it always has. */
const VALUE_BYTES: Readonly<Record<Codec, number>> = {
  bool: 1,
  int2: 2,
  int4: 4,
  int8: 8,
  float8: 8,
  timestamp: 8,
  date: 4,
  time: 8,
  raw: 0,
  json: 0,
  jsonb: 1,
  numeric: 0,
};

/** How cells of that kind are written for that type; undefined: only as text, which the server parses. */
export function binaryCodec(kind: Kind, sqlType: string): Codec | undefined {
  switch (kind) {
    case "bool":
      return sqlType === "boolean" ? "bool" : undefined;
    case "int64":
      if (sqlType === "bigint") return "int8";
      if (sqlType === "integer") return "int4";
      return sqlType === "smallint" ? "int2" : undefined;
    case "float64":
      return sqlType === "double precision" ? "float8" : undefined;
    case "timestamp":
      return /^timestamp(\(\d\))? (with|without) time zone$/.test(sqlType) ? "timestamp" : undefined;
    case "date":
      return sqlType === "date" ? "date" : undefined;
    case "time":
      return /^time(\(\d\))? without time zone$/.test(sqlType) ? "time" : undefined;
    case "bytes":
      return sqlType === "bytea" ? "raw" : undefined;
    case "text":
      if (/^(character varying|character|text)(\(\d+\))?$/.test(sqlType)) return "raw";
      if (/^numeric(\(\d+,-?\d+\))?$/.test(sqlType)) return "numeric";
      if (sqlType === "json") return "json";
      return sqlType === "jsonb" ? "jsonb" : undefined;
  }
}

/** Microseconds and days from 1970 to 2000, where Postgres counts from. */
const EPOCH_MICROS = 946_684_800_000_000;
const EPOCH_DAYS = 10_957;
const TWO_32 = 4_294_967_296;
const EPOCH_HIGH = Math.floor(EPOCH_MICROS / TWO_32);
const EPOCH_LOW = EPOCH_MICROS - EPOCH_HIGH * TWO_32;
/** Below these a value would wrap; Postgres's own range ends far above. */
const HIGH_MIN = -(2 ** 31);
const DATE_MIN = -(2 ** 31) + EPOCH_DAYS;

const decoder = new TextDecoder();

/** A column of the table with its cells in the block at hand. */
class Cells {
  readonly column: LoadColumn;
  readonly codec: Codec;
  /** Cells of which a NUL was removed. */
  nulsRemoved = 0;
  /** Undefined: null in all rows of this block. */
  block: BlockColumn | undefined;
  u32: Uint32Array = new Uint32Array(0);
  i32: Int32Array = new Int32Array(0);
  /** Where the next text stands, behind its length, and how long it is. */
  textAt = 0;
  textLength = 0;

  constructor(column: LoadColumn, codec: Codec) {
    this.column = column;
    this.codec = codec;
  }

  use(block: Block): void {
    const found = block.columns.find(({ name }) => name === this.column.name);
    if (found !== undefined && found.kind !== this.column.kind) {
      throw new EngineError(
        "PACKAGE_CORRUPT",
        `Job file ${block.file} holds column ${found.name} as ${found.kind}, not as ${this.column.kind}.`,
        { details: { file: block.file, column: found.name } },
      );
    }
    this.block = found;
    this.textAt = 0;
    this.textLength = 0;
    if (found === undefined || WIDTH[found.kind] < 4) return;
    const { buffer, byteOffset, byteLength } = found.data;
    this.u32 = new Uint32Array(buffer, byteOffset, byteLength >> 2);
    this.i32 = new Int32Array(buffer, byteOffset, byteLength >> 2);
  }
}

/** Goes to the next text of the column. */
function nextText(block: Block, cells: Cells, { data }: BlockColumn, row: number): void {
  const at = cells.textAt + cells.textLength;
  if (at + 4 > data.length) throw corruptCell(block, cells.column.name, row);
  const length = (data[at]! | (data[at + 1]! << 8) | (data[at + 2]! << 16) | (data[at + 3]! << 24)) >>> 0;
  if (at + 4 + length > data.length) throw corruptCell(block, cells.column.name, row);
  cells.textAt = at + 4;
  cells.textLength = length;
}

export class BinaryEncoder {
  rows = 0;
  private readonly cells: readonly Cells[];
  private readonly removesNuls: boolean;
  /** Bytes of a row without its texts. */
  private readonly rowBytes: number;
  private memory = Buffer.allocUnsafeSlow(MEMORY_BYTES);
  private view = new DataView(this.memory.buffer);
  private other: Buffer<ArrayBuffer> = Buffer.allocUnsafeSlow(MEMORY_BYTES);
  private at = 0;

  /** Every column must have a `binaryCodec`. */
  constructor(columns: readonly LoadColumn[], options: { readonly removesNuls: boolean }) {
    this.cells = columns.map((column) => {
      const codec = binaryCodec(column.kind, column.sqlType);
      if (codec === undefined) throw new Error(`${column.sqlType} has no binary form here`);
      return new Cells(column, codec);
    });
    this.removesNuls = options.removesNuls;
    this.rowBytes = this.cells.reduce((bytes, { codec }) => bytes + 4 + VALUE_BYTES[codec], 2);
    this.at = this.memory.write("PGCOPY\n\xff\r\n\0", 0, "latin1");
    this.memory.fill(0, this.at, this.at + 8);
    this.at += 8;
  }

  /**
   * The pieces that became full; the rest stays for the next block. A piece is valid until the one after the next
   * is asked for.
   */
  *encode(block: Block): Generator<Buffer, void, undefined> {
    for (const cells of this.cells) cells.use(block);
    for (let row = 0; row < block.rows; row++) {
      this.row(block, row);
      if (this.at >= PIECE_BYTES) yield this.take();
    }
  }

  /** The last piece. */
  finish(): Buffer {
    this.reserve(2);
    this.view.setInt16(this.at, -1);
    this.at += 2;
    return this.take();
  }

  /** Columns of which NULs were removed, with the number of cells. */
  nulsRemoved(): Map<string, number> {
    const touched = this.cells.filter((cells) => cells.nulsRemoved > 0);
    return new Map(touched.map((cells) => [cells.column.name, cells.nulsRemoved]));
  }

  private take(): Buffer {
    const { memory } = this;
    const piece = memory.subarray(0, this.at);
    this.memory = this.other;
    this.view = new DataView(this.memory.buffer);
    this.at = 0;
    // what one long row needed is not kept for the others
    this.other = memory.length > MEMORY_BYTES ? Buffer.allocUnsafeSlow(MEMORY_BYTES) : memory;
    return piece;
  }

  private reserve(bytes: number): void {
    if (this.at + bytes <= this.memory.length) return;
    const memory = Buffer.allocUnsafeSlow(Math.max(this.at + bytes, this.memory.length * 2));
    this.memory.copy(memory, 0, 0, this.at);
    this.memory = memory;
    this.view = new DataView(memory.buffer);
  }

  private row(block: Block, row: number): void {
    this.reserve(this.rowBytes);
    this.view.setInt16(this.at, this.cells.length);
    this.at += 2;
    const bit = 1 << (row & 7);
    for (const cells of this.cells) {
      const column = cells.block;
      if (column === undefined || (column.valid !== null && (column.valid[row >> 3]! & bit) === 0)) {
        this.view.setInt32(this.at, -1);
        this.at += 4;
        continue;
      }
      switch (cells.codec) {
        case "int8":
        case "float8":
        case "time":
          this.view.setInt32(this.at, 8);
          this.view.setUint32(this.at + 4, cells.u32[row * 2 + 1]!);
          this.view.setUint32(this.at + 8, cells.u32[row * 2]!);
          this.at += 12;
          break;
        case "timestamp": {
          let low = cells.u32[row * 2]! - EPOCH_LOW;
          let high = cells.i32[row * 2 + 1]! - EPOCH_HIGH;
          if (low < 0) {
            low += TWO_32;
            high -= 1;
          }
          if (high < HIGH_MIN) throw refused(cells.column);
          this.view.setInt32(this.at, 8);
          this.view.setInt32(this.at + 4, high);
          this.view.setUint32(this.at + 8, low);
          this.at += 12;
          break;
        }
        case "date": {
          const days = cells.i32[row]!;
          if (days < DATE_MIN) throw refused(cells.column);
          this.view.setInt32(this.at, 4);
          this.view.setInt32(this.at + 4, days - EPOCH_DAYS);
          this.at += 8;
          break;
        }
        case "int4": {
          const value = cells.i32[row * 2]!;
          if (cells.i32[row * 2 + 1] !== value >> 31) throw refused(cells.column);
          this.view.setInt32(this.at, 4);
          this.view.setInt32(this.at + 4, value);
          this.at += 8;
          break;
        }
        case "int2": {
          const value = cells.i32[row * 2]!;
          if (cells.i32[row * 2 + 1] !== value >> 31 || (value << 16) >> 16 !== value) {
            throw refused(cells.column);
          }
          this.view.setInt32(this.at, 2);
          this.view.setInt16(this.at + 4, value);
          this.at += 6;
          break;
        }
        case "bool":
          this.view.setInt32(this.at, 1);
          this.memory[this.at + 4] = column.data[row]!;
          this.at += 5;
          break;
        case "raw":
        case "json":
        case "jsonb":
          this.text(block, cells, column, row);
          break;
        case "numeric":
          this.numeric(block, cells, column, row);
          break;
      }
    }
    this.rows++;
  }

  private text(block: Block, cells: Cells, column: BlockColumn, row: number): void {
    nextText(block, cells, column, row);
    const { textAt: from, textLength: length } = cells;
    const source = column.data;
    this.reserve(length + this.rowBytes);
    const lengthAt = this.at;
    this.at += 4;
    if (cells.codec === "jsonb") this.memory[this.at++] = 1;
    const start = this.at;
    const { memory } = this;
    if (length < 48) {
      for (let i = 0; i < length; i++) memory[start + i] = source[from + i]!;
    } else {
      memory.set(source.subarray(from, from + length), start);
    }
    this.at += length;
    if (this.removesNuls && column.kind === "text") {
      const remove = cells.codec === "raw" ? removeNuls : removeEscapedNuls;
      const kept = remove(memory, start, this.at);
      if (kept !== this.at) cells.nulsRemoved++;
      this.at = kept;
    }
    this.view.setInt32(lengthAt, this.at - lengthAt - 4);
  }

  private numeric(block: Block, cells: Cells, column: BlockColumn, row: number): void {
    nextText(block, cells, column, row);
    const { textAt: from, textLength: length } = cells;
    const source = column.data;
    this.reserve(numericBytesMax(length) + this.rowBytes);
    let written = writeNumeric(this.view, this.at + 4, source, from, from + length);
    if (written < 0) written = this.oddNumeric(cells.column, source.subarray(from, from + length));
    this.view.setInt32(this.at, written);
    this.at += 4 + written;
  }

  /** With an exponent, NaN or infinity; anything else is no number. */
  private oddNumeric(column: LoadColumn, source: Uint8Array): number {
    const text = decoder.decode(source);
    const digits = plainDigits(text);
    if (digits !== undefined) {
      const bytes = Buffer.from(digits);
      this.reserve(numericBytesMax(bytes.length) + this.rowBytes);
      return writeNumeric(this.view, this.at + 4, bytes, 0, bytes.length);
    }
    const written = writeSpecialNumeric(this.view, this.at + 4, text);
    if (written < 0) throw refused(column);
    return written;
  }
}

function refused({ name, sqlType }: LoadColumn): EngineError {
  return new EngineError("LOAD_VALUE", `Column ${name} cannot hold a value as ${sqlType}.`, {
    details: { column: name, type: sqlType },
  });
}
