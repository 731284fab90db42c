/** How a CSV file is written: told by its options, else by its first 64 KB. */

import { EngineError } from "../../engine/errors.ts";

export interface Dialect {
  readonly delimiter: number;
  /** -1: none. */
  readonly quote: number;
  /** The byte that ends a record; 13 for files that have no line feed. */
  readonly end: number;
}

export interface DialectOptions {
  /** One byte. Default: the most regular of `,` `;` tab `|` in the first 64 KB. */
  delimiter?: string;
  /** One byte; empty: quotes have no meaning. */
  quote?: string;
}

const SNIFF_BYTES = 64 * 1024;
const SNIFF_RECORDS = 100;
const LF = 10;
const CR = 13;
const CANDIDATES = [",", ";", "\t", "|"].map((text) => text.charCodeAt(0));

/** `head`: the start of the file's text. */
export function sniffCsv(head: Uint8Array, options: DialectOptions = {}): Dialect {
  const sample = head.subarray(0, SNIFF_BYTES);
  const quote = options.quote === "" ? -1 : byteOf("quote", options.quote ?? '"');
  const end = sample.includes(LF) || !sample.includes(CR) ? LF : CR;
  const delimiter =
    options.delimiter === undefined
      ? sniffDelimiter(sample, quote, end)
      : byteOf("delimiter", options.delimiter);
  return { delimiter, quote, end };
}

/** The delimiter whose count is the same in most records as in the first; of equals the most frequent one. */
function sniffDelimiter(sample: Uint8Array, quote: number, end: number): number {
  const counts: number[][] = [];
  let record = CANDIDATES.map(() => 0);
  let inQuotes = false;
  let length = 0;
  for (const byte of sample) {
    if (byte === quote) inQuotes = !inQuotes;
    if (inQuotes) continue;
    if (byte === end) {
      if (length > 0) counts.push(record);
      if (counts.length === SNIFF_RECORDS) break;
      record = CANDIDATES.map(() => 0);
      length = 0;
      continue;
    }
    if (byte !== CR) length++;
    const candidate = CANDIDATES.indexOf(byte);
    if (candidate !== -1) record[candidate]!++;
  }
  // The last record may be cut; it counts only when it is all there is.
  if (counts.length === 0) counts.push(record);
  let best = 0;
  let bestScore = -1;
  for (let candidate = 0; candidate < CANDIDATES.length; candidate++) {
    const first = counts[0]![candidate]!;
    if (first === 0) continue;
    const same = counts.filter((record) => record[candidate] === first).length / counts.length;
    const score = Math.round(same * 10) * 1000 + Math.min(first, 999);
    if (score > bestScore) {
      best = candidate;
      bestScore = score;
    }
  }
  return CANDIDATES[best]!;
}

function byteOf(setting: string, text: string): number {
  const byte = text.charCodeAt(0);
  if (text.length === 1 && byte < 0x80 && byte !== LF && byte !== CR) return byte;
  throw new EngineError("CONFIG_INVALID", `The CSV ${setting} must be one ASCII character.`, {
    details: { setting: `csv.${setting}` },
  });
}
