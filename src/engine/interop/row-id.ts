/**
 * Fresh ids of root rows (`_dlt_id`). dlt draws 10 random bytes and writes them as 14 base64 characters; nobody reads
 * anything from them but that no other row of the table has the same. These have that length and alphabet, and follow
 * each other in the order in which they are made. An index over ids in no order has to be changed at a million places
 * for a million rows, which takes Postgres longer than the rows themselves; in order they come to one place.
 *
 *     4 characters   when the block was begun, in units of 1,024 s
 *     7 characters   the block: a random one of 2^42, then the next
 *     3 characters   the row in its block
 *
 * So two processes that fill the same table within the same 17 minutes draw the same block with a chance of 2^-42 for
 * each pair of blocks, 46,656 rows each. Characters that count have no capitals, because many collations know no
 * difference there.
 */

import { randomBytes } from "node:crypto";

/** Length of every `_dlt_id`: 10 bytes as base64 without padding. */
export const ROW_ID_LENGTH = 14;

const DIGITS = Buffer.from("0123456789abcdefghijklmnopqrstuvwxyz");
/** Base64's characters in the order of ASCII. */
const SORTED_BASE64 = Buffer.from("+/0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");

const EPOCH_MS = Date.UTC(2026, 0, 1);
const UNIT_MS = 1_024_000;
const BLOCKS = 2 ** 42;
const UNIT_AT = 0;
const UNIT_LENGTH = 4;
const BLOCK_AT = 4;
const BLOCK_LENGTH = 7;
const ROW_AT = 11;

/** The id that is next, as ASCII. */
const next = Buffer.alloc(ROW_ID_LENGTH);
let unit = 0;
let block = randomBytes(6).readUIntBE(0, 6) % BLOCKS;
/** Of the last three characters, as numbers. */
let first = 0;
let second = 0;
let third = 0;
beginBlock();

function beginBlock(): void {
  // never back, whatever the clock does
  unit = Math.max(unit, Math.floor((Date.now() - EPOCH_MS) / UNIT_MS));
  block = (block + 1) % BLOCKS;
  writeNumber(unit, UNIT_AT, UNIT_LENGTH, DIGITS);
  writeNumber(block, BLOCK_AT, BLOCK_LENGTH, SORTED_BASE64);
  next.fill(DIGITS[0]!, ROW_AT);
  first = 0;
  second = 0;
  third = 0;
}

function writeNumber(number: number, at: number, length: number, digits: Buffer): void {
  let rest = number;
  for (let i = at + length - 1; i >= at; i--) {
    next[i] = digits[rest % digits.length]!;
    rest = Math.floor(rest / digits.length);
  }
}

function step(): void {
  if (++third === DIGITS.length) {
    third = 0;
    if (++second === DIGITS.length) {
      second = 0;
      if (++first === DIGITS.length) {
        beginBlock();
        return;
      }
      next[ROW_AT] = DIGITS[first]!;
    }
    next[ROW_AT + 1] = DIGITS[second]!;
  }
  next[ROW_AT + 2] = DIGITS[third]!;
}

export function freshRowId(): string {
  const id = next.toString("latin1");
  step();
  return id;
}

/** Writes a fresh id as 14 ASCII bytes at `offset`. */
export function writeFreshRowId(target: Uint8Array, offset: number): void {
  for (let i = 0; i < ROW_ID_LENGTH; i++) target[offset + i] = next[i]!;
  step();
}
