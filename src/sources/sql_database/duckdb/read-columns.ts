/**
 * DuckDB's vectors as columns: cells of a fixed width are copied as they lie in memory, texts in runs. A cell of a
 * VARCHAR or BLOB vector is 16 bytes: the length; then up to 12 bytes of it, or 4 bytes and a pointer to all of it
 * (duckdb_string_t in duckdb.h).
 */

import type { DuckDBDataChunk } from "@duckdb/node-api";
import duckdb, { type Vector } from "@duckdb/node-bindings";
import type { ColumnBuffer } from "../../../engine/normalize/column-buffer.ts";
import type { ColumnPages } from "../column-pages.ts";

const TWO_32 = 4294967296;
const CELL_BYTES = 16;
/** Up to this many bytes a text stands in its cell. */
const INLINE_BYTES = 12;

/** The chunk must have the columns in their `binary` form. */
export function addChunk(pages: ColumnPages, chunk: DuckDBDataChunk): void {
  const rows = chunk.rowCount;
  const to = pages.buffer.beginRows(rows);
  for (const [index, column] of pages.cells.entries()) {
    const vector = duckdb.data_chunk_get_vector(chunk.chunk, index);
    // whole words of 64 bits; null where no row is null
    const valid = duckdb.vector_get_validity(vector, Math.ceil(rows / 64) * 8) ?? null;
    if (column.kind === "text" || column.kind === "bytes") {
      addTexts(column, to, vector, valid, rows);
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

/** Texts that follow each other in memory without a gap. */
interface Run {
  /** The row of the first. */
  readonly first: number;
  bytes: number;
}

/**
 * Texts that follow each other in memory are fetched together, because each call costs more than the copy; the
 * same text behind several cells, as in a dictionary, is fetched once. Then they are put into the column in the
 * order of the rows.
 */
function addTexts(
  column: ColumnBuffer,
  to: number,
  vector: Vector,
  valid: Uint8Array | null,
  rows: number,
): void {
  const data = duckdb.vector_get_data(vector, rows * CELL_BYTES);
  const cells = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  const words = new Uint32Array(data.buffer, data.byteOffset, rows * 4);
  const known = new Map<number, number>();
  const runs: Run[] = [];
  const runOf = new Uint32Array(rows);
  const offsetOf = new Uint32Array(rows);
  let runEnd = -1;
  for (let row = 0; row < rows; row++) {
    const length = words[row * 4]!;
    if (length <= INLINE_BYTES || (valid !== null && !isValid(valid, row))) continue;
    const pointer = pointerOf(words, row);
    const last = runs.at(-1);
    if (last !== undefined && pointer === runEnd) {
      runOf[row] = runs.length - 1;
      offsetOf[row] = last.bytes;
      last.bytes += length;
      runEnd += length;
      continue;
    }
    const same = known.get(pointer);
    if (same !== undefined) {
      runOf[row] = same;
      runEnd = -1;
      continue;
    }
    known.set(pointer, runs.length);
    runOf[row] = runs.length;
    runs.push({ first: row, bytes: length });
    runEnd = pointer + length;
  }
  const fetched = runs.map(({ first, bytes }) => {
    const pointerAt = data.byteOffset + first * CELL_BYTES + 8;
    const found = duckdb.get_data_from_pointer(data.buffer as ArrayBuffer, pointerAt, bytes);
    return Buffer.from(found.buffer, found.byteOffset, found.byteLength);
  });
  for (let row = 0; row < rows; row++) {
    if (valid !== null && !isValid(valid, row)) continue;
    const length = words[row * 4]!;
    if (length <= INLINE_BYTES) {
      column.setBytes(to + row, cells, row * CELL_BYTES + 4, row * CELL_BYTES + 4 + length);
    } else {
      const at = offsetOf[row]!;
      column.setBytes(to + row, fetched[runOf[row]!]!, at, at + length);
    }
  }
}

function pointerOf(words: Uint32Array, row: number): number {
  return words[row * 4 + 2]! + words[row * 4 + 3]! * TWO_32;
}

function isValid(valid: Uint8Array, row: number): boolean {
  return (valid[row >> 3]! & (1 << (row & 7))) !== 0;
}
