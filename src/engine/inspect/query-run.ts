/**
 * Opens a DuckDB file locked down and runs one guarded statement on it. Lives in the child process that
 * query.ts starts; the connection exists for this one statement.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { type DuckDBConnection, DuckDBInstance, StatementType } from "@duckdb/node-api";
import { EngineError } from "../errors.ts";
import { refusalOfText, refusalOfTree, splitExplain } from "./query-guard.ts";
import type { QueryRequest, ReadOnlyResult } from "./query-protocol.ts";
import { type JsonValue, renderCell } from "./query-values.ts";

/** A run holds the file while it loads; a short load may end while we wait. */
const OPEN_ATTEMPTS = 4;
const OPEN_WAIT_MS = 250;
const BLOB_BYTES_MAX = 1024;

export async function runGuarded(request: QueryRequest): Promise<ReadOnlyResult> {
  const textRefusal = refusalOfText(request.sql);
  if (textRefusal !== undefined) throw refused(textRefusal);
  const startedAt = performance.now();
  return onLockedConnection(request, (connection) => runOn(connection, request, startedAt));
}

/** A connection that can only read this one file, for as long as `work` takes. No statement is checked here. */
export async function onLockedConnection<T>(
  request: Pick<QueryRequest, "path" | "dataset" | "memoryBytesMax">,
  work: (connection: DuckDBConnection) => Promise<T>,
): Promise<T> {
  const instance = await openInstance(request);
  try {
    const connection = await instance.connect();
    try {
      await lockDown(connection, request);
      return await work(connection);
    } finally {
      connection.closeSync();
    }
  } finally {
    instance.closeSync();
  }
}

async function openInstance(request: Pick<QueryRequest, "path" | "memoryBytesMax">): Promise<DuckDBInstance> {
  const options = {
    access_mode: "READ_ONLY",
    autoinstall_known_extensions: "false",
    autoload_known_extensions: "false",
    memory_limit: `${Math.floor(request.memoryBytesMax / 1024 ** 2)}MB`,
    threads: "2",
  };
  for (let attempt = 1; ; attempt++) {
    try {
      return await DuckDBInstance.create(request.path, options);
    } catch (cause) {
      const message = String(cause instanceof Error ? cause.message : cause);
      if (/set lock on file|being used by another process/i.test(message)) {
        if (attempt < OPEN_ATTEMPTS) {
          await sleep(OPEN_WAIT_MS);
          continue;
        }
        throw new EngineError("DESTINATION_LOCKED", "The database is open in another process.", {
          hint: "A run that loads holds the file: wait for it with get_run, then query again. Otherwise close the program that has the file open.",
        });
      }
      throw new EngineError("DESTINATION_INVALID", "The database file cannot be opened.", {
        hint: "Check that the destination's path names a DuckDB file of a version that this release reads.",
      });
    }
  }
}

async function lockDown(connection: DuckDBConnection, request: Pick<QueryRequest, "dataset">): Promise<void> {
  await connection.run("set timezone = 'UTC'");
  await connection.run("set temp_directory = ''");
  await connection.run("set max_temp_directory_size = '0KB'");
  await connection.run("set allow_community_extensions = false");
  await connection.run("set enable_external_access = false");
  if (request.dataset !== undefined) {
    const found = await connection.runAndReadAll(
      "select 1 from information_schema.schemata where catalog_name = current_database() and schema_name = $1",
      [request.dataset],
    );
    if (found.currentRowCount === 0) {
      throw new EngineError("PIPELINE_NEVER_RAN", `The database has no dataset ${request.dataset} yet.`, {
        details: { dataset: request.dataset },
      });
    }
    // With the catalog in front: a file shop.duckdb with a dataset shop would be ambiguous.
    const catalog = await connection.runAndReadAll("select current_database()");
    await connection.run(
      `use ${identifier(String(catalog.getRows()[0]?.[0]))}.${identifier(request.dataset)}`,
    );
  }
  await connection.run("set lock_configuration = true");
}

async function runOn(
  connection: DuckDBConnection,
  request: QueryRequest,
  startedAt: number,
): Promise<ReadOnlyResult> {
  const sql = await guard(connection, request.sql);
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    connection.interrupt();
  }, request.timeoutMs);
  try {
    return await stream(connection, sql, request, startedAt, () => timedOut);
  } catch (error) {
    if (timedOut) {
      throw new EngineError("TIMEOUT", `The query did not end within ${request.timeoutMs} ms.`, {
        details: { timeout_ms: request.timeoutMs },
      });
    }
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** The text to run, when all checks pass. */
async function guard(connection: DuckDBConnection, sql: string): Promise<string> {
  const { prefix, body } = splitExplain(sql);
  let count: number;
  try {
    count = (await connection.extractStatements(sql)).count;
  } catch (error) {
    // With no statement at all the binding fails without a reason.
    const message = String(error instanceof Error ? error.message : error);
    if (/native callback/i.test(message)) throw refused("there is no statement in the text");
    // IMPORT DATABASE reads its file while it is parsed: the lock-down has to come before any parsing.
    if (/disabled by configuration/i.test(message)) throw refused("it would read files");
    throw new EngineError("QUERY_FAILED", message.replace(/^Failed to extract statements: /, ""));
  }
  // A dynamic PIVOT is rewritten by the parser into two statements, the first of which creates a type.
  if (count > 1 && /\bpivot/i.test(sql) && !sql.includes(";")) {
    throw refused("a PIVOT without a fixed IN list creates a type; name the values: pivot … on x in (…)");
  }
  if (count !== 1) throw new EngineError("MULTI_STATEMENT", `The text holds ${count} statements, not one.`);
  const answer = await connection.runAndReadAll("select json_serialize_sql($1::varchar)", [body]);
  const tree = JSON.parse(String(answer.getRows()[0]?.[0])) as {
    error: boolean;
    error_type?: string;
    error_message?: string;
    statements?: unknown[];
  };
  if (tree.error) {
    if (tree.error_type === "parser") throw new EngineError("QUERY_FAILED", String(tree.error_message));
    throw refused("it is not a SELECT");
  }
  if (tree.statements?.length !== 1) throw refused("it is not one SELECT");
  const refusal = refusalOfTree(tree.statements);
  if (refusal !== undefined) throw refused(refusal);
  return prefix + body;
}

async function stream(
  connection: DuckDBConnection,
  sql: string,
  request: QueryRequest,
  startedAt: number,
  isTimedOut: () => boolean,
): Promise<ReadOnlyResult> {
  const prepared = await connection.prepare(sql);
  const type = prepared.statementType;
  if (type !== StatementType.SELECT && type !== StatementType.EXPLAIN) throw refused("it is not a SELECT");
  if (Array.isArray(request.params)) prepared.bind([...request.params]);
  else prepared.bind({ ...(request.params as { [name: string]: string | number | boolean | null }) });
  const result = await prepared.stream();
  const types = result.columnTypes();
  const columns = result.columnNames().map((name, i) => ({ name, type: String(types[i]) }));
  const rows: JsonValue[][] = [];
  const cellLimits = { textCharsMax: request.cellCharsMax, blobBytesMax: BLOB_BYTES_MAX };
  let bytes = 0;
  let cellsCut = 0;
  let truncatedBy: "rows" | "bytes" | undefined;
  reading: while (true) {
    const chunk = await result.fetchChunk();
    if (isTimedOut()) throw new Error("interrupted");
    if (!chunk || chunk.rowCount === 0) break;
    for (const values of chunk.getRows()) {
      if (rows.length === request.rowsMax) {
        truncatedBy = "rows";
        break reading;
      }
      const row: JsonValue[] = [];
      for (const value of values) {
        const rendered = renderCell(value, cellLimits);
        if (rendered.cut) cellsCut += 1;
        row.push(rendered.value);
      }
      bytes += Buffer.byteLength(JSON.stringify(row));
      if (bytes > request.bytesMax && rows.length > 0) {
        truncatedBy = "bytes";
        break reading;
      }
      rows.push(row);
    }
  }
  return {
    columns,
    rows,
    truncated: truncatedBy !== undefined,
    ...(truncatedBy === undefined ? {} : { truncated_by: truncatedBy }),
    cells_cut: cellsCut,
    duration_ms: Math.round(performance.now() - startedAt),
  };
}

function identifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

function refused(reason: string): EngineError {
  return new EngineError("NOT_READ_ONLY", `Refused: ${reason}.`);
}
