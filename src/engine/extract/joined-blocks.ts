/** A job file of blocks whose pages may be small: rows of files that follow one another share a block. */

import { TableBuffer } from "../normalize/column-buffer.ts";
import { BlockFileWriter } from "../package/block-format.ts";
import type { SpareMemory } from "../package/spare-memory.ts";

/** A page of more rows or bytes is a block of its own: copying it once more would gain nothing. */
const SMALL_ROWS_MAX = 2048;
const SMALL_BYTES_MAX = 1 << 20;
const BLOCK_ROWS_MAX = 12_288;
const BLOCK_BYTES_MAX = 4 << 20;

export class JoinedBlocks {
  private readonly writer: BlockFileWriter;
  private readonly waiting = new TableBuffer("");

  private constructor(writer: BlockFileWriter) {
    this.writer = writer;
  }

  /** Fails when the file exists. */
  static async create(path: string, memories?: SpareMemory): Promise<JoinedBlocks> {
    return new JoinedBlocks(await BlockFileWriter.create(path, memories));
  }

  get rows(): number {
    return this.writer.rows + this.waiting.rows;
  }

  /** Of the blocks so far. */
  get bytes(): number {
    return this.writer.bytes;
  }

  /** Adds the buffer's rows and empties it. Columns of one name are of one kind. A failed write is thrown by a later call. */
  async append(buffer: TableBuffer): Promise<void> {
    const { waiting } = this;
    const bytes = buffer.byteLength();
    const small = buffer.rows <= SMALL_ROWS_MAX && bytes <= SMALL_BYTES_MAX;
    const fits =
      waiting.rows + buffer.rows <= BLOCK_ROWS_MAX && waiting.byteLength() + bytes <= BLOCK_BYTES_MAX;
    if (!small || !fits) await this.writer.append(waiting);
    if (small) moveRows(buffer, waiting);
    else await this.writer.append(buffer);
  }

  async close(options: { readonly sync: boolean }): Promise<void> {
    try {
      await this.writer.append(this.waiting);
    } catch (error) {
      await this.writer.abort();
      throw error;
    }
    await this.writer.close(options);
  }
}

function moveRows(from: TableBuffer, to: TableBuffer): void {
  const { rows } = from;
  const first = to.beginRows(rows);
  for (const column of from.columns) {
    const { name, kind, width } = column;
    const target = to.byName.get(name) ?? to.addColumn(name, kind);
    if (width === 0) target.addTexts(column.text.subarray(0, column.textLength));
    else target.bytes.set(column.bytes.subarray(0, rows * width), first * width);
    target.setValid(first, column.valid, 0, rows);
  }
  from.clear();
}
