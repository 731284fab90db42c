/**
 * Rows as columns while they are extracted, which takes a third of the time of writing lines, and so does reading
 * them: for rows that are plain objects with the same keys in the same order, and where all values of a key are
 * texts, or numbers, or booleans, or dates, or null. A column then holds what the lines would: texts, numbers as
 * doubles, and dates as timestamps.
 */

import { isPlainObject } from "../interop/row-json.ts";
import { TableBuffer } from "../normalize/column-buffer.ts";
import { copyOfBlock } from "../package/block-format.ts";
import type { SpareMemory } from "../package/spare-memory.ts";

/** So many rows make a block of normalized rows too. */
const BLOCK_ROWS_MAX = 12_288;
const BLOCK_CELLS_MAX = 1 << 19;
/** Rows that are so wide that fewer make a block are lines. */
const BLOCK_ROWS_MIN = 256;
/** UTF-16 units of a block's texts. A row that has more of them alone becomes a line. */
const BLOCK_UNITS_MAX = 1 << 22;
/** Room for the length of each text, which is written when all of them are encoded. */
const BETWEEN = "\0\0\0\0";

type Fits = "yes" | "no" | "too long";

export interface ValuesBlock {
  readonly bytes: Buffer;
  readonly rows: number;
  readonly keys: readonly string[];
}

/** Gets the columns of each block, valid during the call, in the order of the rows. A key without a column is null. */
export type OnColumns = (keys: readonly string[], columns: TableBuffer) => void;

export class RowColumns {
  readonly keys: readonly string[];
  /** The values of each key. */
  private readonly values: unknown[][];
  private readonly texts: string[] = [];
  /** UTF-16 units of all texts so far. */
  private units = 0;
  private readonly buffer = new TableBuffer("");
  private readonly memories: SpareMemory;
  /** Rows of the next block at most: fewer where texts are long. */
  private rowsMax: number;

  private constructor(keys: readonly string[], memories: SpareMemory) {
    this.keys = keys;
    this.memories = memories;
    this.values = keys.map(() => []);
    this.rowsMax = rowsMaxOf(keys);
  }

  /** For rows with the keys of this one. Blocks get their memory from `memories`. */
  static like(row: unknown, memories: SpareMemory): RowColumns | undefined {
    if (!isPlainObject(row)) return undefined;
    const keys = Object.keys(row);
    if (keys.length === 0 || rowsMaxOf(keys) < BLOCK_ROWS_MIN) return undefined;
    return keys.every((key) => key.isWellFormed()) ? new RowColumns(keys, memories) : undefined;
  }

  /** A block of rows from `from` on; undefined: one of them has to be a line. */
  encode(rows: readonly unknown[], from: number, onColumns?: OnColumns): ValuesBlock | undefined {
    let count = this.collect(rows, from, Math.min(rows.length - from, this.rowsMax));
    this.rowsMax = Math.min(2 * this.rowsMax, rowsMaxOf(this.keys));
    let block: ValuesBlock | undefined;
    while (count > 0) {
      const fits = this.fill(count);
      if (fits === "yes") {
        onColumns?.(this.keys, this.buffer);
        block = { bytes: copyOfBlock(this.buffer, this.memories), rows: count, keys: this.keys };
      }
      this.buffer.clear();
      if (fits !== "too long") break;
      count >>= 1;
      this.rowsMax = Math.max(1, count);
    }
    this.forget();
    return block;
  }

  /** Takes the values of so many rows out of them, and returns how many that are; 0: they differ in their keys. */
  private collect(rows: readonly unknown[], from: number, count: number): number {
    const { keys, values } = this;
    const keyCount = keys.length;
    for (let r = 0; r < count; r++) {
      const row = rows[from + r];
      if (!isPlainObject(row)) return 0;
      let i = 0;
      for (const key in row) {
        if (key !== keys[i]) return 0;
        values[i++]![r] = row[key];
      }
      if (i !== keyCount) return 0;
    }
    return count;
  }

  /** Nothing of a page is held while its resource waits at a `yield`. */
  private forget(): void {
    for (const column of this.values) column.fill(undefined);
    this.texts.length = 0;
  }

  private fill(count: number): Fits {
    this.buffer.beginRows(count);
    this.units = 0;
    for (let i = 0; i < this.keys.length; i++) {
      const values = this.values[i]!;
      let r = 0;
      while (r < count && values[r] === null) r++;
      if (r === count) continue;
      const key = this.keys[i]!;
      let fits: Fits = "no";
      switch (typeof values[r]) {
        case "string":
          fits = this.fillTexts(key, values, count);
          break;
        case "number":
          fits = this.fillNumbers(key, values, count);
          break;
        case "boolean":
          fits = this.fillBooleans(key, values, count);
          break;
        case "object":
          fits = this.fillDates(key, values, count);
      }
      if (fits !== "yes") return fits;
    }
    return "yes";
  }

  private column(key: string, kind: "text" | "float64" | "bool" | "timestamp") {
    const { buffer } = this;
    const known = buffer.byName.get(key);
    if (known?.kind === kind) return known;
    if (known !== undefined) buffer.removeColumn(known);
    return buffer.addColumn(key, kind);
  }

  private fillNumbers(key: string, values: readonly unknown[], count: number): Fits {
    const column = this.column(key, "float64");
    const { f64, valid } = column;
    let nulls = false;
    for (let r = 0; r < count; r++) {
      const value = values[r];
      if (typeof value === "number") {
        if (!Number.isFinite(value)) return "no";
        // JSON has no -0
        f64[r] = value + 0;
        if (nulls) valid[r >> 3]! |= 1 << (r & 7);
      } else if (value === null) {
        if (!nulls) column.setValid(0, null, 0, r);
        nulls = true;
      } else {
        return "no";
      }
    }
    if (!nulls) column.setValid(0, null, 0, count);
    return "yes";
  }

  private fillBooleans(key: string, values: readonly unknown[], count: number): Fits {
    const column = this.column(key, "bool");
    for (let r = 0; r < count; r++) {
      const value = values[r];
      if (typeof value === "boolean") column.setBool(r, value);
      else if (value !== null) return "no";
    }
    return "yes";
  }

  private fillDates(key: string, values: readonly unknown[], count: number): Fits {
    const column = this.column(key, "timestamp");
    for (let r = 0; r < count; r++) {
      const value = values[r];
      if (value === null) continue;
      if (!(value instanceof Date)) return "no";
      const micros = value.getTime() * 1000;
      // an invalid one too
      if (!Number.isSafeInteger(micros)) return "no";
      column.setInt(r, micros);
    }
    return "yes";
  }

  /** All texts are encoded at once: one call each would take longer than the rest. */
  private fillTexts(key: string, values: readonly unknown[], count: number): Fits {
    const column = this.column(key, "text");
    const { valid } = column;
    const { texts } = this;
    let filled = 0;
    let { units } = this;
    for (let r = 0; r < count; r++) {
      const value = values[r];
      if (typeof value === "string") {
        texts[filled++] = value;
        units += value.length;
        if (units > BLOCK_UNITS_MAX) return "too long";
        valid[r >> 3]! |= 1 << (r & 7);
      } else if (value !== null) {
        return "no";
      }
    }
    this.units = units;
    texts.length = filled;
    const joined = texts.join(BETWEEN);
    if (!joined.isWellFormed()) return "no";
    const bytes = Buffer.byteLength(joined);
    column.reserveText(4 + bytes);
    const { text } = column;
    text.write(joined, 4);
    const plain = bytes === joined.length;
    let at = 0;
    for (let i = 0; i < filled; i++) {
      const length = plain ? texts[i]!.length : Buffer.byteLength(texts[i]!);
      text[at] = length;
      text[at + 1] = length >>> 8;
      text[at + 2] = length >>> 16;
      text[at + 3] = length >>> 24;
      at += 4 + length;
    }
    column.textLength = at;
    return "yes";
  }
}

const rowsMaxOf = (keys: readonly string[]): number =>
  Math.min(BLOCK_ROWS_MAX, Math.floor(BLOCK_CELLS_MAX / keys.length));
