/**
 * How much of its memory, and how many threads, DuckDB is given for what.
 *
 * Appending rows on one thread needs little: what is more fills up with blocks that are on the disk already, so
 * that a long load would take more memory than a short one and be no faster. Several threads side by side need
 * more than their columns, or the load fails. Merging and building indexes, which sort and join, get all of it.
 *
 * While it appends, each thread holds the columns of a row group of its own; they cannot be spilled. A table of
 * many columns is therefore loaded by fewer threads, and one whose columns do not fit even for one thread gets
 * what that thread needs. What a transaction has put into each column stays in memory until its commit, and the
 * commit holds a block of each column of a table: thousands of tables, or thousands of columns, get more than is
 * allowed, because else they could not be loaded at all.
 */

import type { DuckDBConnection } from "@duckdb/node-api";

export interface MemoryShare {
  readonly bytes: number;
  readonly threads: number;
}

const MIB = 1024 ** 2;

/** On one thread more makes appending no faster, measured with 11 columns and 1 to 5 million rows. */
const APPEND_BYTES = 64 * MIB;

/** Measured on tables of 200 and 600 columns of text and numbers: with 0.85 MiB a load fits, with 0.45 it does not. */
const COLUMN_BYTES = MIB;

/** What DuckDB asks for each thread and column before it lets them append side by side. */
const PARALLEL_COLUMN_BYTES = 4 * MIB;

/** Measured with 543 tables of four columns, which filled 64 MiB. */
const BYTES_PER_FILLED_COLUMN = MIB / 24;
/** Measured by merging into a table of 1,500 columns of text; with half of it that fails. */
const BYTES_PER_COLUMN_AT_COMMIT = MIB;

/** For a transaction that fills tables of so many columns. */
export function transactionShare(columnsOfTables: readonly number[], all: MemoryShare): MemoryShare {
  const widest = columnsOfTables.reduce((most, columns) => Math.max(most, columns), 0);
  const columns = columnsOfTables.reduce((sum, each) => sum + each, 0);
  const needed = columns * BYTES_PER_FILLED_COLUMN + widest * BYTES_PER_COLUMN_AT_COMMIT;
  return { threads: all.threads, bytes: Math.max(all.bytes, needed) };
}

/** For appending rows to a table, of what the transaction has in all; `filled`: columns that it has filled before. */
export function appendShare(columns: number, all: MemoryShare, filled = 0): MemoryShare {
  const filledBytes = filled * BYTES_PER_FILLED_COLUMN;
  const perThread = Math.max(1, columns) * PARALLEL_COLUMN_BYTES;
  const threads = Math.min(all.threads, Math.floor((all.bytes - filledBytes) / perThread));
  const least = Math.min(APPEND_BYTES + filledBytes, all.bytes);
  if (threads > 1) return { threads, bytes: Math.max(least, threads * perThread + filledBytes) };
  return { threads: 1, bytes: Math.max(least, columns * COLUMN_BYTES) };
}

export async function setMemory(
  connection: DuckDBConnection,
  { bytes, threads }: MemoryShare,
): Promise<void> {
  await connection.run(`set threads = ${threads}`);
  await connection.run(`set memory_limit = '${Math.max(1, Math.floor(bytes / 1024))}KiB'`);
}
