/** The local files that a glob matches, in a fixed order. */

import { stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { glob as match } from "tinyglobby";
import { EngineError } from "../../engine/errors.ts";

export interface ListedFile {
  /** Absolute. */
  readonly path: string;
  /** Relative to the base folder, with `/`; the file's name in the ledger. */
  readonly relative_path: string;
  readonly size: number;
  readonly mtime_ms: number;
}

export interface FileStat {
  readonly size: number;
  readonly mtime_ms: number;
}

/**
 * Files under `base` that match, sorted by relative path in code unit order. A `base` that is a file is
 * listed by itself. No match is an empty list and a warning, because tomorrow's file may not be there yet;
 * a base folder that does not exist is an error, because it is mistyped or not mounted.
 */
export async function listFiles(
  base: string,
  glob: string | readonly string[] = "**/*",
  warn: (message: string) => void = () => {},
): Promise<ListedFile[]> {
  const folder = resolve(base);
  const found = await stat(folder).catch((cause: unknown) => {
    throw new EngineError(
      "FILE_NOT_FOUND",
      `The folder ${folder} cannot be read: it does not exist or is not accessible.`,
      {
        hint: "Correct `path` in the source's configuration, or create or mount the folder.",
        details: { path: folder },
        cause,
      },
    );
  });
  if (found.isFile()) {
    const { size, mtimeMs } = found;
    return [{ path: folder, relative_path: basename(folder), size, mtime_ms: mtimeMs }];
  }
  const leadsOut = [glob].flat().find((each) => OUTSIDE.test(each));
  if (leadsOut !== undefined) throw outside(leadsOut);
  const names = await match(typeof glob === "string" ? glob : [...glob], {
    cwd: folder,
    onlyFiles: true,
    expandDirectories: false,
  });
  // braces can make such a name from a pattern that does not look like it
  if (names.some((name) => OUTSIDE.test(name))) throw outside([glob].flat().join(", "));
  names.sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  const files: ListedFile[] = [];
  for (const relative_path of names) {
    const path = join(folder, relative_path);
    const now = await statFile(path);
    if (now !== undefined) files.push({ path, relative_path, ...now });
  }
  if (files.length === 0) {
    const patterns = typeof glob === "string" ? glob : glob.join(", ");
    warn(`No file in ${folder} matches ${patterns}${await nearMiss(folder, patterns)}.`);
  }
  return files;
}

/** A path from the root, or one with `..` in it. */
const OUTSIDE = /^([\\/]|[a-z]:)|(^|[\\/])\.\.([\\/]|$)/i;

function outside(pattern: string): EngineError {
  return new EngineError(
    "CONFIG_INVALID",
    `The pattern ${pattern} leads out of the folder that path names.`,
    {
      hint: "Set `path` to the folder that holds all files, and begin the pattern there.",
      details: { setting: "glob" },
    },
  );
}

/** Size and time of a file now; undefined when it is gone. */
export async function statFile(path: string): Promise<FileStat | undefined> {
  try {
    const { size, mtimeMs } = await stat(path);
    return { size, mtime_ms: mtimeMs };
  } catch (error) {
    if ((error as { code?: unknown }).code === "ENOENT") return undefined;
    throw error;
  }
}

/** A pattern without `**` that misses its folder is the usual reason for an empty list: name the folder. */
async function nearMiss(folder: string, pattern: string): Promise<string> {
  const prefix = dirname(pattern);
  if (prefix === "." || /[*?[{!,]/.test(prefix)) return "";
  return (await statFile(join(folder, prefix))) === undefined ? ` (there is no folder ${prefix})` : "";
}
