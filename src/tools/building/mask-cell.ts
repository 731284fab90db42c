/** Cells as a sample shows them: enough to tell what a column is, without what identifies a person or opens a door. */

const SECRET_COLUMN =
  /pass(word|wd)?|secret|token|api_?key|credential|session|cookie|authorization|ssn|iban|card/i;
const EMAIL = /[\w.+-]+@[\w-]+(\.[\w-]+)+/g;
/** Runs of digits as phone, card and account numbers have them; times and decimals have separators of their own. */
const LONG_NUMBER = /(?<![\w.:-])\+?\d[\d ()]{7,}\d(?![\w.:-])/g;
const TEXT_CHARS_MAX = 60;

export function maskCell(column: string, value: unknown): unknown {
  if (value === null || typeof value === "boolean" || typeof value === "number") {
    return value !== null && SECRET_COLUMN.test(column) ? "***" : value;
  }
  if (SECRET_COLUMN.test(column)) return "***";
  const text = typeof value === "string" ? value : JSON.stringify(value);
  // integers beyond 2^53 come as digits: keys must stay readable
  const masked = /^-?\d+$/.test(text)
    ? text
    : text.replace(EMAIL, "***@***").replace(LONG_NUMBER, (found) => "#".repeat(Math.min(found.length, 12)));
  return masked.length > TEXT_CHARS_MAX ? `${masked.slice(0, TEXT_CHARS_MAX - 1)}…` : masked;
}
