/**
 * Cells that come in a database's binary form, as pages of columns: integers, doubles and moments are copied, and
 * neither written as text nor parsed. What no destination holds becomes null, as in the line writer.
 */

import { ColumnsPage } from "../../engine/extract/page.ts";
import { type ColumnBuffer, type Kind, TableBuffer } from "../../engine/normalize/column-buffer.ts";
import type { ExtractedColumn } from "../../engine/package/types.ts";
import type { CellKind, SourceColumn } from "./types.ts";

/** A multiple of the rows of DuckDB's vectors, and what the engine makes a block of. */
const PAGE_ROWS = 12_288;
const PAGE_BYTES = 4 << 20;

const TYPES: Readonly<Record<CellKind, { readonly type: ExtractedColumn["type"]; readonly cells: Kind }>> = {
  integer: { type: "bigint", cells: "int64" },
  float: { type: "double", cells: "float64" },
  bool: { type: "bool", cells: "bool" },
  text: { type: "text", cells: "text" },
  decimal: { type: "decimal", cells: "text" },
  binary: { type: "binary", cells: "bytes" },
  json: { type: "json", cells: "text" },
  timestamptz: { type: "timestamp", cells: "timestamp" },
  timestamp: { type: "timestamp_ntz", cells: "timestamp" },
  date: { type: "date", cells: "date" },
  time: { type: "time", cells: "time" },
};

/** Have all columns a binary form? */
export function areBinary(columns: readonly SourceColumn[]): boolean {
  return columns.every((column) => column.binary !== undefined);
}

export class ColumnPages {
  /** Column -> cells that no destination could hold and that became null. */
  readonly nulled = new Map<string, number>();
  /** The page being filled, and its columns in the order of the request. */
  buffer: TableBuffer;
  cells: readonly ColumnBuffer[];
  private readonly table: string;
  private readonly columns: readonly ExtractedColumn[];

  constructor(table: string, columns: readonly SourceColumn[]) {
    this.table = table;
    this.columns = columns.map(({ name, kind }) => ({ name, type: TYPES[kind].type }));
    this.kinds = columns.map(({ kind }) => TYPES[kind].cells);
    this.buffer = this.newBuffer();
    this.cells = this.buffer.columns;
  }

  private readonly kinds: readonly Kind[];

  /** What has been filled, once it is a page, or `all` is asked for. */
  take(all = false): ColumnsPage | undefined {
    const { buffer } = this;
    if (buffer.rows === 0) return undefined;
    if (!all && buffer.rows < PAGE_ROWS && buffer.textBytes() < PAGE_BYTES) return undefined;
    this.buffer = this.newBuffer();
    this.cells = this.buffer.columns;
    return new ColumnsPage(buffer, this.columns);
  }

  /** A cell stays null. */
  lose(index: number): void {
    const { name } = this.columns[index]!;
    this.nulled.set(name, (this.nulled.get(name) ?? 0) + 1);
  }

  private newBuffer(): TableBuffer {
    const buffer = new TableBuffer(this.table, PAGE_ROWS);
    for (const [i, { name }] of this.columns.entries()) buffer.addColumn(name, this.kinds[i]!);
    return buffer;
  }
}
