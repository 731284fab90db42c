/**
 * Job files into a DuckDB table, inside the caller's transaction:
 *
 *     create temp table staging (…)          -- columns as the job has them
 *     <append blocks to staging>             -- this thread, memory copies only
 *     insert into target (…) select cast(…) … from staging;   -- off this thread: casts, compression
 *     drop table staging;                    -- and again until the files end
 *
 * Appending to the target itself needs about as long, but compresses on this thread, so the event loop
 * would stand still for up to seconds. A temporary table is filled in the same transaction, so all of a load
 * is one transaction on one connection; the price is that DuckDB scans rows that are not committed on one
 * thread only. A batch is a whole number of row groups, so that every row group is compressed once.
 */

import { setImmediate } from "node:timers/promises";
import { type DuckDBAppender, type DuckDBConnection, DuckDBInstance, TIMESTAMPTZ } from "@duckdb/node-api";
import { EngineError } from "../../errors.ts";
import type { Kind } from "../../normalize/column-buffer.ts";
import { type Block, readBlocks } from "../../package/block-format.ts";
import { CHUNK_ROWS, PHYSICAL_TYPE, VectorWriter, type WriterColumn } from "./vector-writer.ts";

export interface BulkTarget {
  readonly catalog?: string;
  readonly schema: string;
  readonly table: string;
}

export interface BulkColumn {
  readonly name: string;
  /** How the job files hold it. */
  readonly kind: Kind;
  /** The target column's type, e.g. `DECIMAL(38,9)`. */
  readonly sqlType: string;
  /** SQL that makes the target's value of the staged one, written `{}`; default: `cast({} as <sqlType>)`. */
  readonly cast?: string;
}

export interface BulkLoadOptions {
  /** Rows per insert; default: up to two row groups, fewer for wide rows. */
  readonly batchRows?: number;
  readonly signal?: AbortSignal;
  /** Called after each batch with the rows that are in the target so far. */
  readonly onProgress?: (progress: { readonly rows: number }) => void;
}

const ROW_GROUP_ROWS = 122_880;
const BATCH_ROW_GROUPS_MAX = 2;
/** Room for one row group of rows of 1 KB. A batch of less than a row group costs 40 % more CPU. */
const STAGING_BYTES_MAX = 128 << 20;
/** Bytes that are appended in one go before the event loop gets its turn. */
const SLICE_BYTES = 8 << 20;

const STAGING = "_loadwright_staging";

/**
 * Appends the rows of `files` to the target table. The transaction is the caller's: after an error it has
 * to be rolled back. A value that its column cannot hold is LOAD_VALUE with table and column.
 */
export async function bulkLoad(
  connection: DuckDBConnection,
  target: BulkTarget,
  columns: readonly BulkColumn[],
  files: readonly string[],
  options: BulkLoadOptions = {},
): Promise<{ rows: number }> {
  const load = new BulkLoad(connection, target, columns, options);
  const interrupt = (): void => connection.interrupt();
  options.signal?.addEventListener("abort", interrupt);
  try {
    for (const file of files) {
      for await (const block of readBlocks(file)) await load.add(block);
    }
    await load.flush();
    return { rows: load.rows };
  } catch (error) {
    throw await explain(error, target, columns, load.blocks, options.signal);
  } finally {
    options.signal?.removeEventListener("abort", interrupt);
    load.dispose();
  }
}

/** Where a block lies, to find it again when its batch was refused. */
interface BlockPlace {
  readonly file: string;
  readonly offset: number;
}

class BulkLoad {
  /** Rows in the target. */
  rows = 0;
  /** The blocks of which rows are staged. */
  blocks: BlockPlace[] = [];
  private readonly connection: DuckDBConnection;
  private readonly columns: readonly WriterColumn[];
  private readonly options: BulkLoadOptions;
  private readonly createSql: string;
  private readonly insertSql: string;
  private appender: DuckDBAppender | undefined;
  private writer: VectorWriter | undefined;
  private staged = 0;
  private stagedMax = 0;

  constructor(
    connection: DuckDBConnection,
    target: BulkTarget,
    columns: readonly BulkColumn[],
    options: BulkLoadOptions,
  ) {
    this.connection = connection;
    this.columns = columns.map(stagedColumn);
    this.options = options;
    this.createSql = createStagingSql(columns);
    this.insertSql = insertSql(target, columns);
  }

  async add(block: Block): Promise<void> {
    const rowBytes = Math.max(1, block.bytes / block.rows);
    const sliceRows = Math.max(CHUNK_ROWS, Math.floor(SLICE_BYTES / rowBytes));
    for (let from = 0; from < block.rows; ) {
      throwIfCancelled(this.options.signal);
      if (this.appender === undefined) await this.begin(rowBytes);
      const to = Math.min(block.rows, from + sliceRows, from + this.stagedMax - this.staged);
      this.writer!.append(block, from, to);
      // A full appender would move up to 204,800 rows at once; moved now, each step stays short.
      this.appender!.flushSync();
      if (this.blocks.at(-1)?.offset !== block.offset || this.blocks.at(-1)?.file !== block.file) {
        this.blocks.push({ file: block.file, offset: block.offset });
      }
      this.staged += to - from;
      from = to;
      if (this.staged === this.stagedMax) await this.flush();
      else if (from < block.rows) await setImmediate();
    }
  }

  /** Moves what is staged to the target. */
  async flush(): Promise<void> {
    if (this.appender === undefined) return;
    this.appender.closeSync();
    this.appender = undefined;
    await this.connection.run(this.insertSql);
    await this.connection.run(`drop table ${STAGING_NAME}`);
    this.rows += this.staged;
    this.staged = 0;
    this.blocks = [];
    this.options.onProgress?.({ rows: this.rows });
  }

  dispose(): void {
    this.writer?.dispose();
  }

  private async begin(rowBytes: number): Promise<void> {
    await this.connection.run(this.createSql);
    this.appender = await this.connection.createAppender(STAGING, "main", "temp");
    if (this.writer === undefined) this.writer = new VectorWriter(this.appender, this.columns);
    else this.writer.use(this.appender);
    this.stagedMax = this.options.batchRows ?? batchRowsFor(rowBytes);
  }
}

/** Whole row groups, as many as fit into the staging bound; part of one if its rows are that wide. */
function batchRowsFor(rowBytes: number): number {
  const rows = STAGING_BYTES_MAX / rowBytes;
  const groups = Math.min(BATCH_ROW_GROUPS_MAX, Math.floor(rows / ROW_GROUP_ROWS));
  if (groups >= 1) return groups * ROW_GROUP_ROWS;
  return Math.max(CHUNK_ROWS, Math.floor(rows / CHUNK_ROWS) * CHUNK_ROWS);
}

const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`;

const STAGING_NAME = `temp.main.${quote(STAGING)}`;

const isZoned = ({ kind, sqlType }: BulkColumn): boolean =>
  kind === "timestamp" && /^(timestamptz|timestamp with time zone)$/i.test(sqlType.trim());

/** Microseconds UTC are what TIMESTAMPTZ holds too: staged as such, no session time zone can shift them. */
function stagedColumn(column: BulkColumn): WriterColumn {
  const { name, kind } = column;
  return { name, kind, type: isZoned(column) ? TIMESTAMPTZ : PHYSICAL_TYPE[kind] };
}

function createStagingSql(columns: readonly BulkColumn[]): string {
  const list = columns.map((column) => `${quote(column.name)} ${stagedColumn(column).type}`).join(", ");
  return `create or replace temp table ${quote(STAGING)} (${list})`;
}

/** The target's value as SQL over the staging table. A cast to the type it has already costs nothing. */
function valueSql({ name, sqlType, cast }: BulkColumn): string {
  return (cast ?? `cast({} as ${sqlType})`).replaceAll("{}", () => quote(name));
}

function insertSql(target: BulkTarget, columns: readonly BulkColumn[]): string {
  const table = [target.catalog, target.schema, target.table].filter((part) => part !== undefined);
  const names = columns.map(({ name }) => quote(name)).join(", ");
  const values = columns.map(valueSql).join(", ");
  return `insert into ${table.map(quote).join(".")} (${names}) select ${values} from ${STAGING_NAME}`;
}

function throwIfCancelled(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new EngineError("CANCELLED", "The load was cancelled.");
}

const nameOf = ({ schema, table }: BulkTarget): string => `${schema}.${table}`;

/**
 * What went wrong, as an error of ours. DuckDB's messages about values quote the value, so they are dropped
 * and not even kept as a cause.
 */
async function explain(
  error: unknown,
  target: BulkTarget,
  columns: readonly BulkColumn[],
  blocks: readonly BlockPlace[],
  signal: AbortSignal | undefined,
): Promise<unknown> {
  const table = nameOf(target);
  if (signal?.aborted) return new EngineError("CANCELLED", `Loading ${table} was cancelled.`);
  if (error instanceof EngineError) return error.withDetails({ table });
  const message = error instanceof Error ? error.message : String(error);
  if (/^(Conversion|Out of Range|Invalid Input) Error/.test(message)) {
    // If even that fails, the load's own error is the one to report.
    const column = await columnRefused(columns, blocks).catch(() => undefined);
    if (column === undefined) {
      return new EngineError("LOAD_VALUE", `Table ${table} cannot hold a value of this load.`, {
        details: { table },
      });
    }
    return new EngineError(
      "LOAD_VALUE",
      `Column ${column.name} of table ${table} cannot hold a value as ${column.sqlType}.`,
      { details: { table, column: column.name, type: column.sqlType } },
    );
  }
  if (message.startsWith("Constraint Error")) {
    const column = columns.find(({ name }) =>
      message.includes(`NOT NULL constraint failed: ${target.table}.${name}`),
    );
    return column
      ? new EngineError("LOAD_VALUE", `Column ${column.name} of table ${table} does not allow null.`, {
          details: { table, column: column.name },
        })
      : new EngineError("LOAD_VALUE", `A row violates a constraint of table ${table}.`, {
          details: { table },
        });
  }
  return new EngineError("LOAD_FAILED", `Rows could not be loaded into table ${table}.`, {
    details: { table },
    cause: error,
  });
}

/**
 * The column whose conversion fails. The connection's transaction is lost by now and its staging table with
 * it, so the batch's blocks are read again into a database of their own.
 */
async function columnRefused(
  columns: readonly BulkColumn[],
  blocks: readonly BlockPlace[],
): Promise<BulkColumn | undefined> {
  const instance = await DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  try {
    await connection.run("set timezone = 'UTC'");
    for (const file of new Set(blocks.map((block) => block.file))) {
      for await (const block of readBlocks(file)) {
        if (!blocks.some((place) => place.file === file && place.offset === block.offset)) continue;
        await connection.run(createStagingSql(columns));
        const appender = await connection.createAppender(STAGING, "main", "temp");
        const writer = new VectorWriter(appender, columns.map(stagedColumn));
        writer.append(block, 0, block.rows);
        appender.closeSync();
        writer.dispose();
        for (const column of columns) {
          const converted = `create or replace temp table converted as select ${valueSql(column)} as value from ${STAGING_NAME}`;
          const fails = await connection.run(converted).then(
            () => false,
            () => true,
          );
          if (fails) return column;
        }
      }
    }
    return undefined;
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}
