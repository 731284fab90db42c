/** Turns the extracted jobs of one package into normalized jobs: rows into the tables of the schema. */

import { copyFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { RunContext } from "../context.ts";
import { EngineError } from "../errors.ts";
import { JsonSyntaxError } from "../interop/json.ts";
import { type Block, readBlocks } from "../package/block-format.ts";
import { createJobFile, type JobFileWriter, type JobFormat } from "../package/job-file.ts";
import { formatJobName, newFileId } from "../package/job-name.ts";
import type { JobInfo, SchemaChange } from "../package/types.ts";
import { BOUNDARY_TABLE } from "../schema/boundary-table.ts";
import type { NamingConvention } from "../schema/naming.ts";
import { completeColumns, hasSeenData, isComplete, isNullable } from "../schema/tables.ts";
import type { ContractMode, Schema, Table } from "../schema/types.ts";
import { ColumnsScan } from "./columns-scan.ts";
import { lineBlocks } from "./line-blocks.ts";
import { type RejectedCount, RejectedRows } from "./rejected.ts";
import { RowPath } from "./row-path.ts";
import { Scanner } from "./scanner.ts";
import { NormalizeTables, type TableState } from "./table-state.ts";
import { ValuesScan } from "./values-scan.ts";

/** A table's rows are written as a block when there are this many of them, or this many bytes. */
const BLOCK_ROWS = 12_288;
const BLOCK_BYTES = 8 << 20;
/** A job that is loaded while the next ones are made: small, so that loading begins early and never ends late. */
const AHEAD_JOB_BYTES = 16 << 20;
const PROGRESS_MS = 100;
const NO_BYTES = new Uint8Array(0);

export interface NormalizeWork {
  readonly loadId: string;
  /** Changed in place. */
  readonly schema: Schema;
  readonly naming: NamingConvention;
  readonly jobs: readonly JobInfo[];
  /** Folder of the extracted jobs. */
  readonly from: string;
  /** Folder for the normalized jobs. */
  readonly to: string;
  readonly jobFormat: JobFormat;
  /** Normalized jobs are on the disk when this returns; else they are once the system gets to it. */
  readonly sync: boolean;
  /** Called with each job that is full while there are rows to come. */
  readonly onFull?: ((job: JobInfo) => void) | undefined;
  /** Keep what contracts discard in the table `_loadwright_rejected`; else it is only counted. */
  readonly keepRejected?: boolean;
  /** Tables that their contract keeps out of the schema. */
  readonly refusedTables?: Readonly<Record<string, ContractMode>>;
  /** Columns that had only nulls become text columns. */
  readonly keepNullColumns?: boolean;
  /** Declared tables to be made although no row has come for them. */
  readonly emptyTables?: readonly string[];
}

export interface NormalizeResult {
  readonly jobs: readonly JobInfo[];
  readonly rows: Readonly<Record<string, number>>;
  readonly changes: readonly SchemaChange[];
  readonly warnings: readonly string[];
  /** What contracts discarded, per table. */
  readonly rejected: Readonly<Record<string, RejectedCount>>;
  /** Rows whose shape was new, or that needed a decision. */
  readonly slowRows: number;
}

export async function normalizePackage(work: NormalizeWork, context: RunContext): Promise<NormalizeResult> {
  await mkdir(work.to, { recursive: true });
  const tables = new NormalizeTables(work.schema, work.naming, work.loadId);
  const rejected = new RejectedRows(work.loadId, work.keepRejected === true);
  const rowPath = new RowPath(tables, rejected, work.refusedTables);
  const states = function* (): Generator<TableState> {
    yield* tables.states.values();
    if (rejected.state) yield rejected.state;
  };
  const scanners = new Map<string, Scanner>();
  const output = new JobOutput(work, context.limits.jobBytesMax);
  const startedAt = context.now();
  let bytesDone = 0;
  let lastProgress = 0;
  const report = (table: string): void => {
    lastProgress = context.now();
    context.progress({
      kind: "progress",
      step: "normalize",
      loadId: work.loadId,
      table,
      rows: tables.states.get(table)?.rowsTotal ?? 0,
      bytes: bytesDone,
      elapsedMs: lastProgress - startedAt,
    });
  };
  let jobs: readonly JobInfo[];
  try {
    for (const job of work.jobs) {
      if (job.table === BOUNDARY_TABLE) continue;
      let scanner = scanners.get(job.table);
      if (!scanner) {
        scanner = new Scanner(tables, rowPath, job.table);
        scanners.set(job.table, scanner);
      }
      rowPath.setGuesses(job.guesses);
      const scanBlock = blockScan(job, tables, rowPath, scanner);
      if (scanBlock) {
        for await (const block of readBlocks(join(work.from, job.file))) {
          context.signal.throwIfAborted();
          scanBlock(block);
          bytesDone += block.bytes;
          await output.writeFull(states());
          if (context.now() - lastProgress > PROGRESS_MS) report(job.table);
        }
        report(job.table);
        continue;
      }
      for await (const block of lineBlocks(join(work.from, job.file))) {
        context.signal.throwIfAborted();
        const rows = scanner.counts;
        scanner.scan(block.bytes, 0, block.length, (lineAt, error) => {
          throw rowError(error, job, rows.rows + 1, block.offset + lineAt, block.bytes, lineAt);
        });
        bytesDone += block.length;
        await output.writeFull(states());
        if (context.now() - lastProgress > PROGRESS_MS) report(job.table);
      }
      report(job.table);
    }
    jobs = [...(await output.finish(states())), ...(await copyBoundaryJobs(work))];
  } catch (error) {
    await output.abort();
    throw error;
  }
  if (work.keepNullColumns) rowPath.keepNullColumns();
  for (const name of work.emptyTables ?? []) materialize(work.schema, rowPath, name);
  const rows: Record<string, number> = {};
  for (const state of tables.states.values()) {
    if (state.rowsTotal === 0) continue;
    rows[state.name] = state.rowsTotal;
    checkRequired(work.schema, state);
    markSeen(work.schema.tables.get(state.name)!);
  }
  let slowRows = 0;
  for (const scanner of scanners.values()) slowRows += scanner.counts.slow;
  return {
    jobs,
    rows,
    changes: rowPath.changes,
    warnings: nullOnlyWarnings(work.schema, rowPath),
    rejected: Object.fromEntries(rejected.counts),
    slowRows,
  };
}

/** How the blocks of a job are added that are no lines; undefined: it has lines. */
function blockScan(
  job: JobInfo,
  tables: NormalizeTables,
  rowPath: RowPath,
  scanner: Scanner,
): ((block: Block) => void) | undefined {
  const { counts } = scanner;
  const { columns, keys } = job;
  if (columns) {
    const scan = new ColumnsScan(tables, rowPath, scanner, job.table);
    return (block) =>
      scan.scan(block, columns, (lineAt, error, lines) => {
        throw rowError(error, job, counts.rows + 1, lineAt, lines, lineAt);
      });
  }
  if (keys) {
    const scan = new ValuesScan(tables, rowPath, scanner, job.table, keys);
    return (block) =>
      scan.scan(block, (error) => {
        throw rowError(error, job, counts.rows + 1, 0, NO_BYTES, 0);
      });
  }
  return undefined;
}

/** They are in the form of normalized rows from the beginning. */
async function copyBoundaryJobs({ jobs, from, to }: NormalizeWork): Promise<JobInfo[]> {
  const boundary = jobs.filter(({ table }) => table === BOUNDARY_TABLE);
  for (const { file } of boundary) await copyFile(join(from, file), join(to, file));
  return boundary;
}

/** From now on the table is one that has, or had, data. */
function markSeen(table: Table): void {
  const marks = { ...table["x-normalizer"] };
  delete marks["evolve-columns-once"];
  if (marks["seen-data"] === undefined) marks["seen-data"] = true;
  table["x-normalizer"] = marks;
}

function materialize(schema: Schema, rowPath: RowPath, name: string): void {
  const table = schema.tables.get(name);
  if (!table || hasSeenData(table) || completeColumns(table).length === 0) return;
  rowPath.declareEmpty(name);
  markSeen(table);
}

/** The open job of each table; rotated by size, so that files stay bounded. */
class JobOutput {
  private readonly dir: string;
  private readonly format: JobFormat;
  private readonly sync: boolean;
  private readonly onFull: NormalizeWork["onFull"];
  private readonly jobBytesMax: number;
  private readonly open = new Map<string, { writer: JobFileWriter; file: string }>();
  /** In the order of the rows, whichever file is synced first: of equal keys the last row wins. */
  private readonly closing: Promise<JobInfo>[] = [];
  /** Full jobs are handed over in that order too. */
  private handedOver: Promise<void> = Promise.resolve();

  constructor({ to, jobFormat, sync, onFull }: NormalizeWork, jobBytesMax: number) {
    this.dir = to;
    this.format = jobFormat;
    this.sync = sync;
    this.onFull = onFull;
    this.jobBytesMax = onFull ? Math.min(jobBytesMax, AHEAD_JOB_BYTES) : jobBytesMax;
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
      const file = formatJobName({ table: state.name, fileId: newFileId(), retry: 0, format: this.format });
      job = { writer: await createJobFile(join(this.dir, file), this.format), file };
      this.open.set(state.name, job);
    }
    await job.writer.append(state.buffer);
    if (job.writer.bytes >= this.jobBytesMax) this.close(state.name, this.onFull);
  }

  /** Closing may sync the file to disk; that goes on while the next rows are normalized. */
  private close(table: string, onFull?: NormalizeWork["onFull"]): void {
    const { writer, file } = this.open.get(table)!;
    this.open.delete(table);
    const closed = writer.close({ sync: this.sync }).then((): JobInfo => {
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

/** A key column that no row ever filled. */
function checkRequired(schema: Schema, state: TableState): void {
  const table = schema.tables.get(state.name)!;
  for (const column of table.columns.values()) {
    if (isNullable(column) || state.slots.has(column.name)) continue;
    throw new EngineError(
      "NULL_IN_REQUIRED",
      `Column ${column.name} of table ${table.name} must have a value, but no row has one.`,
      {
        hint: "Check the name in primaryKey, mergeKey or columns: it is the field's name in the source.",
        details: {
          table: table.name,
          column: column.name,
          known_columns: completeColumns(table).map((known) => known.name),
        },
      },
    );
  }
}

function nullOnlyWarnings(schema: Schema, rowPath: RowPath): string[] {
  const warnings: string[] = [];
  for (const [tableName, names] of rowPath.nullOnly) {
    const table = schema.tables.get(tableName);
    const missing = [...names].filter((name) => {
      const column = table?.columns.get(name);
      return !column || !isComplete(column);
    });
    if (missing.length > 0) {
      warnings.push(
        `Table ${tableName}: no column was made for ${missing.sort().join(", ")}, because every value was null.`,
      );
    }
  }
  return warnings;
}

/** The error of one row with the file and line it came from, or with its number in its table. */
function rowError(
  error: unknown,
  job: JobInfo,
  row: number,
  at: number,
  bytes: Uint8Array,
  lineAt: number,
): EngineError {
  const place = originOf(job, at, bytes, lineAt);
  // counted over the rows of the table in this package, from 1
  const details = { table: job.table, row, ...place };
  const where = place.file ? `${place.file}, line ${place.line}` : `table ${job.table}`;
  if (error instanceof JsonSyntaxError) {
    const code = error.kind === "encoding" ? "FILE_ENCODING" : "FILE_FORMAT";
    const problem = error.message.replace(/ at byte \d+$/, "");
    return new EngineError(code, `${where}: ${problem} at column ${error.offset - lineAt + 1}.`, {
      details: { ...details, column: error.offset - lineAt + 1 },
    });
  }
  if (error instanceof EngineError) {
    const known = error.withDetails(details);
    const at = place.file ? where : `row ${row} of table ${job.table}`;
    return new EngineError(known.code, `${at}: ${known.message}`, { ...known, cause: known.cause });
  }
  throw error;
}

/**
 * File and line of a row. An origin says where its bytes began; the lines between are counted in this block,
 * which is enough because an origin is recorded for each page and a page is smaller than a block.
 */
function originOf(
  job: JobInfo,
  at: number,
  bytes: Uint8Array,
  lineAt: number,
): { file?: string; line?: number } {
  let origin: readonly [number, string, number] | undefined;
  for (const candidate of job.origins ?? []) {
    if (candidate[0] > at) break;
    origin = candidate;
  }
  if (!origin) return {};
  let line = origin[2];
  const from = Math.max(0, lineAt - (at - origin[0]));
  for (let i = from; i < lineAt; i++) if (bytes[i] === 0x0a) line++;
  return { file: origin[1], line };
}
