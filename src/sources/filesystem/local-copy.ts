/**
 * A file of elsewhere as one on this machine. A process that is killed leaves its copy behind; whoever makes the
 * next one removes it.
 */

import { type FileHandle, mkdtemp, open, readdir, readFile, rm, statfs, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EngineError } from "../../engine/errors.ts";
import { hasEnded, type ProcessIdentity, thisProcess } from "../../engine/package/process-identity.ts";
import { type ByteSource, localFile } from "./byte-source.ts";

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
  const bytesFree = await freeBytes();
  // known before anything is transferred, or in vain
  if ((source.size ?? 0) > bytesFree) throw noRoom(source, bytesFree);
  const { path, remove } = await temporaryFile();
  try {
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
    throw code === "ENOSPC" || code === "EDQUOT" ? noRoom(source, undefined, error) : error;
  }
}

/**
 * The source, which keeps a copy on this machine the first time that it is read to its end, and is read from there
 * from then on; from where it is, if there is no room for a copy. Disposing removes the copy.
 */
export async function copiedWhileRead(source: ByteSource): Promise<{ source: ByteSource } & AsyncDisposable> {
  const { name, size } = source;
  const there =
    source.remote === true && (size ?? 0) <= (await freeBytes().catch(() => 0))
      ? await temporaryFile().catch(() => undefined)
      : undefined;
  if (there === undefined) return { source, [Symbol.asyncDispose]: async () => {} };
  const { path, remove } = there;
  let state: "none" | "whole" | "failed" = "none";
  async function* copying(): AsyncGenerator<Uint8Array> {
    const copy = new CopyFile(path);
    try {
      for await (const bytes of source.open()) {
        await copy.append(bytes);
        yield bytes;
      }
      state = (await copy.finish()) ? "whole" : "failed";
    } finally {
      await copy.close();
    }
  }
  const copied: ByteSource = {
    ...source,
    open(options) {
      if (state === "whole") return localFile(path, name, size).open(options);
      return state === "none" ? copying() : source.open(options);
    },
  };
  return { source: copied, [Symbol.asyncDispose]: remove };
}

const WRITE_BYTES = 1 << 20;

/** Written behind whoever reads the bytes. What fails is no failure of theirs. */
class CopyFile {
  private readonly path: string;
  private file: FileHandle | undefined;
  private parts: Uint8Array[] = [];
  private bytes = 0;
  private writing: Promise<void> = Promise.resolve();
  private failed = false;

  constructor(path: string) {
    this.path = path;
  }

  async append(bytes: Uint8Array): Promise<void> {
    if (this.failed) return;
    this.parts.push(bytes);
    this.bytes += bytes.length;
    if (this.bytes >= WRITE_BYTES) await this.write();
  }

  /** Is the copy whole? */
  async finish(): Promise<boolean> {
    await this.write();
    await this.writing;
    return !this.failed;
  }

  async close(): Promise<void> {
    await this.writing;
    await this.file?.close();
  }

  /** Begins a write when the one before has ended. */
  private async write(): Promise<void> {
    await this.writing;
    const { parts } = this;
    this.parts = [];
    this.bytes = 0;
    this.writing = this.writeParts(parts).catch(() => {
      this.failed = true;
    });
  }

  private async writeParts(parts: readonly Uint8Array[]): Promise<void> {
    this.file ??= await open(this.path, "wx", 0o600);
    // one call for many small pieces: each wakes another thread
    await this.file.appendFile(Buffer.concat(parts));
  }
}

async function freeBytes(): Promise<number> {
  const { bavail, bsize } = await statfs(tmpdir());
  return bavail * bsize;
}

/** In a folder of its own, which `remove` removes. */
async function temporaryFile(): Promise<{ path: string; remove(): Promise<void> }> {
  const parent = tmpdir();
  await removeLeftOvers(parent);
  const folder = await mkdtemp(join(parent, PREFIX));
  await writeFile(join(folder, OWNER), JSON.stringify(thisProcess()));
  return { path: join(folder, "file"), remove: () => rm(folder, { recursive: true, force: true }) };
}

function noRoom(source: ByteSource, bytesFree?: number, cause?: unknown): EngineError {
  const folder = tmpdir();
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
