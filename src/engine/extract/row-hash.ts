/**
 * A fast hash of 96 bits that tells rows apart: MurmurHash3 x86_128 (Austin Appleby, public domain) over a
 * canonical form of the value in 32-bit words, cut to three words. No text is made of the row.
 *
 * Two values have one form when they are one JSON document: keys in any order, absent members left out, an
 * instant as its microseconds whatever its zone. Two of a million different rows have one hash with a
 * probability of 6e-18. It is no cryptographic hash: whoever chooses the rows can make two that agree.
 */

import { EngineError } from "../errors.ts";
import { JSON_DEPTH_MAX, PyFloat, plainJson, TypedValue } from "../interop/json.ts";
import { timestampMicros } from "../schema/values.ts";

/** Bytes of a hash: three words, little-endian as on all processors that Node runs on but IBM's. */
export const ROW_HASH_BYTES = 12;

/** Sequences of keys that are kept with their order; rows of one source have a few. */
const SHAPES_KEPT = 16;

// What a value begins with; a text and a list carry their length in the same word.
const NULL = 1;
const FALSE = 2;
const TRUE = 3;
const INTEGER = 4;
const FLOAT = 5;
const BIG = 6;
const TEXT = 7;
const LIST = 8;
const OBJECT = 9;
const OTHER = 10;
const WIDE_TEXT = 11;
const LENGTH_SHIFT = 4;

/** Whoever takes a hash as its three words. */
export interface HashWords {
  appendWords(first: number, second: number, third: number): void;
}

/** The keys of an object as they come. */
interface Shape {
  readonly keys: readonly string[];
  /** Where in `keys` the sorted keys stand. */
  readonly order: readonly number[];
  /** A hash of the sorted keys, which stands for them. */
  readonly words: readonly [number, number, number];
}

export class RowHasher {
  /** The hash that was made last. */
  readonly hash: Uint8Array = new Uint8Array(ROW_HASH_BYTES);
  readonly #hashWords: Int32Array = new Int32Array(this.hash.buffer);
  #words = new Int32Array(256);
  #size = 0;
  readonly #shapes: Shape[] = [];
  /** Members of the objects that are being hashed, the innermost last. */
  readonly #members: unknown[] = [];
  #memberCount = 0;
  readonly #float = new Float64Array(1);
  readonly #floatWords: Int32Array = new Int32Array(this.#float.buffer);

  /** Hashes a value; the answer is `hash`, which the next call overwrites. */
  of(value: unknown): Uint8Array {
    this.#run(value);
    return this.hash;
  }

  /** Hashes a value and adds it to the hashes. */
  addTo(hashes: HashWords, value: unknown): void {
    this.#run(value);
    const words = this.#hashWords;
    hashes.appendWords(words[0]!, words[1]!, words[2]!);
  }

  #run(value: unknown): void {
    this.#size = 0;
    this.#memberCount = 0;
    this.#value(value, 0);
    this.#murmur();
  }

  #room(words: number): void {
    if (this.#size + words <= this.#words.length) return;
    const grown = new Int32Array(Math.max(this.#words.length * 2, this.#size + words));
    grown.set(this.#words);
    this.#words = grown;
  }

  #word(word: number): void {
    this.#room(1);
    this.#words[this.#size++] = word;
  }

  #value(value: unknown, depth: number): void {
    switch (typeof value) {
      case "string":
        this.#text(TEXT, value);
        return;
      case "number":
        this.#number(value);
        return;
      case "boolean":
        this.#word(value ? TRUE : FALSE);
        return;
      case "bigint":
        if (value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER) this.#number(Number(value));
        else this.#text(BIG, String(value));
        return;
      case "object":
        if (value === null) this.#word(NULL);
        else this.#object(value, depth);
        return;
      default:
        this.#word(NULL);
    }
  }

  #number(value: number): void {
    // -0 is the integer 0, as in JSON
    if ((value | 0) === value) {
      this.#room(2);
      this.#words[this.#size++] = INTEGER;
      this.#words[this.#size++] = value;
    } else this.#double(Number.isSafeInteger(value) ? INTEGER | (1 << LENGTH_SHIFT) : FLOAT, value);
  }

  #double(kind: number, value: number): void {
    this.#float[0] = value;
    this.#room(3);
    this.#words[this.#size++] = kind;
    this.#words[this.#size++] = this.#floatWords[0]!;
    this.#words[this.#size++] = this.#floatWords[1]!;
  }

  /** Four characters a word where all are Latin-1, else two. */
  #text(kind: number, text: string): void {
    const { length } = text;
    this.#room((length >> 1) + 3);
    const words = this.#words;
    let at = this.#size;
    words[at++] = kind | (length << LENGTH_SHIFT);
    const start = at;
    let high = 0;
    let i = 0;
    for (; i + 3 < length; i += 4) {
      const a = text.charCodeAt(i);
      const b = text.charCodeAt(i + 1);
      const c = text.charCodeAt(i + 2);
      const d = text.charCodeAt(i + 3);
      high |= a | b | c | d;
      words[at++] = a | (b << 8) | (c << 16) | (d << 24);
    }
    let rest = 0;
    for (let shift = 0; i < length; i++, shift += 8) {
      const code = text.charCodeAt(i);
      high |= code;
      rest |= code << shift;
    }
    if (length & 3) words[at++] = rest;
    if (high > 0xff) {
      at = start;
      words[at++] = WIDE_TEXT;
      for (i = 0; i + 1 < length; i += 2) words[at++] = text.charCodeAt(i) | (text.charCodeAt(i + 1) << 16);
      if (i < length) words[at++] = text.charCodeAt(i);
    }
    this.#size = at;
  }

  #object(value: object, depth: number): void {
    if (depth >= JSON_DEPTH_MAX) {
      throw new EngineError(
        "VALUE_UNSUPPORTED",
        `A value has more than ${JSON_DEPTH_MAX} levels of nesting, or contains itself.`,
      );
    }
    const prototype = Object.getPrototypeOf(value);
    if (prototype === Object.prototype || prototype === null) {
      this.#record(value as Record<string, unknown>, depth);
    } else if (Array.isArray(value)) {
      this.#word(LIST | (value.length << LENGTH_SHIFT));
      for (const member of value) this.#value(member, depth + 1);
    } else if (value instanceof PyFloat) this.#double(FLOAT, value.value);
    else if (value instanceof Date) this.#number(value.getTime() * 1000);
    else if (value instanceof TypedValue) {
      const micros = value.kind === "datetime" ? timestampMicros(value.text) : undefined;
      if (micros === undefined) this.#text(TEXT, value.text);
      else this.#value(micros, depth);
    } else this.#text(OTHER, plainJson(value, { sortKeys: true }));
  }

  /** An undefined member is an absent one. The members are read as they come, then hashed by their sorted keys. */
  #record(record: Record<string, unknown>, depth: number): void {
    const members = this.#members;
    const base = this.#memberCount;
    let shape = this.#shapes[0];
    let at = base;
    // no array of keys or values is made: it would be the one thing per row that has to be collected
    for (const key in record) {
      const member = record[key];
      if (member === undefined) continue;
      if (shape !== undefined && shape.keys[at - base] !== key) shape = undefined;
      members[at++] = member;
    }
    if (shape === undefined || shape.keys.length !== at - base) shape = this.#shapeOf(record);
    const { order, words } = shape;
    this.#room(4);
    this.#words[this.#size++] = OBJECT;
    this.#words[this.#size++] = words[0];
    this.#words[this.#size++] = words[1];
    this.#words[this.#size++] = words[2];
    this.#memberCount = at;
    for (let i = 0; i < order.length; i++) {
      const member = members[base + order[i]!];
      // the most frequent kinds without a call
      if (typeof member === "string") this.#text(TEXT, member);
      else if (typeof member === "number") {
        if ((member | 0) === member && this.#size + 2 <= this.#words.length) {
          this.#words[this.#size++] = INTEGER;
          this.#words[this.#size++] = member;
        } else this.#number(member);
      } else this.#value(member, depth + 1);
    }
    this.#memberCount = base;
  }

  #shapeOf(record: Record<string, unknown>): Shape {
    const keys: string[] = [];
    for (const key in record) if (record[key] !== undefined) keys.push(key);
    const shapes = this.#shapes;
    for (let i = 0; i < shapes.length; i++) {
      const shape = shapes[i]!;
      if (!sameKeys(shape.keys, keys)) continue;
      shapes[i] = shapes[0]!;
      shapes[0] = shape;
      return shape;
    }
    const order = keys.map((_, i) => i).sort((a, b) => (keys[a]! < keys[b]! ? -1 : 1));
    const hasher = new RowHasher();
    hasher.of(order.map((i) => keys[i]));
    const [first, second, third] = hasher.#hashWords;
    const shape = { keys, order, words: [first!, second!, third!] as const };
    shapes.unshift(shape);
    if (shapes.length > SHAPES_KEPT) shapes.pop();
    return shape;
  }

  #murmur(): void {
    const size = this.#size;
    // the last block is filled up with zeros: a value's form says itself where it ends
    this.#room(4);
    const blocks = this.#words;
    for (let at = size; at & 3; at++) blocks[at] = 0;
    let h1 = 0;
    let h2 = 0;
    let h3 = 0;
    let h4 = 0;
    for (let at = 0; at < size; at += 4) {
      h1 ^= Math.imul(rotl(Math.imul(blocks[at]!, 0x239b961b), 15), 0xab0e9789);
      h1 = (Math.imul((rotl(h1, 19) + h2) | 0, 5) + 0x561ccd1b) | 0;
      h2 ^= Math.imul(rotl(Math.imul(blocks[at + 1]!, 0xab0e9789), 16), 0x38b34ae5);
      h2 = (Math.imul((rotl(h2, 17) + h3) | 0, 5) + 0x0bcaa747) | 0;
      h3 ^= Math.imul(rotl(Math.imul(blocks[at + 2]!, 0x38b34ae5), 17), 0xa1e38b93);
      h3 = (Math.imul((rotl(h3, 15) + h4) | 0, 5) + 0x96cd1c35) | 0;
      h4 ^= Math.imul(rotl(Math.imul(blocks[at + 3]!, 0xa1e38b93), 18), 0x239b961b);
      h4 = (Math.imul((rotl(h4, 13) + h1) | 0, 5) + 0x32ac3b17) | 0;
    }
    const length = ((size + 3) & ~3) * 4;
    h1 ^= length;
    h2 ^= length;
    h3 ^= length;
    h4 ^= length;
    h1 = (h1 + h2 + h3 + h4) | 0;
    h2 = mixed((h2 + h1) | 0);
    h3 = mixed((h3 + h1) | 0);
    h4 = mixed((h4 + h1) | 0);
    h1 = mixed(h1);
    h1 = (h1 + h2 + h3 + h4) | 0;
    this.#hashWords[0] = h1;
    this.#hashWords[1] = h2 + h1;
    this.#hashWords[2] = h3 + h1;
  }
}

function sameKeys(a: readonly string[], b: readonly string[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
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
