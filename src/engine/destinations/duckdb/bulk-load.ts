/**
 * Job files into a DuckDB table, inside the caller's transaction:
 *
 *     create temp table staging (…)          -- columns as the job has them
 *     <append blocks to staging>             -- this thread, memory copies only
 *     insert into target (…) select cast(…) … from staging;   -- off this thread: casts, compression
 *     drop table staging;                    -- and again until the files end
 *
 * Appending to the target itself needs about as long, but compresses on this thread, so the event loop
 * would stand still for up to seconds. A batch is a whole number of row groups, so that every row group is
 * compressed once.
 *
 * DuckDB scans rows that are not committed on one thread only. A large load is therefore staged in small
 * in-memory databases, one a batch, that a second connection fills and commits: the insert then uses all
 * threads, and the next batch is staged while it runs. The load's transaction keeps such a database until
 * its end, so only the first bytes of a load are staged like that, and the rest in temporary tables.
 */

import { randomBytes } from "node:crypto";
import { stat } from "node:fs/promises";
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
  /** The connection's instance: allows a second connection, which makes large loads faster. */
  readonly instance?: DuckDBInstance;
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
/** Smaller loads are over before a second connection pays. */
const SIDE_BYTES_MIN = 16 << 20;
/** Bytes of a load that may be staged in databases that live until its end. */
const SIDE_BYTES_MAX = 512 << 20;

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
  const side = await openSide(options.instance, files);
  const load = new BulkLoad(connection, side, target, columns, options);
  const interrupt = (): void => connection.interrupt();
  options.signal?.addEventListener("abort", interrupt);
  try {
    for (const file of files) {
      for await (const block of readBlocks(file)) await load.add(block);
    }
    await load.finish();
    return { rows: load.rows };
  } catch (error) {
    await load.settle();
    throw await explain(error, target, columns, load.blocks, options.signal);
  } finally {
    options.signal?.removeEventListener("abort", interrupt);
    load.dispose();
    await side?.close();
  }
}

/** Where a block lies, to find it again when its batch was refused. */
interface BlockPlace {
  readonly file: string;
  readonly offset: number;
}

/** A second connection, and the databases it has made. */
class Side {
  readonly connection: DuckDBConnection;
  bytes = 0;
  private readonly prefix = `_loadwright_${randomBytes(6).toString("hex")}`;
  private attached = 0;

  constructor(connection: DuckDBConnection) {
    this.connection = connection;
  }

  /** A database for one batch; what is done in it is committed by `commit`. */
  async attach(): Promise<string> {
    const name = `${this.prefix}_${this.attached++}`;
    await this.connection.run(`attach ':memory:' as ${name}`);
    await this.connection.run("begin");
    return name;
  }

  async commit(): Promise<void> {
    await this.connection.run("commit");
  }

  async detach(name: string): Promise<void> {
    await this.connection.run(`detach ${name}`);
  }

  async close(): Promise<void> {
    await this.connection.run("rollback").catch(() => {});
    for (let i = 0; i < this.attached; i++) await this.detach(`${this.prefix}_${i}`).catch(() => {});
    this.connection.closeSync();
  }
}

async function openSide(
  instance: DuckDBInstance | undefined,
  files: readonly string[],
): Promise<Side | undefined> {
  if (instance === undefined) return undefined;
  let bytes = 0;
  for (const file of files) bytes += (await stat(file)).size;
  return bytes < SIDE_BYTES_MIN ? undefined : new Side(await instance.connect());
}

/** The batch that is being filled. */
interface Batch {
  readonly appender: DuckDBAppender;
  /** The staging table, as SQL names it. */
  readonly table: string;
  /** The database that holds it, if it has one of its own. */
  readonly database: string | undefined;
  readonly blocks: BlockPlace[];
  readonly rowsMax: number;
  rows: number;
}

class BulkLoad {
  /** Rows in the target. */
  rows = 0;
  /** The blocks of the batch that is being inserted, or was refused. */
  blocks: readonly BlockPlace[] = [];
  private readonly connection: DuckDBConnection;
  private readonly side: Side | undefined;
  private readonly target: BulkTarget;
  private readonly columns: readonly BulkColumn[];
  private readonly staged: readonly WriterColumn[];
  private readonly options: BulkLoadOptions;
  private batch: Batch | undefined;
  private writer: VectorWriter | undefined;
  /** The insert that is under way. */
  private inserting: Promise<void> = Promise.resolve();

  constructor(
    connection: DuckDBConnection,
    side: Side | undefined,
    target: BulkTarget,
    columns: readonly BulkColumn[],
    options: BulkLoadOptions,
  ) {
    this.connection = connection;
    this.side = side;
    this.target = target;
    this.columns = columns;
    this.staged = columns.map(stagedColumn);
    this.options = options;
  }

  async add(block: Block): Promise<void> {
    const rowBytes = Math.max(1, block.bytes / block.rows);
    const sliceRows = Math.max(CHUNK_ROWS, Math.floor(SLICE_BYTES / rowBytes));
    for (let from = 0; from < block.rows; ) {
      throwIfCancelled(this.options.signal);
      this.batch ??= await this.begin(rowBytes);
      const { batch } = this;
      const to = Math.min(block.rows, from + sliceRows, from + batch.rowsMax - batch.rows);
      this.writer!.append(block, from, to);
      // A full appender would move up to 204,800 rows at once; moved now, each step stays short.
      batch.appender.flushSync();
      const last = batch.blocks.at(-1);
      if (last?.offset !== block.offset || last.file !== block.file) {
        batch.blocks.push({ file: block.file, offset: block.offset });
      }
      batch.rows += to - from;
      if (batch.database !== undefined) this.side!.bytes += (to - from) * rowBytes;
      from = to;
      if (batch.rows === batch.rowsMax) await this.flush();
      else if (from < block.rows) await setImmediate();
    }
  }

  /** Moves what is staged to the target. A batch with a database of its own is inserted while the next is filled. */
  private async flush(): Promise<void> {
    const { batch } = this;
    if (batch === undefined) return;
    this.batch = undefined;
    batch.appender.closeSync();
    if (batch.database !== undefined) await this.side!.commit();
    await this.inserting;
    this.inserting = this.insert(batch);
    // seen when it is awaited
    this.inserting.catch(() => {});
    if (batch.database === undefined) await this.inserting;
  }

  private async insert(batch: Batch): Promise<void> {
    this.blocks = batch.blocks;
    await this.connection.run(insertSql(this.target, this.columns, batch.table));
    if (batch.database === undefined) await this.connection.run(`drop table ${batch.table}`);
    this.rows += batch.rows;
    this.options.onProgress?.({ rows: this.rows });
  }

  async finish(): Promise<void> {
    await this.flush();
    await this.inserting;
  }

  /** After an error: waits for an insert that is still running. */
  async settle(): Promise<void> {
    await this.inserting.catch(() => {});
  }

  dispose(): void {
    this.writer?.dispose();
  }

  private async begin(rowBytes: number): Promise<Batch> {
    const rowsMax = this.options.batchRows ?? batchRowsFor(rowBytes);
    const { side } = this;
    let appender: DuckDBAppender;
    let database: string | undefined;
    let table = STAGING_NAME;
    if (side !== undefined && side.bytes < SIDE_BYTES_MAX) {
      database = await side.attach();
      table = `${database}.main.${quote(STAGING)}`;
      await side.connection.run(`create table ${table} (${stagingColumns(this.columns)})`);
      appender = await side.connection.createAppender(STAGING, "main", database);
    } else {
      // a temporary table belongs to the connection that is still inserting
      await this.inserting;
      await this.connection.run(createStagingSql(this.columns));
      appender = await this.connection.createAppender(STAGING, "main", "temp");
    }
    if (this.writer === undefined) this.writer = new VectorWriter(appender, this.staged);
    else this.writer.use(appender);
    return { appender, table, database, blocks: [], rowsMax, rows: 0 };
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

function stagingColumns(columns: readonly BulkColumn[]): string {
  return columns.map((column) => `${quote(column.name)} ${stagedColumn(column).type}`).join(", ");
}

function createStagingSql(columns: readonly BulkColumn[]): string {
  return `create or replace temp table ${quote(STAGING)} (${stagingColumns(columns)})`;
}

/** The target's value as SQL over the staging table. A cast to the type it has already costs nothing. */
function valueSql({ name, sqlType, cast }: BulkColumn): string {
  return (cast ?? `cast({} as ${sqlType})`).replaceAll("{}", () => quote(name));
}

function insertSql(target: BulkTarget, columns: readonly BulkColumn[], staging: string): string {
  const table = [target.catalog, target.schema, target.table].filter((part) => part !== undefined);
  const names = columns.map(({ name }) => quote(name)).join(", ");
  const values = columns.map(valueSql).join(", ");
  return `insert into ${table.map(quote).join(".")} (${names}) select ${values} from ${staging}`;
}

function throwIfCancelled(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new EngineError("CANCELLED", "The load was cancelled.");
}

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
  const { table } = target;
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
