/** Postgres's text form of a value as JSON that loses nothing, as query-values.ts does for DuckDB. */

import type { JsonValue, Rendered } from "./query-values.ts";

const BOOLEAN = 16;
const BYTEA = 17;
const INTEGERS = new Set([20, 21, 23, 26]);
const FLOATS = new Set([700, 701]);
const JSON_TYPES = new Set([114, 3802]);
const TIMESTAMPS = new Set([1114, 1184]);
const BLOB_BYTES_MAX = 1024;

/** `text` is null for null; the session's settings are those of postgres-query.ts. */
export function postgresCell(text: string | null, type: number, charsMax: number): Rendered {
  if (text === null) return { value: null, cut: false };
  if (type === BOOLEAN) return { value: text === "t", cut: false };
  if (INTEGERS.has(type)) {
    const number = Number(text);
    return { value: Number.isSafeInteger(number) ? number : text, cut: false };
  }
  if (FLOATS.has(type)) {
    const number = Number(text);
    return { value: Number.isFinite(number) ? number : text, cut: false };
  }
  if (TIMESTAMPS.has(type)) {
    const iso = text.replace(/^(\d+-\d\d-\d\d) /, "$1T").replace(/\+00(:00)?$/, "Z");
    return { value: iso, cut: false };
  }
  if (type === BYTEA) return blob(text);
  if (JSON_TYPES.has(type) && text.length <= charsMax && !hasLongNumber(text)) {
    return { value: JSON.parse(text) as JsonValue, cut: false };
  }
  if (text.length <= charsMax) return { value: text, cut: false };
  return { value: `${text.slice(0, charsMax)}… (${text.length} characters)`, cut: true };
}

/** Digits that a JavaScript number would lose: such a document stays text. */
function hasLongNumber(json: string): boolean {
  return /\d{16}/.test(json);
}

function blob(text: string): Rendered {
  const bytes = Buffer.from(text.slice(2), "hex");
  const cut = bytes.byteLength > BLOB_BYTES_MAX;
  const encoded = bytes.subarray(0, BLOB_BYTES_MAX).toString("base64");
  return { value: cut ? `${encoded}… (${bytes.byteLength} bytes)` : encoded, cut };
}
