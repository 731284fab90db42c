/**
 * How inspection reads the destination: through the guarded query, because it is short, leaves the file to
 * the runs, and cannot write. Where the database cannot be read now, inspection goes on with what is on disk
 * and says so.
 */

import { EngineError } from "../errors.ts";
import type { JsonValue } from "./query.ts";
import { type QueryParameters, queryReadOnly } from "./query.ts";

/** Rows of one read query as objects by column name. */
export type ReadQuery = (
  sql: string,
  params?: QueryParameters,
) => Promise<readonly Readonly<Record<string, JsonValue>>[]>;

/** `absent`: never loaded. `locked`: a run or another program has the file open; ask again later. */
export type DestinationView = "read" | "absent" | "locked";

const CELL_CHARS_MAX = 32 * 1024 ** 2;
const BYTES_MAX = 64 * 1024 ** 2;
const ROWS_MAX = 5000;

export function duckdbReader(path: string, dataset: string, signal?: AbortSignal): ReadQuery {
  return async (sql, params = []) => {
    const result = await queryReadOnly({ path, dataset }, sql, {
      params,
      signal,
      rowsMax: ROWS_MAX,
      bytesMax: BYTES_MAX,
      cellCharsMax: CELL_CHARS_MAX,
      timeoutMs: 15_000,
    });
    return result.rows.map((row) =>
      Object.fromEntries(result.columns.map((column, i) => [column.name, row[i] ?? null])),
    );
  };
}

/** The answer of a read, or why there is none; errors that say more than that are thrown. */
export async function readIfPossible<T>(
  read: () => Promise<T>,
): Promise<{ view: "read"; value: T } | { view: "absent" | "locked" }> {
  try {
    return { view: "read", value: await read() };
  } catch (error) {
    if (error instanceof EngineError) {
      if (error.code === "DESTINATION_LOCKED") return { view: "locked" };
      if (error.code === "PIPELINE_NEVER_RAN" || error.code === "TABLE_NOT_FOUND") return { view: "absent" };
    }
    throw error;
  }
}
