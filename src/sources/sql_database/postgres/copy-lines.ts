/** The text that COPY sends, as JSON Lines: each row is a line, its cells are separated by tabs, null is \N. */

import type { LineWriter } from "../line-writer.ts";

const TAB = 0x09;
const LF = 0x0a;
const BACKSLASH = 0x5c;
const NULL = 0x4e;

export class CopyLines {
  private readonly writer: LineWriter;
  private readonly columns: number;
  private rest: Buffer = Buffer.alloc(0);

  constructor(writer: LineWriter, columns: number) {
    this.writer = writer;
    this.columns = columns;
  }

  /** Takes what the server sent, wherever it was cut, and gives back pages that are full. */
  *add(chunk: Buffer): Generator<Uint8Array> {
    const bytes = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk]);
    let at = 0;
    for (let end = bytes.indexOf(LF, at); end >= 0; end = bytes.indexOf(LF, at)) {
      this.row(bytes, at, end);
      at = end + 1;
      const page = this.writer.take();
      if (page !== undefined) yield page;
    }
    this.rest = bytes.subarray(at);
  }

  private row(bytes: Buffer, start: number, end: number): void {
    const { writer, columns } = this;
    writer.beginRow(end - start);
    let at = start;
    for (let column = 0; column < columns; column++) {
      let cellEnd = at;
      while (cellEnd < end && bytes[cellEnd] !== TAB) cellEnd++;
      if (bytes[at] === BACKSLASH && bytes[at + 1] === NULL) writer.nullCell(column);
      else writer.cell(column, bytes, at, cellEnd, true);
      at = cellEnd + 1;
    }
    writer.endRow();
  }
}
