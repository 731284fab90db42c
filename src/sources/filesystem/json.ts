/**
 * One JSON document: an array of rows, one row, or an array somewhere inside (`path`). The document is cut
 * into rows on bytes, row by row, so that its size does not matter; what is inside a row is the normalizer's
 * to parse. Outside strings, line ends become spaces; the page gets them back as blank lines after the row,
 * so that a page's lines are the file's lines (in a minified document: at least its rows are counted).
 */

import { EngineError } from "../../engine/errors.ts";
import { JsonlPage } from "../../engine/extract/page.ts";
import type { ByteSource } from "./byte-source.ts";
import { type DecodeOptions, readText } from "./decode.ts";
import { PAGE_BYTES } from "./jsonl.ts";

export interface JsonOptions extends DecodeOptions {
  /** Where the rows are, as dotted keys from the top: `data.items`. Default: the document itself. */
  path?: string;
  pageBytes?: number;
  rowBytesMax?: number;
}

export const ROW_BYTES_MAX = 256 * 1024 * 1024;

export async function* readJson(source: ByteSource, options: JsonOptions = {}): AsyncGenerator<JsonlPage> {
  const { pageBytes = PAGE_BYTES } = options;
  const cutter = new RowCutter(source.name, options);
  for await (const block of readText(source, options)) {
    cutter.feed(block.bytes);
    if (cutter.ready >= pageBytes) yield cutter.take();
  }
  cutter.finish();
  if (cutter.ready > 0) yield cutter.take();
}

/**
 * States. Until the rows: `value` (the document, or the value at the path so far), in an object on the way
 * `key`, `colon`, `other` (the value of another key), `after-other`. At the rows: `first-row` (or `]`), `row`
 * (after a comma), `in-row`, `after-row`. After them: `rest` (closing brackets are still checked), `end`.
 */
type State =
  | "value"
  | "first-key"
  | "key"
  | "colon"
  | "other"
  | "after-other"
  | "first-row"
  | "row"
  | "in-row"
  | "after-row"
  | "rest"
  | "end";

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const COMMA = 0x2c;
const COLON = 0x3a;
const LF = 10;
const CR = 13;
const SPACE = 0x20;

/** Bytes that change nothing: inside a string, and inside a row outside of strings. */
const plainBut = (...stops: readonly number[]) =>
  new Uint8Array(256).fill(1).map((_, byte) => (stops.includes(byte) ? 0 : 1));
const PLAIN_IN_STRING = plainBut(QUOTE, BACKSLASH, LF);
const PLAIN_IN_ROW = plainBut(QUOTE, OPEN_ARRAY, CLOSE_ARRAY, OPEN_OBJECT, CLOSE_OBJECT, LF);

class RowCutter {
  private readonly file: string;
  private readonly path: readonly string[];
  private readonly rowBytesMax: number;
  private state: State = "value";
  private inString = false;
  private escaped = false;
  /** Open brackets around the current byte. */
  private readonly open: number[] = [];
  /** How many keys of the path have been found. */
  private found = 0;
  private matched = false;
  private reached = false;
  /** The bytes of the key that is being read. */
  private key: number[] = [];
  private rowDepth = 0;
  /** The line that the current row starts on. */
  private rowLine = 1;
  private single = false;
  private line = 1;
  private stringLine = 1;
  private out: Uint8Array = new Uint8Array(1 << 21);
  private length = 0;
  /** The end of the last complete row in `out`. */
  private complete = 0;
  /** The file's line that the page starts on, and how many line ends the page has. */
  private pageLine = 1;
  private pageLines = 0;

  constructor(file: string, options: JsonOptions) {
    this.file = file;
    this.path = options.path === undefined || options.path === "" ? [] : options.path.split(".");
    this.rowBytesMax = options.rowBytesMax ?? ROW_BYTES_MAX;
  }

  /** Bytes of complete rows. */
  get ready(): number {
    return this.complete;
  }

  take(): JsonlPage {
    const page = new JsonlPage(this.out.slice(0, this.complete), {
      origin: { file: this.file, line: this.pageLine },
    });
    this.out.copyWithin(0, this.complete, this.length);
    this.length -= this.complete;
    this.complete = 0;
    this.pageLine = this.rowLine;
    this.pageLines = 0;
    return page;
  }

  feed(bytes: Uint8Array): void {
    const end = bytes.length;
    // Where the part of a row that is not copied yet begins; only in state `in-row`.
    let copyFrom = 0;
    let at = 0;
    while (at < end) {
      if (this.inString) {
        at = this.skipString(bytes, at);
        continue;
      }
      if (this.state === "in-row") {
        while (at < end && PLAIN_IN_ROW[bytes[at]!] === 1) at++;
        if (at === end) break;
      }
      const byte = bytes[at]!;
      if (byte === LF) this.line++;
      if (byte === LF || byte === SPACE || byte === CR || byte === 9) {
        at++;
        continue;
      }
      if (this.state === "in-row") {
        at++;
        if (byte === QUOTE) this.openString();
        else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) this.open.push(byte);
        else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) {
          this.close(byte);
          if (this.open.length === this.rowDepth) {
            this.copy(bytes, copyFrom, at);
            this.endRow();
          }
        }
        continue;
      }
      if (this.step(byte)) copyFrom = at;
      at++;
    }
    if (this.state === "in-row") this.copy(bytes, copyFrom, end);
  }

  finish(): void {
    if (this.inString) throw this.broken(`the string that starts on line ${this.stringLine} is not closed`);
    if (this.state === "value" && this.open.length === 0) return;
    if (this.open.length > 0) {
      throw this.broken(
        `the file ends inside ${this.open.length} open bracket${this.open.length > 1 ? "s" : ""}`,
      );
    }
    if (this.path.length > 0 && !this.reached) {
      throw new EngineError("FILE_FORMAT", `${this.file} has no "${this.path.join(".")}".`, {
        hint: "Set the json `path` to the dotted keys that lead to the array of rows.",
        details: { file: this.file, path: this.path.join(".") },
      });
    }
  }

  /** One byte of structure outside of rows. True: a row starts with it. */
  private step(byte: number): boolean {
    switch (this.state) {
      case "value":
        return this.enter(byte);
      case "first-key":
      case "key":
        if (byte === QUOTE) {
          this.key = [];
          this.openString();
          this.state = "colon";
        } else if (byte === CLOSE_OBJECT && this.state === "first-key") this.leave(byte);
        else throw this.unexpected(byte, "a key");
        return false;
      case "colon":
        if (byte !== COLON) throw this.unexpected(byte, "a colon");
        this.matched = this.keyText() === this.path[this.found];
        if (this.matched) this.found++;
        this.state = this.matched ? "value" : "other";
        return false;
      case "other":
        this.skipValue(byte);
        return false;
      case "after-other":
        if (byte === COMMA) this.state = "key";
        else if (byte === CLOSE_OBJECT) this.leave(byte);
        else this.skipValue(byte);
        return false;
      case "first-row":
      case "row":
        if (byte === OPEN_OBJECT) return this.startRow(byte);
        if (byte === CLOSE_ARRAY && this.state === "first-row") {
          this.leave(byte);
          return false;
        }
        throw this.unexpected(byte, "an object as the next row");
      case "after-row":
        if (byte === COMMA) this.state = "row";
        else if (byte === CLOSE_ARRAY) this.leave(byte);
        else throw this.unexpected(byte, "a comma or the end of the array");
        return false;
      case "rest":
        if (byte === QUOTE) this.openString();
        else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) this.open.push(byte);
        else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) this.leave(byte);
        return false;
      case "end":
        throw this.single && byte === OPEN_OBJECT
          ? this.broken(
              "a second object follows the first",
              'It looks like JSON Lines: set `format = "jsonl"`.',
            )
          : this.unexpected(byte, "the end of the file");
      case "in-row":
        return false;
    }
  }

  /** The value at the path so far: the rows, the row, or the next object on the way. */
  private enter(byte: number): boolean {
    if (this.found === this.path.length) {
      this.reached = true;
      if (byte === OPEN_OBJECT) {
        this.single = true;
        return this.startRow(byte);
      }
      if (byte !== OPEN_ARRAY) throw this.unexpected(byte, "an array of rows or an object");
      this.open.push(byte);
      this.state = "first-row";
      return false;
    }
    if (byte !== OPEN_OBJECT) {
      throw this.unexpected(byte, `an object with the key ${JSON.stringify(this.path[this.found])}`);
    }
    this.open.push(byte);
    this.state = "first-key";
    return false;
  }

  /** Values of other keys: strings, brackets and the letters of literals are passed over. */
  private skipValue(byte: number): void {
    const depth = this.found + 1;
    if (byte === QUOTE) this.openString();
    else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) this.open.push(byte);
    else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) this.close(byte);
    this.state = this.open.length > depth ? "other" : "after-other";
  }

  private startRow(byte: number): boolean {
    // Bring the page to the row's line, as far as it is behind.
    if (this.complete === 0) {
      this.pageLine = this.line;
      this.pageLines = 0;
    } else {
      this.grow(this.line - this.pageLine + 1);
      while (this.pageLine + this.pageLines < this.line && this.length === this.complete) this.endLine();
    }
    this.rowLine = this.line;
    this.rowDepth = this.open.length;
    this.open.push(byte);
    this.state = "in-row";
    return true;
  }

  private endRow(): void {
    this.grow(1);
    this.endLine();
    if (this.open.length > 0) this.state = this.single ? "rest" : "after-row";
    else this.state = "end";
  }

  private endLine(): void {
    this.out[this.length++] = LF;
    this.complete = this.length;
    this.pageLines++;
  }

  /** A closing bracket outside of rows. What comes after the rows, or after the object on the way, is the rest. */
  private leave(byte: number): void {
    this.close(byte);
    this.state = this.open.length === 0 ? "end" : "rest";
  }

  private close(byte: number): void {
    const opened = this.open.pop();
    if (opened !== (byte === CLOSE_OBJECT ? OPEN_OBJECT : OPEN_ARRAY)) {
      throw this.broken(`"${String.fromCharCode(byte)}" closes nothing that is open`);
    }
  }

  private openString(): void {
    this.inString = true;
    this.stringLine = this.line;
  }

  /** Goes on behind the string, or to the end of the block. */
  private skipString(bytes: Uint8Array, from: number): number {
    const end = bytes.length;
    const isKey = this.state === "colon";
    let at = from;
    if (this.escaped) {
      if (isKey) this.key.push(bytes[at]!);
      this.escaped = false;
      at++;
    }
    while (at < end) {
      if (!isKey) {
        while (at < end && PLAIN_IN_STRING[bytes[at]!] === 1) at++;
        if (at === end) break;
      }
      const byte = bytes[at]!;
      if (byte === QUOTE) {
        this.inString = false;
        return at + 1;
      }
      if (byte === LF) throw this.broken("a string is not closed on its line");
      if (isKey) this.key.push(byte);
      at++;
      if (byte === BACKSLASH) {
        if (at === end) {
          this.escaped = true;
          return at;
        }
        if (isKey) this.key.push(bytes[at]!);
        at++;
      }
    }
    return at;
  }

  private keyText(): string {
    const raw = Buffer.from(this.key).toString();
    if (!raw.includes("\\")) return raw;
    try {
      return String(JSON.parse(`"${raw}"`));
    } catch (cause) {
      throw this.broken("a key has a broken escape", undefined, cause);
    }
  }

  private copy(bytes: Uint8Array, from: number, to: number): void {
    const added = to - from;
    if (this.length - this.complete + added > this.rowBytesMax) {
      throw this.broken(`a row is longer than ${this.rowBytesMax} bytes`);
    }
    this.grow(added);
    const target = this.out.subarray(this.length, this.length + added);
    target.set(bytes.subarray(from, to));
    for (let at = target.indexOf(LF); at !== -1; at = target.indexOf(LF, at + 1)) target[at] = SPACE;
    this.length += added;
  }

  private grow(added: number): void {
    if (this.length + added <= this.out.length) return;
    const larger = new Uint8Array(Math.max(this.length + added, this.out.length * 2));
    larger.set(this.out.subarray(0, this.length));
    this.out = larger;
  }

  private unexpected(byte: number, wanted: string): EngineError {
    // Structure is not data: the one byte may be shown only if it is punctuation.
    const shown = '{}[],:"'.includes(String.fromCharCode(byte))
      ? `"${String.fromCharCode(byte)}"`
      : "a value";
    return this.broken(`${shown} where ${wanted} is expected`);
  }

  private broken(what: string, hint?: string, cause?: unknown): EngineError {
    return new EngineError("FILE_FORMAT", `${this.file}, line ${this.line}: ${what}.`, {
      hint: hint ?? "Repair or export the file again; it must be one JSON document with an array of objects.",
      details: { file: this.file, line: this.line },
      cause,
    });
  }
}
