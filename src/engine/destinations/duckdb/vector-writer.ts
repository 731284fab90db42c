/**
 * Blocks of a job file into DuckDB data chunks, without touching single values where possible. This is the
 * one module that hands DuckDB raw memory; a mistake here is a crash, not an exception.
 *
 * A block's cells are laid out like a DuckDB vector's, so a column is copied in one call per chunk. The
 * exception are texts of more than 12 bytes: DuckDB's string_t holds an address where a cell holds an offset
 * into the arena. So the arena is given to DuckDB once per block, as one BLOB element of a scratch vector;
 * the string_t that DuckDB made of it tells where its copy lies, and address = that + offset. One native call
 * per text would cost several times more than all the rest of loading.
 *
 * Why that is safe:
 * - The scratch vector lives until the next block is pinned, and `append_data_chunk` copies every string
 *   before it returns.
 * - Every offset + length is checked against the arena.
 * - DuckDB trusts a VARCHAR to be UTF-8, so that is proved here, for the whole arena at once: it is valid as
 *   a whole, and no text begins or ends inside a character. Only when it is not (bytes columns share the
 *   arena) the texts are looked at one by one. The scratch vector is a BLOB because a VARCHAR would reject
 *   such an arena by leaving a null address, which crashes later.
 */

import { isUtf8 } from "node:buffer";
import {
  BIGINT,
  BLOB,
  BOOLEAN,
  DATE,
  DOUBLE,
  type DuckDBAppender,
  DuckDBDataChunk,
  type DuckDBType,
  TIME,
  TIMESTAMP,
  VARCHAR,
} from "@duckdb/node-api";
import duckdb from "@duckdb/node-bindings";
import { EngineError } from "../../errors.ts";
import { INLINE_BYTES, type Kind, WIDTH } from "../../normalize/column-buffer.ts";
import {
  type Block,
  type BlockColumn,
  cellBytes,
  corruptCell,
  isValidAt,
} from "../../package/block-format.ts";

/** The DuckDB type whose vectors have the layout of a kind's cells. */
export const PHYSICAL_TYPE: Readonly<Record<Kind, DuckDBType>> = {
  bool: BOOLEAN,
  int64: BIGINT,
  float64: DOUBLE,
  text: VARCHAR,
  bytes: BLOB,
  timestamp: TIMESTAMP,
  date: DATE,
  time: TIME,
};

/** Rows of one DuckDB vector. */
export const CHUNK_ROWS = 2048;

export interface WriterColumn {
  readonly name: string;
  readonly kind: Kind;
  /** Instead of the kind's physical type: one of the same layout, such as TIMESTAMPTZ for timestamp. */
  readonly type?: DuckDBType;
}

/** What both writers can do; `plain-writer.ts` has the one without raw memory. */
export interface BlockWriter {
  /** Appends rows [from, to) of the block. Columns that the block lacks become null. */
  append(block: Block, from: number, to: number): void;
  /** From now on rows go to this appender: one of a table with the same columns. */
  use(appender: DuckDBAppender): void;
  /** Frees memory; closing the appender stays with the caller. */
  dispose(): void;
}

/** The error for text that is not UTF-8; says where, never what. */
export function notUtf8(block: Block, column: string, row: number): EngineError {
  return new EngineError("LOAD_VALUE", `A text in column ${column} is not valid UTF-8.`, {
    details: { column, file: block.file, block: block.offset, row },
  });
}

/** A block's column of this name; another kind than the job's columns say is a corrupt package. */
export function columnOf(block: Block, name: string, kind: Kind): BlockColumn | undefined {
  const column = block.columns.find((candidate) => candidate.name === name);
  if (column !== undefined && column.kind !== kind) {
    const { file, offset } = block;
    throw new EngineError(
      "PACKAGE_CORRUPT",
      `Job file ${file} holds column ${name} as ${column.kind}, the package's schema needs ${kind}.`,
      { details: { file, offset, column: name } },
    );
  }
  return column;
}

const TWO_32 = 4294967296;

export class VectorWriter implements BlockWriter {
  private appender: DuckDBAppender;
  private readonly columns: readonly WriterColumn[];
  private readonly chunk: DuckDBDataChunk;
  /** Columns whose vector has a validity mask, from then on always written. */
  private readonly masked: boolean[];
  private readonly arenas = DuckDBDataChunk.create([BLOB], 1);
  private readonly cells = new Uint32Array(CHUNK_ROWS * 4);
  /** The inline texts of a chunk that are not ASCII, one behind the other. */
  private readonly inline = new Uint32Array(CHUNK_ROWS * 3);
  private readonly mask = new Uint8Array(CHUNK_ROWS / 8);

  private pinned: Block | undefined;
  private sources: (BlockColumn | undefined)[] = [];
  private arenaIsUtf8 = false;
  private addressLow = 0;
  private addressHigh = 0;

  /** `columns` in the order of the appender's table. */
  constructor(appender: DuckDBAppender, columns: readonly WriterColumn[]) {
    this.appender = appender;
    this.columns = columns;
    this.chunk = DuckDBDataChunk.create(columns.map(({ kind, type }) => type ?? PHYSICAL_TYPE[kind]));
    this.masked = columns.map(() => false);
  }

  append(block: Block, from: number, to: number): void {
    if (this.pinned !== block) this.pin(block);
    for (let row = from; row < to; row += CHUNK_ROWS) {
      const rows = Math.min(CHUNK_ROWS, to - row);
      this.chunk.rowCount = rows;
      for (let i = 0; i < this.columns.length; i++) this.fill(block, i, row, rows);
      this.appender.appendDataChunk(this.chunk);
    }
  }

  use(appender: DuckDBAppender): void {
    this.appender = appender;
  }

  dispose(): void {
    this.pinned = undefined;
    this.arenas.reset();
  }

  /** Gives the block's arena to DuckDB and learns its address there. */
  private pin(block: Block): void {
    const { arena } = block;
    this.pinned = undefined;
    this.sources = this.columns.map(({ name, kind }) => columnOf(block, name, kind));
    this.arenas.reset();
    this.addressLow = 0;
    this.addressHigh = 0;
    this.arenaIsUtf8 = isUtf8(arena);
    // A shorter arena would live inside its string_t; no cell can point into one (see moveTexts).
    if (arena.length > INLINE_BYTES) {
      this.arenas.rowCount = 1;
      const vector = duckdb.data_chunk_get_vector(this.arenas.chunk, 0);
      duckdb.vector_assign_string_element_len(vector, 0, arena);
      const bytes = duckdb.vector_get_data(vector, 16);
      const element = new DataView(bytes.buffer, bytes.byteOffset, 16);
      this.addressLow = element.getUint32(8, true);
      this.addressHigh = element.getUint32(12, true);
      if (element.getUint32(0, true) !== arena.length || (this.addressLow === 0 && this.addressHigh === 0)) {
        throw new EngineError("INTERNAL", "DuckDB did not accept a block's arena.", {
          details: { file: block.file, block: block.offset },
        });
      }
    }
    this.pinned = block;
  }

  private fill(block: Block, index: number, from: number, rows: number): void {
    const vector = duckdb.data_chunk_get_vector(this.chunk.chunk, index);
    const source = this.sources[index];
    const { memory } = block;
    if (source === undefined) {
      this.mask.fill(0);
      this.setMask(vector, index, this.mask.buffer, 0, rows);
      return;
    }
    const { data, valid, kind } = source;
    if (kind === "text" || kind === "bytes") {
      this.moveTexts(block, source, from, rows);
      duckdb.copy_data_to_vector(vector, 0, this.cells.buffer, 0, rows * 16);
    } else {
      const width = WIDTH[kind];
      duckdb.copy_data_to_vector(vector, 0, memory, data.byteOffset + from * width, rows * width);
    }
    if (valid === null) {
      if (this.masked[index]) {
        this.mask.fill(0xff);
        this.setMask(vector, index, this.mask.buffer, 0, rows);
      }
    } else if ((from & 7) === 0) {
      this.setMask(vector, index, memory, valid.byteOffset + (from >> 3), rows);
    } else {
      shiftBits(valid, from, rows, this.mask);
      this.setMask(vector, index, this.mask.buffer, 0, rows);
    }
  }

  private setMask(vector: duckdb.Vector, index: number, buffer: ArrayBuffer, offset: number, rows: number) {
    if (!this.masked[index]) {
      // Without a mask there is no memory to copy to.
      duckdb.vector_ensure_validity_writable(vector);
      this.masked[index] = true;
    }
    duckdb.copy_data_to_vector_validity(vector, 0, buffer, offset, (rows + 7) >> 3);
  }

  /** Copies cells to `this.cells`, addresses instead of offsets, having proved that each is a string. */
  private moveTexts(block: Block, column: BlockColumn, from: number, rows: number): void {
    const source = new Uint32Array(block.memory, column.data.byteOffset + from * 16, rows * 4);
    const { cells, inline, addressLow, addressHigh, arenaIsUtf8 } = this;
    const arena = block.arena;
    const arenaLength = arena.length;
    const isText = column.kind === "text";
    let inlineWords = 0;
    for (let at = 0; at < source.length; at += 4) {
      const length = source[at]!;
      const second = source[at + 1]!;
      cells[at] = length;
      cells[at + 1] = second;
      if (length <= INLINE_BYTES) {
        const third = source[at + 2]!;
        const fourth = source[at + 3]!;
        cells[at + 2] = third;
        cells[at + 3] = fourth;
        if (isText && ((second | third | fourth) & 0x80808080) !== 0) {
          if ((second & 0xc0) === 0x80) throw notUtf8(block, column.name, from + (at >> 2));
          inline[inlineWords++] = second;
          inline[inlineWords++] = third;
          inline[inlineWords++] = fourth;
        }
      } else {
        const offset = source[at + 2]!;
        const end = offset + length;
        if (source[at + 3] !== 0 || end > arenaLength) {
          throw corruptCell(block, column.name, from + (at >> 2));
        }
        const low = addressLow + offset;
        cells[at + 2] = low;
        cells[at + 3] = low < TWO_32 ? addressHigh : addressHigh + 1;
        if (isText) {
          const whole = arenaIsUtf8
            ? (arena[offset]! & 0xc0) !== 0x80 && (end === arenaLength || (arena[end]! & 0xc0) !== 0x80)
            : isUtf8(arena.subarray(offset, end));
          if (!whole) throw notUtf8(block, column.name, from + (at >> 2));
        }
      }
    }
    // None begins inside a character, so all are valid exactly when their concatenation is.
    if (inlineWords > 0 && !isUtf8(inline.subarray(0, inlineWords))) {
      throw notUtf8(block, column.name, firstInvalid(block, column, from, rows));
    }
  }
}

function firstInvalid(block: Block, column: BlockColumn, from: number, rows: number): number {
  for (let row = from; row < from + rows; row++) {
    if (isValidAt(column.valid, row) && !isUtf8(cellBytes(block, column, row))) return row;
  }
  return from;
}

/** Bits [from, from + count) of `source` to the start of `target`. */
function shiftBits(source: Uint8Array, from: number, count: number, target: Uint8Array): void {
  const shift = from & 7;
  const start = from >> 3;
  const bytes = (count + 7) >> 3;
  for (let i = 0; i < bytes; i++) {
    target[i] = (source[start + i]! >> shift) | ((source[start + i + 1] ?? 0) << (8 - shift));
  }
}
