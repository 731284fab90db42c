/**
 * The processes that run queries on DuckDB files.
 *
 * A query runs in a process of its own. A worker thread would start faster, but a thread inside native code cannot
 * be stopped: a query that does not heed an interrupt, or a defect in the database, would hang or end the server.
 * A process can be killed. It gets no environment, hence no secrets either.
 *
 *     started -> idle -> answers one request -> idle …   until it is retired: killed, idle for long, or used often
 *
 * Starting one takes longer than most queries, so it is kept for the next. What is kept is only the process: each
 * request opens the database, locked down, and closes it before it is answered. So nothing of one query is
 * there for the next, and the file's lock is free as soon as a query has ended: a run never waits for an idle reader.
 */

import { type ChildProcessByStdio, spawn } from "node:child_process";
import { getCompileCacheDir } from "node:module";
import type { Socket } from "node:net";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { EngineError } from "../errors.ts";
import type { QueryAnswer, QueryRequest } from "./query-protocol.ts";

/** Time for an interrupted query to answer before its process is killed. */
const KILL_GRACE_MS = 2000;
/** An answer is at most the rows' bytes and their envelope; anything longer is a defect. */
const ANSWER_BYTES_EXTRA = 4 * 1024 ** 2;
/** Native memory that fragments or leaks goes with the process. */
const REQUESTS_MAX = 200;
const IDLE_MS = 20_000;
const IDLE_MAX = 3;
/** Each may take its share of memory; one more query waits until another has ended. */
const QUERIES_AT_ONCE_MAX = 4;

type Child = ChildProcessByStdio<Writable, Readable, null>;

interface QueryProcess {
  readonly child: Child;
  requests: number;
  retireTimer?: NodeJS.Timeout;
}

/** Newest last: that one is used again, so that the others grow old. */
const idle: QueryProcess[] = [];
let keepReady = false;
let running = 0;
/** Oldest first. */
const waiting: (() => void)[] = [];

/** For a process that answers many queries: one is started ahead, and one stays however long nobody asks. */
export function keepQueryProcessReady(): void {
  keepReady = true;
  if (idle.length === 0) rest(startProcess());
}

/** Errors: CANCELLED, TIMEOUT, QUERY_FAILED; those of the query itself are in the answer. */
export async function askQueryProcess(
  request: QueryRequest,
  signal: AbortSignal | undefined,
): Promise<QueryAnswer> {
  if (running >= QUERIES_AT_ONCE_MAX) await turn(signal);
  else running += 1;
  try {
    return await ask(request, signal);
  } finally {
    // the place goes to the next one as it is
    const next = waiting.shift();
    if (next === undefined) running -= 1;
    else next();
  }
}

/** Resolves with the place of a query that has ended. Errors: CANCELLED. */
function turn(signal: AbortSignal | undefined): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const onAbort = (): void => {
    const at = waiting.indexOf(go);
    if (at < 0) return;
    waiting.splice(at, 1);
    reject(cancelled());
  };
  const go = (): void => {
    signal?.removeEventListener("abort", onAbort);
    resolve();
  };
  waiting.push(go);
  if (signal?.aborted) onAbort();
  signal?.addEventListener("abort", onAbort, { once: true });
  return promise;
}

function cancelled(): EngineError {
  return new EngineError("CANCELLED", "The query was cancelled.");
}

function ask(request: QueryRequest, signal: AbortSignal | undefined): Promise<QueryAnswer> {
  if (signal?.aborted) return Promise.reject(cancelled());
  const { promise, resolve, reject } = Promise.withResolvers<QueryAnswer>();
  const used = takeProcess();
  const { child } = used;
  let ended: EngineError | undefined;
  const kill = (why: EngineError): void => {
    ended ??= why;
    child.kill("SIGKILL");
  };
  const timer = setTimeout(
    () =>
      kill(
        new EngineError("TIMEOUT", `The query did not end within ${request.timeoutMs} ms and was stopped.`),
      ),
    request.timeoutMs + KILL_GRACE_MS,
  );
  const onAbort = (): void => kill(cancelled());
  signal?.addEventListener("abort", onAbort, { once: true });

  const chunks: Buffer[] = [];
  let bytes = 0;
  const onData = (chunk: Buffer): void => {
    bytes += chunk.byteLength;
    if (bytes > request.bytesMax * 2 + ANSWER_BYTES_EXTRA) kill(tooLarge());
    else chunks.push(chunk);
    if (chunk.at(-1) === NEWLINE) settle();
  };
  const onError = (cause: Error): void => {
    ended ??= new EngineError("INTERNAL", "The query's process did not start.", { cause });
    settle();
  };
  const settle = (): void => {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
    child.stdout.off("data", onData);
    child.off("close", settle).off("error", onError);
    const answer = ended ?? parsed(Buffer.concat(chunks));
    if (answer instanceof EngineError) {
      // its answer is not known to be its last word
      child.kill("SIGKILL");
      reject(answer);
      return;
    }
    rest(used);
    resolve(answer);
  };
  child.stdout.on("data", onData);
  child.once("close", settle).once("error", onError);
  // The process may end before it has read its request; its end tells the story.
  child.stdin.write(`${JSON.stringify(request)}\n`);
  return promise;
}

const NEWLINE = 10;

function tooLarge(): EngineError {
  return new EngineError("QUERY_FAILED", "A single row is too large to answer.", {
    hint: "Select fewer columns, or cut long ones with left(column, n).",
  });
}

function parsed(answer: Buffer): QueryAnswer | EngineError {
  try {
    return JSON.parse(answer.toString("utf8")) as QueryAnswer;
  } catch {
    return new EngineError("QUERY_FAILED", "The database ended while it ran the query.", {
      hint: "Narrow the query: it may have run out of memory.",
    });
  }
}

function startProcess(): QueryProcess {
  const child = spawn(process.execPath, [childFile()], {
    env: childEnvironment(),
    stdio: ["pipe", "pipe", "ignore"],
    windowsHide: true,
  });
  const started = { child, requests: 0 };
  const forget = (): void => {
    const at = idle.indexOf(started);
    if (at >= 0) idle.splice(at, 1);
  };
  child.once("exit", forget).on("error", forget);
  child.stdin.on("error", () => {});
  return started;
}

function takeProcess(): QueryProcess {
  const taken = idle.pop() ?? startProcess();
  clearTimeout(taken.retireTimer);
  taken.child.ref();
  for (const stream of [taken.child.stdin, taken.child.stdout]) (stream as Socket).ref();
  taken.requests += 1;
  return taken;
}

/** It ends with this process, whose end closes its stdin, and does not keep it from ending. */
function rest(used: QueryProcess): void {
  const { child } = used;
  child.unref();
  for (const stream of [child.stdin, child.stdout]) (stream as Socket).unref();
  if (used.requests >= REQUESTS_MAX || idle.length >= IDLE_MAX) child.stdin.end();
  else {
    idle.push(used);
    used.retireTimer = setTimeout(() => retire(used), IDLE_MS).unref();
  }
  if (keepReady && idle.length === 0) rest(startProcess());
}

function retire(old: QueryProcess): void {
  if (keepReady && idle.length === 1) return;
  const at = idle.indexOf(old);
  if (at < 0) return;
  idle.splice(at, 1);
  old.child.stdin.end();
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
