/** Starts the process of a probe and waits for its answer, within a time. */

import { spawn } from "node:child_process";
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

/** Describing opens no files and starts no programs, so its process may do neither. */
const READ_ONLY_FLAGS = ["--permission", "--allow-fs-read=*", "--allow-addons", "--allow-worker"];

/** Errors: those of the source, PROCESS_ENDED when the process crashed, TIMEOUT, CANCELLED. */
export async function probe<Kind extends ProbeRequest["kind"]>(
  request: Extract<ProbeRequest, { kind: Kind }>,
  { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<ValueOf<Kind>> {
  signal.throwIfAborted();
  const flags = request.kind === "describe" ? READ_ONLY_FLAGS : [];
  const child = spawn(process.execPath, [...NODE_FLAGS, ...flags, CHILD_FILE], {
    cwd: request.workspaceDir,
    stdio: ["ignore", "ignore", "pipe", "ipc"],
  });
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
  }
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
