/**
 * The same tables as `vector-writer.ts`, value by value through DuckDB's public client: a few times slower,
 * no raw memory. For platforms where that is in doubt, for finding the value that a load stumbled over, and
 * as the yardstick of the other one's tests.
 */

import { isUtf8 } from "node:buffer";
import {
  blobValue,
  type DuckDBAppender,
  DuckDBDataChunk,
  DuckDBDateValue,
  DuckDBTimestampTZValue,
  DuckDBTimestampValue,
  DuckDBTimeValue,
  DuckDBTypeId,
  type DuckDBValue,
} from "@duckdb/node-api";
import { type Block, type BlockColumn, cellBytes, isValidAt } from "../../package/block-format.ts";
import {
  type BlockWriter,
  CHUNK_ROWS,
  columnOf,
  notUtf8,
  PHYSICAL_TYPE,
  type WriterColumn,
} from "./vector-writer.ts";

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

export class PlainWriter implements BlockWriter {
  private appender: DuckDBAppender;
  private readonly columns: readonly WriterColumn[];

  constructor(appender: DuckDBAppender, columns: readonly WriterColumn[]) {
    this.appender = appender;
    this.columns = columns;
  }

  append(block: Block, from: number, to: number): void {
    const types = this.columns.map(({ kind, type }) => type ?? PHYSICAL_TYPE[kind]);
    const readers = this.columns.map(({ name, kind, type }) => {
      const column = columnOf(block, name, kind);
      return column && readerOf(block, column, type?.typeId === DuckDBTypeId.TIMESTAMP_TZ);
    });
    for (let start = from; start < to; start += CHUNK_ROWS) {
      const rows = Math.min(CHUNK_ROWS, to - start);
      const chunk = DuckDBDataChunk.create(types);
      chunk.setColumns(
        readers.map((read) => Array.from({ length: rows }, (_, i) => (read ? read(start + i) : null))),
      );
      this.appender.appendDataChunk(chunk);
    }
  }

  use(appender: DuckDBAppender): void {
    this.appender = appender;
  }

  dispose(): void {}
}

function readerOf(block: Block, column: BlockColumn, zoned: boolean): (row: number) => DuckDBValue {
  const read = toDuckDB(block, column, zoned);
  return (row) => (isValidAt(column.valid, row) ? read(row) : null);
}

function toDuckDB(block: Block, column: BlockColumn, zoned: boolean): (row: number) => DuckDBValue {
  const { data } = column;
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const int64 = (row: number): bigint => view.getBigInt64(row * 8, true);
  switch (column.kind) {
    case "bool":
      return (row) => data[row] !== 0;
    case "int64":
      return int64;
    case "float64":
      return (row) => view.getFloat64(row * 8, true);
    case "timestamp":
      return (row) => (zoned ? new DuckDBTimestampTZValue(int64(row)) : new DuckDBTimestampValue(int64(row)));
    case "time":
      return (row) => new DuckDBTimeValue(int64(row));
    case "date":
      return (row) => new DuckDBDateValue(view.getInt32(row * 4, true));
    case "bytes":
      return (row) => blobValue(cellBytes(block, column, row).slice());
    case "text":
      return (row) => {
        const bytes = cellBytes(block, column, row);
        if (!isUtf8(bytes)) throw notUtf8(block, column.name, row);
        return decoder.decode(bytes);
      };
  }
}
