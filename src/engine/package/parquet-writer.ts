/**
 * Normalized jobs as Parquet files, for destinations that read them themselves: one row group a block, one
 * page a column, plain encoding, no compression. DuckDB then loads with all its threads and without this one.
 *
 * Source of the format: https://parquet.apache.org/docs/file-format/ and parquet.thrift (Thrift's compact
 * protocol, https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md).
 *
 *     file     = "PAR1" page* footer u32(footer bytes) "PAR1"
 *     page     = PageHeader  definition levels  values
 *     levels   = u32(bytes) varint(groups of 8 << 1 | 1) bitmap       the validity bitmap as it is
 *     values   = of the rows that have one: bool one bit each; int64, timestamp, time 8 bytes; float64 8;
 *                date 4; text and bytes u32(length) bytes
 *
 * Timestamps are INT64 microseconds adjusted to UTC. Decimals, wei and JSON travel as text, see `kindOf`.
 */

import { type FileHandle, open } from "node:fs/promises";
import { crc32 } from "node:zlib";
import type { ColumnBuffer, Kind, TableBuffer } from "../normalize/column-buffer.ts";
import { SpareMemory } from "./spare-memory.ts";
import { ThriftWriter } from "./thrift-writer.ts";

const MAGIC = Buffer.from("PAR1");

const PHYSICAL = { boolean: 0, int32: 1, int64: 2, double: 5, byteArray: 6 } as const;
const DATA_PAGE = 0;
const PLAIN = 0;
const RLE = 3;
const OPTIONAL = 1;

interface ParquetType {
  readonly physical: number;
  /** ConvertedType, for readers that know no logical types. */
  readonly converted?: number;
  /** LogicalType: the field of the union, and what stands in it. */
  readonly logical?: { readonly field: number; readonly unit?: { readonly adjustedToUtc: boolean } };
}

const TYPES: Readonly<Record<Kind, ParquetType>> = {
  bool: { physical: PHYSICAL.boolean },
  int64: { physical: PHYSICAL.int64 },
  float64: { physical: PHYSICAL.double },
  text: { physical: PHYSICAL.byteArray, converted: 0, logical: { field: 1 } },
  bytes: { physical: PHYSICAL.byteArray },
  timestamp: {
    physical: PHYSICAL.int64,
    converted: 10,
    logical: { field: 8, unit: { adjustedToUtc: true } },
  },
  date: { physical: PHYSICAL.int32, converted: 6, logical: { field: 6 } },
  time: { physical: PHYSICAL.int64, converted: 8, logical: { field: 7, unit: { adjustedToUtc: false } } },
};

interface Chunk {
  readonly offset: number;
  readonly bytes: number;
}

interface RowGroup {
  readonly rows: number;
  readonly bytes: number;
  readonly chunks: readonly Chunk[];
}

interface FileColumn {
  readonly name: string;
  readonly kind: Kind;
}

const NO_MEMORY: Buffer = Buffer.allocUnsafeSlow(0);

/**
 * Writes a job file. `append` encodes the block and empties the buffer, so normalizing goes on while the file
 * is written; at most one write is under way, and `append` waits for it before it encodes the next.
 */
export class ParquetFileWriter {
  readonly path: string;
  rows = 0;
  bytes: number;
  /** Of all that was written so far. */
  crc32: number;
  private readonly file: FileHandle;
  private columns: readonly FileColumn[] | undefined;
  private readonly groups: RowGroup[] = [];
  private readonly memories: SpareMemory;
  private memory: Buffer = NO_MEMORY;
  private pending: Promise<void> | undefined;

  private constructor(path: string, file: FileHandle, memories: SpareMemory) {
    this.path = path;
    this.file = file;
    this.memories = memories;
    this.bytes = MAGIC.length;
    this.crc32 = crc32(MAGIC);
  }

  /** Fails when the file exists. */
  static async create(path: string, memories = new SpareMemory()): Promise<ParquetFileWriter> {
    const file = await open(path, "wx");
    try {
      await writeAll(file, MAGIC);
    } catch (error) {
      await file.close();
      throw error;
    }
    return new ParquetFileWriter(path, file, memories);
  }

  /** A file has the columns of its first block; a table that has got another one needs a new file. */
  fits(buffer: TableBuffer): boolean {
    return this.columns === undefined || this.columns.length === buffer.columns.length;
  }

  /** Writes the buffer's rows as one row group and empties it. A failed write is thrown by the next call. */
  async append(buffer: TableBuffer): Promise<void> {
    const { rows } = buffer;
    if (rows === 0) return;
    await this.settle();
    this.columns ??= buffer.columns.map(({ name, kind }) => ({ name, kind }));
    const needed = encodedBytesMax(buffer);
    if (this.memory.length < needed) {
      this.memories.giveBack(this.memory);
      this.memory = this.memories.take(needed);
    }
    const chunks: Chunk[] = [];
    let at = 0;
    for (const column of buffer.columns) {
      const start = at;
      at = encodePage(this.memory, at, buffer, column);
      chunks.push({ offset: this.bytes + start, bytes: at - start });
    }
    this.groups.push({ rows, bytes: at, chunks });
    buffer.clear();
    this.rows += rows;
    this.write(this.memory.subarray(0, at));
  }

  /** Writes the footer: after this the file is whole, or an error was thrown. `sync`: and on the disk. */
  async close({ sync = true }: { readonly sync?: boolean } = {}): Promise<void> {
    try {
      await this.settle();
      const footer = this.footer();
      const end = Buffer.alloc(8);
      end.writeUInt32LE(footer.length, 0);
      MAGIC.copy(end, 4);
      this.write(Buffer.concat([footer, end]));
      await this.settle();
      if (sync) await this.file.sync();
    } finally {
      this.memories.giveBack(this.memory);
      await this.file.close();
    }
  }

  /** Gives the file up unfinished; without its footer nobody can read it. */
  async abort(): Promise<void> {
    await this.pending?.catch(() => {});
    await this.file.close();
  }

  private write(bytes: Buffer): void {
    this.bytes += bytes.length;
    this.crc32 = crc32(bytes, this.crc32);
    this.pending = writeAll(this.file, bytes);
    // Reported by settle(); without this Node would end the process if nobody calls it in time.
    this.pending.catch(() => {});
  }

  private async settle(): Promise<void> {
    if (this.pending === undefined) return;
    await this.pending;
    this.pending = undefined;
  }

  /** FileMetaData. */
  private footer(): Buffer {
    const columns = this.columns ?? [];
    const thrift = new ThriftWriter();
    thrift.i32(1, 2); // version
    thrift.structs(2, [undefined, ...columns], (column) => {
      if (column === undefined) {
        thrift.text(4, "schema");
        thrift.i32(5, columns.length);
        return;
      }
      const { physical, converted, logical } = TYPES[column.kind];
      thrift.i32(1, physical);
      thrift.i32(3, OPTIONAL);
      thrift.text(4, column.name);
      if (converted !== undefined) thrift.i32(6, converted);
      if (logical !== undefined) writeLogicalType(thrift, logical);
    });
    thrift.i64(3, this.rows);
    thrift.structs(4, this.groups, (group) => {
      thrift.structs(1, group.chunks, ({ offset, bytes }, i) => {
        const { name, kind } = columns[i]!;
        thrift.i64(2, 0); // file_offset: deprecated
        thrift.struct(3, () => {
          thrift.i32(1, TYPES[kind].physical);
          thrift.i32List(2, [PLAIN, RLE]);
          thrift.textList(3, [name]);
          thrift.i32(4, 0); // codec: uncompressed
          thrift.i64(5, group.rows);
          thrift.i64(6, bytes);
          thrift.i64(7, bytes);
          thrift.i64(9, offset);
        });
      });
      thrift.i64(2, group.bytes);
      thrift.i64(3, group.rows);
    });
    thrift.text(6, "loadwright");
    return thrift.end();
  }
}

function writeLogicalType(thrift: ThriftWriter, { field, unit }: NonNullable<ParquetType["logical"]>): void {
  thrift.struct(10, () =>
    thrift.struct(field, () => {
      if (unit === undefined) return;
      thrift.bool(1, unit.adjustedToUtc);
      // TimeUnit: microseconds
      thrift.struct(2, () => thrift.struct(2, () => {}));
    }),
  );
}

/** A page header is far smaller than this. */
const HEADER_BYTES_MAX = 64;

function encodedBytesMax(buffer: TableBuffer): number {
  const levels = 4 + 5 + ((buffer.rows + 7) >> 3);
  return buffer.columns.length * (HEADER_BYTES_MAX + levels) + buffer.byteLength();
}

function encodePage(out: Buffer, start: number, buffer: TableBuffer, column: ColumnBuffer): number {
  const { rows } = buffer;
  const body = start + HEADER_BYTES_MAX;
  const values = encodeLevels(out, body, column, rows);
  const end = encodeValues(out, values, buffer, column);
  const header = pageHeader(rows, end - body);
  out.copyWithin(start + header.length, body, end);
  header.copy(out, start);
  return end - HEADER_BYTES_MAX + header.length;
}

function pageHeader(rows: number, bytes: number): Buffer {
  const thrift = new ThriftWriter();
  thrift.i32(1, DATA_PAGE);
  thrift.i32(2, bytes);
  thrift.i32(3, bytes);
  thrift.struct(5, () => {
    thrift.i32(1, rows);
    thrift.i32(2, PLAIN);
    thrift.i32(3, RLE);
    thrift.i32(4, RLE);
  });
  return thrift.end();
}

/** One bit-packed run of all rows: with one bit a level it is the validity bitmap. */
function encodeLevels(out: Buffer, start: number, column: ColumnBuffer, rows: number): number {
  const groups = (rows + 7) >> 3;
  let at = start + 4;
  let header = (groups << 1) | 1;
  while (header > 0x7f) {
    out[at++] = (header & 0x7f) | 0x80;
    header >>>= 7;
  }
  out[at++] = header;
  out.set(column.valid.subarray(0, groups), at);
  at += groups;
  out.writeUInt32LE(at - start - 4, start);
  return at;
}

function encodeValues(out: Buffer, at: number, buffer: TableBuffer, column: ColumnBuffer): number {
  switch (column.kind) {
    case "bool":
      return encodeBools(out, at, column, buffer.rows);
    case "text":
    case "bytes":
      out.set(column.text.subarray(0, column.textLength), at);
      return at + column.textLength;
    default:
      return encodeFixed(out, at, column, buffer.rows);
  }
}

function encodeBools(out: Buffer, start: number, column: ColumnBuffer, rows: number): number {
  const { bytes } = column;
  let count = 0;
  for (let row = 0; row < rows; row++) {
    if (!column.isValid(row)) continue;
    const at = start + (count >> 3);
    if ((count & 7) === 0) out[at] = 0;
    out[at]! |= bytes[row]! << (count & 7);
    count++;
  }
  return start + ((count + 7) >> 3);
}

function encodeFixed(out: Buffer, start: number, column: ColumnBuffer, rows: number): number {
  const { bytes, width } = column;
  if (column.allValid(rows)) {
    out.set(bytes.subarray(0, rows * width), start);
    return start + rows * width;
  }
  let at = start;
  for (let row = 0; row < rows; row++) {
    if (!column.isValid(row)) continue;
    const from = row * width;
    for (let i = 0; i < width; i++) out[at + i] = bytes[from + i]!;
    at += width;
  }
  return at;
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  let at = 0;
  while (at < bytes.length) at += (await file.write(bytes, at, bytes.length - at)).bytesWritten;
}
