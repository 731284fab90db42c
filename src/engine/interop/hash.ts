/**
 * dlt's hashes: short ids are SHAKE-128 cut to n bytes (`dlt/common/utils.py`, digest128), content hashes are
 * SHA3-256; both as base64. Row ids of root rows are random.
 */

import { createHash, hash, randomFillSync } from "node:crypto";

/** Base64 without padding of SHAKE-128 over the UTF-8 text, cut to `bytes` bytes. 15 bytes are 20 characters. */
export function digest128(text: string, bytes = 15): string {
  const base64 = shake128(text, bytes).toString("base64");
  const padding = base64.indexOf("=");
  return padding < 0 ? base64 : base64.slice(0, padding);
}

/** SHAKE-128 over the UTF-8 text, cut to `bytes` bytes. */
export const shake128: (text: string, bytes: number) => Buffer = hashesAtOnce()
  ? (text, bytes) => hash("shake128", text, { outputEncoding: "buffer", outputLength: bytes })
  : (text, bytes) => createHash("shake128", { outputLength: bytes }).update(text).digest();

/** Node 24 can hash in one call, which takes half the time. */
function hashesAtOnce(): boolean {
  try {
    return hash("shake128", "", { outputEncoding: "buffer", outputLength: 9 }).length === 9;
  } catch {
    return false;
  }
}

/** Base64 (44 characters, padded) of SHA3-256 over the parts in order. Strings count as UTF-8. */
export function sha3Base64(...parts: readonly (string | Uint8Array)[]): string {
  const hash = createHash("sha3-256");
  for (const part of parts) hash.update(part);
  return hash.digest("base64");
}

/** Id of a nested row: it follows from the parent's id, the table and the position, so a retry repeats it. */
export function nestedRowId(parentId: string, table: string, index: number): string {
  return digest128(`${parentId}_${table}_${index}`, 10);
}

/** Random bytes of one row id; 14 base64 characters. */
const ROW_ID_BYTES = 10;
const POOL_IDS = 1024;

// Asking the system for ten bytes costs more than the rest of the id: draw for many ids at once.
const pool = Buffer.alloc(ROW_ID_BYTES * POOL_IDS);
let used = pool.length;

function nextRandom(): number {
  if (used === pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  const at = used;
  used += ROW_ID_BYTES;
  return at;
}

/** A fresh `_dlt_id`: 10 random bytes as 14 base64 characters (may hold `/` and `+`). */
export function randomRowId(): string {
  const at = nextRandom();
  return pool.toString("base64", at, at + ROW_ID_BYTES).slice(0, 14);
}

const BASE64 = Buffer.from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");

/** Writes a fresh `_dlt_id` as 14 ASCII bytes at `offset`, for rows that are kept as bytes. */
export function writeRandomRowId(target: Uint8Array, offset: number): void {
  const at = nextRandom();
  let to = offset;
  for (let i = 0; i < 9; i += 3) {
    const bits =
      ((pool[at + i] as number) << 16) | ((pool[at + i + 1] as number) << 8) | (pool[at + i + 2] as number);
    target[to] = BASE64[bits >> 18] as number;
    target[to + 1] = BASE64[(bits >> 12) & 63] as number;
    target[to + 2] = BASE64[(bits >> 6) & 63] as number;
    target[to + 3] = BASE64[bits & 63] as number;
    to += 4;
  }
  const last = (pool[at + 9] as number) << 4;
  target[to] = BASE64[last >> 6] as number;
  target[to + 1] = BASE64[last & 63] as number;
}
