/**
 * One read-only query on a DuckDB file, for people and agents.
 *
 * Each query runs in a child process of its own. A worker thread would start faster, but a thread inside
 * native code cannot be stopped: a query that does not heed an interrupt, or a defect in the database,
 * would hang or end the server. A process can be killed, and the file's lock goes with it, so that a run
 * is never kept waiting by a reader. The process gets no environment, hence no secrets either.
 */

import { type ChildProcessByStdio, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { getCompileCacheDir } from "node:module";
import type { Socket } from "node:net";
import { basename, dirname } from "node:path";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { EngineError, ERRORS, type ErrorCode, type ErrorEnvelope } from "../errors.ts";
import type { QueryAnswer, QueryParameters, QueryRequest, ReadOnlyResult } from "./query-protocol.ts";

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

/** Time for an interrupted query to answer before its process is killed. */
const KILL_GRACE_MS = 2000;
/** An answer is at most the rows' bytes and their envelope; anything longer is a defect. */
const ANSWER_BYTES_EXTRA = 4 * 1024 ** 2;

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
  const answer = await askChild(request, options.signal);
  if ("result" in answer) return answer.result;
  throw errorOf(answer.error, request);
}

function childFile(): string {
  // The extension is our own: .ts from the sources, .js from the package.
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  return fileURLToPath(new URL(`./query-child.${extension}`, import.meta.url));
}

/** Windows starts no process without these; nothing else of the environment is handed on. */
function childEnvironment(): NodeJS.ProcessEnv {
  const { SystemRoot, TEMP } = process.env;
  const cache = getCompileCacheDir();
  return {
    TZ: "UTC",
    NODE_NO_WARNINGS: "1",
    ...(cache === undefined ? {} : { NODE_COMPILE_CACHE: cache }),
    ...(SystemRoot ? { SystemRoot, TEMP } : {}),
  };
}

type QueryChild = ChildProcessByStdio<Writable, Readable, null>;

function startChild(): QueryChild {
  return spawn(process.execPath, [childFile()], {
    env: childEnvironment(),
    stdio: ["pipe", "pipe", "ignore"],
    windowsHide: true,
  });
}

let keepReady = false;
let ready: QueryChild | undefined;

/**
 * For a process that answers many queries: one child is started ahead and waits for its request, so that a
 * query does not wait for the start. Each child still answers one query. It ends with this process, whose
 * end closes its stdin, and does not keep it from ending.
 */
export function keepQueryProcessReady(): void {
  keepReady = true;
  startAhead();
}

function startAhead(): void {
  const child = startChild();
  child.unref();
  for (const stream of [child.stdin, child.stdout]) (stream as Socket).unref();
  const forget = (): void => {
    if (ready === child) ready = undefined;
  };
  child.once("error", forget).once("exit", forget);
  child.stdin.on("error", () => {});
  ready = child;
}

function takeChild(): QueryChild {
  const child = ready ?? startChild();
  ready = undefined;
  child.ref();
  for (const stream of [child.stdin, child.stdout]) (stream as Socket).ref();
  if (keepReady) startAhead();
  return child;
}

function askChild(request: QueryRequest, signal: AbortSignal | undefined): Promise<QueryAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<QueryAnswer>();
  if (signal?.aborted) {
    reject(new EngineError("CANCELLED", "The query was cancelled."));
    return promise;
  }
  const child = takeChild();
  let killedFor: "timeout" | "cancel" | "size" | undefined;
  const kill = (reason: NonNullable<typeof killedFor>): void => {
    killedFor ??= reason;
    child.kill("SIGKILL");
  };
  const timer = setTimeout(() => kill("timeout"), request.timeoutMs + KILL_GRACE_MS);
  const onAbort = (): void => kill("cancel");
  signal?.addEventListener("abort", onAbort, { once: true });

  const chunks: Buffer[] = [];
  let bytes = 0;
  child.stdout.on("data", (chunk: Buffer) => {
    bytes += chunk.byteLength;
    if (bytes > request.bytesMax * 2 + ANSWER_BYTES_EXTRA) kill("size");
    else chunks.push(chunk);
  });
  // The child may end before it has read its request; its exit tells the story.
  child.stdin.on("error", () => {});
  child.stdin.end(JSON.stringify(request));
  child.on("error", (cause) =>
    reject(new EngineError("INTERNAL", "The query's process did not start.", { cause })),
  );
  child.on("close", (code, exitSignal) => {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
    if (killedFor === "cancel") return reject(new EngineError("CANCELLED", "The query was cancelled."));
    if (killedFor === "timeout") {
      return reject(
        new EngineError("TIMEOUT", `The query did not end within ${request.timeoutMs} ms and was stopped.`),
      );
    }
    if (killedFor === "size") {
      return reject(
        new EngineError("QUERY_FAILED", "A single row is too large to answer.", {
          hint: "Select fewer columns, or cut long ones with left(column, n).",
        }),
      );
    }
    try {
      resolve(JSON.parse(Buffer.concat(chunks).toString("utf8")) as QueryAnswer);
    } catch {
      reject(
        new EngineError("QUERY_FAILED", "The database ended while it ran the query.", {
          hint: "Narrow the query: it may have run out of memory.",
          details: { exit: code ?? exitSignal ?? "unknown" },
        }),
      );
    }
  });
  return promise;
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

/**
 * A message of the database without paths of the host, and without quoted text that is not in the
 * statement itself: a failed cast quotes the cell, and cells are not for messages.
 */
export function cleanMessage(message: string, request: { path: string; sql: string }): string {
  const folder = dirname(request.path);
  let clean = message.replaceAll(request.path, "<database>");
  if (folder.length > 1) clean = clean.replaceAll(folder, "<folder>");
  clean = clean.replaceAll(basename(request.path), "<database>");
  clean = clean.replace(/(?:[A-Za-z]:)?[\\/](?:[\w.@+-]+[\\/])+[\w.@+-]*/g, (path) =>
    request.sql.includes(path) ? path : "<path>",
  );
  if (/^(Conversion|Invalid Input|Constraint|Out of Range)/i.test(clean)) {
    clean = clean.replace(/(['"])(.*?)\1/gs, (whole, quote: string, inner: string) =>
      request.sql.includes(inner) ? whole : `${quote}…${quote}`,
    );
  }
  return clean.slice(0, 2000);
}
