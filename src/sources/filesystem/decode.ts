/**
 * Stored bytes to checked UTF-8 text, as a stream: decompressed by their first bytes (names lie), byte order
 * mark dropped, other encodings decoded, every block valid UTF-8 without NUL. Blocks are cut between
 * characters, not between lines: a minified JSON document is one line of any length.
 *
 * A raw NUL is refused, because in text it is a sign of another encoding or of damage. The escape `\u0000`
 * in JSON is a character like others and is left to the destination: DuckDB holds it.
 */

import { isUtf8 } from "node:buffer";
import { pipeline, Readable } from "node:stream";
import * as zlib from "node:zlib";
import { EngineError } from "../../engine/errors.ts";
import type { SpareMemory } from "../../engine/package/spare-memory.ts";
import type { ByteSource } from "./byte-source.ts";

export interface TextBlock {
  readonly bytes: Uint8Array;
  /** The line of the file that the first byte is on; 1-based. */
  readonly line: number;
}

export interface DecodeOptions {
  /**
   * The file's encoding by its WHATWG label: `latin1` (the same as `windows-1252`), `utf-16le`,
   * `shift_jis`, … Default: UTF-8, or UTF-16 where a byte order mark or the pattern of NULs says so.
   */
  encoding?: string;
  /** Where blocks of plain UTF-8 get their memory. Whoever has done with one may give it back. */
  memory?: SpareMemory | undefined;
}

/** How much of a file is looked at to tell its encoding. */
const SNIFF_BYTES = 64 * 1024;
const UNZIP_BYTES = 256 * 1024;
const NO_BYTES = new Uint8Array(0);

export async function* readText(source: ByteSource, options: DecodeOptions = {}): AsyncGenerator<TextBlock> {
  const [head, blocks] = await peek(decompressed(source, options.memory), SNIFF_BYTES);
  let encoding: string;
  try {
    encoding = encodingOf(source, head, options.encoding);
  } catch (error) {
    await blocks.return?.();
    throw error;
  }
  const text = encoding === "utf-8" ? wholeCharacters(blocks) : transcoded(source, blocks, encoding);
  let line = 1;
  let offset = encoding === "utf-8" && hasUtf8Mark(head) ? 3 : 0;
  for await (const bytes of text) {
    if (!isUtf8(bytes)) throw notUtf8(source, bytes, line, offset);
    const nul = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).indexOf(0);
    if (nul !== -1) throw rawNul(source, line + countLines(bytes.subarray(0, nul)), offset + nul);
    const block = { bytes, line };
    line += countLines(bytes);
    offset += bytes.length;
    yield block;
  }
}

/** Lines of this many bytes are found sooner by looking for each line feed than by looking at every byte. */
const LONG_LINE_BYTES = 64;

/** Line feeds in `bytes`. */
export function countLines(bytes: Uint8Array): number {
  const head = countEach(bytes.subarray(0, 4096));
  if (head * LONG_LINE_BYTES > 4096) return head + countEach(bytes.subarray(4096));
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let count = head;
  for (let at = buffer.indexOf(10, 4096); at !== -1; at = buffer.indexOf(10, at + 1)) count++;
  return count;
}

/** Four bytes at a time. */
function countEach(bytes: Uint8Array): number {
  let count = 0;
  let at = 0;
  const length = bytes.length;
  while (at < length && ((bytes.byteOffset + at) & 3) !== 0) if (bytes[at++] === 10) count++;
  const words = (length - at) >> 2;
  if (words > 0) {
    const view = new Uint32Array(bytes.buffer, bytes.byteOffset + at, words);
    let i = 0;
    while (i < words) {
      // Each lane counts up to 255 before it is folded into the total.
      const end = Math.min(words, i + 255);
      let lanes = 0;
      for (; i < end; i++) {
        const x = view[i]! ^ 0x0a0a0a0a;
        const zero = ~(((x & 0x7f7f7f7f) + 0x7f7f7f7f) | x | 0x7f7f7f7f);
        lanes = (lanes + ((zero >>> 7) & 0x01010101)) | 0;
      }
      count += (lanes & 0xff) + ((lanes >>> 8) & 0xff) + ((lanes >>> 16) & 0xff) + (lanes >>> 24);
    }
    at += words << 2;
  }
  while (at < length) if (bytes[at++] === 10) count++;
  return count;
}

export function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
}

// decompression

async function* decompressed(source: ByteSource, memory?: SpareMemory): AsyncGenerator<Uint8Array> {
  const [head, blocks] = await peek(source.open({ memory }), 8);
  const kind = containerOf(head);
  if (kind === "plain") yield* blocks;
  else if (kind === "gzip") yield* unzip(source, blocks, zlib.createGunzip({ chunkSize: UNZIP_BYTES }), kind);
  else if (kind === "zstd" && typeof zlib.createZstdDecompress === "function") {
    yield* unzip(source, blocks, zlib.createZstdDecompress({ chunkSize: UNZIP_BYTES }), kind);
  } else {
    await blocks.return?.();
    const readable =
      kind === "Parquet" ? 'Set `format = "parquet"`.' : "Decompress it first, or store it as gzip or zstd.";
    throw new EngineError("FILE_FORMAT", `${source.name} is a ${kind} file, not text.`, {
      hint: readable,
      details: { file: source.name, found: kind },
    });
  }
}

function containerOf(head: Uint8Array): string {
  const starts = (...bytes: number[]) => bytes.every((byte, i) => head[i] === byte);
  if (starts(0x1f, 0x8b)) return "gzip";
  if (starts(0x28, 0xb5, 0x2f, 0xfd)) return "zstd";
  if (starts(0x50, 0x4b, 0x03, 0x04)) return "zip";
  if (starts(0x42, 0x5a, 0x68) && head[4] === 0x41 && head[5] === 0x59) return "bzip2";
  if (starts(0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00)) return "xz";
  if (starts(0x50, 0x41, 0x52, 0x31)) return "Parquet";
  return "plain";
}

async function* unzip(
  source: ByteSource,
  blocks: AsyncIterable<Uint8Array>,
  decoder: zlib.Gunzip | zlib.ZstdDecompress,
  kind: string,
): AsyncGenerator<Uint8Array> {
  // An error of the source itself must stay what it is; only the decoder's errors are the file's fault.
  let readFailed: unknown;
  async function* read() {
    try {
      yield* blocks;
    } catch (error) {
      readFailed = error;
      throw error;
    }
  }
  try {
    yield* pipeline(
      Readable.from(read(), { objectMode: false }),
      decoder,
      () => {},
    ) as AsyncIterable<Uint8Array>;
  } catch (cause) {
    if (readFailed !== undefined) throw readFailed;
    const code = (cause as { code?: unknown }).code;
    const cut = code === "Z_BUF_ERROR" || code === "ZSTD_error_srcSize_wrong";
    throw new EngineError(
      "FILE_FORMAT",
      cut
        ? `${source.name} ends in the middle of its ${kind} data: it was cut off or is still being written.`
        : `${source.name} starts like ${kind} but cannot be decompressed.`,
      {
        hint: cut
          ? "Wait until the file is complete, or transfer it again."
          : "Transfer or export the file again.",
        details: { file: source.name, compression: kind },
        cause,
      },
    );
  } finally {
    decoder.destroy();
  }
}

// encodings

function encodingOf(source: ByteSource, head: Uint8Array, wanted: string | undefined): string {
  const utf16 =
    head[0] === 0xff && head[1] === 0xfe
      ? "utf-16le"
      : head[0] === 0xfe && head[1] === 0xff
        ? "utf-16be"
        : undefined;
  if (wanted !== undefined) {
    try {
      const { encoding } = new TextDecoder(wanted);
      // No UTF-8 text starts with these bytes: the mark knows better than the setting.
      return encoding === "utf-8" ? (utf16 ?? encoding) : encoding;
    } catch (cause) {
      throw new EngineError("CONFIG_INVALID", `The encoding "${wanted}" is not known.`, {
        hint: "Use a WHATWG label such as utf-8, latin1, windows-1252, utf-16le, shift_jis.",
        details: { file: source.name, setting: "encoding" },
        cause,
      });
    }
  }
  if (utf16 === "utf-16le" && head.length >= 4 && head[2] === 0 && head[3] === 0) {
    throw new EngineError("FILE_ENCODING", `${source.name} is UTF-32.`, {
      hint: "Export it as UTF-8.",
      details: { file: source.name, found: "utf-32le" },
    });
  }
  return utf16 ?? utf16ByNuls(head) ?? "utf-8";
}

/** Text that is mostly Latin has a NUL in every other byte when it is UTF-16. */
function utf16ByNuls(head: Uint8Array): string | undefined {
  const pairs = head.length >> 1;
  if (pairs < 2 || Buffer.from(head.buffer, head.byteOffset, head.byteLength).indexOf(0) === -1)
    return undefined;
  let even = 0;
  let odd = 0;
  for (let i = 0; i < pairs; i++) {
    if (head[2 * i] === 0) even++;
    if (head[2 * i + 1] === 0) odd++;
  }
  if (odd > pairs * 0.3 && even < odd * 0.1) return "utf-16le";
  if (even > pairs * 0.3 && odd < even * 0.1) return "utf-16be";
  return undefined;
}

function hasUtf8Mark(head: Uint8Array): boolean {
  return head[0] === 0xef && head[1] === 0xbb && head[2] === 0xbf;
}

/** UTF-8 blocks cut between characters, without byte order mark. */
async function* wholeCharacters(blocks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let rest: Uint8Array = NO_BYTES;
  let first = true;
  for await (const block of blocks) {
    let bytes = block;
    if (first) {
      if (rest.length > 0) bytes = concatBytes([rest, block]);
      if (bytes.length < 3) {
        rest = bytes;
        continue;
      }
      first = false;
      rest = NO_BYTES;
      if (hasUtf8Mark(bytes)) bytes = bytes.subarray(3);
    } else if (rest.length > 0) {
      // the character that was cut is a block of its own, so that the rest need not be copied
      const missing = Math.min(characterBytes(rest[0]!) - rest.length, bytes.length);
      rest = concatBytes([rest, bytes.subarray(0, missing)]);
      bytes = bytes.subarray(missing);
      if (characterEnd(rest) === 0) continue;
      yield rest;
      rest = NO_BYTES;
    }
    const end = characterEnd(bytes);
    if (end < bytes.length) rest = Buffer.from(bytes.subarray(end));
    if (end > 0) yield bytes.subarray(0, end);
  }
  if (rest.length > 0) yield rest;
}

/** Where the last character that is complete ends. Broken bytes are left in: the check finds them. */
function characterEnd(bytes: Uint8Array): number {
  const length = bytes.length;
  for (let back = 1; back <= 3 && back <= length; back++) {
    const byte = bytes[length - back]!;
    if (byte < 0x80) return length;
    if (byte >= 0xc0) return characterBytes(byte) > back ? length - back : length;
  }
  return length;
}

/** By its first byte, if it has more than one. */
function characterBytes(first: number): number {
  return first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
}

async function* transcoded(
  source: ByteSource,
  blocks: AsyncIterable<Uint8Array>,
  encoding: string,
): AsyncGenerator<Uint8Array> {
  const decoder = new TextDecoder(encoding, { fatal: true });
  const encoder = new TextEncoder();
  let line = 1;
  try {
    for await (const block of blocks) {
      const bytes = encoder.encode(decoder.decode(block, { stream: true }));
      if (bytes.length === 0) continue;
      yield bytes;
      line += countLines(bytes);
    }
    const bytes = encoder.encode(decoder.decode());
    if (bytes.length > 0) yield bytes;
  } catch (cause) {
    if ((cause as { code?: unknown }).code !== "ERR_ENCODING_INVALID_ENCODED_DATA") throw cause;
    throw new EngineError(
      "FILE_ENCODING",
      `${source.name} is not valid ${encoding}, at or after line ${line}.`,
      {
        hint: `It was read as ${encoding}; set \`encoding\` to what it is, or export it as UTF-8.`,
        details: { file: source.name, line, encoding },
        cause,
      },
    );
  }
}

function notUtf8(source: ByteSource, bytes: Uint8Array, line: number, offset: number): EngineError {
  const at = firstInvalid(bytes);
  const where = line + countLines(bytes.subarray(0, at));
  return new EngineError(
    "FILE_ENCODING",
    `${source.name} is not valid UTF-8: line ${where}, byte ${offset + at}${source.name.match(/\.(gz|zst)$/) ? " (decompressed)" : ""}.`,
    {
      hint: 'If it comes from Excel or an older Western system, set `encoding = "latin1"` (windows-1252); else set what it is, or export it as UTF-8.',
      details: { file: source.name, line: where, byte: offset + at },
    },
  );
}

/** The first byte that cannot be part of UTF-8 text, found by halving. */
function firstInvalid(bytes: Uint8Array): number {
  let low = 0;
  let high = bytes.length;
  // Invariant: bytes[0, low) is fine as far as it goes, bytes[0, high) is not.
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    const cut = bytes.subarray(0, middle);
    if (isUtf8(cut.subarray(0, characterEnd(cut)))) low = middle;
    else high = middle;
  }
  // `low` is the byte that broke it; the character it broke may have begun up to three bytes earlier.
  return characterStart(bytes, low);
}

function characterStart(bytes: Uint8Array, at: number): number {
  for (let start = Math.max(0, at - 3); start < at; start++) {
    if (bytes[start]! >= 0xc0 && !isUtf8(bytes.subarray(0, at + 1)) && isUtf8(bytes.subarray(0, start)))
      return start;
  }
  return at;
}

function rawNul(source: ByteSource, line: number, byte: number): EngineError {
  return new EngineError("FILE_ENCODING", `${source.name} has a NUL character: line ${line}, byte ${byte}.`, {
    hint: 'Text has none: the file may be UTF-16 without a byte order mark (set `encoding = "utf-16le"`), or damaged.',
    details: { file: source.name, line, byte },
  });
}

// streams

/** At least `size` bytes of the start, if there are as many, and the whole stream including them. */
export async function peek(
  stream: AsyncIterable<Uint8Array>,
  size: number,
): Promise<[head: Uint8Array, whole: AsyncIterableIterator<Uint8Array>]> {
  const iterator = stream[Symbol.asyncIterator]();
  const parts: Uint8Array[] = [];
  let length = 0;
  while (length < size) {
    const next = await iterator.next();
    if (next.done) break;
    if (next.value.length === 0) continue;
    parts.push(next.value);
    length += next.value.length;
  }
  const head = parts.length === 0 ? new Uint8Array(0) : concatBytes(parts);
  let headGiven = head.length === 0;
  // By hand, because a generator that was never started does not close what it reads from.
  const whole: AsyncIterableIterator<Uint8Array> = {
    [Symbol.asyncIterator]: () => whole,
    async next() {
      if (headGiven) return iterator.next();
      headGiven = true;
      return { done: false, value: head };
    },
    async return() {
      await iterator.return?.();
      return { done: true, value: undefined };
    },
  };
  return [head.length > size ? head.subarray(0, size) : head, whole];
}
