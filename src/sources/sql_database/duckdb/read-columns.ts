/**
 * DuckDB's vectors as columns: cells of a fixed width are copied as they lie in memory, texts in runs. A cell of a
 * VARCHAR or BLOB vector is 16 bytes: the length; then up to 12 bytes of it, or 4 bytes and a pointer to all of it
 * (duckdb_string_t in duckdb.h).
 */

import type { DuckDBDataChunk } from "@duckdb/node-api";
import duckdb, { type Vector } from "@duckdb/node-bindings";
import {
  type ColumnBuffer,
  INLINE_BYTES,
  type TableBuffer,
} from "../../../engine/normalize/column-buffer.ts";
import type { ColumnPages } from "../column-pages.ts";

const TWO_32 = 4294967296;
const CELL_BYTES = 16;

/** The chunk must have the columns in their `binary` form. */
export function addChunk(pages: ColumnPages, chunk: DuckDBDataChunk): void {
  const rows = chunk.rowCount;
  const to = pages.buffer.beginRows(rows);
  for (const [index, column] of pages.cells.entries()) {
    const vector = duckdb.data_chunk_get_vector(chunk.chunk, index);
    // whole words of 64 bits; null where no row is null
    const valid = duckdb.vector_get_validity(vector, Math.ceil(rows / 64) * 8) ?? null;
    if (column.kind === "text" || column.kind === "bytes") {
      addTexts(pages.buffer, column, to, vector, valid, rows);
    } else {
      const data = duckdb.vector_get_data(vector, rows * column.width);
      column.bytes.set(data, to * column.width);
      if (valid !== null) clearNulls(column, to, valid, rows);
    }
    column.setValid(to, valid, 0, rows);
  }
}

/** What lies in the cell of a null is of no value; the engine wants zeros there. */
function clearNulls({ bytes, width }: ColumnBuffer, to: number, valid: Uint8Array, rows: number): void {
  for (let row = 0; row < rows; row++) {
    if (!isValid(valid, row)) bytes.fill(0, (to + row) * width, (to + row + 1) * width);
  }
}

/**
 * Texts that follow each other in memory without a gap are fetched together, because each call costs more than
 * the copy; the same text behind several cells, as in a dictionary, is fetched once.
 */
function addTexts(
  buffer: TableBuffer,
  column: ColumnBuffer,
  to: number,
  vector: Vector,
  valid: Uint8Array | null,
  rows: number,
): void {
  const data = duckdb.vector_get_data(vector, rows * CELL_BYTES);
  const words = new Uint32Array(data.buffer, data.byteOffset, rows * 4);
  const known = new Map<number, number>();
  let run: number[] = [];
  let runBytes = 0;
  let runEnd = -1;
  const fetch = (): void => {
    const [first] = run;
    if (first === undefined) return;
    const pointerAt = data.byteOffset + first * CELL_BYTES + 8;
    const bytes = duckdb.get_data_from_pointer(data.buffer as ArrayBuffer, pointerAt, runBytes);
    known.set(pointerOf(words, first), to + first);
    let at = 0;
    for (const row of run) {
      const length = words[row * 4]!;
      buffer.setBytes(column, to + row, bytes, at, at + length);
      at += length;
    }
    run = [];
    runBytes = 0;
  };
  for (let row = 0; row < rows; row++) {
    if (valid !== null && !isValid(valid, row)) continue;
    const length = words[row * 4]!;
    if (length <= INLINE_BYTES) {
      column.u32.set(words.subarray(row * 4, row * 4 + 4), (to + row) * 4);
      continue;
    }
    const pointer = pointerOf(words, row);
    if (pointer !== runEnd) {
      fetch();
      const same = known.get(pointer);
      if (same !== undefined) {
        column.u32.copyWithin((to + row) * 4, same * 4, same * 4 + 4);
        runEnd = -1;
        continue;
      }
    }
    run.push(row);
    runBytes += length;
    runEnd = pointer + length;
  }
  fetch();
}

function pointerOf(words: Uint32Array, row: number): number {
  return words[row * 4 + 2]! + words[row * 4 + 3]! * TWO_32;
}

function isValid(valid: Uint8Array, row: number): boolean {
  return (valid[row >> 3]! & (1 << (row & 7))) !== 0;
}
