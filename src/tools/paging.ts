/**
 * Pages of a list. A cursor belongs to one tool and one set of arguments, and names the last entry that was
 * answered: entries that come or go between two calls make no entry appear twice or be skipped. Where the
 * named entry is gone, BAD_CURSOR says so instead of guessing.
 */

import { createHash } from "node:crypto";
import { EngineError } from "../engine/errors.ts";
import { canonical } from "./confirm.ts";

/** Of one answer. */
export interface Page {
  /** Where the page began in the list as it is now. */
  readonly offset: number;
  readonly more: boolean;
  /** A key of each entry of the page; a cursor then names an entry, otherwise its place. */
  readonly keys?: readonly string[];
  /** Where the search ended, when that is behind the last entry that was found. */
  readonly searchedTo?: string;
}

type Input = Readonly<Record<string, unknown>>;

/** The size of the pages may change between. */
const NOT_PART_OF_QUERY = new Set(["cursor", "response_format", "limit"]);

function queryHash(tool: string, input: Input): string {
  const query = Object.entries(input).filter(
    ([key, value]) => !NOT_PART_OF_QUERY.has(key) && value !== undefined,
  );
  return createHash("sha256")
    .update(canonical([tool, Object.fromEntries(query)]))
    .digest("base64url")
    .slice(0, 16);
}

/** The cursor behind the first `shown` entries of a page. */
export function cursorAfter(tool: string, input: Input, page: Page, shown: number): string {
  const whole = page.keys === undefined || shown >= page.keys.length;
  const key = (whole ? page.searchedTo : undefined) ?? page.keys?.[shown - 1];
  return encodeCursor(tool, input, key ?? page.offset + shown);
}

export function encodeCursor(tool: string, input: Input, position: number | string): string {
  return Buffer.from(JSON.stringify([queryHash(tool, input), position])).toString("base64url");
}

/** What the cursor of a call names: a key, a place, or nothing for the first page. Errors: BAD_CURSOR. */
export function positionOf(tool: string, input: Input): number | string | undefined {
  if (input.cursor === undefined) return undefined;
  let parts: unknown;
  try {
    parts = JSON.parse(Buffer.from(String(input.cursor), "base64url").toString("utf8"));
  } catch {
    throw bad("The cursor is not one of this server.");
  }
  const [hash, position] = Array.isArray(parts) ? (parts as unknown[]) : [];
  const isPlace = typeof position === "number" && Number.isSafeInteger(position) && position >= 0;
  if (!isPlace && typeof position !== "string") throw bad("The cursor is not one of this server.");
  if (hash !== queryHash(tool, input)) throw bad("The cursor belongs to another call.");
  return position;
}

/** Where the page begins that a cursor asks for, by place; 0 without one. Errors: BAD_CURSOR. */
export function offsetOf(tool: string, input: Input): number {
  const position = positionOf(tool, input) ?? 0;
  if (typeof position === "string") throw bad("The cursor is not one of this server.");
  return position;
}

/** The page of a whole list that a call asks for. Errors: BAD_CURSOR. */
export function pageOf<Entry>(
  tool: string,
  input: Input & { readonly limit: number },
  entries: readonly Entry[],
  keyOf: (entry: Entry) => string,
): { readonly shown: Entry[]; readonly page: Page } {
  const position = positionOf(tool, input);
  const offset =
    typeof position === "string"
      ? entries.findIndex((entry) => keyOf(entry) === position) + 1
      : (position ?? 0);
  if (typeof position === "string" && offset === 0) {
    throw bad("The entry that the last page ended with is gone.");
  }
  const shown = entries.slice(offset, offset + input.limit);
  return { shown, page: { offset, more: offset + shown.length < entries.length, keys: shown.map(keyOf) } };
}

function bad(message: string): EngineError {
  return new EngineError("BAD_CURSOR", message);
}
