/**
 * Rows that are columns, as the JSON Lines that a source would have sent in their place: for whatever has to look
 * at single rows. Marks of types are not needed, because the columns are declared.
 */

import type { Kind, TableBuffer } from "../normalize/column-buffer.ts";
import { formatDate, formatTime, formatTimestamp } from "../schema/iso-time.ts";
import { type Block, type BlockColumn, isValidAt, textReader } from "./block-format.ts";
import type { ExtractedColumn } from "./types.ts";

/** What is read of a block: also of one that was never written. */
export type ColumnsView = Pick<Block, "rows" | "columns" | "file" | "offset">;

/** Valid until the buffer gets another row. */
export function viewOfBuffer(buffer: TableBuffer): ColumnsView {
  const { rows } = buffer;
  const columns = buffer.columns.map((column): BlockColumn => {
    const { name, kind, bytes, width, valid, text, textLength } = column;
    const data = width === 0 ? text.subarray(0, textLength) : bytes.subarray(0, rows * width);
    return { name, kind, data, valid };
  });
  return { file: buffer.name, offset: 0, rows, columns };
}

/** The rows from `from` up to `to`. */
export function linesOfColumns(
  view: ColumnsView,
  columns: readonly ExtractedColumn[],
  from: number,
  to: number,
): Uint8Array {
  const cells = columns.map(({ name, type }) => {
    const column = view.columns.find((candidate) => candidate.name === name);
    return { key: JSON.stringify(name), column, text: column && cellText(view, column, type) };
  });
  const lines: string[] = [];
  for (let row = from; row < to; row++) {
    const members = cells.map(({ key, column, text }) =>
      column === undefined || text === undefined || !isValidAt(column.valid, row)
        ? `${key}:null`
        : `${key}:${text(row)}`,
    );
    lines.push(`{${members.join(",")}}\n`);
  }
  return Buffer.from(lines.join(""));
}

/** How a cell that has a value stands in the line. */
function cellText(
  view: ColumnsView,
  column: BlockColumn,
  type: ExtractedColumn["type"],
): (row: number) => string {
  const { data, kind } = column;
  if (kind === "text" || kind === "bytes") {
    const read = textReader(view, column);
    return kind === "text"
      ? (row) => JSON.stringify(Buffer.from(read(row)).toString("utf8"))
      : (row) => `"0x${Buffer.from(read(row)).toString("hex")}"`;
  }
  const cells = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const int64 = (row: number): bigint => cells.getBigInt64(row * 8, true);
  const kinds: Readonly<Record<Exclude<Kind, "text" | "bytes">, (row: number) => string>> = {
    bool: (row) => String(data[row] === 1),
    int64: (row) => String(int64(row)),
    float64: (row) => floatText(cells.getFloat64(row * 8, true)),
    timestamp: (row) => {
      const text = trimmed(formatTimestamp(int64(row)).replace("T", " ").replace("+00:00", ""));
      return type === "timestamp_ntz" ? `"${text}"` : `"${text}+00:00"`;
    },
    date: (row) => `"${formatDate(cells.getInt32(row * 4, true))}"`,
    time: (row) => `"${trimmed(formatTime(Number(int64(row))))}"`,
  };
  return kinds[kind];
}

/** JSON has no NaN and no infinity; as texts they are read as the doubles that they are. */
function floatText(value: number): string {
  return Number.isFinite(value) ? (Object.is(value, -0) ? "-0" : String(value)) : `"${value}"`;
}

/** Without zeros at the end of a fraction, as databases write moments. */
function trimmed(text: string): string {
  return text.replace(/(\.\d*?)0+$/, "$1");
}
