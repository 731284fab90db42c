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
  BIG,
  FALSE,
  FieldHasher,
  FLOAT,
  HASH_BYTES,
  kindOfNumber,
  kindWithLength,
  LIST,
  NULL,
  OBJECT,
  OTHER,
  TEXT,
  TRUE,
} from "./field-hash.ts";

/** The hash of what stands so deep is summed up at this place; values are put behind all of them. */
const sumsAt = (depth: number): number => depth * HASH_BYTES;
const VALUE_AT = sumsAt(JSON_DEPTH_MAX + 2);
const LAST_ASCII = 0x7f;

export class RowHasher {
  readonly #hasher = new FieldHasher();
  /** The keys of the row before, and their seeds: most rows have the same. */
  readonly #keys: string[] = [];
  readonly #seedsOfKeys: number[] = [];

  constructor() {
    this.#hasher.reserve(VALUE_AT);
  }

  /** Hashes a row, or any value; the next call overwrites the answer. */
  of(value: unknown): Uint8Array {
    this.#begin(0);
    if (isRecord(value)) this.#members(value, 0);
    else this.#field(0, value, 0);
    return this.#end();
  }

  /** Hashes these fields of a row as if it had no others. */
  ofFields(fields: readonly string[], valueIn: (field: string) => unknown): Uint8Array {
    this.#begin(0);
    for (const field of fields) this.#field(this.#seedOf(field), valueIn(field), 0);
    return this.#end();
  }

  #begin(depth: number): void {
    this.#hasher.bytes.fill(0, sumsAt(depth), sumsAt(depth + 1));
  }

  #end(): Uint8Array {
    return this.#hasher.bytes.subarray(0, HASH_BYTES);
  }

  #seedOf(key: string): number {
    return this.#hasher.seedOf(key, VALUE_AT);
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
        seeds[i] = this.#seedOf(key);
      }
      const seed = depth === 0 ? seeds[i++]! : this.#seedOf(key);
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
        this.#addKind(seed, value ? TRUE : FALSE, depth);
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
    this.#addKind(seed, NULL, depth);
  }

  /** A value of which its kind tells all. */
  #addKind(seed: number, kind: number, depth: number): void {
    this.#hasher.run.value(sumsAt(depth), seed, kind, VALUE_AT, 0);
  }

  #addNumber(seed: number, kind: number, value: number, depth: number): void {
    // -0 is the integer 0, as in JSON
    this.#hasher.view.setFloat64(VALUE_AT, value + 0, true);
    this.#hasher.run.value(sumsAt(depth), seed, kind, VALUE_AT, 8);
  }

  #addText(seed: number, kind: number, text: string, depth: number): void {
    const hasher = this.#hasher;
    const { length } = text;
    hasher.reserve(VALUE_AT + length);
    const { bytes } = hasher;
    let all = 0;
    for (let i = 0; i < length; i++) {
      const code = text.charCodeAt(i);
      all |= code;
      bytes[VALUE_AT + i] = code;
    }
    if (all <= LAST_ASCII) {
      hasher.run.value(sumsAt(depth), seed, kindWithLength(kind, length), VALUE_AT, length);
      return;
    }
    const encoded = Buffer.from(text);
    hasher.reserve(VALUE_AT + encoded.length);
    hasher.bytes.set(encoded, VALUE_AT);
    hasher.run.value(sumsAt(depth), seed, kindWithLength(kind, encoded.length), VALUE_AT, encoded.length);
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
    this.#hasher.run.value(sumsAt(depth), seed, kind, sumsAt(depth + 1), HASH_BYTES);
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
