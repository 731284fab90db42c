/**
 * MurmurHash3 x86_128 (Austin Appleby, public domain) of the bytes of one value, cut to three words that are added to
 * those of other values. It differs in two things: the last block is filled up with zeros, and at the end comes what
 * kind of value it is, with its length, in place of the length.
 */

/** Words of a hash. */
export const HASH_WORDS = 3;

// What a value is; the length of a text in bytes, or of a list, stands above it.
export const NULL = 1;
export const FALSE = 2;
export const TRUE = 3;
export const INTEGER = 4;
export const FLOAT = 5;
export const BIG = 6;
export const TEXT = 7;
export const LIST = 8;
export const OBJECT = 9;
export const OTHER = 10;
const LENGTH_SHIFT = 4;

const BLOCK_BYTES = 16;

export function kindWithLength(kind: number, length: number): number {
  return kind | (length << LENGTH_SHIFT);
}

/** Numbers that JSON writes without a fraction. */
export function kindOfNumber(value: number): number {
  return Number.isSafeInteger(value) ? INTEGER : FLOAT;
}

/** Adds the hash of the bytes `[from, to)` to the words of `sums` from `at` on. */
export function addHash(
  sums: Int32Array,
  at: number,
  seed: number,
  kind: number,
  view: DataView,
  from: number,
  to: number,
): void {
  let h1 = seed;
  let h2 = seed;
  let h3 = seed;
  let h4 = seed;
  for (let i = from; i < to; i += BLOCK_BYTES) {
    const whole = i + BLOCK_BYTES <= to;
    const k1 = whole ? view.getInt32(i, true) : wordAt(view, i, to);
    const k2 = whole ? view.getInt32(i + 4, true) : wordAt(view, i + 4, to);
    const k3 = whole ? view.getInt32(i + 8, true) : wordAt(view, i + 8, to);
    const k4 = whole ? view.getInt32(i + 12, true) : wordAt(view, i + 12, to);
    h1 ^= Math.imul(rotl(Math.imul(k1, 0x239b961b), 15), 0xab0e9789);
    h1 = (Math.imul((rotl(h1, 19) + h2) | 0, 5) + 0x561ccd1b) | 0;
    h2 ^= Math.imul(rotl(Math.imul(k2, 0xab0e9789), 16), 0x38b34ae5);
    h2 = (Math.imul((rotl(h2, 17) + h3) | 0, 5) + 0x0bcaa747) | 0;
    h3 ^= Math.imul(rotl(Math.imul(k3, 0x38b34ae5), 17), 0xa1e38b93);
    h3 = (Math.imul((rotl(h3, 15) + h4) | 0, 5) + 0x96cd1c35) | 0;
    h4 ^= Math.imul(rotl(Math.imul(k4, 0xa1e38b93), 18), 0x239b961b);
    h4 = (Math.imul((rotl(h4, 13) + h1) | 0, 5) + 0x32ac3b17) | 0;
  }
  h1 ^= kind;
  h2 ^= kind;
  h3 ^= kind;
  h4 ^= kind;
  h1 = (h1 + h2 + h3 + h4) | 0;
  h2 = mixed((h2 + h1) | 0);
  h3 = mixed((h3 + h1) | 0);
  h4 = mixed((h4 + h1) | 0);
  h1 = mixed(h1);
  h1 = (h1 + h2 + h3 + h4) | 0;
  sums[at]! += h1;
  sums[at + 1]! += h2 + h1;
  sums[at + 2]! += h3 + h1;
}

/** Zeros stand for what lies at `to` and behind. */
function wordAt(view: DataView, at: number, to: number): number {
  if (at + 4 <= to) return view.getInt32(at, true);
  let word = 0;
  for (let i = at, shift = 0; i < to; i++, shift += 8) word |= view.getUint8(i) << shift;
  return word;
}

function rotl(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}

function mixed(word: number): number {
  let h = word;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

const NO_BYTES = new DataView(new ArrayBuffer(0));

/** For a value that its kind tells all of. */
export function addHashOfNothing(sums: Int32Array, at: number, seed: number, kind: number): void {
  addHash(sums, at, seed, kind, NO_BYTES, 0, 0);
}

/** Of so many keys the seeds are kept. */
const SEEDS_KEPT = 10_000;

/** The seed of a key's values: a word of the key's own hash. */
export class KeySeeds {
  readonly #seeds = new Map<string, number>();

  of(key: string): number {
    const known = this.#seeds.get(key);
    if (known !== undefined) return known;
    if (this.#seeds.size === SEEDS_KEPT) this.#seeds.clear();
    const sums = new Int32Array(HASH_WORDS);
    const bytes = Buffer.from(key);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    addHash(sums, 0, 0, kindWithLength(TEXT, bytes.length), view, 0, bytes.length);
    this.#seeds.set(key, sums[0]!);
    return sums[0]!;
  }
}
