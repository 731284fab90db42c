/** One read-only query on a DuckDB file, for people and agents, in a process that query-process.ts keeps. */

import { existsSync } from "node:fs";
import { EngineError, ERRORS, type ErrorCode, type ErrorEnvelope } from "../errors.ts";
import { cleanMessage } from "./query-message.ts";
import { askQueryProcess } from "./query-process.ts";
import type { QueryParameters, QueryRequest, ReadOnlyResult } from "./query-protocol.ts";

export type { QueryParameter, QueryParameters, ReadOnlyResult } from "./query-protocol.ts";
export type { JsonValue } from "./query-values.ts";

export interface QueryTarget {
  /** The DuckDB file. */
  readonly path: string;
  /** Schema that bare table names mean. */
  readonly dataset?: string;
}

export interface QueryOptions {
  readonly params?: QueryParameters;
  readonly rowsMax?: number;
  readonly bytesMax?: number;
  readonly timeoutMs?: number;
  /** Longest text of one cell, in characters. */
  readonly cellCharsMax?: number;
  readonly memoryBytesMax?: number;
  readonly signal?: AbortSignal;
}

/**
 * Runs one SELECT, WITH, DESCRIBE, SHOW, SUMMARIZE or EXPLAIN and answers at most `rowsMax` rows.
 * Errors: NOT_READ_ONLY, MULTI_STATEMENT, QUERY_FAILED, TIMEOUT, CANCELLED, DESTINATION_LOCKED,
 * PIPELINE_NEVER_RAN. No message names a path of the host.
 */
export async function queryReadOnly(
  target: QueryTarget,
  sql: string,
  options: QueryOptions = {},
): Promise<ReadOnlyResult> {
  if (!existsSync(target.path)) {
    throw new EngineError("PIPELINE_NEVER_RAN", "There is no database yet: nothing has been loaded.");
  }
  const request: QueryRequest = {
    path: target.path,
    dataset: target.dataset,
    sql,
    params: options.params ?? [],
    rowsMax: options.rowsMax ?? 1000,
    bytesMax: options.bytesMax ?? 1024 ** 2,
    timeoutMs: options.timeoutMs ?? 30_000,
    memoryBytesMax: options.memoryBytesMax ?? 512 * 1024 ** 2,
    cellCharsMax: options.cellCharsMax ?? 2000,
  };
  const answer = await askQueryProcess(request, options.signal);
  if ("result" in answer) return answer.result;
  throw errorOf(answer.error, request);
}

function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(ERRORS, code);
}

function errorOf(envelope: ErrorEnvelope, request: QueryRequest): EngineError {
  const ours = envelope.code !== "INTERNAL" && isErrorCode(envelope.code);
  const message = cleanMessage(envelope.message, request);
  if (ours) {
    return new EngineError(envelope.code as ErrorCode, message, {
      hint: envelope.hint,
      details: envelope.details,
      retry: envelope.retry,
    });
  }
  if (/disabled by configuration|read-only mode|Permission Error/i.test(message)) {
    return new EngineError("NOT_READ_ONLY", message);
  }
  if (/Table with name .* does not exist/i.test(message)) return new EngineError("TABLE_NOT_FOUND", message);
  return new EngineError("QUERY_FAILED", message);
}
