/**
 * Finds the cells of a CSV file (RFC 4180), the rows of a buffer some hundred at a time: then each column can be gone
 * through by itself. Nothing is copied; a cell is the place of its bytes in the buffer.
 */

import { EngineError } from "../../engine/errors.ts";
import { SpareMemory } from "../../engine/package/spare-memory.ts";
import type { ByteSource } from "./byte-source.ts";
import { type Dialect, type DialectOptions, sniffCsv } from "./csv-dialect.ts";
import { type DecodeOptions, readText } from "./decode.ts";
import { numberedNames, uniqueNames } from "./header.ts";

export interface CellOptions extends Pick<DecodeOptions, "encoding">, DialectOptions {
  /** Is the first record the header? Without one the columns are `column_0`, `column_1`, … */
  header?: boolean;
  /** Cells that mean null, besides the empty one. Quoted cells too. */
  null_values?: readonly string[];
  /** A record of other length than the header: an error, or (`pad`) missing cells are null. */
  ragged?: "error" | "pad";
  /** A longer record is an error: a quote that is never closed would swallow the file. */
  recordBytesMax?: number;
  warn?: (message: string) => void;
}

export const RECORD_BYTES_MAX = 64 * 1024 * 1024;
const SCAN_BYTES = 1 << 21;
const SCAN_BYTES_MIN = 16 * 1024;
/** Rows whose cells and bytes stay in the processor's cache while column after column looks at them. */
const CELLS_AT_ONCE = 4096;
const CELLS_AT_ONCE_MIN = 256;
const ROWS_AT_ONCE_MIN = 32;
const BYTES_AT_ONCE = 1 << 17;
/** Readers of a cell may look so many bytes beyond it. */
const SLACK = 8;
const CR = 13;

/** Yields the one object each time that it has more bytes; the caller calls `next` until it is false. */
export async function* csvCells(source: ByteSource, options: CellOptions): AsyncGenerator<CsvCells> {
  const { recordBytesMax = RECORD_BYTES_MAX } = options;
  const memory = new SpareMemory();
  let cells: CsvCells | undefined;
  let wanted = 0;
  for await (const { bytes } of readText(source, { ...options, memory })) {
    cells ??= new CsvCells(source, sniffCsv(bytes, options), options);
    cells.append(bytes);
    memory.giveBack(bytes);
    // A record longer than a block is scanned again from its start: only once there is twice as much of it.
    if (cells.held < wanted) continue;
    yield cells;
    if (cells.held > recordBytesMax) {
      throw new EngineError(
        "FILE_FORMAT",
        `${source.name}: the record that starts on line ${cells.nextLine} is longer than ${recordBytesMax} bytes.`,
        {
          hint: "A quote that is never closed does this: repair the line, or set `quote`.",
          details: { file: source.name, line: cells.nextLine, record_bytes_max: recordBytesMax },
        },
      );
    }
    wanted = cells.held * 2;
  }
  if (cells === undefined) return;
  cells.final = true;
  yield cells;
}

export class CsvCells {
  /** The header's, once `next` has been true. */
  names: readonly string[] = [];
  /** Rows that `next` has found. */
  rows = 0;
  buffer: Buffer;
  /** Of the cell i of row r at `r * names.length + i`. A cell that is null has no bytes. */
  starts!: Int32Array;
  ends!: Int32Array;
  /** 1: the cell has doubled quotes. Not looked at unless `someDoubled`. */
  doubled!: Uint8Array;
  someDoubled = false;
  /** The line of the file on which each row begins. */
  lines = new Int32Array(0);
  /** The line behind the rows found so far. */
  nextLine = 1;
  /** No more bytes will come: the end of the buffer ends the last record. */
  final = false;
  readonly quote: number;
  private readonly delimiter: number;
  private readonly end: number;
  private readonly source: ByteSource;
  private readonly options: CellOptions;
  private readonly nulls: readonly Uint8Array[];
  private at = 0;
  private limit = 0;
  /** Of the record scanned last: cells (0: a blank line), line ends inside it, and has a cell too many bytes in it? */
  private cells = 0;
  private lineEnds = 0;
  private losesCell = false;

  constructor(source: ByteSource, dialect: Dialect, options: CellOptions) {
    this.source = source;
    this.options = options;
    // thousands of small files should not each take the memory of a large one
    const bytes = source.size ?? SCAN_BYTES;
    this.buffer = Buffer.alloc(SLACK + Math.min(SCAN_BYTES, Math.max(SCAN_BYTES_MIN, bytes)));
    this.makeRoom(Math.min(CELLS_AT_ONCE, Math.max(CELLS_AT_ONCE_MIN, bytes >> 3)));
    this.delimiter = dialect.delimiter;
    this.quote = dialect.quote;
    this.end = dialect.end;
    this.nulls = (options.null_values ?? []).map((value) => Buffer.from(value));
  }

  /** Bytes that no row has been made of yet. */
  get held(): number {
    return this.limit - this.at;
  }

  append(bytes: Uint8Array): void {
    const { held } = this;
    const needed = held + bytes.length + SLACK;
    if (needed > this.buffer.length) {
      const larger = Buffer.alloc(Math.max(needed, this.buffer.length * 2));
      larger.set(this.buffer.subarray(this.at, this.limit));
      this.buffer = larger;
    } else {
      this.buffer.copyWithin(0, this.at, this.limit);
    }
    this.buffer.set(bytes, held);
    this.at = 0;
    this.limit = held + bytes.length;
    // Two bytes that stop the inner loops, so that they need not compare with the limit.
    this.buffer[this.limit] = this.end;
    this.buffer[this.limit + 1] = this.quote;
  }

  /** Finds the next rows; false: none, or not all of one, is in the buffer. */
  next(): boolean {
    if (this.names.length === 0 && !this.readHeader()) return false;
    if (this.someDoubled) this.doubled.fill(0);
    this.someDoubled = false;
    const { limit, lines } = this;
    const width = this.names.length;
    const from = this.at;
    let rows = 0;
    while (rows < lines.length && this.at < limit && this.at - from < BYTES_AT_ONCE) {
      const after = this.record(this.at, rows * width, width);
      if (after < 0) break;
      if (this.cells > 0) {
        if (this.cells !== width) this.settleLength(rows * width, width);
        lines[rows++] = this.nextLine;
      }
      this.nextLine += this.lineEnds + 1;
      this.at = Math.min(after, limit);
    }
    this.rows = rows;
    if (this.nulls.length > 0) this.emptyNulls(rows * width);
    return rows > 0;
  }

  private readHeader(): boolean {
    const { source, options } = this;
    while (this.at < this.limit) {
      const after = this.record(this.at, 0, this.starts.length);
      if (after < 0) return false;
      if (this.cells > this.starts.length) {
        this.makeRoom(this.cells);
        continue;
      }
      const width = this.cells;
      if (width > 0) {
        this.names =
          options.header === false
            ? numberedNames(width)
            : uniqueNames(
                Array.from({ length: width }, (_, i) => this.text(i)),
                source.name,
                options.warn,
              );
        this.lines = new Int32Array(Math.max(ROWS_AT_ONCE_MIN, Math.floor(this.starts.length / width)));
        const cells = this.lines.length * width;
        if (cells > this.starts.length) this.makeRoom(cells);
        if (options.header === false) return true;
      }
      this.nextLine += this.lineEnds + 1;
      this.at = Math.min(after, this.limit);
      if (width > 0) return true;
    }
    return false;
  }

  private makeRoom(cells: number): void {
    this.starts = new Int32Array(cells);
    this.ends = new Int32Array(cells);
    this.doubled = new Uint8Array(cells);
  }

  /**
   * Finds the cells of the record at `from`, and puts the first `width` of them at `place`. Returns where the next record begins;
   * -1: its end is not in the buffer.
   */
  private record(from: number, place: number, width: number): number {
    const { buffer, delimiter, quote, end, limit, starts, ends } = this;
    let p = from;
    let cells = 0;
    this.lineEnds = 0;
    this.losesCell = false;
    while (true) {
      let start = p;
      let stop: number;
      let byte = buffer[p]!;
      const quoted = byte === quote && p < limit;
      if (quoted) {
        stop = this.closingQuote(++start, cells, place + cells);
        if (stop < 0) return -1;
        p = stop + 1;
        if (p === limit && !this.final) return -1;
        byte = buffer[p]!;
        if (byte === CR && buffer[p + 1] === end) byte = buffer[++p]!;
        if (byte !== delimiter && byte !== end) throw this.broken("text follows a closing quote", cells);
      } else {
        while (byte !== delimiter && byte !== end) byte = buffer[++p]!;
        stop = p;
      }
      if (byte === end) {
        if (p >= limit && !this.final) return -1;
        if (!quoted && stop > start && buffer[stop - 1] === CR) stop--;
      }
      if (cells < width) {
        starts[place + cells] = start;
        ends[place + cells] = stop;
      } else if (start < stop) {
        this.losesCell = true;
      }
      cells++;
      p++;
      if (byte === end) {
        this.cells = cells === 1 && start === stop && !quoted ? 0 : cells;
        return p;
      }
    }
  }

  /** `at` is behind the opening quote; -1: the closing one is not in the buffer. */
  private closingQuote(at: number, cell: number, place: number): number {
    const { buffer, quote, end, limit } = this;
    let p = at;
    let lineEnds = 0;
    while (true) {
      let byte = buffer[p]!;
      while (byte !== quote) {
        if (byte === end) lineEnds++;
        byte = buffer[++p]!;
      }
      if (p >= limit) {
        if (this.final) throw this.broken("a quote is opened and never closed", cell);
        return -1;
      }
      if (buffer[p + 1] !== quote || p + 1 >= limit) break;
      this.someDoubled = true;
      this.doubled[place] = 1;
      p += 2;
    }
    this.lineEnds += lineEnds;
    return p;
  }

  /** A record of the wrong length is an error, or padded. */
  private settleLength(place: number, width: number): void {
    const { cells: found, source, options, nextLine: line } = this;
    // What has no column may be left out only when nothing is lost.
    if (options.ragged === "pad" && !this.losesCell) {
      for (let i = found; i < width; i++) this.starts[place + i] = this.ends[place + i] = 0;
      return;
    }
    throw new EngineError(
      "FILE_FORMAT",
      `${source.name}, line ${line}: ${found} cells where the header has ${width}.`,
      {
        hint:
          width === 1
            ? "Set `delimiter`: the header has one column only, so the guess may be wrong."
            : found < width
              ? 'Repair the line, or set `ragged = "pad"` to read missing cells as null.'
              : "Repair the line: an unquoted cell may hold the delimiter; or set `delimiter` or `quote`.",
        details: { file: source.name, line, expected: width, found },
      },
    );
  }

  private emptyNulls(count: number): void {
    const { buffer, starts, ends } = this;
    for (const value of this.nulls) {
      for (let cell = 0; cell < count; cell++) {
        const start = starts[cell]!;
        if (ends[cell]! - start !== value.length) continue;
        let i = 0;
        while (i < value.length && value[i] === buffer[start + i]) i++;
        if (i === value.length) ends[cell] = start;
      }
    }
  }

  /** A cell of the header. */
  private text(cell: number): string {
    const text = this.buffer.toString("utf8", this.starts[cell]!, this.ends[cell]!);
    if (this.doubled[cell] !== 1) return text;
    const mark = String.fromCharCode(this.quote);
    return text.replaceAll(mark + mark, mark);
  }

  private broken(what: string, cell: number): EngineError {
    const line = this.nextLine + this.lineEnds;
    return new EngineError("FILE_FORMAT", `${this.source.name}, line ${line}, cell ${cell + 1}: ${what}.`, {
      hint: 'Quotes inside a quoted cell must be doubled. Repair the line, or set `quote = ""` if quotes have no meaning in this file.',
      details: { file: this.source.name, line, cell: cell + 1 },
    });
  }
}
