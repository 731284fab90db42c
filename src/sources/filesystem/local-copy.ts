/**
 * A file of elsewhere as one on this machine. A process that is killed leaves its copy behind; whoever makes the
 * next one removes it.
 */

import { mkdtemp, open, readdir, readFile, rm, statfs, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EngineError } from "../../engine/errors.ts";
import { hasEnded, type ProcessIdentity, thisProcess } from "../../engine/package/process-identity.ts";
import type { ByteSource } from "./byte-source.ts";

const PREFIX = "loadwright-copy-";
/** Beside the copy: the process that made it. */
const OWNER = "owner.json";

/**
 * A path on this machine with the source's bytes, for readers that seek. Disposing removes a copy that was made.
 * Errors: EXTRACT_FAILED when the folder for temporary files has no room for it.
 */
export async function localCopy(source: ByteSource): Promise<{ path: string } & AsyncDisposable> {
  if (source.localPath !== undefined) {
    return { path: source.localPath, [Symbol.asyncDispose]: async () => {} };
  }
  const parent = tmpdir();
  await removeLeftOvers(parent);
  const { bavail, bsize } = await statfs(parent);
  // known before anything is transferred, or in vain
  if ((source.size ?? 0) > bavail * bsize) throw noRoom(source, parent, bavail * bsize);
  const folder = await mkdtemp(join(parent, PREFIX));
  const remove = () => rm(folder, { recursive: true, force: true });
  try {
    await writeFile(join(folder, OWNER), JSON.stringify(thisProcess()));
    const path = join(folder, "file");
    const file = await open(path, "wx", 0o600);
    try {
      for await (const bytes of source.open()) await file.appendFile(bytes);
    } finally {
      await file.close();
    }
    return { path, [Symbol.asyncDispose]: remove };
  } catch (error) {
    await remove();
    const { code } = error as { code?: unknown };
    throw code === "ENOSPC" || code === "EDQUOT" ? noRoom(source, parent, undefined, error) : error;
  }
}

function noRoom(source: ByteSource, folder: string, bytesFree?: number, cause?: unknown): EngineError {
  return new EngineError(
    "EXTRACT_FAILED",
    `The folder for temporary files, ${folder}, has no room for a copy of ${source.name}.`,
    {
      hint: "Parquet is read from its end, so an object is copied first: make room, or set TMPDIR to a folder that has it.",
      details: { file: source.name, folder, bytes: source.size, bytes_free: bytesFree, error: "ENOSPC" },
      cause,
    },
  );
}

/** Copies of processes that have certainly ended; those of others, and of other machines, stay. */
async function removeLeftOvers(parent: string): Promise<void> {
  const names = await readdir(parent).catch(() => []);
  for (const name of names.filter((each) => each.startsWith(PREFIX))) {
    const folder = join(parent, name);
    try {
      const owner = JSON.parse(await readFile(join(folder, OWNER), "utf8")) as ProcessIdentity;
      if (hasEnded(owner)) await rm(folder, { recursive: true, force: true });
    } catch {
      // being made or removed, or somebody else's: nothing that this copy needs
    }
  }
}
