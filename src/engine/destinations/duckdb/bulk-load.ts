/**
 * Job files into a DuckDB table, inside the caller's transaction: one statement, which DuckDB runs on its own
 * threads with casts and compression, in the order of the files and their rows unless any order will do.
 *
 *     insert into target (…) select cast(…), … from read_parquet([…], union_by_name = true) where …
 */

import type { DuckDBConnection } from "@duckdb/node-api";
import { EngineError } from "../../errors.ts";
import { duckdbFilePlace } from "../../sql/dialect.ts";
import type { LoadColumn } from "../../sql/statement.ts";
import { duckdbError } from "./errors.ts";

export interface BulkTarget {
  readonly catalog?: string;
  readonly schema: string;
  readonly table: string;
}

export interface BulkLoadOptions {
  readonly signal?: AbortSignal;
  /** The rows may get into the table in another order than they have in the files; with several threads it is faster. */
  readonly anyOrder?: boolean;
  /** Columns of the table for the number of a row's file and the row's in it. */
  readonly placed?: readonly [file: string, row: string] | undefined;
  /** Only rows of which this holds, over the columns and `duckdbFilePlace`. */
  readonly where?: string | undefined;
  /** Called now and then with the part of the rows that was read, 0 to 1. */
  readonly onProgress?: (part: number) => void;
}

const PROGRESS_MS = 200;

/**
 * Appends the rows of `files` to the target table. The transaction is the caller's: after an error it has
 * to be rolled back. A value that its column cannot hold is LOAD_VALUE with table and column.
 */
export async function bulkLoad(
  connection: DuckDBConnection,
  target: BulkTarget,
  columns: readonly LoadColumn[],
  files: readonly string[],
  options: BulkLoadOptions = {},
): Promise<{ rows: number }> {
  const { signal, anyOrder = false, onProgress } = options;
  if (signal?.aborted) throw cancelled(target);
  const interrupt = (): void => connection.interrupt();
  signal?.addEventListener("abort", interrupt);
  const timer = onProgress && setInterval(() => onProgress(partRead(connection)), PROGRESS_MS);
  let present: LoadColumn[] = [];
  try {
    const there = await columnsOf(connection, files);
    // a column that no row has a value for may be in no file
    present = columns.filter(({ name }) => there.has(name));
    const sql = insertSql(target, present, files, options);
    const result = await withOrder(connection, !anyOrder, () => connection.run(sql));
    return { rows: result.rowsChanged };
  } catch (error) {
    throw await explain(error, target, present, files, signal);
  } finally {
    clearInterval(timer);
    signal?.removeEventListener("abort", interrupt);
  }
}

/** DuckDB keeps rows in their order unless it is told that it need not; the setting is the whole database's. */
export async function withOrder<T>(
  connection: DuckDBConnection,
  kept: boolean,
  work: () => Promise<T>,
): Promise<T> {
  if (kept) return work();
  await connection.run("set preserve_insertion_order = false");
  try {
    return await work();
  } finally {
    await connection.run("set preserve_insertion_order = true").catch(() => {});
  }
}

function partRead(connection: DuckDBConnection): number {
  const { percentage } = connection.progress;
  return Math.min(1, Math.max(0, percentage / 100));
}

const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/** DuckDB takes paths for patterns: what would be one is written as a set of one character. */
function pathSql(path: string): string {
  return `'${path.replace(/[*?[]/g, "[$&]").replaceAll("'", "''")}'`;
}

function readSql(files: readonly string[]): string {
  return `read_parquet([${files.map(pathSql).join(", ")}], union_by_name = true)`;
}

async function columnsOf(connection: DuckDBConnection, files: readonly string[]): Promise<Set<string>> {
  const result = await connection.runAndReadAll(`describe select * from ${readSql(files)}`);
  return new Set(result.getRowObjectsJson().map((row) => String(row.column_name)));
}

/** A cast to the type that a value has already costs nothing. */
function valueSql({ name, kind, sqlType }: LoadColumn): string {
  const zoned = /^(timestamptz|timestamp with time zone)$/i.test(sqlType.trim());
  // without the way through microseconds the cast would go through a calendar, value by value
  const value = kind === "timestamp" && !zoned ? `make_timestamp(epoch_us(${quote(name)}))` : quote(name);
  return `cast(${value} as ${sqlType})`;
}

function insertSql(
  target: BulkTarget,
  columns: readonly LoadColumn[],
  files: readonly string[],
  { placed, where }: BulkLoadOptions,
): string {
  const table = [target.catalog, target.schema, target.table].filter((part) => part !== undefined);
  const names = [...columns.map(({ name }) => name), ...(placed ?? [])].map(quote).join(", ");
  const { file, row } = duckdbFilePlace;
  const values = [...columns.map(valueSql), ...(placed ? [file, row] : [])].join(", ");
  const filter = where === undefined ? "" : ` where ${where}`;
  return `insert into ${table.map(quote).join(".")} (${names}) select ${values} from ${readSql(files)}${filter}`;
}

function cancelled(target: BulkTarget): EngineError {
  return new EngineError("CANCELLED", `Loading ${target.table} was cancelled.`);
}

/**
 * What went wrong, as an error of ours. DuckDB's messages about values quote the value, so they are dropped
 * and not even kept as a cause.
 */
async function explain(
  error: unknown,
  target: BulkTarget,
  columns: readonly LoadColumn[],
  files: readonly string[],
  signal: AbortSignal | undefined,
): Promise<unknown> {
  const { table } = target;
  if (signal?.aborted) return cancelled(target);
  const message = error instanceof Error ? error.message : String(error);
  if (/magic bytes|parquet footer|too small to be a Parquet file/i.test(message)) {
    return new EngineError("PACKAGE_CORRUPT", `A job file of table ${table} cannot be read.`, {
      details: { table },
      cause: error,
    });
  }
  if (/^(Conversion|Out of Range|Invalid Input) Error/.test(message)) {
    // If even that fails, the load's own error is the one to report.
    const column = await columnRefused(columns, files).catch(() => undefined);
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
  if (/^Out of Memory Error|No space left on device/.test(message))
    return duckdbError(error, "load", { table });
  return new EngineError("LOAD_FAILED", `Rows could not be loaded into table ${table}.`, {
    details: { table },
    cause: error,
  });
}

/** The column whose conversion fails. The connection's transaction is lost by now, so a database of its own asks. */
async function columnRefused(
  columns: readonly LoadColumn[],
  files: readonly string[],
): Promise<LoadColumn | undefined> {
  const { DuckDBInstance } = await import("@duckdb/node-api");
  const instance = await DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  try {
    await connection.run("set timezone = 'UTC'");
    for (const column of columns) {
      const fails = await connection.run(`select count(${valueSql(column)}) from ${readSql(files)}`).then(
        () => false,
        () => true,
      );
      if (fails) return column;
    }
    return undefined;
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}
