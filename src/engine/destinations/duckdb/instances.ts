/**
 * The databases that this process has open, by file. A file's lock belongs to the process, so a second
 * instance of the same file would open without an error and damage it: everybody in the process shares one.
 * Packages for one file are committed one after the other.
 */

import { mkdir, realpath } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import type { DuckDBInstance } from "@duckdb/node-api";
import { duckdbError } from "./errors.ts";
import type { Turn } from "./package-load.ts";

/** The native library is loaded with the first file: a server that reads folders starts without it. */
async function openCached(file: string): Promise<DuckDBInstance> {
  const { DuckDBInstance } = await import("@duckdb/node-api");
  return DuckDBInstance.fromCache(file);
}

interface OpenFile {
  readonly instance: Promise<DuckDBInstance>;
  users: number;
  /** Ends with the last turn. */
  lastTurn: Promise<void>;
}

export interface SharedInstance {
  readonly path: string;
  readonly instance: DuckDBInstance;
  /** A turn on the file: begins when all turns that were asked for before have ended. */
  turn(): Turn;
  /** The last user's release closes the file. */
  release(): void;
}

export class DuckdbInstances {
  private readonly files = new Map<string, OpenFile>();

  async open(path: string): Promise<SharedInstance> {
    const file = await canonicalPath(path);
    let open = this.files.get(file);
    if (open === undefined) {
      // `fromCache`: an instance that somebody else in this process has made is found as well.
      open = { instance: openCached(file), users: 0, lastTurn: Promise.resolve() };
      this.files.set(file, open);
    }
    open.users += 1;
    const entry = open;
    const leave = (): boolean => {
      entry.users -= 1;
      if (entry.users > 0) return false;
      if (this.files.get(file) === entry) this.files.delete(file);
      return true;
    };
    let instance: DuckDBInstance;
    try {
      instance = await entry.instance;
    } catch (error) {
      leave();
      throw duckdbError(error, "open", { path: file });
    }
    return {
      path: file,
      instance,
      turn: () => {
        const begun = entry.lastTurn;
        let end = (): void => {};
        const ended = new Promise<void>((resolve) => {
          end = resolve;
        });
        entry.lastTurn = begun.then(() => ended);
        return { begun, end };
      },
      release: () => {
        if (leave()) instance.closeSync();
      },
    };
  }
}

/** The file's real path: two names of one file are one database. Its folder is made where it is missing. */
async function canonicalPath(path: string): Promise<string> {
  const full = resolve(path);
  try {
    await mkdir(dirname(full), { recursive: true });
    return await realpath(full).catch(async () => join(await realpath(dirname(full)), basename(full)));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw duckdbError(new Error(`IO Error: ${reason}`), "open", { path: full });
  }
}
