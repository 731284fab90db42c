/**
 * Postgres's text cannot hold the character NUL, neither as a byte nor escaped in jsonb. Both functions
 * remove it from `bytes[start, end)` in place and return the new end.
 */

export function removeNuls(bytes: Uint8Array, start: number, end: number): number {
  let read = start;
  while (read < end && bytes[read] !== 0) read++;
  let write = read;
  for (; read < end; read++) if (bytes[read] !== 0) bytes[write++] = bytes[read]!;
  return write;
}

const BACKSLASH = 0x5c;

/** The escape `\u0000` of JSON; in `\\u0000` the backslash itself is escaped, so that one stays. */
export function removeEscapedNuls(bytes: Uint8Array, start: number, end: number): number {
  let read = start;
  let write = start;
  while (read < end) {
    if (bytes[read] !== BACKSLASH) {
      bytes[write++] = bytes[read++]!;
    } else if (isEscapedNul(bytes, read, end)) {
      read += 6;
    } else {
      // an escape is two bytes at least; the second may be a backslash and starts none itself
      bytes[write++] = bytes[read++]!;
      if (read < end) bytes[write++] = bytes[read++]!;
    }
  }
  return write;
}

function isEscapedNul(bytes: Uint8Array, at: number, end: number): boolean {
  if (at + 6 > end || bytes[at + 1] !== 0x75) return false;
  for (let i = 2; i < 6; i++) if (bytes[at + i] !== 0x30) return false;
  return true;
}
