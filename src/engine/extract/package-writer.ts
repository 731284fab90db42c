/** Writes the jobs of the package that is open, and tells when it is full and how far it has got. */

import type { RunContext } from "../context.ts";
import type { JobInfo } from "../package/types.ts";
import { type CursorName, writeBoundaryJob } from "./boundary-store.ts";
import { JobWriter } from "./job-writer.ts";
import type { ColumnsPage, JsonlPage, Row, TextsPage } from "./page.ts";
import type { OnColumns } from "./row-columns.ts";
import type { BoundaryChunks } from "./rows-at-last.ts";
import type { ExtractTarget } from "./work.ts";

const PROGRESS_MS = 100;

export class PackageWriter {
  private readonly context: RunContext;
  private readonly sync: boolean;
  private writer: JobWriter | undefined;
  private jobsDir = "";
  private rows = 0;
  private bytes = 0;
  private openedAt = 0;
  private readonly startedAt: number;
  private lastProgress = 0;
  /** Over the whole run. */
  private readonly tableCounts = new Map<string, { rows: number; bytes: number }>();

  /** `sync`: jobs are on the disk when they are finished. */
  constructor(context: RunContext, sync: boolean) {
    this.context = context;
    this.sync = sync;
    this.startedAt = context.now();
  }

  open({ jobsDir, onFull }: ExtractTarget): void {
    const { jobBytesMax } = this.context.limits;
    this.writer = new JobWriter({ dir: jobsDir, jobBytesMax, sync: this.sync, onFull });
    this.jobsDir = jobsDir;
    this.rows = 0;
    this.bytes = 0;
    this.openedAt = this.context.now();
  }

  isFull(): boolean {
    const { limits } = this.context;
    return (
      this.rows >= limits.packageRowsMax ||
      this.bytes >= limits.packageBytesMax ||
      (this.rows > 0 && this.context.now() - this.openedAt >= limits.packageSecondsMax * 1000)
    );
  }

  /** Returns how many rows the page has. */
  writePage(table: string, page: JsonlPage): Promise<number> {
    return this.writer!.writePage(table, page);
  }

  /** Empties the page; returns how many rows it had. */
  writeColumns(table: string, page: ColumnsPage | TextsPage): Promise<number> {
    return this.writer!.writeColumns(table, page);
  }

  /** Returns how many bytes the rows have. */
  writeRows(
    table: string,
    rows: readonly Row[],
    guesses: JsonlPage["guesses"],
    onColumns: OnColumns | undefined,
  ): Promise<number> {
    return this.writer!.writeRows(table, rows, guesses, onColumns);
  }

  /** Counts what was written. */
  count(table: string, rows: number, bytes: number): void {
    this.rows += rows;
    this.bytes += bytes;
    const counts = this.tableCounts.get(table) ?? { rows: 0, bytes: 0 };
    counts.rows += rows;
    counts.bytes += bytes;
    this.tableCounts.set(table, counts);
    this.report(false);
  }

  /** The jobs, with one of the boundaries where there are any. */
  async finish(
    boundaries: readonly { name: CursorName; chunks: BoundaryChunks }[],
  ): Promise<readonly JobInfo[]> {
    const boundaryJob = await writeBoundaryJob(this.jobsDir, boundaries);
    const jobs = [...(await this.writer!.finish()), ...(boundaryJob ? [boundaryJob] : [])];
    this.report(true);
    return jobs;
  }

  async abort(): Promise<void> {
    await this.writer?.abort();
  }

  private report(all: boolean): void {
    const now = this.context.now();
    if (!all && now - this.lastProgress < PROGRESS_MS) return;
    this.lastProgress = now;
    for (const [table, { rows, bytes }] of this.tableCounts) {
      this.context.progress({
        kind: "progress",
        step: "extract",
        table,
        rows,
        bytes,
        elapsedMs: now - this.startedAt,
      });
    }
  }
}
