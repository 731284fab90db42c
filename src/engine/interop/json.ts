/**
 * JSON that keeps what Python distinguishes and JavaScript does not: `1` and `1.0` are different values with
 * different types and hashes, and a 64-bit integer stays exact.
 *
 * The value model: an integer token is a `number` when safe, else a `bigint`; a float token is a `number`
 * unless its value is integral, then a `PyFloat`. The other way round a plain number that is a safe integer
 * is an integer, and every other number is a float. Output is byte for byte what dlt writes with orjson 3.13.
 */

import { isUtf8 } from "node:buffer";
import { EngineError } from "../errors.ts";
import { decodeTyped, mayHoldTypedMark, TypedValue } from "./typed-value.ts";

export { decodeTyped, TypedValue } from "./typed-value.ts";

/** A float whose value is integral (`1.0`), which a plain number could not tell from the integer. */
export class PyFloat {
  readonly value: number;

  constructor(value: number) {
    this.value = value;
  }

  valueOf(): number {
    return this.value;
  }

  toJSON(): number {
    return this.value;
  }

  toString(): string {
    return floatText(this.value);
  }
}

export type JsonScalar = string | number | bigint | boolean | null | PyFloat | TypedValue;
/** A parsed value with plain objects. Integer-like keys come first in these: use `JsonDoc` for documents. */
export type JsonValue = JsonScalar | JsonValue[] | { [key: string]: JsonValue };
/** A parsed document: objects are Maps in document order, because the order of keys is the order of columns. */
export type JsonDoc = JsonScalar | JsonDoc[] | Map<string, JsonDoc>;

export type JsonErrorKind = "syntax" | "encoding" | "surrogate" | "number" | "depth";

/** Text that is not JSON. The message tells what and where, never the content. */
export class JsonSyntaxError extends Error {
  readonly kind: JsonErrorKind;
  /** Offset in bytes, counted from the start of the buffer that was given. */
  readonly offset: number;

  constructor(kind: JsonErrorKind, problem: string, offset: number) {
    super(`${problem} at byte ${offset}`);
    this.name = "JsonSyntaxError";
    this.kind = kind;
    this.offset = offset;
  }
}

/** Levels of objects and arrays a document may have; deeper input is refused before the stack overflows. */
export const JSON_DEPTH_MAX = 1000;

/** JSON text as plain objects. */
export function parseJson(text: string): JsonValue {
  return new Parser(utf8Of(text), false, false).document() as JsonValue;
}

/** JSON text as plain objects, marked strings decoded into `TypedValue` (keys stay strings). */
export function parseTypedJson(text: string): JsonValue {
  return new Parser(utf8Of(text), false, mayHoldTypedMark(text)).document() as JsonValue;
}

/** The bytes from `start` to `end` as one JSON document. Marked strings stay strings. */
export function parseJsonDocument(bytes: Uint8Array, start = 0, end = bytes.length): JsonDoc {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return new Parser(buffer, true, false, start, end).document() as JsonDoc;
}

function utf8Of(text: string): Buffer {
  if (!text.isWellFormed()) throw new JsonSyntaxError("surrogate", "Half of a surrogate pair", 0);
  return Buffer.from(text, "utf8");
}

type Parsed = JsonScalar | Parsed[] | Map<string, Parsed> | { [key: string]: Parsed };

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const MINUS = 0x2d;
const ZERO = 0x30;
const NINE = 0x39;

/** Node's own slicing methods, which its types omit; `toString` with an encoding is slower on short slices. */
type Slices = Buffer & {
  latin1Slice(from: number, to: number): string;
  utf8Slice(from: number, to: number): string;
};

class Parser {
  readonly #bytes: Slices;
  readonly #end: number;
  readonly #maps: boolean;
  readonly #typed: boolean;
  #at: number;
  #depth = 0;

  constructor(bytes: Buffer, maps: boolean, typed: boolean, start = 0, end = bytes.length) {
    this.#bytes = bytes as Slices;
    this.#at = start;
    this.#end = Math.min(end, bytes.length);
    this.#maps = maps;
    this.#typed = typed;
  }

  document(): Parsed {
    this.#space();
    const value = this.#value();
    this.#space();
    if (this.#at < this.#end) throw this.#error("syntax", "Unexpected content after the JSON value");
    return value;
  }

  #error(kind: JsonErrorKind, problem: string, offset = this.#at): JsonSyntaxError {
    return new JsonSyntaxError(kind, problem, offset);
  }

  /** The byte at the position, or -1 at the end: the end never equals a character. */
  #peek(): number {
    return this.#at < this.#end ? (this.#bytes[this.#at] as number) : -1;
  }

  #space(): void {
    const bytes = this.#bytes;
    let at = this.#at;
    while (at < this.#end) {
      const byte = bytes[at];
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) break;
      at += 1;
    }
    this.#at = at;
  }

  #value(): Parsed {
    const byte = this.#peek();
    switch (byte) {
      case QUOTE: {
        const text = this.#string();
        return this.#typed ? decodeTyped(text) : text;
      }
      case 0x7b:
        return this.#maps ? this.#map() : this.#object();
      case 0x5b:
        return this.#array();
      case 0x74:
        return this.#word("true", true);
      case 0x66:
        return this.#word("false", false);
      case 0x6e:
        return this.#word("null", null);
      default:
        if (byte === MINUS || (byte >= ZERO && byte <= NINE)) return this.#number();
        if (byte === -1) throw this.#error("syntax", "Unexpected end of JSON");
        if (byte === 0x4e || byte === 0x49) throw this.#error("number", "NaN and Infinity are not JSON");
        throw this.#error("syntax", "Unexpected character");
    }
  }

  #word(word: string, value: boolean | null): boolean | null {
    for (let i = 0; i < word.length; i += 1) {
      if (this.#peek() !== word.charCodeAt(i)) throw this.#error("syntax", "Unexpected character");
      this.#at += 1;
    }
    return value;
  }

  #enter(): void {
    this.#depth += 1;
    if (this.#depth > JSON_DEPTH_MAX) {
      throw this.#error("depth", `More than ${JSON_DEPTH_MAX} levels of nesting`);
    }
    this.#at += 1;
    this.#space();
  }

  #array(): Parsed[] {
    const items: Parsed[] = [];
    this.#enter();
    if (this.#peek() !== 0x5d) {
      for (;;) {
        items.push(this.#value());
        this.#space();
        const byte = this.#peek();
        if (byte === 0x5d) break;
        if (byte !== COMMA) throw this.#expected("a comma or the end of the array");
        this.#at += 1;
        this.#space();
      }
    }
    this.#at += 1;
    this.#depth -= 1;
    return items;
  }

  #map(): Map<string, Parsed> {
    const map = new Map<string, Parsed>();
    this.#enter();
    if (this.#peek() !== 0x7d) {
      do {
        const key = this.#key();
        // set() keeps the first position and takes the last value, as a Python dict does
        map.set(key, this.#value());
      } while (this.#nextMember());
    }
    this.#at += 1;
    this.#depth -= 1;
    return map;
  }

  #object(): { [key: string]: Parsed } {
    const object: { [key: string]: Parsed } = {};
    this.#enter();
    if (this.#peek() !== 0x7d) {
      do {
        const key = this.#key();
        const value = this.#value();
        if (key === "__proto__") {
          // assignment would change the prototype instead of adding a key
          Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
        } else {
          object[key] = value;
        }
      } while (this.#nextMember());
    }
    this.#at += 1;
    this.#depth -= 1;
    return object;
  }

  #key(): string {
    if (this.#peek() !== QUOTE) throw this.#expected("a quoted key");
    const key = this.#string();
    this.#space();
    if (this.#peek() !== COLON) throw this.#expected("a colon");
    this.#at += 1;
    this.#space();
    return key;
  }

  #nextMember(): boolean {
    this.#space();
    const byte = this.#peek();
    if (byte === 0x7d) return false;
    if (byte !== COMMA) throw this.#expected("a comma or the end of the object");
    this.#at += 1;
    this.#space();
    return true;
  }

  #expected(what: string): JsonSyntaxError {
    return this.#at >= this.#end
      ? this.#error("syntax", "Unexpected end of JSON")
      : this.#error("syntax", `Expected ${what}`);
  }

  #number(): number | bigint | PyFloat {
    const start = this.#at;
    let integer = true;
    if (this.#peek() === MINUS) this.#at += 1;
    if (this.#peek() === ZERO) this.#at += 1;
    else this.#digits();
    if (this.#peek() === 0x2e) {
      integer = false;
      this.#at += 1;
      this.#digits();
    }
    let byte = this.#peek();
    if (byte === 0x65 || byte === 0x45) {
      integer = false;
      this.#at += 1;
      byte = this.#peek();
      if (byte === 0x2b || byte === MINUS) this.#at += 1;
      this.#digits();
    }
    byte = this.#peek();
    if (byte >= ZERO && byte <= NINE)
      throw this.#error("number", "A number starts with a superfluous zero", start);
    const token = this.#bytes.latin1Slice(start, this.#at);
    const value = Number(token);
    if (integer) {
      // -0 is the integer 0; adding 0 drops the sign
      return Number.isSafeInteger(value) ? value + 0 : BigInt(token);
    }
    if (!Number.isFinite(value)) throw this.#error("number", "A number is too large for a double", start);
    return Number.isInteger(value) ? new PyFloat(value) : value;
  }

  #digits(): void {
    const start = this.#at;
    for (let byte = this.#peek(); byte >= ZERO && byte <= NINE; byte = this.#peek()) this.#at += 1;
    if (this.#at === start) throw this.#error("number", "Expected a digit");
  }

  #string(): string {
    const bytes = this.#bytes;
    const start = this.#at + 1;
    let at = start;
    let high = 0;
    for (; at < this.#end; at += 1) {
      const byte = bytes[at] as number;
      if (byte === QUOTE || byte === BACKSLASH || byte < 0x20) break;
      high |= byte;
    }
    if (at < this.#end && bytes[at] === QUOTE) {
      this.#at = at + 1;
      return this.#decode(start, at, high);
    }
    let text = this.#decode(start, at, high);
    this.#at = at;
    for (;;) {
      const byte = this.#peek();
      if (byte === -1) throw this.#error("syntax", "Unexpected end of JSON in a string");
      if (byte === QUOTE) {
        this.#at += 1;
        return text;
      }
      if (byte < 0x20) throw this.#error("syntax", "Unescaped control character in a string");
      if (byte === BACKSLASH) {
        text += this.#escape();
        continue;
      }
      const from = this.#at;
      high = 0;
      let to = from;
      for (; to < this.#end; to += 1) {
        const next = bytes[to] as number;
        if (next === QUOTE || next === BACKSLASH || next < 0x20) break;
        high |= next;
      }
      text += this.#decode(from, to, high);
      this.#at = to;
    }
  }

  #decode(from: number, to: number, high: number): string {
    if (high < 0x80) return this.#bytes.latin1Slice(from, to);
    if (!isUtf8(this.#bytes.subarray(from, to)))
      throw this.#error("encoding", "A string is not valid UTF-8", from);
    return this.#bytes.utf8Slice(from, to);
  }

  #escape(): string {
    const start = this.#at;
    this.#at += 1;
    const byte = this.#peek();
    this.#at += 1;
    switch (byte) {
      case QUOTE:
        return '"';
      case BACKSLASH:
        return "\\";
      case 0x2f:
        return "/";
      case 0x62:
        return "\b";
      case 0x66:
        return "\f";
      case 0x6e:
        return "\n";
      case 0x72:
        return "\r";
      case 0x74:
        return "\t";
      case 0x75:
        break;
      default:
        throw this.#error("syntax", "Unknown escape in a string", start);
    }
    const unit = this.#hex4(start);
    if (unit < 0xd800 || unit > 0xdfff) return String.fromCharCode(unit);
    if (unit < 0xdc00 && this.#peek() === BACKSLASH && this.#bytes[this.#at + 1] === 0x75) {
      this.#at += 2;
      const low = this.#hex4(start);
      if (low >= 0xdc00 && low <= 0xdfff) return String.fromCharCode(unit, low);
    }
    throw this.#error("surrogate", "Half of a surrogate pair in a string", start);
  }

  #hex4(start: number): number {
    let unit = 0;
    for (let i = 0; i < 4; i += 1) {
      const byte = this.#peek();
      let digit: number;
      if (byte >= ZERO && byte <= NINE) digit = byte - ZERO;
      else if (byte >= 0x61 && byte <= 0x66) digit = byte - 0x57;
      else if (byte >= 0x41 && byte <= 0x46) digit = byte - 0x37;
      else throw this.#error("syntax", "Invalid \\u escape in a string", start);
      unit = unit * 16 + digit;
      this.#at += 1;
    }
    return unit;
  }
}

export interface JsonOptions {
  /** Sort the keys of every object by code point, as hashes need it. */
  readonly sortKeys?: boolean;
}

/**
 * Compact JSON as dlt's `json.dumps`: special values as their bare text.
 * `plainJson(new Map([["a", new PyFloat(1)]]))` is `{"a":1.0}`.
 */
export function plainJson(value: unknown, options: JsonOptions = {}): string {
  return write(value, options.sortKeys === true, false, 0);
}

/** Compact JSON as dlt's `json.typed_dumps`: special values marked with their type. */
export function typedJson(value: unknown, options: JsonOptions = {}): string {
  return write(value, options.sortKeys === true, true, 0);
}

/** Compact JSON indented by two spaces, as dlt writes the schema files of the working folder. */
export function indentJson(compact: string): string {
  const tokens = compact.match(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^{}[\],:"]+/g) ?? [];
  const line = (depth: number) => "\n" + "  ".repeat(depth);
  let out = "";
  let depth = 0;
  for (const [i, token] of tokens.entries()) {
    const opens = token === "{" || token === "[";
    const closes = token === "}" || token === "]";
    if (opens) depth += 1;
    if (closes) {
      depth -= 1;
      const before = tokens[i - 1];
      // an empty object or array stays on its line
      if (before !== "{" && before !== "[") out += line(depth);
    }
    out += token;
    const next = tokens[i + 1];
    if (token === ",") out += line(depth);
    else if (token === ":") out += " ";
    else if (opens && next !== "}" && next !== "]") out += line(depth);
  }
  return out;
}

function write(value: unknown, sort: boolean, typed: boolean, depth: number): string {
  switch (typeof value) {
    case "string":
      return quote(value);
    case "number":
      return Number.isSafeInteger(value) ? String(value) : floatText(value);
    case "boolean":
      return value ? "true" : "false";
    case "bigint":
      return String(value);
    case "undefined":
      return "null";
    case "object":
      return value === null ? "null" : writeObject(value, sort, typed, depth);
    default:
      throw new EngineError("VALUE_UNSUPPORTED", `A ${typeof value} cannot be written as JSON.`);
  }
}

function writeObject(value: object, sort: boolean, typed: boolean, depth: number): string {
  if (depth >= JSON_DEPTH_MAX) {
    throw new EngineError(
      "VALUE_UNSUPPORTED",
      `A value has more than ${JSON_DEPTH_MAX} levels of nesting, or contains itself.`,
    );
  }
  if (Array.isArray(value)) {
    let out = "[";
    for (let i = 0; i < value.length; i += 1) {
      if (i > 0) out += ",";
      out += write(value[i], sort, typed, depth + 1);
    }
    return out + "]";
  }
  if (value instanceof Map) return writeMap(value, sort, typed, depth);
  if (value instanceof PyFloat) return floatText(value.value);
  if (value instanceof TypedValue) return quote(typed ? value.encoded() : value.text);
  if (value instanceof Date) return writeTyped(new TypedValue("datetime", isoOfDate(value)), typed);
  if (value instanceof Uint8Array) {
    const base64 = Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("base64");
    return writeTyped(new TypedValue("bytes", base64), typed);
  }
  const record = value as Record<string, unknown>;
  const keys = Object.keys(record);
  if (sort) sortByCodePoint(keys);
  let out = "{";
  for (const key of keys) {
    const member = record[key];
    // as JSON.stringify: an undefined member is an absent one
    if (member === undefined) continue;
    if (out.length > 1) out += ",";
    out += quote(key) + ":" + write(member, sort, typed, depth + 1);
  }
  return out + "}";
}

function writeMap(map: Map<unknown, unknown>, sort: boolean, typed: boolean, depth: number): string {
  let out = "{";
  const entries: Iterable<[unknown, unknown]> = sort ? sortedEntries(map) : map;
  for (const [key, member] of entries) {
    if (member === undefined) continue;
    if (out.length > 1) out += ",";
    out += quote(String(key)) + ":" + write(member, sort, typed, depth + 1);
  }
  return out + "}";
}

function sortedEntries(map: Map<unknown, unknown>): [unknown, unknown][] {
  return [...map].sort((a, b) => compareCodePoints(String(a[0]), String(b[0])));
}

function writeTyped(value: TypedValue, typed: boolean): string {
  return quote(typed ? value.encoded() : value.text);
}

const NEEDS_CARE = /[\u0000-\u001f"\\\ud800-\udfff]/;

function quote(text: string): string {
  if (!NEEDS_CARE.test(text)) return '"' + text + '"';
  if (!text.isWellFormed()) {
    throw new EngineError(
      "VALUE_UNSUPPORTED",
      "A string holds half of a surrogate pair, which UTF-8 cannot.",
    );
  }
  // JSON.stringify escapes exactly what orjson does: quote, backslash and control characters
  return JSON.stringify(text);
}

/** A float as orjson 3.13 prints it: shortest digits, `1.0`, exponents outside [1e-5, 1e16), NaN as null. */
export function floatText(value: number): string {
  if (!Number.isFinite(value)) return "null";
  if (value === 0) return Object.is(value, -0) ? "-0.0" : "0.0";
  const size = Math.abs(value);
  if (size >= 1e16 || size < 1e-5) return value.toExponential();
  return Number.isInteger(value) ? value + ".0" : String(value);
}

/** As Python writes it. */
export function isoOfDate(date: Date): string {
  const year = date.getUTCFullYear();
  if (!(year >= 1 && year <= 9999)) {
    throw new EngineError("VALUE_UNSUPPORTED", "A Date is invalid or outside the years 1 to 9999.");
  }
  const text = date.toISOString();
  const millis = date.getUTCMilliseconds();
  // Python writes no fraction when it is zero, and six digits otherwise
  return text.slice(0, 19) + (millis === 0 ? "" : text.slice(19, 23) + "000") + "+00:00";
}

/** Sorts in place by code point, the order of UTF-8 bytes. JavaScript's own order is that of UTF-16 units. */
export function sortByCodePoint(keys: string[]): string[] {
  return keys.some((key) => /[\ud800-\udfff]/.test(key)) ? keys.sort(compareCodePoints) : keys.sort();
}

/** The order of two strings by code point. */
export function compareCodePoints(a: string, b: string): number {
  if (a === b) return 0;
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i += 1) {
    let x = a.charCodeAt(i);
    let y = b.charCodeAt(i);
    if (x === y) continue;
    // surrogates stand for code points above every other unit: lift them over U+E000..U+FFFF
    if (x >= 0xd800) x = x >= 0xe000 ? x - 0x800 : x + 0x2000;
    if (y >= 0xd800) y = y >= 0xe000 ? y - 0x800 : y + 0x2000;
    return x - y;
  }
  return a.length - b.length;
}
