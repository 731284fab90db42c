/** A job file of JSON Lines as blocks of whole lines. */

import { isUtf8 } from "node:buffer";
import { type FileHandle, open } from "node:fs/promises";
import { EngineError } from "../errors.ts";
import { SpareMemory } from "../package/spare-memory.ts";

const BLOCK_BYTES = 1 << 20;
const LF = 0x0a;

export interface LineBlock {
  /** Valid until the next block is asked for; every line in `[0, length)` ends with a line feed. */
  readonly bytes: Uint8Array;
  readonly length: number;
  /** Where the block starts in the file. */
  readonly offset: number;
}

/** Reads a file in blocks that end at a line's end; a longer line makes a longer block. */
export async function* lineBlocks(
  path: string,
  memories = new SpareMemory(),
): AsyncGenerator<LineBlock, void, undefined> {
  const file = await open(path, "r");
  // Two memories in turn: while one is scanned the next is being read.
  let memory = memories.take(BLOCK_BYTES * 2);
  let spare = memories.take(BLOCK_BYTES * 2);
  let reading = fill(file, memory, 0);
  try {
    let kept = 0;
    let offset = 0;
    for (;;) {
      const filled = await reading;
      const atEnd = filled === kept;
      let length = filled;
      if (atEnd) {
        if (filled === 0) return;
        // the last line may lack its line feed
        if (memory[filled - 1] !== LF) memory[length++] = LF;
      } else {
        length = memory.lastIndexOf(LF, filled - 1) + 1;
        if (length === 0) {
          const larger = memories.take(memory.length * 2);
          memory.copy(larger, 0, 0, filled);
          memories.giveBack(memory);
          memory = larger;
          kept = filled;
          reading = fill(file, memory, kept);
          continue;
        }
      }
      const rest = atEnd ? 0 : filled - length;
      if (spare.length <= rest + BLOCK_BYTES) {
        memories.giveBack(spare);
        spare = memories.take((rest + BLOCK_BYTES) * 2);
      }
      if (rest > 0) memory.copy(spare, 0, length, filled);
      if (!atEnd) {
        reading = fill(file, spare, rest);
        // a rejection is seen when it is awaited, after this block was used
        reading.catch(() => {});
      }
      const bytes = memory.subarray(0, length);
      if (!isUtf8(bytes)) {
        throw new EngineError("FILE_ENCODING", `Job ${path} holds bytes that are not UTF-8.`, {
          details: { file: path, offset },
        });
      }
      yield { bytes: memory, length, offset };
      if (atEnd) return;
      offset += length;
      kept = rest;
      [memory, spare] = [spare, memory];
    }
  } finally {
    await reading.catch(() => {});
    memories.giveBack(memory);
    memories.giveBack(spare);
    await file.close();
  }
}

/** Reads one more piece behind the `kept` bytes; returns how many bytes there are then. There is room for it. */
async function fill(file: FileHandle, memory: Buffer, kept: number): Promise<number> {
  const { bytesRead } = await file.read(memory, kept, BLOCK_BYTES, null);
  return kept + bytesRead;
}
