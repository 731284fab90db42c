/**
 * The normalized job file (`*.lwb`): column blocks exactly as `TableBuffer` holds them, so that neither
 * writing nor loading looks at single values. All numbers are little-endian; every part starts at a multiple
 * of 8 bytes, from the start of the file and from the start of its payload.
 *
 *     file    = "LWB1" u32(1) block* end
 *     block   = u32(header bytes) u32(crc32 of header and payload) header payload
 *     header  = JSON, padded with spaces to a multiple of 8:
 *               {"rows": 3, "bytes": 104,                        payload bytes
 *                "columns": [{"name": "id", "kind": "int64",
 *                             "data": [0, 24],                   offset and bytes of its values
 *                             "valid": null}, …]}                offset of the bitmap; null: no row is null
 *     payload = per column its values, then its bitmap (bit r = 1: row r has a value)
 *     end     = u32(0) u32(number of blocks)
 *
 * Values are described in ../normalize/column-buffer.ts. A column that is null in every row of a
 * block is left out of that block; columns come and go between blocks. A file without its end mark was cut.
 * `dumpBlocks` shows a file's rows.
 */

import { type FileHandle, open } from "node:fs/promises";
import { crc32 } from "node:zlib";
import { EngineError } from "../errors.ts";
import { type Kind, type TableBuffer, WIDTH } from "../normalize/column-buffer.ts";
import { SpareMemory } from "./spare-memory.ts";

export const BLOCK_FILE_EXTENSION = "lwb";

const MAGIC = 0x3142574c; // "LWB1"
const VERSION = 1;
const PREFIX_BYTES = 8;
/** A header names the columns of a table; one that is longer than this is not a header. */
const HEADER_BYTES_MAX = 16 << 20;
/** What is read of a block before its header length is known. */
const HEADER_BYTES_GUESS = 4096;

export interface BlockColumn {
  readonly name: string;
  readonly kind: Kind;
  /** 8-byte aligned in `memory`. Cells of rows × width bytes; or texts, each behind its length, of rows that have one. */
  readonly data: Uint8Array;
  /** Null: no row of this column is null. */
  readonly valid: Uint8Array | null;
}

/** One block of a file. Its views share memory that the next block of the iteration overwrites. */
export interface Block {
  readonly file: string;
  /** Where the block starts in its file. */
  readonly offset: number;
  readonly rows: number;
  /** Bytes of the payload. */
  readonly bytes: number;
  readonly columns: readonly BlockColumn[];
  /** What all the views look at. */
  readonly memory: ArrayBuffer;
}

interface Header {
  rows: number;
  bytes: number;
  columns: { name: string; kind: Kind; data: [offset: number, bytes: number]; valid: number | null }[];
}

const align = (bytes: number): number => (bytes + 7) & ~7;
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

type Fill = "none" | "some" | "all";

/** How many of the first `rows` bits are set. Bits after them are zero, as `ColumnBuffer` keeps them. */
function fillOf(valid: Uint8Array, rows: number): Fill {
  const full = rows >> 3;
  const rest = rows & 7;
  const first = rows === 0 ? 0 : valid[0]! & 1;
  const byte = first === 1 ? 0xff : 0;
  for (let i = 0; i < full; i++) if (valid[i] !== byte) return "some";
  if (rest !== 0 && valid[full] !== (byte & ((1 << rest) - 1))) return "some";
  return first === 1 ? "all" : "none";
}

/**
 * The bytes of one block, as views to be written in this order. All but the first alias the buffer's memory:
 * write or copy them before a row is added.
 */
export function encodeBlock(buffer: TableBuffer): Uint8Array[] {
  const rows = buffer.rows;
  const parts: Uint8Array[] = [];
  const columns: Header["columns"] = [];
  let at = 0;
  for (const column of buffer.columns) {
    const fill = fillOf(column.valid, rows);
    if (fill === "none") continue;
    const data: [number, number] = [at, column.width === 0 ? column.textLength : rows * column.width];
    const values = column.width === 0 ? column.paddedText() : column.bytes;
    const dataBytes = align(data[1]);
    parts.push(values.subarray(0, dataBytes));
    at += dataBytes;
    let valid: number | null = null;
    if (fill === "some") {
      valid = at;
      const validBytes = align((rows + 7) >> 3);
      parts.push(column.valid.subarray(0, validBytes));
      at += validBytes;
    }
    columns.push({ name: column.name, kind: column.kind, data, valid });
  }
  const json = encoder.encode(JSON.stringify({ rows, bytes: at, columns } satisfies Header));
  const head = new Uint8Array(PREFIX_BYTES + align(json.length)).fill(0x20, PREFIX_BYTES);
  head.set(json, PREFIX_BYTES);
  let crc = crc32(head.subarray(PREFIX_BYTES));
  for (const part of parts) crc = crc32(part, crc);
  const prefix = new DataView(head.buffer);
  prefix.setUint32(0, head.length - PREFIX_BYTES, true);
  prefix.setUint32(4, crc, true);
  return [head, ...parts];
}

function mark(first: number, second: number): Uint8Array {
  const bytes = new Uint8Array(PREFIX_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, first, true);
  view.setUint32(4, second, true);
  return bytes;
}

/** The same in one piece of memory, which is taken from `memories`. */
export function copyOfBlock(buffer: TableBuffer, memories: SpareMemory): Buffer {
  const parts = encodeBlock(buffer);
  let length = 0;
  for (const part of parts) length += part.length;
  const memory = memories.take(length);
  let at = 0;
  for (const part of parts) {
    memory.set(part, at);
    at += part.length;
  }
  return memory.subarray(0, length);
}

/**
 * Writes a job file. `append` copies the block and empties the buffer, so normalizing goes on while the
 * file is written; at most one write is under way, and `append` waits for it before it copies the next.
 * Copying costs a tenth of normalizing and needs one spare block; swapping the buffer's memory instead
 * would need a second set of columns for every open table.
 */
export class BlockFileWriter {
  readonly path: string;
  rows = 0;
  blocks = 0;
  bytes: number;
  private readonly file: FileHandle;
  private readonly memories: SpareMemory;
  private pending: Promise<void> | undefined;

  private constructor(path: string, file: FileHandle, bytes: number, memories: SpareMemory) {
    this.path = path;
    this.file = file;
    this.memories = memories;
    this.bytes = bytes;
  }

  /** Fails when the file exists. */
  static async create(path: string, memories = new SpareMemory()): Promise<BlockFileWriter> {
    const file = await open(path, "wx");
    try {
      await writeAll(file, mark(MAGIC, VERSION));
    } catch (error) {
      await file.close();
      throw error;
    }
    return new BlockFileWriter(path, file, PREFIX_BYTES, memories);
  }

  /** Writes the buffer's rows as one block and empties it. A failed write is thrown by the next call. */
  async append(buffer: TableBuffer): Promise<void> {
    if (buffer.rows === 0) return;
    await this.settle();
    const { rows } = buffer;
    this.begin(copyOfBlock(buffer, this.memories), rows);
    buffer.clear();
  }

  /** Writes what `copyOfBlock` made of so many rows with this writer's memories. */
  async appendCopy(block: Buffer, rows: number): Promise<void> {
    await this.settle();
    this.begin(block, rows);
  }

  private begin(block: Buffer, rows: number): void {
    this.rows += rows;
    this.blocks++;
    this.bytes += block.length;
    this.pending = writeAll(this.file, block).finally(() => this.memories.giveBack(block));
    // Reported by settle(); without this Node would end the process if nobody calls it in time.
    this.pending.catch(() => {});
  }

  /** Blocks may differ in their columns. */
  fits(_buffer: TableBuffer): boolean {
    return true;
  }

  /** Writes the end mark: after this the file is whole, or an error was thrown. `sync`: and on the disk. */
  async close({ sync = true }: { readonly sync?: boolean } = {}): Promise<void> {
    try {
      await this.settle();
      await writeAll(this.file, mark(0, this.blocks));
      this.bytes += PREFIX_BYTES;
      if (sync) await this.file.sync();
    } finally {
      await this.file.close();
    }
  }

  /** Gives the file up unfinished; readers will call it corrupt. */
  async abort(): Promise<void> {
    await this.pending?.catch(() => {});
    await this.file.close();
  }

  private async settle(): Promise<void> {
    if (this.pending === undefined) return;
    await this.pending;
    this.pending = undefined;
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  let at = 0;
  while (at < bytes.length) at += (await file.write(bytes, at, bytes.length - at)).bytesWritten;
}

/** The blocks of a file, in order. A block is valid until the next one is asked for. */
export async function* readBlocks(
  path: string,
  memories = new SpareMemory(),
): AsyncGenerator<Block, void, undefined> {
  const file = await open(path, "r");
  let memory = memories.take(0);
  try {
    const size = (await file.stat()).size;
    const head = await readAt(file, path, 0, PREFIX_BYTES, size);
    const start = new DataView(head.buffer);
    if (start.getUint32(0, true) !== MAGIC) throw corrupt(path, 0, "it does not start with LWB1");
    if (start.getUint32(4, true) !== VERSION) throw corrupt(path, 4, "it has an unknown format version");
    let offset = PREFIX_BYTES;
    for (let blocks = 0; ; blocks++) {
      const guess = Math.min(PREFIX_BYTES + HEADER_BYTES_GUESS, size - offset);
      if (guess < PREFIX_BYTES) throw corrupt(path, offset, "it ends before its end mark");
      let first = await readAt(file, path, offset, guess, size);
      const prefix = new DataView(first.buffer);
      const headerBytes = prefix.getUint32(0, true);
      const crc = prefix.getUint32(4, true);
      if (headerBytes === 0) {
        if (crc !== blocks) throw corrupt(path, offset, "its end mark counts other blocks");
        if (offset + PREFIX_BYTES !== size) throw corrupt(path, offset, "bytes follow its end mark");
        return;
      }
      if (headerBytes > HEADER_BYTES_MAX || headerBytes % 8 !== 0) {
        throw corrupt(path, offset, "a block's header length is impossible");
      }
      if (first.length < PREFIX_BYTES + headerBytes) {
        first = await readAt(file, path, offset, PREFIX_BYTES + headerBytes, size);
      }
      const headerView = first.subarray(PREFIX_BYTES, PREFIX_BYTES + headerBytes);
      const header = parseHeader(headerView, path, offset);
      const payloadAt = offset + PREFIX_BYTES + headerBytes;
      if (payloadAt + header.bytes > size) throw corrupt(path, offset, "it ends inside a block");
      if (memory.length < header.bytes) {
        memories.giveBack(memory);
        memory = memories.take(header.bytes);
      }
      const payload = memory.subarray(0, header.bytes);
      // What was read with the header need not be read again.
      const already = first.subarray(PREFIX_BYTES + headerBytes, PREFIX_BYTES + headerBytes + header.bytes);
      payload.set(already);
      await readInto(file, path, payload, already.length, payloadAt);
      if (crc32(payload, crc32(headerView)) !== crc)
        throw corrupt(path, offset, "a block's checksum differs");
      yield blockOf(header, memory.buffer as ArrayBuffer, path, offset);
      offset = payloadAt + header.bytes;
    }
  } finally {
    memories.giveBack(memory);
    await file.close();
  }
}

function blockOf(header: Header, memory: ArrayBuffer, file: string, offset: number): Block {
  const { rows, bytes } = header;
  const columns = header.columns.map(({ name, kind, data, valid }) => ({
    name,
    kind,
    data: new Uint8Array(memory, ...data),
    valid: valid === null ? null : new Uint8Array(memory, valid, (rows + 7) >> 3),
  }));
  return { file, offset, rows, bytes, columns, memory };
}

/** Only a header whose every offset lies inside the payload is returned: loading trusts it with raw memory. */
function parseHeader(bytes: Uint8Array, path: string, offset: number): Header {
  let value: unknown;
  try {
    value = JSON.parse(decoder.decode(bytes));
  } catch (cause) {
    throw corrupt(path, offset, "a block's header is not JSON", cause);
  }
  const wrong = (): EngineError => corrupt(path, offset, "a block's header is not valid");
  if (!isRecord(value) || !isCount(value.rows) || !isCount(value.bytes)) throw wrong();
  const { rows, bytes: payload } = value;
  const inside = (at: unknown, length: number): at is number =>
    isCount(at) && at % 8 === 0 && at + length <= payload;
  if (!Array.isArray(value.columns) || payload % 8 !== 0) throw wrong();
  const columns = value.columns.map((column: unknown) => {
    if (!isRecord(column) || typeof column.name !== "string" || !isKind(column.kind)) throw wrong();
    const { name, kind, data, valid } = column;
    if (!Array.isArray(data)) throw wrong();
    const [at, length]: unknown[] = data;
    if (!isCount(length) || !inside(at, length)) throw wrong();
    if (WIDTH[kind] > 0 && length !== rows * WIDTH[kind]) throw wrong();
    if (valid !== null && !inside(valid, (rows + 7) >> 3)) throw wrong();
    return { name, kind, data: [at, length] as [number, number], valid };
  });
  return { rows, bytes: payload, columns };
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isKind = (value: unknown): value is Kind => typeof value === "string" && Object.hasOwn(WIDTH, value);

async function readAt(
  file: FileHandle,
  path: string,
  offset: number,
  length: number,
  size: number,
): Promise<Uint8Array<ArrayBuffer>> {
  if (offset + length > size) throw corrupt(path, offset, "it ends too early");
  const bytes = new Uint8Array(length);
  await readInto(file, path, bytes, 0, offset);
  return bytes;
}

/** Fills `target` from `from` on; `offset` is the place of target[0] in the file. */
async function readInto(file: FileHandle, path: string, target: Uint8Array, from: number, offset: number) {
  let at = from;
  while (at < target.length) {
    const { bytesRead } = await file.read(target, at, target.length - at, offset + at);
    if (bytesRead === 0) throw corrupt(path, offset + at, "it ends inside a block");
    at += bytesRead;
  }
}

function corrupt(file: string, offset: number, why: string, cause?: unknown): EngineError {
  return new EngineError("PACKAGE_CORRUPT", `Job file ${file} cannot be read at byte ${offset}: ${why}.`, {
    details: { file, offset },
    cause,
  });
}

/** A text that is longer than what is left of its column: refused before anything is read. */
export function corruptCell(block: Pick<Block, "file" | "offset">, column: string, row: number): EngineError {
  const { file, offset } = block;
  return new EngineError(
    "PACKAGE_CORRUPT",
    `Job file ${file} cannot be read: row ${row} of column ${column} in the block at byte ${offset} is longer than its column.`,
    { details: { file, offset, column, row } },
  );
}

/** Is the row's bit set? */
export const isValidAt = (valid: Uint8Array | null, row: number): boolean =>
  valid === null || (valid[row >> 3]! & (1 << (row & 7))) !== 0;

/** What of a block the texts of a column need. */
type TextsOf = Pick<Block, "rows" | "file" | "offset">;

/** Where each row's text begins in its column, behind the length; of rows that have one. */
function textStarts(block: TextsOf, column: BlockColumn): Uint32Array {
  const starts = new Uint32Array(block.rows);
  const view = new DataView(column.data.buffer, column.data.byteOffset, column.data.byteLength);
  let at = 0;
  for (let row = 0; row < block.rows; row++) {
    if (!isValidAt(column.valid, row)) continue;
    const from = at + 4;
    if (from > column.data.length) throw corruptCell(block, column.name, row);
    starts[row] = from;
    at = from + view.getUint32(at, true);
    if (at > column.data.length) throw corruptCell(block, column.name, row);
  }
  return starts;
}

/** The bytes of a row's text, still in the block's memory; of rows that have one. */
export function textReader(block: TextsOf, column: BlockColumn): (row: number) => Uint8Array {
  const starts = textStarts(block, column);
  const view = new DataView(column.data.buffer, column.data.byteOffset, column.data.byteLength);
  return (row) => {
    const from = starts[row]!;
    return column.data.subarray(from, from + view.getUint32(from - 4, true));
  };
}

/**
 * The rows of a file as JS values, for tests and for people who inspect a package: integers as number, or
 * bigint where a number would not be exact; timestamps, dates and times as ISO text with microseconds where
 * they have any; bytes as Uint8Array. A column that its block leaves out is missing from the row.
 */
export async function* dumpBlocks(path: string): AsyncGenerator<Record<string, unknown>, void, undefined> {
  for await (const block of readBlocks(path)) {
    const readers = block.columns.map((column) => cellReader(block, column));
    for (let row = 0; row < block.rows; row++) {
      const record: Record<string, unknown> = {};
      block.columns.forEach((column, i) => {
        record[column.name] = isValidAt(column.valid, row) ? readers[i]!(row) : null;
      });
      yield record;
    }
  }
}

/** Reads the cells of one column, as `dumpBlocks` shows them; nulls are for the caller to ask. */
export function cellReader(block: Block, column: BlockColumn): (row: number) => unknown {
  const { data } = column;
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  switch (column.kind) {
    case "bool":
      return (row) => data[row] !== 0;
    case "int64":
      return (row) => exact(view.getBigInt64(row * 8, true));
    case "float64":
      return (row) => view.getFloat64(row * 8, true);
    case "timestamp":
      return (row) => timestampText(view.getBigInt64(row * 8, true));
    case "time":
      return (row) => timeText(view.getBigInt64(row * 8, true));
    case "date":
      return (row) => new Date(view.getInt32(row * 4, true) * 86_400_000).toISOString().replace(/T.*/, "");
    case "bytes": {
      const read = textReader(block, column);
      return (row) => read(row).slice();
    }
    case "text": {
      const read = textReader(block, column);
      return (row) => decoder.decode(read(row));
    }
  }
}

function exact(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

const MICROS = 1_000_000n;

function timestampText(micros: bigint): string {
  const fraction = ((micros % MICROS) + MICROS) % MICROS;
  const seconds = new Date(Number((micros - fraction) / 1000n)).toISOString().replace(/\.000Z$/, "");
  return `${seconds}${fractionText(fraction)}Z`;
}

function timeText(micros: bigint): string {
  const fraction = micros % MICROS;
  const seconds = Number(micros / MICROS);
  const parts = [seconds / 3600, (seconds / 60) % 60, seconds % 60];
  return parts.map((part) => String(Math.floor(part)).padStart(2, "0")).join(":") + fractionText(fraction);
}

function fractionText(micros: bigint): string {
  return micros === 0n ? "" : `.${String(micros).padStart(6, "0")}`;
}
