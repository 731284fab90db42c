/**
 * What COPY sends in its binary format, as columns. A row is a 16-bit count of fields, and for each field a 32-bit
 * length (-1: null) and so many bytes, numbers in network order. Moments are microseconds, dates days since 2000.
 * https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format"
 */

import type { ColumnsPage } from "../../../engine/extract/page.ts";
import type { ColumnBuffer } from "../../../engine/normalize/column-buffer.ts";
import type { ColumnPages } from "../column-pages.ts";
import { checkScale, scaleMaxOf } from "../decimal-scale.ts";
import type { CellKind, SourceColumn } from "../types.ts";

const SIGNATURE_BYTES = 11;
const HEADER_BYTES = SIGNATURE_BYTES + 8;
const TWO_32 = 4294967296;
const MINUS = 0x2d;
const ZERO = 0x30;
const NINE = 0x39;

/** From 1970 to 2000. */
const EPOCH_DAYS = 10_957;
const EPOCH_HIGH = Math.floor((EPOCH_DAYS * 86_400e6) / TWO_32);
const EPOCH_LOW = EPOCH_DAYS * 86_400e6 - EPOCH_HIGH * TWO_32;
/** Years 1 to 9999, in days since 2000; beyond are the infinities, too. */
const DAY_MIN = -730_119;
const DAY_MAX = 2_921_939;
/** The same in microseconds, in two words: one double would not tell the last of them apart. */
const FIRST_HIGH = Math.floor((DAY_MIN * 86_400e6) / TWO_32);
const FIRST_LOW = DAY_MIN * 86_400e6 - FIRST_HIGH * TWO_32;
const END_HIGH = Math.floor(((DAY_MAX + 1) * 86_400e6) / TWO_32);
const END_LOW = (DAY_MAX + 1) * 86_400e6 - END_HIGH * TWO_32;

export class CopyColumns {
  private readonly pages: ColumnPages;
  private readonly table: string;
  private readonly columns: readonly { name: string; kind: CellKind; scaleMax: number }[];
  private rest: Buffer = Buffer.alloc(0);
  private started = false;

  /** The statement must select the columns in their `binary` form. */
  constructor(pages: ColumnPages, table: string, columns: readonly SourceColumn[]) {
    this.pages = pages;
    this.table = table;
    this.columns = columns.map(({ name, kind, hints }) => ({ name, kind, scaleMax: scaleMaxOf(hints) }));
  }

  /** Takes what the server sent, wherever it was cut, and gives back pages that are full. */
  *add(chunk: Buffer): Generator<ColumnsPage> {
    const bytes = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk]);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let at = 0;
    if (!this.started && bytes.length >= HEADER_BYTES) {
      this.started = true;
      at = HEADER_BYTES + view.getInt32(HEADER_BYTES - 4);
    }
    if (this.started) {
      for (let end = this.rowEnd(view, at); end > 0; end = this.rowEnd(view, at)) {
        this.row(bytes, view, at + 2);
        at = end;
        const page = this.pages.take();
        if (page !== undefined) yield page;
      }
    }
    this.rest = bytes.subarray(at);
  }

  /** Where the row ends that begins at `at`; 0: it is not whole, or there is none any more. */
  private rowEnd(view: DataView, at: number): number {
    const end = view.byteLength;
    if (at + 2 > end || view.getInt16(at) < 0) return 0;
    at += 2;
    for (let i = 0; i < this.columns.length; i++) {
      if (at + 4 > end) return 0;
      const length = view.getInt32(at);
      at += length < 0 ? 4 : 4 + length;
    }
    return at > end ? 0 : at;
  }

  private row(bytes: Buffer, view: DataView, at: number): void {
    const { pages, columns } = this;
    const { cells } = pages;
    const row = pages.buffer.beginRow();
    for (let i = 0; i < columns.length; i++) {
      const length = view.getInt32(at);
      at += 4;
      if (length < 0) continue;
      this.cell(i, cells[i]!, row, bytes, view, at, length);
      at += length;
    }
  }

  private cell(
    i: number,
    target: ColumnBuffer,
    row: number,
    bytes: Buffer,
    view: DataView,
    at: number,
    length: number,
  ): void {
    switch (this.columns[i]!.kind) {
      case "integer":
      case "float":
      case "time":
        target.i32[row * 2] = view.getInt32(at + 4);
        target.i32[row * 2 + 1] = view.getInt32(at);
        break;
      case "timestamp":
      case "timestamptz": {
        let high = view.getInt32(at);
        let low = view.getUint32(at + 4);
        if (
          high < FIRST_HIGH ||
          (high === FIRST_HIGH && low < FIRST_LOW) ||
          high > END_HIGH ||
          (high === END_HIGH && low >= END_LOW)
        ) {
          this.pages.lose(i);
          return;
        }
        low += EPOCH_LOW;
        high += EPOCH_HIGH;
        if (low >= TWO_32) high++;
        target.i32[row * 2] = low;
        target.i32[row * 2 + 1] = high;
        break;
      }
      case "date": {
        const days = view.getInt32(at);
        if (days < DAY_MIN || days > DAY_MAX) {
          this.pages.lose(i);
          return;
        }
        target.i32[row] = days + EPOCH_DAYS;
        break;
      }
      case "bool":
        target.bytes[row] = bytes[at]!;
        break;
      case "decimal": {
        const { name, scaleMax } = this.columns[i]!;
        const first = bytes[at] === MINUS ? bytes[at + 1]! : bytes[at]!;
        if (first < ZERO || first > NINE) {
          this.pages.lose(i);
          return;
        }
        checkScale(bytes, at, at + length, scaleMax, this.table, name);
        target.setBytes(row, bytes, at, at + length);
        return;
      }
      case "text":
      case "json":
      case "binary":
        target.setBytes(row, bytes, at, at + length);
        return;
    }
    target.valid[row >> 3]! |= 1 << (row & 7);
  }
}
