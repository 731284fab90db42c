/** Turns the extracted jobs of one package into normalized jobs: rows into the tables of the schema. */

import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import type { RunContext } from "../context.ts";
import { EngineError } from "../errors.ts";
import { type Block, readBlocks } from "../package/block-format.ts";
import type { JobFormat } from "../package/job-file.ts";
import { SpareMemory } from "../package/spare-memory.ts";
import type { JobInfo, SchemaChange } from "../package/types.ts";
import { BOUNDARY_TABLE } from "../schema/boundary-table.ts";
import type { NamingConvention } from "../schema/naming.ts";
import { completeColumns, hasSeenData, isComplete, isNullable, rootTable } from "../schema/tables.ts";
import type { ContractMode, Schema, Table } from "../schema/types.ts";
import { ColumnsScan } from "./columns-scan.ts";
import { JobOutput } from "./job-output.ts";
import { lineBlocks } from "./line-blocks.ts";
import { type RejectedCount, RejectedRows } from "./rejected.ts";
import { placeInBlock, placeOfLine, rowError } from "./row-error.ts";
import { RowPath } from "./row-path.ts";
import { Scanner } from "./scanner.ts";
import { NormalizeTables, type TableState } from "./table-state.ts";
import { ValuesScan } from "./values-scan.ts";

const PROGRESS_MS = 100;

export interface NormalizeWork {
  readonly loadId: string;
  /** Changed in place. */
  readonly schema: Schema;
  readonly naming: NamingConvention;
  /** Folder for the normalized jobs. */
  readonly to: string;
  readonly jobFormat: JobFormat;
  /** Normalized jobs are on the disk when they are finished; else they are once the system gets to it. */
  readonly sync: boolean;
  /** Called with each job that is full while there are rows to come. */
  readonly onFull?: ((job: JobInfo) => void) | undefined;
  /** Keep what contracts discard in the table `_loadwright_rejected`; else it is only counted. */
  readonly keepRejected?: boolean;
  /** Tables that their contract keeps out of the schema. */
  readonly refusedTables?: Readonly<Record<string, ContractMode>> | undefined;
}

export interface FinishOptions {
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

/** One package: `add` each job, those of a table in the order of its rows, then `finish`; after an error `abort`. */
export class PackageNormalizer {
  private readonly work: NormalizeWork;
  private readonly context: RunContext;
  private readonly tables: NormalizeTables;
  private readonly rejected: RejectedRows;
  private readonly rowPath: RowPath;
  private readonly output: JobOutput;
  private readonly memories = new SpareMemory();
  private readonly scanners = new Map<string, Scanner>();
  private readonly boundaryJobs: JobInfo[] = [];
  private readonly startedAt: number;
  private bytesDone = 0;
  /** Spent on rows so far, waiting left out. */
  busyMs = 0;
  private lastProgress = 0;

  constructor(work: NormalizeWork, context: RunContext) {
    this.work = work;
    this.context = context;
    this.tables = new NormalizeTables(work.schema, work.naming, work.loadId);
    this.rejected = new RejectedRows(work.loadId, work.keepRejected === true);
    this.rowPath = new RowPath(this.tables, this.rejected, work.refusedTables);
    const { to: dir, jobFormat: format, sync, onFull } = work;
    const { jobBytesMax } = context.limits;
    this.output = new JobOutput({ dir, format, sync, onFull, jobBytesMax, memories: this.memories });
    this.startedAt = context.now();
  }

  /** Adds the rows of a job, which lies in the folder `from`. */
  async add(job: JobInfo, from: string): Promise<void> {
    const path = join(from, job.file);
    if (job.table === BOUNDARY_TABLE) {
      // in the form of normalized rows from the beginning
      await copyFile(path, join(this.work.to, job.file));
      this.boundaryJobs.push(job);
      return;
    }
    let scanner = this.scanners.get(job.table);
    if (!scanner) {
      scanner = new Scanner(this.tables, this.rowPath, job.table);
      this.scanners.set(job.table, scanner);
    }
    this.rowPath.setGuesses(job.guesses);
    const scanBlock = blockScan(job, this.tables, this.rowPath, scanner);
    if (scanBlock) {
      for await (const block of readBlocks(path, this.memories)) {
        this.context.signal.throwIfAborted();
        this.timed(() => scanBlock(block));
        await this.added(job, block.bytes);
      }
    } else {
      const { counts } = scanner;
      for await (const block of lineBlocks(path, this.memories)) {
        this.context.signal.throwIfAborted();
        this.timed(() =>
          scanner.scan(block.bytes, 0, block.length, (lineAt, error) => {
            const place = placeOfLine(job, block.offset + lineAt, block.bytes, lineAt);
            throw rowError(error, job, counts.rows + 1, place, lineAt);
          }),
        );
        await this.added(job, block.length);
      }
    }
    this.report(job.table);
  }

  /** Writes what is left; the jobs are complete then, and the schema is that of the package. */
  async finish(options: FinishOptions = {}): Promise<NormalizeResult> {
    const { rowPath, tables } = this;
    const { schema } = this.work;
    const jobs = [...(await this.output.finish(this.states())), ...this.boundaryJobs];
    if (options.keepNullColumns) rowPath.keepNullColumns();
    for (const name of options.emptyTables ?? []) materialize(schema, rowPath, name);
    const rows: Record<string, number> = {};
    for (const state of tables.states.values()) {
      if (state.rowsTotal === 0) continue;
      rows[state.name] = state.rowsTotal;
      checkRequired(schema, state);
      markSeen(schema.tables.get(state.name)!);
    }
    let slowRows = 0;
    for (const scanner of this.scanners.values()) slowRows += scanner.counts.slow;
    return {
      jobs,
      rows,
      changes: inOrderOfRoots(schema, rowPath.changes),
      warnings: nullOnlyWarnings(schema, rowPath),
      rejected: Object.fromEntries(this.rejected.counts),
      slowRows,
    };
  }

  /** Gives the files up that are open. */
  abort(): Promise<void> {
    return this.output.abort();
  }

  private *states(): Generator<TableState> {
    yield* this.tables.states.values();
    if (this.rejected.state) yield this.rejected.state;
  }

  private async added(job: JobInfo, bytes: number): Promise<void> {
    this.bytesDone += bytes;
    await this.output.writeFull(this.states());
    if (this.context.now() - this.lastProgress > PROGRESS_MS) this.report(job.table);
  }

  private timed(work: () => void): void {
    const begun = performance.now();
    work();
    this.busyMs += performance.now() - begun;
  }

  private report(table: string): void {
    this.lastProgress = this.context.now();
    this.context.progress({
      kind: "progress",
      step: "normalize",
      loadId: this.work.loadId,
      table,
      rows: this.tables.states.get(table)?.rowsTotal ?? 0,
      bytes: this.bytesDone,
      elapsedMs: this.lastProgress - this.startedAt,
    });
  }
}

/**
 * The changes, and the nested tables that they made, in the order of their root tables: whichever table's rows came
 * first, the same rows make the same schema.
 */
function inOrderOfRoots(schema: Schema, changes: readonly SchemaChange[]): SchemaChange[] {
  const places = new Map([...schema.tables.keys()].map((name, place) => [name, place]));
  const placeOf = ({ table }: SchemaChange): number =>
    places.has(table) ? places.get(rootTable(schema, table).name)! : places.size;
  const ordered = changes.toSorted((a, b) => placeOf(a) - placeOf(b));
  for (const { kind, table: name } of ordered) {
    const table = schema.tables.get(name);
    if (kind !== "table_added" || table?.parent === undefined) continue;
    schema.tables.delete(name);
    schema.tables.set(name, table);
  }
  return ordered;
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
      scan.scan(block, columns, (lineAt, error) => {
        throw rowError(error, job, counts.rows + 1, {}, lineAt);
      });
  }
  if (keys) {
    const scan = new ValuesScan(tables, rowPath, scanner, job.table, { keys, sparse: job.sparse === true });
    const before = counts.rows;
    return (block) => {
      const first = counts.rows - before;
      scan.scan(block, (row, error) => {
        throw rowError(error, job, counts.rows + 1, placeInBlock(job, block, first, row));
      });
    };
  }
  return undefined;
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
