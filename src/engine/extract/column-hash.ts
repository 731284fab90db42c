/** The hashes of row-hash.ts of rows that are columns already: of texts, numbers as doubles, booleans, and dates. */

import type { ColumnBuffer, TableBuffer } from "../normalize/column-buffer.ts";
import { FieldHasher, HASH_BYTES } from "./field-hash.ts";

const TWO_32 = 4294967296;

export class ColumnHasher {
  readonly #hasher = new FieldHasher();

  /**
   * The hashes of all rows, one behind the other; overwritten by the next call. `keys`: which columns; one that the
   * buffer has not is null in each row.
   */
  of(keys: readonly string[], { rows, byName }: Pick<TableBuffer, "rows" | "byName">): Uint8Array {
    const hasher = this.#hasher;
    const length = rows * HASH_BYTES;
    hasher.reserve(length);
    hasher.bytes.fill(0, 0, length);
    for (const key of keys) {
      const seed = hasher.seedOf(key, length);
      const column = byName.get(key);
      if (column === undefined) this.#nulls(seed, rows, length);
      else this.#column(seed, column, rows, length);
    }
    return hasher.bytes.subarray(0, length);
  }

  /** `from`: where the memory is free. */
  #column(seed: number, column: ColumnBuffer, rows: number, from: number): void {
    const hasher = this.#hasher;
    const { kind, valid } = column;
    const cells = cellsOf(column, rows);
    const bits = column.allValid(rows) ? undefined : valid.subarray(0, (rows + 7) >> 3);
    const at = from + (bits?.length ?? 0);
    hasher.reserve(at + cells.length);
    if (bits !== undefined) hasher.bytes.set(bits, from);
    hasher.bytes.set(cells, at);
    const { texts, numbers, booleans } = hasher.run;
    const add = kind === "text" ? texts : kind === "bool" ? booleans : numbers;
    add(0, seed, bits === undefined ? 0 : from, at, rows);
  }

  #nulls(seed: number, rows: number, from: number): void {
    const hasher = this.#hasher;
    const bits = (rows + 7) >> 3;
    hasher.reserve(from + bits + rows);
    hasher.bytes.fill(0, from, from + bits);
    hasher.run.booleans(0, seed, from, from + bits, rows);
  }
}

/** Dates are hashed as the number of their microseconds, which is exact. */
function cellsOf({ kind, width, text, textLength, bytes, u32, i32 }: ColumnBuffer, rows: number): Uint8Array {
  if (kind === "text") return text.subarray(0, textLength);
  if (kind !== "timestamp") return bytes.subarray(0, rows * width);
  const micros = new Float64Array(rows);
  for (let row = 0; row < rows; row++) micros[row] = i32[row * 2 + 1]! * TWO_32 + u32[row * 2]!;
  return new Uint8Array(micros.buffer);
}
