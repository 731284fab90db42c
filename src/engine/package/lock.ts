/**
 * One run per pipeline: `<dir>/run.lock` holds who runs. It is created whole (written beside, then linked
 * under its name, which fails when the name is taken), so a reader never sees half of it.
 *
 * A lock whose process has ended (killed, power cut) is stale and is taken over. Two processes may find it
 * stale at once, and the slower one must not throw out the lock that the faster one has just made. So the
 * takeover of a lock with content T needs the guard file `run.lock.<hash of T>`, of which there can be one
 * owner. Whoever owns it looks again: if the lock still is T, nobody else may replace it, and it is replaced
 * by a rename; if not, it was taken over already. A guard whose owner was killed is itself taken over in the
 * same way.
 */

import { createHash, randomBytes } from "node:crypto";
import {
  closeSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import type { RunContext } from "../context.ts";
import { EngineError } from "../errors.ts";
import { hasEnded, type ProcessIdentity, thisProcess } from "./process-identity.ts";

export interface LockInfo extends ProcessIdentity {
  readonly started_at: string;
  readonly run_id: string;
  readonly command: string;
  /** Random, so that no two locks have the same content. */
  readonly token: string;
}

export interface PipelineLock {
  readonly info: LockInfo;
  /** Removes the lock if it is still this one; may be called again, and from an exit handler. */
  release(): void;
}

const LOCK_FILE = "run.lock";
/** A guard of a guard of a guard: each level needs one more process to be killed within microseconds. */
const GUARD_DEPTH_MAX = 8;
const ATTEMPTS_MAX = 100;

/** Takes the pipeline's lock, or throws LOCKED with who holds it and since when. */
export function acquireLock(
  dir: string,
  run: { readonly run_id: string; readonly command: string },
  context: Pick<RunContext, "now" | "log">,
): PipelineLock {
  mkdirSync(dir, { recursive: true });
  const info: LockInfo = {
    ...thisProcess(),
    started_at: new Date(context.now()).toISOString(),
    run_id: run.run_id,
    command: run.command,
    token: randomBytes(8).toString("hex"),
  };
  const path = join(dir, LOCK_FILE);
  const replaced = take(path, info, 0);
  if (replaced !== undefined) {
    context.log("warn", "lock_taken_over", { pid: replaced.pid, run_id: replaced.run_id });
  }
  return {
    info,
    release() {
      if (readLock(path)?.info?.token === info.token) rmSync(path, { force: true });
    },
  };
}

/** Who holds the pipeline's lock; `stale` when that process has ended and the next run takes it over. */
export function lockHolder(dir: string): { readonly info: LockInfo; readonly stale: boolean } | undefined {
  const info = readLock(join(dir, LOCK_FILE))?.info;
  return info === undefined ? undefined : { info, stale: hasEnded(info) };
}

/** Makes `path` ours. Answers whose stale lock was replaced, if any. */
function take(path: string, info: LockInfo, depth: number): LockInfo | undefined {
  const temp = `${path}.${randomBytes(6).toString("hex")}.tmp`;
  writeDurably(temp, `${JSON.stringify(info)}\n`);
  try {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      if (linkIfFree(temp, path)) return undefined;
      const found = readLock(path);
      if (found === undefined) continue; // released in between
      if (found.info === undefined) throw unreadable(path);
      if (!hasEnded(found.info) || depth >= GUARD_DEPTH_MAX) throw locked(path, found.info);
      const guard = `${path}.${found.hash}`;
      take(guard, info, depth + 1);
      try {
        if (readLock(path)?.hash !== found.hash) continue; // somebody was faster
        renameSync(temp, path);
        return found.info;
      } finally {
        rmSync(guard, { force: true });
      }
    }
    throw new EngineError("LOCKED", `The lock ${path} changes hands all the time.`);
  } finally {
    rmSync(temp, { force: true });
  }
}

function linkIfFree(temp: string, path: string): boolean {
  try {
    linkSync(temp, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

function writeDurably(path: string, text: string): void {
  const file = openSync(path, "wx");
  try {
    writeSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function readLock(path: string): { hash: string; info: LockInfo | undefined } | undefined {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  return { hash: createHash("sha256").update(text).digest("hex").slice(0, 16), info: parseLock(text) };
}

function parseLock(text: string): LockInfo | undefined {
  try {
    const info = JSON.parse(text) as Partial<LockInfo> | null;
    return typeof info?.pid === "number" && typeof info.token === "string" ? (info as LockInfo) : undefined;
  } catch {
    return undefined;
  }
}

function locked(path: string, info: LockInfo): EngineError {
  return new EngineError(
    "LOCKED",
    `Run ${info.run_id} (process ${info.pid} on ${info.host}) holds the pipeline since ${info.started_at}.`,
    {
      hint:
        info.host === thisProcess().host
          ? "Wait for the other run to finish, or stop it."
          : `Wait for the other run to finish; if the host ${info.host} is gone, delete the lock file.`,
      details: { ...info, lock_file: path },
    },
  );
}

function unreadable(path: string): EngineError {
  return new EngineError("LOCKED", `The lock file ${path} cannot be read, so nobody knows who holds it.`, {
    retry: "after_fix",
    hint: "Make sure that no run of this pipeline is alive, then delete the lock file.",
    details: { lock_file: path },
  });
}
