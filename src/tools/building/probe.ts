/** Starts the process of a probe and waits for its answer, within a time. */

import { type ChildProcess, spawn } from "node:child_process";
import type { Socket } from "node:net";
import { fileURLToPath } from "node:url";
import { EngineError, ERRORS, type ErrorCode, type ErrorEnvelope } from "../../engine/errors.ts";
import { NODE_FLAGS } from "../runs.ts";
import type {
  Description,
  ProbeAnswer,
  ProbeRequest,
  ReadOutcome,
  ReflectedTable,
} from "./probe-protocol.ts";

type ValueOf<Kind extends ProbeRequest["kind"]> = {
  describe: Description;
  read: ReadOutcome;
  reflect: { readonly tables: readonly ReflectedTable[] };
}[Kind];

const CHILD_FILE = fileURLToPath(
  new URL(`./probe-child${import.meta.url.endsWith(".ts") ? ".ts" : ".js"}`, import.meta.url),
);
const OUTPUT_CHARS_MAX = 2000;
/** How long a process waits for the next source to describe. */
const WAIT_MS = 60_000;

/** Describing opens no files and starts no programs, so its process may do neither. */
const READ_ONLY_FLAGS = ["--permission", "--allow-fs-read=*", "--allow-addons", "--allow-worker"];

/** Errors: those of the source, PROCESS_ENDED when the process crashed, TIMEOUT, CANCELLED. */
export async function probe<Kind extends ProbeRequest["kind"]>(
  request: Extract<ProbeRequest, { kind: Kind }>,
  { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<ValueOf<Kind>> {
  signal.throwIfAborted();
  const { workspaceDir } = request;
  const child = request.kind === "describe" ? takeDescriber(workspaceDir) : startChild(workspaceDir, []);
  let answer: ProbeAnswer | undefined;
  let output = "";
  let timedOut = false;
  child.stderr?.on("data", (chunk: Buffer) => {
    output = (output + chunk.toString("utf8")).slice(-OUTPUT_CHARS_MAX);
  });
  child.on("message", (text) => {
    answer = JSON.parse(String(text)) as ProbeAnswer;
  });
  const timer = setTimeout(() => {
    timedOut = true;
    child.kill("SIGKILL");
  }, timeoutMs);
  const abort = (): void => void child.kill("SIGKILL");
  signal.addEventListener("abort", abort, { once: true });
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", resolve);
      child.send(JSON.stringify(request), () => {});
    });
    if (answer?.kind === "value") return answer.value as ValueOf<Kind>;
    if (answer?.kind === "error") throw errorOf(answer.error);
    if (signal.aborted) throw new EngineError("CANCELLED", "The call was cancelled.");
    if (timedOut) {
      throw new EngineError("TIMEOUT", `The source did not come to an end within ${timeoutMs / 1000} s.`, {
        hint: "Look for a loop or a wait in the source's code, or raise the bound of seconds.",
      });
    }
    throw new EngineError("PROCESS_ENDED", `The source's process ended by itself (exit code ${code}).`, {
      hint: "The source's code ended the process or crashed it.",
      details: { output: output.trim() },
    });
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", abort);
    if (child.exitCode === null) child.kill("SIGKILL");
    if (request.kind === "describe") keepDescriber(workspaceDir);
  }
}

function startChild(cwd: string, flags: readonly string[]): ChildProcess {
  return spawn(process.execPath, [...NODE_FLAGS, ...flags, CHILD_FILE], {
    cwd,
    stdio: ["ignore", "ignore", "pipe", "ipc"],
  });
}

/**
 * Who builds a source has it described again and again, and most of that is the start of the process. So the next one is
 * started when one is done, loads the engine and waits a while. Each describes once: nothing of a source stays.
 */
let waiting:
  | { readonly child: ChildProcess; readonly cwd: string; readonly timer: NodeJS.Timeout }
  | undefined;

let keepsDescribers = false;

/** For a process that lives on between calls. */
export function keepDescribersReady(): void {
  keepsDescribers = true;
}

function keepDescriber(cwd: string): void {
  if (!keepsDescribers || waiting !== undefined) return;
  const child = startChild(cwd, READ_ONLY_FLAGS);
  const forget = (): void => {
    if (waiting?.child === child) waiting = undefined;
  };
  child.once("exit", forget).once("error", forget);
  const retire = (): void => {
    forget();
    child.kill("SIGKILL");
  };
  waiting = { child, cwd, timer: setTimeout(retire, WAIT_MS).unref() };
  // it ends with this process, and does not keep it from ending
  for (const each of [child, child.channel, child.stderr as Socket | null]) each?.unref();
}

function takeDescriber(cwd: string): ChildProcess {
  if (waiting?.cwd !== cwd) return startChild(cwd, READ_ONLY_FLAGS);
  const { child, timer } = waiting;
  waiting = undefined;
  clearTimeout(timer);
  for (const each of [child, child.channel, child.stderr as Socket | null]) each?.ref();
  return child;
}

/** An error that crossed a process boundary, as it was. */
export function errorOf(envelope: ErrorEnvelope): EngineError {
  const known = Object.hasOwn(ERRORS, envelope.code);
  return new EngineError(known ? (envelope.code as ErrorCode) : "INTERNAL", envelope.message, {
    hint: envelope.hint,
    retry: envelope.retry,
    ...(envelope.details === undefined ? {} : { details: { ...envelope.details } }),
  });
}
