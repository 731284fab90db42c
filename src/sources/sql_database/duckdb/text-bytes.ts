/**
 * The texts of a vector as bytes, without a JavaScript string of each. A cell of a VARCHAR vector is 16 bytes: the
 * length; then up to 12 bytes of text, or 4 bytes of it and a pointer to all of it (duckdb_string_t in duckdb.h).
 */

import type { DuckDBVector } from "@duckdb/node-api";
import duckdb from "@duckdb/node-bindings";

const CELL_BYTES = 16;
const INLINE_BYTES = 12;

export function* textBytes(vector: DuckDBVector, rows: number): Generator<Uint8Array> {
  // the class of VARCHAR vectors has its cells as a view, but does not declare it
  const { dataView } = vector as unknown as { dataView?: DataView };
  for (let row = 0; row < rows; row++) {
    if (dataView === undefined) {
      yield Buffer.from(String(vector.getItem(row)));
      continue;
    }
    const at = row * CELL_BYTES;
    const length = dataView.getUint32(at, true);
    yield length <= INLINE_BYTES
      ? new Uint8Array(dataView.buffer, dataView.byteOffset + at + 4, length)
      : duckdb.get_data_from_pointer(dataView.buffer as ArrayBuffer, dataView.byteOffset + at + 8, length);
  }
}
