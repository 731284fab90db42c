/**
 * Where a reader gets its bytes from. The readers know nothing else about a file, so that they read local
 * files, objects of a store and memory alike.
 */

import { type FileHandle, open } from "node:fs/promises";
import { EngineError } from "../../engine/errors.ts";
import { SpareMemory } from "../../engine/package/spare-memory.ts";

export interface ByteSource {
  /** What messages call it: a path or URL. */
  readonly name: string;
  /** Bytes as stored, when known. */
  readonly size?: number;
  /**
   * May `open` be called more than once and give the same bytes? Reading CSV takes two passes: types are
   * only guessed when the source can be read again.
   */
  readonly reopen?: boolean;
  /** Opening it transfers it: whoever needs it twice keeps a copy. */
  readonly remote?: boolean;
  /** The path on this machine, for readers that need to seek (Parquet). */
  readonly localPath?: string;
  open(options?: OpenOptions): AsyncIterable<Uint8Array>;
}

export interface OpenOptions {
  /** Where blocks get their memory, of sources that make it themselves; whoever has done with one may give it back. */
  memory?: SpareMemory | undefined;
}

const READ_BYTES = 1 << 20;
const READ_BYTES_MIN = 1 << 14;

/** A file of this machine. */
export function localFile(path: string, name = path, size?: number): ByteSource {
  return {
    name,
    size,
    reopen: true,
    localPath: path,
    async *open({ memory }: OpenOptions = {}) {
      try {
        yield* fileBlocks(path, memory ?? new SpareMemory(), size);
      } catch (cause) {
        throw readError(name, cause);
      }
    },
  };
}

/** The next block is read while one is used. */
async function* fileBlocks(path: string, memory: SpareMemory, size = READ_BYTES): AsyncGenerator<Uint8Array> {
  const file = await open(path);
  // thousands of small files should not each take megabytes
  const blockBytes = Math.min(READ_BYTES, Math.max(READ_BYTES_MIN, size));
  const readNext = (): Promise<Uint8Array> => {
    const block = filled(file, memory.take(blockBytes));
    // a rejection is seen when it is awaited, after the block before was used
    block.catch(() => {});
    return block;
  };
  let reading = readNext();
  try {
    for (;;) {
      const block = await reading;
      if (block.length === 0) return;
      reading = readNext();
      yield block;
    }
  } finally {
    await reading.catch(() => {});
    await file.close();
  }
}

/** As much as there is room for, or as is left: pipes give less at a time. */
async function filled(file: FileHandle, memory: Buffer): Promise<Uint8Array> {
  let length = 0;
  while (length < memory.length) {
    const { bytesRead } = await file.read(memory, length, memory.length - length, null);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return memory.subarray(0, length);
}

/** Bytes in memory, in one piece or in blocks as they would arrive. */
export function memorySource(name: string, ...blocks: readonly (Uint8Array | string)[]): ByteSource {
  const bytes = blocks.map((block) => (typeof block === "string" ? Buffer.from(block) : block));
  return {
    name,
    size: bytes.reduce((sum, block) => sum + block.length, 0),
    reopen: true,
    async *open() {
      yield* bytes;
    },
  };
}

/** The whole source in memory; for readers of formats that cannot be streamed. Errors: FILE_FORMAT beyond the bound. */
export async function wholeFile(source: ByteSource, bytesMax: number): Promise<Buffer> {
  const tooLarge = () =>
    new EngineError("FILE_FORMAT", `${source.name} is larger than ${bytesMax} bytes.`, {
      hint: "Files of this format are read as a whole. Export it as CSV or Parquet.",
      details: { file: source.name, bytes: source.size, bytes_max: bytesMax },
    });
  if ((source.size ?? 0) > bytesMax) throw tooLarge();
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const bytes of source.open()) {
    parts.push(bytes);
    length += bytes.length;
    if (length > bytesMax) throw tooLarge();
  }
  return Buffer.concat(parts);
}

function readError(name: string, cause: unknown): unknown {
  const code = (cause as { code?: unknown }).code;
  if (code === "ENOENT") {
    return new EngineError("FILE_NOT_FOUND", `${name} does not exist (any more).`, {
      details: { file: name },
      cause,
    });
  }
  if (code === "EACCES" || code === "EPERM") {
    return new EngineError("FILE_NOT_FOUND", `${name} may not be read by this user.`, {
      hint: "Give the user that runs loadwright the right to read it.",
      details: { file: name },
      cause,
    });
  }
  return cause;
}
