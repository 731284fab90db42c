/** Rows as blocks of JSON Lines with typed values, each line encoded as it is made. */

import { rowJson } from "../interop/row-json.ts";

const BLOCK_BYTES = 1 << 20;
/** Bytes of a UTF-16 unit at most. */
const UNIT_BYTES_MAX = 3;
const LF = 0x0a;

export interface RowBlock {
  readonly bytes: Uint8Array;
  readonly rows: number;
}

export class RowBlocks {
  /** One for all pages, also of resources that take turns: it holds nothing of a page that waits at a `yield`. */
  private readonly buffer = Buffer.allocUnsafe(BLOCK_BYTES);

  /** Errors: VALUE_UNSUPPORTED, when the row is reached. */
  *of(rows: readonly unknown[]): Generator<RowBlock, void, undefined> {
    const { buffer } = this;
    let at = 0;
    let count = 0;
    for (const row of rows) {
      const line = rowJson(row);
      const bytesMax = line.length * UNIT_BYTES_MAX + 1;
      if (at + bytesMax > buffer.length && count > 0) {
        yield { bytes: Buffer.from(buffer.subarray(0, at)), rows: count };
        at = 0;
        count = 0;
      }
      if (bytesMax > buffer.length) {
        yield { bytes: Buffer.from(line + "\n", "utf8"), rows: 1 };
        continue;
      }
      at += buffer.write(line, at, "utf8");
      buffer[at++] = LF;
      count++;
    }
    if (count > 0) yield { bytes: Buffer.from(buffer.subarray(0, at)), rows: count };
  }
}
