/** Which part of a response's body is its rows. */

import { EngineError } from "../../engine/errors.ts";
import { type CompiledPath, compilePath, findAll } from "../../engine/extract/json-path.ts";
import type { Row } from "../../engine/extract/page.ts";

/** Levels below the top at which a list is looked for. */
const DEPTH_MAX = 3;
const RECORD_KEYS = new Set([
  "data",
  "items",
  "results",
  "entries",
  "records",
  "rows",
  "entities",
  "payload",
  "content",
  "objects",
  "values",
]);
const OTHER_KEYS = new Set([
  "meta",
  "metadata",
  "pagination",
  "paging",
  "links",
  "extras",
  "headers",
  "errors",
]);
const KEYS_TOLD_MAX = 50;

/** Selects rows of each page of one resource. */
export class Selector {
  readonly #resource: string;
  readonly #optional: boolean;
  readonly #configured: boolean;
  #text: string | undefined;
  #path: CompiledPath | undefined;

  constructor(resource: string, selector: string | undefined, optional: boolean) {
    this.#resource = resource;
    this.#optional = optional;
    this.#configured = selector !== undefined;
    this.#text = selector;
    this.#path = selector === undefined ? undefined : compilePath(selector);
  }

  /**
   * The rows of a page. On the first page of a request the selected part must be there; later ones may leave
   * an empty list out.
   */
  rows(body: unknown, firstPage: boolean): Row[] {
    if (body === undefined) return [];
    let found = this.#path === undefined ? [] : findAll(this.#path, body);
    if (found.length === 0 && !this.#configured && (this.#path === undefined || firstPage)) {
      // found once, it stays: another page may have other lists
      const keys = listPath(body);
      this.#text = keys.length === 0 ? "$" : keys.join(".");
      this.#path = keys;
      found = findAll(keys, body);
    }
    if (found.length === 0) {
      if (this.#optional || !firstPage || this.#hasWildcardOverEmpty(body)) return [];
      throw this.#nothing(body);
    }
    return found.flatMap((value) => (Array.isArray(value) ? value : [value])).flatMap(asRow);
  }

  /** `items[*].rows` of an empty list selects nothing, rightly. */
  #hasWildcardOverEmpty(body: unknown): boolean {
    const star = this.#path?.indexOf("*") ?? -1;
    if (star < 0) return false;
    const lists = findAll(this.#path!.slice(0, star), body);
    return lists.length > 0 && lists.every((list) => Array.isArray(list) && list.length === 0);
  }

  #nothing(body: unknown): EngineError {
    const keys = keysOf(body);
    return new EngineError(
      "SELECTOR_EMPTY",
      `Resource ${this.#resource}: data_selector "${this.#text}" selects nothing. The body has ${keys.length === 0 ? "no keys" : `the keys ${keys.join(", ")}`}.`,
      {
        hint: "Correct data_selector; if the service leaves an empty list out, set data_selector_optional = true.",
        details: { resource: this.#resource, data_selector: this.#text, keys },
      },
    );
  }
}

function asRow(value: unknown): Row[] {
  if (value === null || value === undefined) return [];
  // as dlt does with lists of scalars
  return typeof value === "object" && !Array.isArray(value) ? [value as Row] : [{ value }];
}

/** Keys of an object and of the objects in it, as paths. */
function keysOf(body: unknown): string[] {
  if (typeof body !== "object" || body === null) return [];
  if (Array.isArray(body)) return ["(a list)"];
  const keys: string[] = [];
  for (const [key, value] of Object.entries(body)) {
    keys.push(key);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      keys.push(...Object.keys(value).map((inner) => `${key}.${inner}`));
    }
  }
  return keys.slice(0, KEYS_TOLD_MAX);
}

/**
 * Where the rows are, as dlt finds them: the first list at most three levels deep below a key that names
 * records, else the least nested list, else the body itself.
 */
export function listPath(body: unknown): string[] {
  if (Array.isArray(body)) return [];
  const lists: string[][] = [];
  const visit = (value: unknown, path: readonly string[]): void => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return;
    for (const [key, inner] of Object.entries(value)) {
      if (OTHER_KEYS.has(key.toLowerCase())) continue;
      if (Array.isArray(inner)) lists.push([...path, key]);
      else if (path.length + 1 < DEPTH_MAX) visit(inner, [...path, key]);
    }
  };
  visit(body, []);
  lists.sort((a, b) => a.length - b.length);
  return lists.find((path) => RECORD_KEYS.has(path.at(-1)!.toLowerCase())) ?? lists[0] ?? [];
}
