/**
 * How much of its memory, and how many threads, DuckDB is given for what.
 *
 * Appending rows on one thread needs little: what is more fills up with blocks that are on the disk already, so
 * that a long load would take more memory than a short one and be no faster. Several threads side by side need
 * more than their columns, or the load fails. Merging and building indexes, which sort and join, get all of it.
 *
 * While it appends, each thread holds the columns of a row group of its own; they cannot be spilled. A table of
 * many columns is therefore loaded by fewer threads, and one whose columns do not fit even for one thread gets
 * what that thread needs.
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

/** For appending rows to a table, of what the engine may use in all. */
export function appendShare(columns: number, all: MemoryShare): MemoryShare {
  const perThread = Math.max(1, columns) * PARALLEL_COLUMN_BYTES;
  const threads = Math.min(all.threads, Math.floor(all.bytes / perThread));
  const least = Math.min(APPEND_BYTES, all.bytes);
  if (threads > 1) return { threads, bytes: Math.max(least, threads * perThread) };
  return { threads: 1, bytes: Math.max(least, columns * COLUMN_BYTES) };
}

export async function setMemory(
  connection: DuckDBConnection,
  { bytes, threads }: MemoryShare,
): Promise<void> {
  await connection.run(`set threads = ${threads}`);
  await connection.run(`set memory_limit = '${Math.max(1, Math.floor(bytes / 1024))}KiB'`);
}
