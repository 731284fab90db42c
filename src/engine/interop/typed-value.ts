/**
 * Values that JSON has no token for. dlt writes them as strings whose first character is a private-use code
 * point naming the type (`dlt/common/json/__init__.py`); state, extract files and row hashes carry that form.
 */

export type TypedKind = "decimal" | "datetime" | "date" | "uuid" | "hexbytes" | "bytes" | "wei" | "time";

/** Kind at index i is marked by the code point U+F026 + i. */
const KINDS: readonly TypedKind[] = [
  "decimal",
  "datetime",
  "date",
  "uuid",
  "hexbytes",
  "bytes",
  "wei",
  "time",
];

const MARK_FIRST = 0xf026;
/** dlt's test is off by one: U+F02E counts as a mark when marks are *removed*, though nothing writes it. */
const MARK_LAST_REMOVED = MARK_FIRST + KINDS.length;

const MARKS: Readonly<Record<TypedKind, string>> = Object.fromEntries(
  KINDS.map((kind, index) => [kind, String.fromCharCode(MARK_FIRST + index)]),
) as Record<TypedKind, string>;

/** A special value as its kind and the text that dlt writes after the mark. */
export class TypedValue {
  readonly kind: TypedKind;
  readonly text: string;

  constructor(kind: TypedKind, text: string) {
    this.kind = kind;
    this.text = text;
  }

  /** The marked string, the form inside typed JSON. */
  encoded(): string {
    return MARKS[this.kind] + this.text;
  }

  toJSON(): string {
    return this.text;
  }

  toString(): string {
    return this.text;
  }
}

/**
 * A marked string as its value. Text that does not fit its mark stays a string, as in dlt: somebody's own
 * data may use private-use characters.
 */
export function decodeTyped(text: string): string | TypedValue {
  const mark = text.charCodeAt(0) - MARK_FIRST;
  // NaN (empty string) fails both comparisons on purpose
  if (!(mark >= 0 && mark < KINDS.length) || text.length < 2) return text;
  const kind = KINDS[mark] as TypedKind;
  let body = text.slice(1);
  if (!VALID[kind](body)) return text;
  // files of old dlt versions end UTC timestamps in Z; the current form is an offset
  if (kind === "datetime" && body.endsWith("Z")) body = body.slice(0, -1) + "+00:00";
  return new TypedValue(kind, body);
}

/** The string without its mark, whatever follows it: what dlt writes into json columns. */
export function removeTypedMark(text: string): string {
  const code = text.charCodeAt(0);
  return code >= MARK_FIRST && code <= MARK_LAST_REMOVED && text.length > 1 ? text.slice(1) : text;
}

/** A quick test that saves decoding: can this text hold a marked string? */
export function mayHoldTypedMark(text: string): boolean {
  return /[\uf026-\uf02d]|\\u[fF]02/.test(text);
}

const DECIMAL = /^\s*[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|inf(?:inity)?|s?nan\d*)\s*$/i;
const DATE = /^\d{4}-?(?:\d{2}-?\d{2}|W\d{2}(?:-?\d)?)$/;
const TIME =
  /^T?\d{2}(?::?\d{2}(?::?\d{2}(?:[.,]\d+)?)?)?(?:Z|[+-]\d{2}(?::?\d{2}(?::?\d{2}(?:\.\d+)?)?)?)?$/;

function validDate(text: string): boolean {
  const plain = /^(\d{4})-?(\d{2})-?(\d{2})$/.exec(text);
  if (plain === null) return DATE.test(text);
  const [, year, month, day] = plain.map(Number) as [number, number, number, number];
  const lastDay =
    month === 2 && (year % 4 !== 0 || (year % 100 === 0 && year % 400 !== 0)) ? 28 : MONTH_DAYS[month];
  return year > 0 && lastDay !== undefined && day > 0 && day <= lastDay;
}

const MONTH_DAYS: readonly (number | undefined)[] = [
  undefined,
  31,
  29,
  31,
  30,
  31,
  30,
  31,
  31,
  30,
  31,
  30,
  31,
];

function validTime(text: string): boolean {
  if (!TIME.test(text)) return false;
  const [hour, minute, second] = (text.replace(/[Z+\-.,].*$/, "").match(/\d{2}/g) ?? []).map(Number);
  return (hour ?? 0) < 24 && (minute ?? 0) < 60 && (second ?? 0) < 60;
}

const VALID: Readonly<Record<TypedKind, (text: string) => boolean>> = {
  decimal: (text) => DECIMAL.test(text.replaceAll("_", "")),
  wei: (text) => DECIMAL.test(text.replaceAll("_", "")),
  date: validDate,
  time: validTime,
  datetime: (text) => {
    const split = /^(\d{4}-\d{2}-\d{2}|\d{8}|\d{4}-?W\d{2}-?\d?)(?:[^\d](.*))?$/su.exec(text);
    return split !== null && validDate(split[1] as string) && (split[2] === undefined || validTime(split[2]));
  },
  uuid: (text) =>
    /^[0-9a-f]{32}$/i.test(
      text
        .replace("urn:", "")
        .replace("uuid:", "")
        .replace(/^[{}]+|[{}]+$/g, "")
        .replaceAll("-", ""),
    ),
  // bytes.fromhex: pairs of digits, with space between pairs
  hexbytes: (text) => /^(?:0x)?\s*(?:[0-9a-f]{2}\s*)*$/i.test(text),
  bytes: (text) => {
    const kept = text.replace(/[^A-Za-z0-9+/=]/g, "");
    return kept.replace(/=+$/, "").length % 4 !== 1 && kept.length % 4 === 0;
  },
};
