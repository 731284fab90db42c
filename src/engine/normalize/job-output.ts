/** Normalized rows on their way to disk: the open job of each table; rotated by size, so that files stay bounded. */

import { join } from "node:path";
import { EngineError } from "../errors.ts";
import { AHEAD_JOB_BYTES, createJobFile, type JobFileWriter, type JobFormat } from "../package/job-file.ts";
import { formatJobName, newFileId } from "../package/job-name.ts";
import type { SpareMemory } from "../package/spare-memory.ts";
import type { JobInfo } from "../package/types.ts";
import type { TableState } from "./table-state.ts";

/** A table's rows are written as a block when there are this many of them, or this many bytes. */
const BLOCK_ROWS = 12_288;
const BLOCK_BYTES = 8 << 20;

export interface JobOutputOptions {
  readonly dir: string;
  readonly format: JobFormat;
  /** Jobs are on the disk when `finish` returns; else they are once the system gets to it. */
  readonly sync: boolean;
  readonly jobBytesMax: number;
  readonly memories: SpareMemory;
  /** Called with each job that is full while there are rows to come. */
  readonly onFull?: ((job: JobInfo) => void) | undefined;
}

export class JobOutput {
  private readonly options: JobOutputOptions;
  private readonly jobBytesMax: number;
  private readonly open = new Map<string, { writer: JobFileWriter; file: string }>();
  /** In the order of the rows, whichever file is synced first: of equal keys the last row wins. */
  private readonly closing: Promise<JobInfo>[] = [];
  /** Full jobs are handed over in that order too. */
  private handedOver: Promise<void> = Promise.resolve();

  constructor(options: JobOutputOptions) {
    this.options = options;
    const { jobBytesMax, onFull, format } = options;
    this.jobBytesMax = onFull ? Math.min(jobBytesMax, AHEAD_JOB_BYTES[format]) : jobBytesMax;
  }

  async writeFull(states: Iterable<TableState>): Promise<void> {
    for (const state of states) {
      const { buffer } = state;
      if (buffer.rows >= BLOCK_ROWS || (buffer.rows > 0 && buffer.byteLength() >= BLOCK_BYTES))
        await this.write(state);
    }
  }

  async finish(states: Iterable<TableState>): Promise<JobInfo[]> {
    for (const state of states) if (state.buffer.rows > 0) await this.write(state);
    for (const table of [...this.open.keys()]) this.close(table);
    const jobs = await Promise.all(this.closing);
    await this.handedOver;
    return jobs;
  }

  async abort(): Promise<void> {
    await Promise.allSettled([
      ...this.closing,
      ...[...this.open.values()].map(({ writer }) => writer.abort()),
    ]);
  }

  private async write(state: TableState): Promise<void> {
    for (const slot of state.slots.values()) {
      if (!slot.nullable && !slot.cells.allValid(state.buffer.rows)) {
        throw new EngineError(
          "NULL_IN_REQUIRED",
          `A row of table ${state.name} has no value in column ${slot.column.name}, which must have one.`,
          { details: { table: state.name, column: slot.column.name } },
        );
      }
    }
    let job = this.open.get(state.name);
    if (job && !job.writer.fits(state.buffer)) {
      this.close(state.name);
      job = undefined;
    }
    if (!job) {
      const { dir, format, memories } = this.options;
      const file = formatJobName({ table: state.name, fileId: newFileId(), retry: 0, format });
      job = { writer: await createJobFile(join(dir, file), format, memories), file };
      this.open.set(state.name, job);
    }
    await job.writer.append(state.buffer);
    if (job.writer.bytes >= this.jobBytesMax) this.close(state.name, this.options.onFull);
  }

  /** Closing may sync the file to disk; that goes on while the next rows are normalized. */
  private close(table: string, onFull?: JobOutputOptions["onFull"]): void {
    const { writer, file } = this.open.get(table)!;
    this.open.delete(table);
    const closed = writer.close({ sync: this.options.sync }).then((): JobInfo => {
      const { rows, bytes, crc32 } = writer;
      return { file, table, rows, bytes, ...(crc32 === undefined ? {} : { crc32 }) };
    });
    closed.catch(() => {});
    this.closing.push(closed);
    if (onFull === undefined) return;
    this.handedOver = this.handedOver.then(async () => onFull(await closed));
    this.handedOver.catch(() => {});
  }
}
