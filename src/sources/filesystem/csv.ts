/**
 * CSV as columns of texts. Two passes over a file: the first finds for each column the narrowest type that
 * all its cells fit, the second copies the cells. Cells stay texts, so that
 * a column that is text at the destination keeps `007` and `1.50` as they are; the types travel as guesses.
 */

import { TextsPage } from "../../engine/extract/page.ts";
import { type ColumnBuffer, TableBuffer } from "../../engine/normalize/column-buffer.ts";
import { LINE_NUMBERS } from "../../engine/package/text-lines.ts";
import type { DataType } from "../../engine/schema/types.ts";
import type { ByteSource } from "./byte-source.ts";
import { type CellOptions, type CsvCells, csvCells } from "./csv-cells.ts";
import { inferCsv } from "./csv-infer.ts";
import { copiedWhileRead } from "./local-copy.ts";

export interface CsvOptions extends CellOptions {
  /** `text`: columns that are new become text, whatever their cells look like. Default `infer`. */
  types?: "infer" | "text";
  /** A page is full when its texts have so many bytes. */
  pageBytes?: number;
  /** The memory of a page is used again when the page after the next is asked for. */
  recycle?: boolean;
}

type Guesses = Readonly<Record<string, DataType>>;

/** More take memory and are no faster. */
const PAGE_ROWS = 4_096;
const PAGE_BYTES = 4 << 20;
/** Room for the texts of a page to begin with; it grows. */
const FIRST_PAGE_BYTES = 1 << 20;

export async function* readCsv(source: ByteSource, options: CsvOptions = {}): AsyncGenerator<TextsPage> {
  if (options.types === "text") {
    yield* pages(source, options);
  } else if (source.reopen === true) {
    await using copied = await copiedWhileRead(source);
    const columns = await inferCsv(copied.source, options);
    // what is wrong with the header was said in the first pass
    if (columns !== undefined) yield* pages(copied.source, { ...options, warn: undefined }, columns.guesses);
  } else {
    options.warn?.(
      `${source.name} can be read only once, so its columns are text: types need a pass of their own.`,
    );
    yield* pages(source, options);
  }
}

async function* pages(source: ByteSource, options: CsvOptions, known?: Guesses): AsyncGenerator<TextsPage> {
  const { pageBytes = PAGE_BYTES } = options;
  let filling: TextPages | undefined;
  for await (const cells of csvCells(source, options)) {
    while (cells.next()) {
      filling ??= new TextPages(source, cells.names, known, options.recycle === true);
      if (filling.rows > 0 && filling.rows + cells.rows > PAGE_ROWS) yield filling.take();
      filling.add(cells);
      if (filling.bytes >= pageBytes) yield filling.take();
    }
  }
  if (filling !== undefined && filling.rows > 0) yield filling.take();
}

/** Fills one page after the other. */
class TextPages {
  private readonly file: string;
  private readonly keys: readonly string[];
  private readonly guesses: Guesses;
  /** Bytes of each column to begin with: thousands of small files should not each take the memory of a large one. */
  private readonly textBytes: number;
  private readonly recycle: boolean;
  private buffer: TableBuffer | undefined;
  /** Of the last page, which may still be written, and of the one before. */
  private last: TableBuffer | undefined;
  private free: TableBuffer | undefined;
  private firstLine = 1;

  constructor(source: ByteSource, names: readonly string[], guesses: Guesses | undefined, recycle: boolean) {
    this.recycle = recycle;
    this.file = source.name;
    this.keys = names;
    this.guesses = guesses ?? Object.fromEntries(names.map((name) => [name, "text"]));
    const bytes = Math.min(source.size ?? FIRST_PAGE_BYTES, FIRST_PAGE_BYTES);
    this.textBytes = Math.ceil(bytes / names.length);
  }

  get rows(): number {
    return this.buffer?.rows ?? 0;
  }

  get bytes(): number {
    return this.buffer?.textBytes() ?? 0;
  }

  add(cells: CsvCells): void {
    const { keys } = this;
    if (this.buffer === undefined) this.firstLine = cells.lines[0]!;
    this.buffer ??= this.emptyBuffer();
    const { buffer } = this;
    const first = buffer.beginRows(cells.rows);
    for (let i = 0; i < keys.length; i++) copyTexts(cells, i, keys.length, buffer.columns[i]!, first);
    this.addLines(buffer, cells, first);
  }

  /** The page; there is one. */
  take(): TextsPage {
    const buffer = this.buffer!;
    this.buffer = undefined;
    if (this.recycle) this.free = this.last;
    this.last = buffer;
    const { keys, guesses, file, firstLine } = this;
    return new TextsPage(buffer, keys, { guesses, origin: { file, line: firstLine } });
  }

  private emptyBuffer(): TableBuffer {
    const { free } = this;
    this.free = undefined;
    if (free !== undefined) {
      free.clear();
      return free;
    }
    const buffer = new TableBuffer("");
    for (const key of this.keys) buffer.addColumn(key, "text", this.textBytes);
    return buffer;
  }

  /** Of rows that do not follow on the line of the row before. */
  private addLines(buffer: TableBuffer, { lines, rows }: CsvCells, first: number): void {
    const regular = this.firstLine + first;
    for (let row = 0; row < rows; row++) {
      const line = lines[row]!;
      if (line === regular + row) continue;
      const column = buffer.byName.get(LINE_NUMBERS) ?? buffer.addColumn(LINE_NUMBERS, "float64");
      column.setFloat(first + row, line);
    }
  }
}

/** More bytes are copied by a call, which takes longer than copying fewer of them here. */
const WORDS_BYTES_MAX = 64;

/** The cells of one column behind its texts, as the rows from `first` on. */
function copyTexts(cells: CsvCells, index: number, width: number, column: ColumnBuffer, first: number): void {
  const { buffer, starts, ends, doubled, someDoubled, quote } = cells;
  const last = cells.rows * width;
  let room = 4;
  for (let cell = index; cell < last; cell += width) room += 4 + ends[cell]! - starts[cell]!;
  column.reserveText(room);
  const { text, valid } = column;
  const from = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
  const to = new DataView(text.buffer, text.byteOffset, text.byteLength);
  let at = column.textLength;
  let row = first;
  for (let cell = index; cell < last; cell += width, row++) {
    const start = starts[cell]!;
    const end = ends[cell]!;
    if (start === end) continue;
    let length = end - start;
    const textAt = at + 4;
    if (someDoubled && doubled[cell] === 1) {
      length = 0;
      for (let p = start; p < end; p++) {
        const byte = buffer[p]!;
        if (byte === quote) p++;
        text[textAt + length++] = byte;
      }
    } else if (length <= WORDS_BYTES_MAX) {
      // by words, up to three bytes too many: both sides have room for them
      for (let i = 0; i < length; i += 4) to.setInt32(textAt + i, from.getInt32(start + i, true), true);
    } else {
      buffer.copy(text, textAt, start, end);
    }
    to.setInt32(at, length, true);
    at = textAt + length;
    valid[row >> 3]! |= 1 << (row & 7);
  }
  column.textLength = at;
}
