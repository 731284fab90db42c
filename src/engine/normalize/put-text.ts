/** A text into a cell of any type, where that needs no decision: numbers, moments and words are read from its bytes. */

import { decodeTyped } from "../interop/json.ts";
import { coerce } from "../schema/coerce.ts";
import { inferType } from "../schema/values.ts";
import { losesZeros } from "./leading-zeros.ts";
import { putCell } from "./put-cell.ts";
import { scanDate, scanTimestamp } from "./scan-time.ts";
import type { Slot } from "./table-state.ts";

/** With the methods that Node's types leave out; they take less time than `toString`, which looks at its arguments. */
export interface SlicedBuffer extends Buffer {
  latin1Slice(from: number, to: number): string;
  utf8Slice(from: number, to: number): string;
}

/** The same memory. */
export function slicedBuffer({ buffer, byteOffset, byteLength }: Uint8Array): SlicedBuffer {
  return Buffer.from(buffer, byteOffset, byteLength) as unknown as SlicedBuffer;
}

const MINUS = 0x2d;
const DOT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;

/** Those that a double holds exactly. */
export const POWERS = Array.from({ length: 23 }, (_, exponent) => 10 ** exponent);

/** Puts the text `bytes[start, end)`, which has no escapes and no mark, into its cell; false: the row path has to. */
export function putText(slot: Slot, row: number, bytes: SlicedBuffer, start: number, end: number): boolean {
  switch (slot.type) {
    case "text":
      slot.cells.setBytes(row, bytes, start, end);
      return true;
    case "timestamp": {
      const micros = scanTimestamp(bytes, start, end);
      if (Number.isNaN(micros)) return false;
      slot.cells.setInt(row, micros);
      return true;
    }
    case "bigint": {
      // a number as text, as CSV cells are
      const negative = bytes[start] === MINUS;
      const from = negative ? start + 1 : start;
      const digits = end - from;
      if (digits < 1 || digits > 15 || (digits > 1 && bytes[from] === ZERO)) return false;
      let value = 0;
      for (let i = from; i < end; i++) {
        const digit = bytes[i]! - ZERO;
        if (digit < 0 || digit > 9) return false;
        value = value * 10 + digit;
      }
      slot.cells.setInt(row, negative && value !== 0 ? -value : value);
      return true;
    }
    case "double": {
      const value = scanDecimal(bytes, start, end);
      if (value === undefined) return false;
      slot.cells.setFloat(row, value);
      return true;
    }
    case "bool": {
      const value = scanBool(bytes, start, end);
      if (value === undefined) return false;
      slot.cells.setBool(row, value);
      return true;
    }
    case "date": {
      const days = scanDate(bytes, start, end);
      if (Number.isNaN(days)) return false;
      slot.cells.setDays(row, days);
      return true;
    }
    case "decimal": {
      if (isPlainDecimal(bytes, start, end)) {
        slot.cells.setBytes(row, bytes, start, end);
        return true;
      }
      const text = bytes.utf8Slice(start, end);
      return !losesZeros(slot.type, text) && putCoerced(slot, row, text);
    }
    default:
      return putCoerced(slot, row, bytes.utf8Slice(start, end));
  }
}

/** A cell that needs the row path's coercion, but not the row path: nothing about the row is new. */
export function putCoerced(slot: Slot, row: number, text: string): boolean {
  // bytes that are no UTF-8, or a half of a surrogate pair: the row path says what is wrong
  if (text.includes("\ufffd") || !text.isWellFormed()) return false;
  const value = decodeTyped(text);
  const cell = coerce(slot.type, inferType(value), value);
  if (cell === undefined) return false;
  putCell(slot, row, cell);
  return true;
}

/** `-?digits[.digits]` as a double; other ways to write a number as text are Python's business. */
function scanDecimal(bytes: SlicedBuffer, start: number, end: number): number | undefined {
  const negative = bytes[start] === MINUS;
  const from = negative ? start + 1 : start;
  // a leading zero may be one that has to be kept: the row path knows
  if (bytes[from] === ZERO && bytes[from + 1] !== DOT && end - from > 1) return undefined;
  let mantissa = 0;
  let dot = -1;
  for (let at = from; at < end; at++) {
    const byte = bytes[at]!;
    if (byte === DOT && dot < 0) dot = at;
    else if (byte >= ZERO && byte <= NINE) mantissa = mantissa * 10 + (byte - ZERO);
    else return undefined;
  }
  const fractionDigits = dot < 0 ? 0 : end - dot - 1;
  const digits = end - from - (dot < 0 ? 0 : 1);
  if (digits === 0 || (dot >= 0 && (fractionDigits === 0 || dot === from))) return undefined;
  const value = digits <= 15 ? mantissa / POWERS[fractionDigits]! : Number(bytes.latin1Slice(from, end));
  return negative ? -value : value;
}

/** More digits are the row path's: it bounds them. */
const PLAIN_DECIMAL_BYTES_MAX = 500;

/** Digits in the very form in which the row path would store them: no sign but a minus, no zeros in front. */
export function isPlainDecimal(bytes: Uint8Array, start: number, end: number): boolean {
  const from = bytes[start] === MINUS ? start + 1 : start;
  if (end - from > PLAIN_DECIMAL_BYTES_MAX) return false;
  if (bytes[from] === ZERO && end - from > 1 && bytes[from + 1] !== DOT) return false;
  let dot = -1;
  let zero = true;
  for (let at = from; at < end; at++) {
    const byte = bytes[at]!;
    if (byte === DOT && dot < 0) dot = at;
    else if (byte >= ZERO && byte <= NINE) zero &&= byte === ZERO;
    else return false;
  }
  return end > from && dot !== from && dot !== end - 1 && !(zero && from > start);
}

/** `true` or `false` in any case; other words for them are the row path's. */
function scanBool(bytes: Uint8Array, start: number, end: number): boolean | undefined {
  const word = end - start === 4 ? "true" : end - start === 5 ? "false" : undefined;
  if (word === undefined) return undefined;
  for (let i = 0; i < word.length; i++)
    if ((bytes[start + i]! | 0x20) !== word.charCodeAt(i)) return undefined;
  return word === "true";
}
