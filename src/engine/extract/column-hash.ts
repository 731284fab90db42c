/** The hashes of row-hash.ts of rows that are columns already: of texts, numbers as doubles, and booleans. */

import type { ColumnBuffer, TableBuffer } from "../normalize/column-buffer.ts";
import {
  addHash,
  addHashOfNothing,
  FALSE,
  HASH_WORDS,
  KeySeeds,
  kindOfNumber,
  kindWithLength,
  NULL,
  TEXT,
  TRUE,
} from "./field-hash.ts";

export class ColumnHasher {
  readonly #seeds = new KeySeeds();
  #sums = new Int32Array(0);

  /**
   * The words of the hashes of all rows, one behind the other; overwritten by the next call. `keys`: which columns;
   * one that the buffer has not is null in each row.
   */
  of(keys: readonly string[], { rows, byName }: Pick<TableBuffer, "rows" | "byName">): Int32Array {
    const length = rows * HASH_WORDS;
    if (this.#sums.length < length) this.#sums = new Int32Array(length);
    const sums = this.#sums.subarray(0, length).fill(0);
    for (const key of keys) {
      const column = byName.get(key);
      const seed = this.#seeds.of(key);
      if (column === undefined) {
        for (let at = 0; at < length; at += HASH_WORDS) addHashOfNothing(sums, at, seed, NULL);
      } else if (column.kind === "text") addTexts(sums, seed, column, rows);
      else if (column.kind === "float64") addNumbers(sums, seed, column, rows);
      else addBooleans(sums, seed, column, rows);
    }
    return sums;
  }
}

function addTexts(sums: Int32Array, seed: number, column: ColumnBuffer, rows: number): void {
  const { text, textLength } = column;
  const view = new DataView(text.buffer, text.byteOffset, textLength);
  const valid = column.allValid(rows) ? undefined : column.valid;
  let from = 0;
  for (let row = 0, at = 0; row < rows; row++, at += HASH_WORDS) {
    if (valid !== undefined && !isValid(valid, row)) {
      addHashOfNothing(sums, at, seed, NULL);
      continue;
    }
    const length = view.getUint32(from, true);
    from += 4;
    addHash(sums, at, seed, kindWithLength(TEXT, length), view, from, from + length);
    from += length;
  }
}

function addNumbers(sums: Int32Array, seed: number, column: ColumnBuffer, rows: number): void {
  const { bytes, f64 } = column;
  const view = new DataView(bytes.buffer, bytes.byteOffset, rows * 8);
  const valid = column.allValid(rows) ? undefined : column.valid;
  for (let row = 0, at = 0; row < rows; row++, at += HASH_WORDS) {
    if (valid !== undefined && !isValid(valid, row)) addHashOfNothing(sums, at, seed, NULL);
    else addHash(sums, at, seed, kindOfNumber(f64[row]!), view, row * 8, row * 8 + 8);
  }
}

function addBooleans(sums: Int32Array, seed: number, { bytes, valid }: ColumnBuffer, rows: number): void {
  for (let row = 0, at = 0; row < rows; row++, at += HASH_WORDS) {
    const kind = isValid(valid, row) ? (bytes[row] === 1 ? TRUE : FALSE) : NULL;
    addHashOfNothing(sums, at, seed, kind);
  }
}

function isValid(valid: Uint8Array, row: number): boolean {
  return (valid[row >> 3]! & (1 << (row & 7))) !== 0;
}
