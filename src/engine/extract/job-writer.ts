/**
 * Extracted rows on their way to disk: JSON Lines with typed values, or blocks of columns; one open job per table,
 * rotated by size.
 */

import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { BlockFileWriter } from "../package/block-format.ts";
import { AHEAD_JOB_BYTES } from "../package/job-file.ts";
import { formatJobName, newFileId } from "../package/job-name.ts";
import { SpareMemory } from "../package/spare-memory.ts";
import type { ExtractedColumn, JobInfo } from "../package/types.ts";
import type { DataType } from "../schema/types.ts";
import { JoinedBlocks } from "./joined-blocks.ts";
import { type ColumnsPage, type JsonlPage, TextsPage } from "./page.ts";
import { RowBlocks } from "./row-blocks.ts";
import type { OnColumns, ValuesBlock } from "./row-columns.ts";
import { RowsAsColumns } from "./rows-as-columns.ts";
import type { ExtractTarget } from "./work.ts";

const LF = 0x0a;

type Guesses = Readonly<Record<string, DataType>>;
type Origin = NonNullable<JsonlPage["origin"]>;

interface OpenLines {
  readonly kind: "lines";
  readonly file: string;
  readonly handle: FileHandle;
  readonly guesses: Guesses | undefined;
  readonly origins: [number, string, number][];
  rows: number;
  bytes: number;
}

interface OpenColumns {
  readonly kind: "columns";
  readonly file: string;
  readonly writer: BlockFileWriter;
  readonly columns: readonly ExtractedColumn[];
}

interface OpenValues {
  readonly kind: "values";
  readonly file: string;
  readonly writer: BlockFileWriter;
  readonly keys: readonly string[];
}

interface OpenTexts {
  readonly kind: "texts";
  readonly file: string;
  readonly writer: JoinedBlocks;
  readonly keys: readonly string[];
  readonly guesses: Guesses;
  readonly origins: [number, string, number][];
}

type OpenJob = OpenLines | OpenColumns | OpenValues | OpenTexts;
type JobOfKind<Kind extends OpenJob["kind"]> = Extract<OpenJob, { readonly kind: Kind }>;

export interface JobWriterOptions {
  readonly dir: string;
  readonly jobBytesMax: number;
  /** What is written is on the disk when `finish` returns. */
  readonly sync: boolean;
  readonly onFull?: ExtractTarget["onFull"];
}

export class JobWriter {
  private readonly blocks = new RowBlocks();
  private readonly memories = new SpareMemory();
  private readonly columns = new RowsAsColumns(this.memories);
  private readonly dir: string;
  private readonly jobBytesMax: number;
  private readonly sync: boolean;
  private readonly onFull: ExtractTarget["onFull"];
  private readonly open = new Map<string, OpenJob>();
  /** Of each table in the order of its rows; the tables in the order in which they came. */
  private readonly closing = new Map<string, Promise<JobInfo>[]>();
  /** The write that was begun last; whoever comes next is told how it ended. */
  private last: Promise<void> = Promise.resolve();
  /** Whoever takes full jobs has done with those before. */
  private taken: Promise<void> = Promise.resolve();

  constructor({ dir, jobBytesMax, sync, onFull }: JobWriterOptions) {
    this.dir = dir;
    this.sync = sync;
    this.onFull = onFull;
    this.jobBytesMax = onFull ? Math.min(jobBytesMax, AHEAD_JOB_BYTES.extracted) : jobBytesMax;
  }

  /** Writes rows as objects; returns the bytes. */
  async writeRows(
    table: string,
    rows: readonly unknown[],
    guesses?: Guesses,
    onColumns?: OnColumns,
  ): Promise<number> {
    let written = 0;
    let from = 0;
    // guesses are about the texts of lines
    const asColumns = guesses === undefined ? this.columns.of(table, rows, onColumns) : [];
    for (const block of asColumns) {
      written += block.bytes.length;
      from += block.rows;
      await this.after(() => this.writeValues(table, block));
    }
    if (from === rows.length) return written;
    for (const block of this.blocks.of(from === 0 ? rows : rows.slice(from))) {
      written += block.bytes.length;
      await this.append(table, block.bytes, block.rows, guesses, undefined);
    }
    return written;
  }

  /** Writes a page that is lines already; returns the rows. */
  async writePage(table: string, page: JsonlPage): Promise<number> {
    const rows = countRows(page.bytes);
    await this.append(table, page.bytes, rows, page.guesses, page.origin);
    return rows;
  }

  /** Writes the rows of a page and empties it; returns the rows. */
  async writeColumns(table: string, page: ColumnsPage | TextsPage): Promise<number> {
    const { rows } = page.buffer;
    await this.after(() =>
      page instanceof TextsPage ? this.writeTexts(table, page) : this.writeBlock(table, page),
    );
    return rows;
  }

  /**
   * One write at a time: resources that run side by side may fill the same table. Returns when the write before
   * this one has ended, so that the next page is made while this one is written.
   */
  private append(
    table: string,
    bytes: Uint8Array,
    rows: number,
    guesses: Guesses | undefined,
    origin: Origin | undefined,
  ): Promise<void> {
    return this.after(() => this.write(table, bytes, rows, guesses, origin));
  }

  private after(write: () => Promise<void>): Promise<void> {
    const before = this.last;
    this.last = before.then(write);
    this.last.catch(() => {});
    return before;
  }

  private async writeBlock(table: string, { buffer, columns }: ColumnsPage): Promise<void> {
    const isLike = (job: OpenColumns): boolean => job.columns === columns;
    const job = await this.jobFor(table, "columns", isLike, async (file, path) => {
      return { kind: "columns", file, writer: await BlockFileWriter.create(path, this.memories), columns };
    });
    await job.writer.append(buffer);
  }

  private async writeTexts(table: string, { buffer, keys, guesses, origin }: TextsPage): Promise<void> {
    const isLike = (job: OpenTexts): boolean => sameKeys(job.keys, keys) && sameGuesses(job.guesses, guesses);
    const job = await this.jobFor(table, "texts", isLike, async (file, path) => {
      const writer = await JoinedBlocks.create(path, this.memories);
      return { kind: "texts", file, writer, keys, guesses, origins: [] };
    });
    job.origins.push([job.writer.rows, origin.file, origin.line]);
    await job.writer.append(buffer);
  }

  private async writeValues(table: string, { bytes, rows, keys }: ValuesBlock): Promise<void> {
    const isLike = (job: OpenValues): boolean => sameKeys(job.keys, keys);
    const job = await this.jobFor(table, "values", isLike, async (file, path) => {
      return { kind: "values", file, writer: await BlockFileWriter.create(path, this.memories), keys };
    });
    await job.writer.appendCopy(bytes, rows);
  }

  private async write(
    table: string,
    bytes: Uint8Array,
    rows: number,
    guesses: Guesses | undefined,
    origin: Origin | undefined,
  ): Promise<void> {
    // guesses belong to a whole job
    const isLike = (job: OpenLines): boolean => sameGuesses(job.guesses, guesses);
    const job = await this.jobFor(table, "lines", isLike, async (file, path) => {
      return { kind: "lines", file, handle: await open(path, "wx"), guesses, origins: [], rows: 0, bytes: 0 };
    });
    if (origin) job.origins.push([job.bytes, origin.file, origin.line]);
    job.rows += rows;
    job.bytes += bytes.length;
    for (let at = 0; at < bytes.length; ) {
      at += (await job.handle.write(bytes, at, bytes.length - at)).bytesWritten;
    }
  }

  /** The open job of the table, if it is of the kind, like what is to be written, and not full; else another one. */
  private async jobFor<Kind extends OpenJob["kind"]>(
    table: string,
    kind: Kind,
    isLike: (job: JobOfKind<Kind>) => boolean,
    create: (file: string, path: string) => Promise<JobOfKind<Kind>>,
  ): Promise<JobOfKind<Kind>> {
    const open = this.open.get(table);
    if (open !== undefined) {
      const isFull = (open.kind === "lines" ? open.bytes : open.writer.bytes) >= this.jobBytesMax;
      if (open.kind === kind && !isFull && isLike(open as JobOfKind<Kind>)) return open as JobOfKind<Kind>;
      await this.closeFull(table);
    }
    const format = kind === "lines" ? "typed-jsonl" : "blocks";
    const file = formatJobName({ table, fileId: newFileId(), retry: 0, format });
    const job = await create(file, join(this.dir, file));
    this.open.set(table, job);
    if (!this.closing.has(table)) this.closing.set(table, []);
    return job;
  }

  /** Closes what is open; the jobs are complete then. */
  async finish(): Promise<readonly JobInfo[]> {
    await this.last;
    await this.taken.catch(() => {});
    for (const table of [...this.open.keys()]) this.close(table);
    return Promise.all([...this.closing.values()].flat());
  }

  async abort(): Promise<void> {
    await this.last.catch(() => {});
    await this.taken.catch(() => {});
    for (const table of [...this.open.keys()]) this.close(table);
    await Promise.allSettled([...this.closing.values()].flat());
  }

  /**
   * Hands the job over while the next is being filled. Returns when those before it were done with: reading goes no
   * further ahead than this.
   */
  private async closeFull(table: string): Promise<void> {
    const closed = this.close(table);
    if (this.onFull === undefined) return;
    const before = this.taken;
    this.taken = before.then(async () => this.onFull?.(await closed));
    this.taken.catch(() => {});
    await before;
  }

  /** What a full job holds gets to disk while the next is being filled. */
  private close(table: string): Promise<JobInfo> {
    const job = this.open.get(table)!;
    this.open.delete(table);
    const closed = job.kind === "lines" ? this.closeLines(table, job) : this.closeBlocks(table, job);
    closed.catch(() => {});
    this.closing.get(table)!.push(closed);
    return closed;
  }

  private async closeLines(table: string, job: OpenLines): Promise<JobInfo> {
    const { handle, file, rows, bytes, origins, guesses } = job;
    try {
      if (this.sync) await handle.sync();
    } finally {
      await handle.close();
    }
    return {
      file,
      table,
      rows,
      bytes,
      ...(origins.length > 0 ? { origins } : {}),
      ...(guesses ? { guesses } : {}),
    };
  }

  private async closeBlocks(table: string, job: Exclude<OpenJob, OpenLines>): Promise<JobInfo> {
    const { writer, file } = job;
    await writer.close({ sync: this.sync });
    return { file, table, rows: writer.rows, bytes: writer.bytes, ...formOf(job) };
  }
}

function formOf(
  job: Exclude<OpenJob, OpenLines>,
): Pick<JobInfo, "columns" | "keys" | "sparse" | "guesses" | "origins"> {
  switch (job.kind) {
    case "columns":
      return { columns: job.columns };
    case "values":
      return { keys: job.keys };
    case "texts":
      return { keys: job.keys, sparse: true, guesses: job.guesses, origins: job.origins };
  }
}

/** Lines that hold something. */
export function countRows(bytes: Uint8Array): number {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let rows = 0;
  let at = 0;
  while (at < buffer.length) {
    let end = buffer.indexOf(LF, at);
    if (end < 0) end = buffer.length;
    if (!isBlank(buffer, at, end)) rows++;
    at = end + 1;
  }
  return rows;
}

function isBlank(bytes: Uint8Array, from: number, to: number): boolean {
  for (let i = from; i < to; i++) {
    const byte = bytes[i]!;
    if (byte !== 0x20 && byte !== 0x09 && byte !== 0x0d) return false;
  }
  return true;
}

function sameKeys(a: readonly string[], b: readonly string[]): boolean {
  return a === b || (a.length === b.length && a.every((key, i) => key === b[i]));
}

function sameGuesses(a: Guesses | undefined, b: Guesses | undefined): boolean {
  if (a === b) return true;
  return JSON.stringify(a ?? {}) === JSON.stringify(b ?? {});
}
