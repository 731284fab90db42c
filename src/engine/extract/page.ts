/**
 * What a resource may yield: a row, a page of rows, a page that is bytes or columns already, or a checkpoint.
 */

import type { TableBuffer } from "../normalize/column-buffer.ts";
import { linesOfColumns, viewOfBuffer } from "../package/column-lines.ts";
import { linesOfTexts } from "../package/text-lines.ts";
import type { ExtractedColumn } from "../package/types.ts";
import type { DataType } from "../schema/types.ts";

/** A document as a source yields it. Values: JSON, plus Date, bigint, Uint8Array and TypedValue. */
export type Row = Readonly<Record<string, unknown>>;

/**
 * Rows as JSON Lines bytes: each line one JSON object in UTF-8, each ended by a line feed. Readers of
 * files yield these, so that rows never become objects unless a transform needs them. The memory is the page's
 * own: it is still being written when the next page is asked for.
 */
export class JsonlPage {
  readonly bytes: Uint8Array;
  /** Where the bytes come from, for error messages: a file's path or URL and the page's first line (1-based). */
  readonly origin?: { readonly file: string; readonly line: number };
  /**
   * Types for columns that the schema does not know yet, by the key in the document. For formats whose
   * cells are text (CSV): the cells are yielded as strings, so that a column that is already text keeps
   * them exactly, and a new column gets the type that its whole file agrees on.
   */
  readonly guesses?: Readonly<Record<string, DataType>>;
  /**
   * True: the lines are in the order of the resource's cursor, none is blank, and whoever yields them vouches
   * for it (a database has sorted them). Then only the first and the last ones are parsed for the cursor.
   */
  readonly sorted?: boolean;

  constructor(
    bytes: Uint8Array,
    options: {
      origin?: { file: string; line: number };
      guesses?: Readonly<Record<string, DataType>>;
      sorted?: boolean;
    } = {},
  ) {
    this.bytes = bytes;
    this.origin = options.origin;
    this.guesses = options.guesses;
    this.sorted = options.sorted;
  }
}

/**
 * Rows as columns, for sources that have them in binary form: no value becomes text and is parsed again. They are
 * JSON Lines in another form (`lines()`), and are treated as those wherever a row has to be looked at. Columns of
 * text hold UTF-8, those of decimals plain digits (`-?digits[.digits]`). The memory is the page's own, and whoever
 * takes the page empties it.
 */
export class ColumnsPage {
  /** Its columns have the keys as names, and the cells that `kindOf` says of their types. */
  readonly buffer: TableBuffer;
  readonly columns: readonly ExtractedColumn[];

  constructor(buffer: TableBuffer, columns: readonly ExtractedColumn[]) {
    this.buffer = buffer;
    this.columns = columns;
  }

  lines(): JsonlPage {
    const { buffer, columns } = this;
    return new JsonlPage(linesOfColumns(viewOfBuffer(buffer), columns, 0, buffer.rows));
  }
}

/**
 * Rows of a file whose cells are texts, as columns: the other form of lines that hold strings (`lines()`), and treated as
 * those wherever a row has to be looked at. A row lacks the keys that have no cell in it. The memory is the page's own
 * until the page after the next is asked for, and whoever takes the page empties it.
 */
export class TextsPage {
  /** Its columns have the keys as names, and hold texts, or numbers. A column without any cell may be left out. */
  readonly buffer: TableBuffer;
  readonly keys: readonly string[];
  /** As of a JsonlPage. */
  readonly guesses: Readonly<Record<string, DataType>>;
  /** The line of the first row. The others follow on it, but for those that the column `LINE_NUMBERS` has a line for. */
  readonly origin: { readonly file: string; readonly line: number };

  constructor(
    buffer: TableBuffer,
    keys: readonly string[],
    { guesses, origin }: Pick<TextsPage, "guesses" | "origin">,
  ) {
    this.buffer = buffer;
    this.keys = keys;
    this.guesses = guesses;
    this.origin = origin;
  }

  lines(): JsonlPage {
    const { buffer, keys, guesses, origin } = this;
    return new JsonlPage(linesOfTexts(viewOfBuffer(buffer), keys, origin.line), { guesses, origin });
  }
}

/**
 * Yield this where everything yielded so far, together with the resource's state as it is now, may be
 * committed as a package of its own (a file or a window is complete). A run is interrupted without loss
 * only between packages, so a long source that yields checkpoints goes on where it stopped.
 */
export const checkpoint: unique symbol = Symbol("loadwright.checkpoint");

export type Yielded = Row | readonly Row[] | JsonlPage | ColumnsPage | TextsPage | typeof checkpoint;

/** What is yielded with rows in it. */
export type Page = Exclude<Yielded, typeof checkpoint>;

/** Rows to go through, rather than one row. */
export function isMany(value: unknown): boolean {
  return (
    Array.isArray(value) ||
    (typeof value === "object" &&
      value !== null &&
      (Symbol.asyncIterator in value || Symbol.iterator in value))
  );
}
