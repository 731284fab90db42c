/**
 * A fast hash of 96 bits that tells rows apart: the sum, word by word, of the hashes of a row's fields, each with a
 * seed made of its key (field-hash.ts). So keys may come in any order, and rows that are columns are hashed column
 * by column (column-hash.ts). An object or a list within a row is hashed as a row is, and that hash is its value.
 *
 * Two values have one form when they are one JSON document: keys in any order, absent members left out, an
 * instant as its microseconds whatever its zone. Two of a million different rows have one hash with a
 * probability of 6e-18. It is no cryptographic hash: whoever chooses the rows can make two that agree.
 */

import { EngineError } from "../errors.ts";
import { JSON_DEPTH_MAX, PyFloat, plainJson, TypedValue } from "../interop/json.ts";
import { timestampMicros } from "../schema/values.ts";
import {
  addHash,
  addHashOfNothing,
  BIG,
  FALSE,
  FLOAT,
  HASH_WORDS,
  KeySeeds,
  kindOfNumber,
  kindWithLength,
  LIST,
  NULL,
  OBJECT,
  OTHER,
  TEXT,
  TRUE,
} from "./field-hash.ts";

/** Bytes of a hash, its words little-endian as on all processors that Node runs on but IBM's. */
export const ROW_HASH_BYTES = HASH_WORDS * 4;

const LAST_ASCII = 0x7f;

export class RowHasher {
  /** The hash that was made last: its words and its bytes. */
  readonly words: Int32Array = new Int32Array(HASH_WORDS);
  readonly hash: Uint8Array = new Uint8Array(this.words.buffer);
  /** What the hash is becoming; behind it those of the objects within. */
  #sums = new Int32Array(HASH_WORDS * 4);
  #sumsView = new DataView(this.#sums.buffer);
  readonly #seeds = new KeySeeds();
  /** The keys of the row before, and their seeds: most rows have the same. */
  readonly #keys: string[] = [];
  readonly #seedsOfKeys: number[] = [];
  readonly #number = new Float64Array(1);
  readonly #numberView = new DataView(this.#number.buffer);
  /** A text, four characters a word. */
  #text = new Int32Array(64);
  #textView = new DataView(this.#text.buffer);

  /** Hashes a row, or any value; the answer is `hash`, which the next call overwrites. */
  of(value: unknown): Uint8Array {
    this.#begin(0);
    if (isRecord(value)) this.#members(value, 0);
    else this.#field(0, value, 0);
    return this.#end();
  }

  /** Hashes these fields of a row as if it had no others. */
  ofFields(fields: readonly string[], valueIn: (field: string) => unknown): Uint8Array {
    this.#begin(0);
    for (const field of fields) this.#field(this.#seeds.of(field), valueIn(field), 0);
    return this.#end();
  }

  #end(): Uint8Array {
    const { words } = this;
    for (let i = 0; i < HASH_WORDS; i++) words[i] = this.#sums[i]!;
    return this.hash;
  }

  #begin(depth: number): void {
    const end = (depth + 1) * HASH_WORDS;
    if (end > this.#sums.length) {
      const grown = new Int32Array(end * 2);
      grown.set(this.#sums);
      this.#sums = grown;
      this.#sumsView = new DataView(grown.buffer);
    }
    this.#sums.fill(0, depth * HASH_WORDS, end);
  }

  /** An undefined member is an absent one. */
  #members(record: Record<string, unknown>, depth: number): void {
    const keys = this.#keys;
    const seeds = this.#seedsOfKeys;
    let i = 0;
    for (const key in record) {
      const value = record[key];
      if (depth === 0 && keys[i] !== key) {
        keys[i] = key;
        seeds[i] = this.#seeds.of(key);
      }
      const seed = depth === 0 ? seeds[i++]! : this.#seeds.of(key);
      // the most frequent kind without a call
      if (typeof value === "string") this.#addText(seed, TEXT, value, depth);
      else if (value !== undefined) this.#field(seed, value, depth);
    }
  }

  #field(seed: number, value: unknown, depth: number): void {
    switch (typeof value) {
      case "string":
        this.#addText(seed, TEXT, value, depth);
        return;
      case "number":
        this.#addNumber(seed, kindOfNumber(value), value, depth);
        return;
      case "boolean":
        addHashOfNothing(this.#sums, depth * HASH_WORDS, seed, value ? TRUE : FALSE);
        return;
      case "bigint":
        if (value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER)
          this.#field(seed, Number(value), depth);
        else this.#addText(seed, BIG, String(value), depth);
        return;
      case "object":
        if (value !== null) {
          this.#object(seed, value, depth);
          return;
        }
    }
    addHashOfNothing(this.#sums, depth * HASH_WORDS, seed, NULL);
  }

  #addNumber(seed: number, kind: number, value: number, depth: number): void {
    // -0 is the integer 0, as in JSON
    this.#number[0] = value + 0;
    addHash(this.#sums, depth * HASH_WORDS, seed, kind, this.#numberView, 0, 8);
  }

  #addText(seed: number, kind: number, text: string, depth: number): void {
    const { length } = text;
    if (length + 4 > this.#text.length * 4) {
      this.#text = new Int32Array(length);
      this.#textView = new DataView(this.#text.buffer);
    }
    const words = this.#text;
    let all = 0;
    let at = 0;
    let i = 0;
    for (; i + 3 < length; i += 4) {
      const a = text.charCodeAt(i);
      const b = text.charCodeAt(i + 1);
      const c = text.charCodeAt(i + 2);
      const d = text.charCodeAt(i + 3);
      all |= a | b | c | d;
      words[at++] = a | (b << 8) | (c << 16) | (d << 24);
    }
    let rest = 0;
    for (let shift = 0; i < length; i++, shift += 8) {
      const code = text.charCodeAt(i);
      all |= code;
      rest |= code << shift;
    }
    words[at] = rest;
    const place = depth * HASH_WORDS;
    if (all <= LAST_ASCII) {
      addHash(this.#sums, place, seed, kindWithLength(kind, length), this.#textView, 0, length);
      return;
    }
    const bytes = Buffer.from(text);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    addHash(this.#sums, place, seed, kindWithLength(kind, bytes.length), view, 0, bytes.length);
  }

  #object(seed: number, value: object, depth: number): void {
    if (value instanceof PyFloat) this.#addNumber(seed, FLOAT, value.value, depth);
    else if (value instanceof Date) this.#field(seed, value.getTime() * 1000, depth);
    else if (value instanceof TypedValue) {
      const micros = value.kind === "datetime" ? timestampMicros(value.text) : undefined;
      if (micros === undefined) this.#addText(seed, TEXT, value.text, depth);
      else this.#field(seed, micros, depth);
    } else if (isRecord(value)) {
      this.#beginNested(depth);
      this.#members(value, depth + 1);
      this.#addNested(seed, OBJECT, depth);
    } else if (Array.isArray(value)) {
      this.#beginNested(depth);
      for (let i = 0; i < value.length; i++) this.#field(i, value[i], depth + 1);
      this.#addNested(seed, kindWithLength(LIST, value.length), depth);
    } else this.#addText(seed, OTHER, plainJson(value, { sortKeys: true }), depth);
  }

  #beginNested(depth: number): void {
    if (depth >= JSON_DEPTH_MAX) {
      throw new EngineError(
        "VALUE_UNSUPPORTED",
        `A value has more than ${JSON_DEPTH_MAX} levels of nesting, or contains itself.`,
      );
    }
    this.#begin(depth + 1);
  }

  /** The hash of what is within becomes a value of what it is in. */
  #addNested(seed: number, kind: number, depth: number): void {
    const from = (depth + 1) * ROW_HASH_BYTES;
    addHash(this.#sums, depth * HASH_WORDS, seed, kind, this.#sumsView, from, from + ROW_HASH_BYTES);
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
