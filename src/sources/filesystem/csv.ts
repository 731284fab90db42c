/**
 * CSV (RFC 4180) on bytes. Two passes over a file: the first finds for each column the narrowest type that
 * all its cells fit, the second writes each record as one JSON line of strings. Cells stay strings, so that
 * a column that is text at the destination keeps `007` and `1.50` as they are; the types travel as guesses.
 *
 * A record that spans lines is followed by as many blank lines, and a blank line of the file is one of the
 * page: the n-th line of a page is the n-th line of the file counted from the page's origin.
 */

import { EngineError } from "../../engine/errors.ts";
import { JsonlPage } from "../../engine/extract/page.ts";
import type { DataType } from "../../engine/schema/types.ts";
import type { ByteSource } from "./byte-source.ts";
import { ANY, BIGINT, BOOL, classify, DATE, DOUBLE, TIMESTAMP } from "./csv-types.ts";
import { type DecodeOptions, readText } from "./decode.ts";
import { numberedNames, uniqueNames } from "./header.ts";
import { PAGE_BYTES } from "./jsonl.ts";

export interface CsvOptions extends DecodeOptions {
  /** One byte. Default: the most regular of `,` `;` tab `|` in the first 64 KB. */
  delimiter?: string;
  /** One byte; empty: quotes have no meaning. */
  quote?: string;
  /** Is the first record the header? Without one the columns are `column_0`, `column_1`, … */
  header?: boolean;
  /** Cells that mean null, besides the empty one. Quoted cells too. */
  null_values?: readonly string[];
  /** A record of other length than the header: an error, or (`pad`) missing cells are null. */
  ragged?: "error" | "pad";
  /** `text`: columns that are new become text, whatever their cells look like. Default `infer`. */
  types?: "infer" | "text";
  pageBytes?: number;
  /** A longer record is an error: a quote that is never closed would swallow the file. */
  recordBytesMax?: number;
  warn?: (message: string) => void;
}

export const RECORD_BYTES_MAX = 64 * 1024 * 1024;
const SNIFF_BYTES = 64 * 1024;
const SMALL_PAGE_BYTES = 16 * 1024;
const SCAN_BYTES = 1 << 21;
const LF = 10;
const CR = 13;

export async function* readCsv(source: ByteSource, options: CsvOptions = {}): AsyncGenerator<JsonlPage> {
  if (options.types === "text") {
    yield* emit(source, options);
  } else if (source.reopen === true) {
    const columns = await inferCsv(source, options);
    if (columns !== undefined) yield* emit(source, options, columns);
  } else {
    options.warn?.(
      `${source.name} can be read only once, so its columns are text: types need a pass of their own.`,
    );
    yield* emit(source, options);
  }
}

/** What the first pass knows of a file. */
export interface CsvColumns {
  readonly names: readonly string[];
  readonly guesses: Readonly<Record<string, DataType>>;
  readonly rows: number;
}

export interface Dialect {
  readonly delimiter: number;
  /** -1: none. */
  readonly quote: number;
  /** The byte that ends a record; 13 for files that have no line feed. */
  readonly end: number;
}

/** The columns of a file and the type that all cells of each agree on; undefined when it has no rows. */
export async function inferCsv(
  source: ByteSource,
  options: CsvOptions = {},
): Promise<CsvColumns | undefined> {
  const nulls = new NullValues(options.null_values ?? []);
  let names: string[] | undefined;
  let masks: Uint8Array = new Uint8Array(0);
  let seen: Uint8Array = new Uint8Array(0);
  let rows = 0;
  for await (const scanner of records(source, options)) {
    while (scanner.next()) {
      if (scanner.cells === 0) continue;
      if (names === undefined) {
        names = namesOf(scanner, source, options);
        masks = new Uint8Array(names.length).fill(ANY);
        seen = new Uint8Array(names.length);
        if (options.header !== false) continue;
      }
      rows++;
      const cells = checkCells(source, options, names, scanner);
      narrow(masks, seen, scanner, cells, nulls);
    }
  }
  if (names === undefined || rows === 0) return undefined;
  const guesses: Record<string, DataType> = {};
  for (const [i, name] of names.entries()) if (seen[i] === 1) guesses[name] = typeOf(masks[i]!);
  return { names, guesses, rows };
}

/** Takes from each column the types that this record's cell does not fit. */
function narrow(
  masks: Uint8Array,
  seen: Uint8Array,
  scanner: RecordScanner,
  cells: number,
  nulls: NullValues,
): void {
  const { buffer, starts, ends, escaped } = scanner;
  for (let i = 0; i < cells; i++) {
    const mask = masks[i]!;
    if (mask === 0) continue;
    const start = starts[i]!;
    const end = ends[i]!;
    if (start === end || (nulls.some && nulls.has(buffer, start, end))) continue;
    seen[i] = 1;
    masks[i] = escaped[i] === 1 ? 0 : mask & classify(buffer, start, end);
  }
}

async function* emit(source: ByteSource, options: CsvOptions, known?: CsvColumns): AsyncGenerator<JsonlPage> {
  const { pageBytes = PAGE_BYTES, header = true } = options;
  const nulls = new NullValues(options.null_values ?? []);
  let names = known?.names;
  let guesses = known?.guesses ?? {};
  let keys: Uint8Array[] | undefined;
  let keyBytes = 0;
  // thousands of small files should not each take a page of megabytes
  const room = Math.max(SMALL_PAGE_BYTES, (source.size ?? pageBytes) * 8);
  let out = new Uint8Array(Math.min(pageBytes + (pageBytes >> 1), room));
  let o = 0;
  let firstLine = 1;
  const page = (length: number) =>
    new JsonlPage(out.slice(0, length), { origin: { file: source.name, line: firstLine }, guesses });
  for await (const scanner of records(source, options)) {
    while (scanner.next()) {
      if (scanner.cells === 0) {
        // A page starts with a row; many blank lines end it.
        if (o >= pageBytes) {
          yield page(o);
          o = 0;
        } else if (o > 0) out[o++] = LF;
        continue;
      }
      if (keys === undefined) {
        names ??= namesOf(scanner, source, options);
        if (known === undefined) guesses = Object.fromEntries(names.map((name) => [name, "text" as const]));
        keys = names.map((name) => Buffer.from(`,${JSON.stringify(name)}:"`));
        keyBytes = keys.reduce((sum, key) => sum + key.length, 0);
        if (header) continue;
      }
      const cells = checkCells(source, options, names!, scanner);
      // Each byte of a cell takes at most six (`\u0001`).
      const needed = scanner.recordBytes * 6 + keyBytes + cells + scanner.lines + 8;
      if (o > 0 && (o >= pageBytes || o + needed > out.length)) {
        yield page(o);
        o = 0;
      }
      if (needed > out.length) out = new Uint8Array(needed);
      if (o === 0) firstLine = scanner.line;
      o = writeRow(out, o, scanner, cells, keys, nulls);
    }
  }
  if (o > 0) yield page(o);
}

/** One record as a line of JSON, and a blank line for each further line of the record; returns the new end. */
function writeRow(
  out: Uint8Array,
  rowStart: number,
  scanner: RecordScanner,
  cells: number,
  keys: readonly Uint8Array[],
  nulls: NullValues,
): number {
  const { buffer, starts, ends, escaped, quote, lines } = scanner;
  let o = rowStart;
  for (let i = 0; i < cells; i++) {
    const start = starts[i]!;
    const end = ends[i]!;
    if (start === end || (nulls.some && nulls.has(buffer, start, end))) continue;
    const key = keys[i]!;
    const keyLength = key.length;
    for (let k = 0; k < keyLength; k++) out[o++] = key[k]!;
    const skipQuote = escaped[i] === 1 ? quote : -1;
    for (let p = start; p < end; p++) {
      const byte = buffer[p]!;
      if (byte === skipQuote) p++;
      if (PLAIN[byte] === 1) out[o++] = byte;
      else o = writeEscape(out, o, byte);
    }
    out[o++] = 0x22;
  }
  // The first key's comma is the place of the brace.
  if (o === rowStart) out[o++] = 0x7b;
  else out[rowStart] = 0x7b;
  out[o++] = 0x7d;
  for (let i = 0; i < lines; i++) out[o++] = LF;
  return o;
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

function typeOf(mask: number): DataType {
  if (mask & BIGINT) return "bigint";
  if (mask & DOUBLE) return "double";
  if (mask & BOOL) return "bool";
  if (mask & DATE) return "date";
  if (mask & TIMESTAMP) return "timestamp";
  return "text";
}

/** How many of the record's cells belong to columns; a record of the wrong length is an error or padded. */
function checkCells(
  source: ByteSource,
  options: CsvOptions,
  names: readonly string[],
  scanner: RecordScanner,
): number {
  const found = scanner.cells;
  const expected = names.length;
  if (found === expected) return found;
  if (options.ragged === "pad") {
    if (found < expected) return found;
    // What has no column may be left out only when nothing is lost.
    let extra = expected;
    while (extra < found && scanner.starts[extra] === scanner.ends[extra]) extra++;
    if (extra === found) return expected;
  }
  throw new EngineError(
    "FILE_FORMAT",
    `${source.name}, line ${scanner.line}: ${found} cells where the header has ${expected}.`,
    {
      hint:
        expected === 1
          ? "Set `delimiter`: the header has one column only, so the guess may be wrong."
          : found < expected
            ? 'Repair the line, or set `ragged = "pad"` to read missing cells as null.'
            : "Repair the line: an unquoted cell may hold the delimiter; or set `delimiter` or `quote`.",
      details: { file: source.name, line: scanner.line, expected, found },
    },
  );
}

function namesOf(scanner: RecordScanner, source: ByteSource, { header, warn }: CsvOptions): string[] {
  if (header === false) return numberedNames(scanner.cells);
  const written = Array.from({ length: scanner.cells }, (_, i) => scanner.text(i));
  return uniqueNames(written, source.name, warn);
}

class NullValues {
  readonly some: boolean;
  private readonly values: readonly Uint8Array[];

  constructor(values: readonly string[]) {
    this.some = values.length > 0;
    this.values = values.map((value) => Buffer.from(value));
  }

  has(buffer: Uint8Array, start: number, end: number): boolean {
    for (const value of this.values) {
      if (value.length !== end - start) continue;
      let i = 0;
      while (i < value.length && value[i] === buffer[start + i]) i++;
      if (i === value.length) return true;
    }
    return false;
  }
}

/** Yields the one scanner each time it has more to scan; the caller calls `next` until it is false. */
async function* records(source: ByteSource, options: CsvOptions): AsyncGenerator<RecordScanner> {
  let scanner: RecordScanner | undefined;
  let wanted = 0;
  for await (const { bytes } of readText(source, options)) {
    scanner ??= new RecordScanner(source, sniffCsv(bytes, options));
    scanner.append(bytes);
    // A record longer than a block is scanned again from its start: only once there is twice as much of it.
    if (scanner.held < wanted) continue;
    yield scanner;
    const { recordBytesMax = RECORD_BYTES_MAX } = options;
    if (scanner.held > recordBytesMax) {
      throw new EngineError(
        "FILE_FORMAT",
        `${source.name}: the record that starts on line ${scanner.nextLine} is longer than ${recordBytesMax} bytes.`,
        {
          hint: "A quote that is never closed does this: repair the line, or set `quote`.",
          details: { file: source.name, line: scanner.nextLine, record_bytes_max: recordBytesMax },
        },
      );
    }
    wanted = scanner.held * 2;
  }
  if (scanner === undefined) return;
  scanner.final = true;
  yield scanner;
}

/** Finds records and their cells in a buffer that is refilled behind it. */
class RecordScanner {
  buffer: Uint8Array;
  /** No more bytes will come: the end of the buffer ends the last record. */
  final = false;
  /** Cells of the record; 0 for a blank line. */
  cells = 0;
  starts = new Int32Array(256);
  ends = new Int32Array(256);
  /** 1: the cell has doubled quotes. */
  escaped = new Uint8Array(256);
  /** The record's first line, the lines it takes, and its length. */
  line = 1;
  lines = 0;
  recordBytes = 0;
  nextLine = 1;
  readonly quote: number;
  private readonly delimiter: number;
  private readonly end: number;
  private readonly source: ByteSource;
  private at = 0;
  private limit = 0;

  constructor(source: ByteSource, dialect: Dialect) {
    this.source = source;
    this.buffer = new Uint8Array(Math.min(SCAN_BYTES, Math.max(SMALL_PAGE_BYTES, source.size ?? SCAN_BYTES)));
    this.delimiter = dialect.delimiter;
    this.quote = dialect.quote;
    this.end = dialect.end;
  }

  /** Bytes that no record has been made of yet. */
  get held(): number {
    return this.limit - this.at;
  }

  append(bytes: Uint8Array): void {
    const held = this.held;
    const needed = held + bytes.length + 2;
    if (needed > this.buffer.length) {
      const larger = new Uint8Array(Math.max(needed, this.buffer.length * 2));
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

  /** Steps to the next record; false: none, or not all of it, is in the buffer. */
  next(): boolean {
    const { buffer, delimiter, quote, end, limit, final } = this;
    let { starts, ends, escaped } = this;
    let p = this.at;
    if (p >= limit) return false;
    let cells = 0;
    let lines = 0;
    while (true) {
      let start = p;
      let stop: number;
      let byte: number;
      let doubled = 0;
      const quoted = buffer[p] === quote && p < limit;
      if (quoted) {
        const opened = lines;
        start = ++p;
        while (true) {
          byte = buffer[p]!;
          while (byte !== quote) {
            if (byte === end) lines++;
            byte = buffer[++p]!;
          }
          if (p >= limit) {
            if (final) throw this.broken(opened, "a quote is opened and never closed", cells);
            return false;
          }
          if (buffer[p + 1] !== quote || p + 1 >= limit) break;
          doubled = 1;
          p += 2;
        }
        stop = p++;
        if (p === limit && !final) return false;
        byte = buffer[p]!;
        if (byte === CR && buffer[p + 1] === end) {
          p++;
          byte = end;
        }
        if (byte !== delimiter && byte !== end)
          throw this.broken(lines, "text follows a closing quote", cells);
      } else {
        byte = buffer[p]!;
        while (byte !== delimiter && byte !== end) byte = buffer[++p]!;
        stop = p;
      }
      if (byte === end) {
        if (p >= limit && !final) return false;
        if (!quoted && stop > start && buffer[stop - 1] === CR) stop--;
      }
      if (cells === starts.length) {
        this.widen();
        ({ starts, ends, escaped } = this);
      }
      starts[cells] = start;
      ends[cells] = stop;
      escaped[cells] = doubled;
      cells++;
      p++;
      if (byte === end) {
        if (cells === 1 && start === stop && !quoted) cells = 0;
        break;
      }
    }
    this.cells = cells;
    this.lines = lines + 1;
    this.line = this.nextLine;
    this.nextLine += lines + 1;
    this.recordBytes = p - this.at;
    this.at = Math.min(p, limit);
    return true;
  }

  /** A cell as a string; for headers. */
  text(cell: number): string {
    const { buffer, quote } = this;
    const text = Buffer.from(buffer.buffer, buffer.byteOffset, buffer.byteLength).toString(
      "utf8",
      this.starts[cell]!,
      this.ends[cell]!,
    );
    const mark = String.fromCharCode(Math.max(0, quote));
    return this.escaped[cell] === 1 ? text.replaceAll(mark + mark, mark) : text;
  }

  private widen(): void {
    const size = this.starts.length * 2;
    const starts = new Int32Array(size);
    starts.set(this.starts);
    this.starts = starts;
    const ends = new Int32Array(size);
    ends.set(this.ends);
    this.ends = ends;
    const escaped = new Uint8Array(size);
    escaped.set(this.escaped);
    this.escaped = escaped;
  }

  private broken(linesBefore: number, what: string, cell: number): EngineError {
    const line = this.nextLine + linesBefore;
    return new EngineError("FILE_FORMAT", `${this.source.name}, line ${line}, cell ${cell + 1}: ${what}.`, {
      hint: 'Quotes inside a quoted cell must be doubled. Repair the line, or set `quote = ""` if quotes have no meaning in this file.',
      details: { file: this.source.name, line, cell: cell + 1 },
    });
  }
}

const CANDIDATES = [",", ";", "\t", "|"].map((text) => text.charCodeAt(0));
const SNIFF_RECORDS = 100;

/** The dialect of a file from its options and the start of its text. */
export function sniffCsv(head: Uint8Array, options: CsvOptions = {}): Dialect {
  const sample = head.subarray(0, SNIFF_BYTES);
  const quote = options.quote === "" ? -1 : byteOf("quote", options.quote ?? '"');
  const end = sample.includes(LF) || !sample.includes(CR) ? LF : CR;
  const delimiter =
    options.delimiter === undefined
      ? sniffDelimiter(sample, quote, end)
      : byteOf("delimiter", options.delimiter);
  return { delimiter, quote, end };
}

/** The delimiter whose count is the same in most records as in the first; of equals the most frequent one. */
function sniffDelimiter(sample: Uint8Array, quote: number, end: number): number {
  const counts: number[][] = [];
  let record = CANDIDATES.map(() => 0);
  let inQuotes = false;
  let length = 0;
  for (const byte of sample) {
    if (byte === quote) inQuotes = !inQuotes;
    if (inQuotes) continue;
    if (byte === end) {
      if (length > 0) counts.push(record);
      if (counts.length === SNIFF_RECORDS) break;
      record = CANDIDATES.map(() => 0);
      length = 0;
      continue;
    }
    if (byte !== CR) length++;
    const candidate = CANDIDATES.indexOf(byte);
    if (candidate !== -1) record[candidate]!++;
  }
  // The last record may be cut; it counts only when it is all there is.
  if (counts.length === 0) counts.push(record);
  let best = 0;
  let bestScore = -1;
  for (let candidate = 0; candidate < CANDIDATES.length; candidate++) {
    const first = counts[0]![candidate]!;
    if (first === 0) continue;
    const same = counts.filter((record) => record[candidate] === first).length / counts.length;
    const score = Math.round(same * 10) * 1000 + Math.min(first, 999);
    if (score > bestScore) {
      best = candidate;
      bestScore = score;
    }
  }
  return CANDIDATES[best]!;
}

function byteOf(setting: string, text: string): number {
  const byte = text.charCodeAt(0);
  if (text.length === 1 && byte < 0x80 && byte !== LF && byte !== CR) return byte;
  throw new EngineError("CONFIG_INVALID", `The CSV ${setting} must be one ASCII character.`, {
    details: { setting: `csv.${setting}` },
  });
}
