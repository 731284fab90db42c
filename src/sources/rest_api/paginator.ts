/** What a paginator is: it makes the first request, and after each page the next one or the reason to stop. */

import type { Query } from "../http/index.ts";

export interface PageRequest {
  /** A path below the base URL, or a whole URL. */
  readonly path: string;
  readonly query: Query;
  readonly json?: Readonly<Record<string, unknown>>;
}

export interface Page {
  readonly request: PageRequest;
  /** Where it came from, after redirects. */
  readonly url: string;
  readonly headers: Headers;
  readonly body: unknown;
  /** How many rows it has. */
  readonly rows: number;
  /** From 1. */
  readonly number: number;
}

export type Next =
  | { readonly kind: "next"; readonly request: PageRequest }
  | {
      readonly kind: "end";
      /** What of the response proves it: "page 12 had no rows". */
      readonly reason: string;
      /** The same without numbers, to count ends of many requests by. */
      readonly why: string;
      /** True: a configured bound, which may lie before the end. */
      readonly bound?: boolean;
    };

/** One sequence of pages. Make a new one for each. */
export interface Paginator {
  first(request: PageRequest): PageRequest;
  after(page: Page): Next;
}

export function end(reason: string, why = reason): Next {
  return { kind: "end", reason, why };
}

export function next(request: PageRequest): Next {
  return { kind: "next", request };
}

export function withParam(request: PageRequest, name: string, value: string | number | bigint): PageRequest {
  return { ...request, query: { ...request.query, [name]: value } };
}

/** A copy with the value at a dotted path of the JSON body. */
export function withBodyValue(request: PageRequest, path: string, value: unknown): PageRequest {
  const put = (target: unknown, keys: readonly string[]): Record<string, unknown> => {
    const [key, ...rest] = keys;
    const before = typeof target === "object" && target !== null ? (target as Record<string, unknown>) : {};
    return { ...before, [key!]: rest.length === 0 ? value : put(before[key!], rest) };
  };
  return { ...request, json: put(request.json, path.replace(/^\$\.?/, "").split(".")) };
}
