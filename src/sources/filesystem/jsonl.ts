/**
 * JSON Lines: blocks of whole lines, copied as they are. Nothing is parsed here; the normalizer does, and
 * finds the line of a broken row from the page's first line. Blank lines and `\r` before the line feed are
 * white space to it and stay, so that lines keep their numbers.
 */

import { EngineError } from "../../engine/errors.ts";
import { JsonlPage } from "../../engine/extract/page.ts";
import { SpareMemory } from "../../engine/package/spare-memory.ts";
import type { ByteSource } from "./byte-source.ts";
import { concatBytes, countLines, type DecodeOptions, readText, type TextBlock } from "./decode.ts";

export interface JsonlOptions extends Pick<DecodeOptions, "encoding"> {
  /** A page has about as many bytes, and whole lines. */
  pageBytes?: number;
  /** A longer line is an error: the file is something else. */
  lineBytesMax?: number;
  /** The bytes of a page may be overwritten when the page after the next is asked for. */
  recycle?: boolean;
}

export const PAGE_BYTES = 1 << 20;
/** Blocks up to this size are joined with what came before. */
const COPY_BYTES_MAX = 64 << 10;
export const LINE_BYTES_MAX = 256 * 1024 * 1024;
const LINE_FEED = Uint8Array.of(10);

export async function* readJsonl(source: ByteSource, options: JsonlOptions = {}): AsyncGenerator<JsonlPage> {
  const { pageBytes = PAGE_BYTES, lineBytesMax = LINE_BYTES_MAX, encoding, recycle } = options;
  const file = source.name;
  const memory = recycle ? new SpareMemory() : undefined;
  const kept = (bytes: Uint8Array): Uint8Array => (memory ? Buffer.from(bytes) : bytes);
  /** The block that the last page is a part of. */
  let inPage: Uint8Array | undefined;
  let parts: Uint8Array[] = [];
  let length = 0;
  let line = 1;
  // What is left after a cut has no line feed: its line is the one that the next block starts on.
  let lineOpen = true;
  let lastCut: { block: TextBlock; end: number } | undefined;
  let checked = false;
  for await (const block of readText(source, { encoding, memory })) {
    if (!checked) checked = checkStart(source, block);
    if (lineOpen) {
      line = block.line;
      lineOpen = false;
    }
    const end = block.bytes.lastIndexOf(10) + 1;
    if (end === 0 || (length + end < pageBytes && end < pageBytes / 2)) {
      parts.push(kept(block.bytes));
      memory?.giveBack(block.bytes);
      length += block.bytes.length;
      if (end === 0 && length > lineBytesMax + pageBytes) throw lineTooLong(source, block.line, lineBytesMax);
      continue;
    }
    // The line that began in the block before is a page of its own, so that the rest need not be copied.
    let start = 0;
    if (length > 0 && end > COPY_BYTES_MAX) {
      start = block.bytes.indexOf(10) + 1;
      parts.push(block.bytes.subarray(0, start));
      yield new JsonlPage(concatBytes(parts), { origin: { file, line } });
      parts = [];
      line = block.line + 1;
    }
    if (end > start) {
      parts.push(block.bytes.subarray(start, end));
      yield new JsonlPage(concatBytes(parts), { origin: { file, line } });
      if (inPage) memory?.giveBack(inPage);
      inPage = block.bytes;
    }
    lineOpen = true;
    parts = [kept(block.bytes.subarray(end))];
    length = block.bytes.length - end;
    lastCut = { block, end };
  }
  if (length === 0) return;
  if (lineOpen && lastCut !== undefined) {
    line = lastCut.block.line + countLines(lastCut.block.bytes.subarray(0, lastCut.end));
  }
  if (parts.at(-1)!.at(-1) !== 10) parts.push(LINE_FEED);
  yield new JsonlPage(concatBytes(parts), { origin: { file, line } });
}

/** A file that does not start with an object is another format; the first row would say it less clearly. */
function checkStart(source: ByteSource, block: TextBlock): boolean {
  for (const [at, byte] of block.bytes.entries()) {
    if (byte === 0x20 || byte === 0x09 || byte === 0x0a || byte === 0x0d) continue;
    if (byte === 0x7b) return true;
    const line = block.line + countLines(block.bytes.subarray(0, at));
    throw new EngineError(
      "FILE_FORMAT",
      `${source.name} is not JSON Lines: line ${line} does not start with an object.`,
      {
        hint:
          byte === 0x5b
            ? 'It starts with an array: set `format = "json"`.'
            : "Set `format` to what the file is.",
        details: { file: source.name, line },
      },
    );
  }
  return false;
}

function lineTooLong(source: ByteSource, line: number, lineBytesMax: number): EngineError {
  return new EngineError(
    "FILE_FORMAT",
    `Line ${line} of ${source.name} is longer than ${lineBytesMax} bytes.`,
    {
      hint: 'JSON Lines has one object a line; if the file is one JSON document, set `format = "json"`.',
      details: { file: source.name, line, line_bytes_max: lineBytesMax },
    },
  );
}
