/**
 * dlt's hashes: short ids are SHAKE-128 cut to n bytes (`dlt/common/utils.py`, digest128), content hashes are
 * SHA3-256; both as base64.
 */

import { createHash, hash } from "node:crypto";

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
