/** Recognises how a service pages by its first response, in dlt's order. */

import { pageNumberPaginator } from "./counted-paginators.ts";
import { headerLink, jsonCursor, jsonLink, linkHeader, linkIn, singlePage } from "./link-paginators.ts";
import type { Page, Paginator } from "./paginator.ts";

const NEXT_KEYS = new Set([
  "next",
  "next_page",
  "nextpage",
  "next_url",
  "nexturl",
  "next_link",
  "nextlink",
  "@odata.nextlink",
]);
const CURSOR_KEYS = new Set([
  "next",
  "next_cursor",
  "nextcursor",
  "next_page_token",
  "nextpagetoken",
  "cursor",
]);
const TOTAL_PAGES_KEYS = new Set([
  "total_pages",
  "totalpages",
  "page_count",
  "pagecount",
  "pages",
  "last_page",
]);
const PAGE_KEYS = new Set(["page", "current_page", "currentpage", "page_number", "pagenumber"]);
const DEPTH_MAX = 3;

export interface Detected {
  readonly paginator: Paginator;
  /** As one would configure it. */
  readonly told: string;
}

/** `told` is called once with what was recognised. */
export function autoPaginator(warn: (message: string) => void, told: (what: string) => void): Paginator {
  let chosen: Paginator | undefined;
  return {
    first: (request) => request,
    after(page) {
      if (chosen === undefined) {
        const detected = detect(page, warn);
        chosen = detected.paginator;
        told(detected.told);
        // it takes part from the first page on, as if it had been configured
        chosen.first(page.request);
      }
      return chosen.after(page);
    },
  };
}

export function detect(page: Page, warn: (message: string) => void): Detected {
  if (linkHeader(page.headers.get("link"), "next") !== undefined) {
    return { paginator: headerLink({ type: "header_link", links_next_key: "next" }), told: "header_link" };
  }
  const link = findKey(page.body, NEXT_KEYS, (value) => /^(https?:)?\/|^\?/.test(linkIn(value) ?? ""));
  if (link !== undefined) {
    const next_url_path = written(link);
    return {
      paginator: jsonLink({ type: "json_link", next_url_path }),
      told: `json_link at ${next_url_path}`,
    };
  }
  const pages = findKey(page.body, TOTAL_PAGES_KEYS, (value) => typeof value === "number" && value > 1);
  if (pages !== undefined) {
    const current = findKey(page.body, PAGE_KEYS, (value) => value === 0 || value === 1);
    const base_page = current !== undefined && valueAt(page.body, current) === 0 ? 0 : 1;
    const total_path = written(pages);
    return {
      paginator: pageNumberPaginator(
        { type: "page_number", base_page, total_path, stop_after_empty_page: true },
        warn,
      ),
      told: `page_number from ${base_page} with ${total_path}`,
    };
  }
  const cursor = findKey(page.body, CURSOR_KEYS, (value) => typeof value === "string" && value !== "");
  if (cursor !== undefined) {
    const cursor_path = written(cursor);
    return {
      paginator: jsonCursor({
        type: "cursor",
        cursor_path,
        cursor_param: "cursor",
        stop_after_empty_page: false,
      }),
      told: `cursor at ${cursor_path}`,
    };
  }
  return { paginator: singlePage(), told: "single_page" };
}

/** The keys that lead to the first value that fits; lists are rows and not looked into. */
function findKey(
  body: unknown,
  keys: ReadonlySet<string>,
  fits: (value: unknown) => boolean,
  path: readonly string[] = [],
): readonly string[] | undefined {
  if (typeof body !== "object" || body === null || Array.isArray(body)) return undefined;
  const entries = Object.entries(body);
  for (const [key, value] of entries) {
    if (keys.has(key.toLowerCase()) && fits(value)) return [...path, key];
  }
  if (path.length + 1 >= DEPTH_MAX) return undefined;
  for (const [key, value] of entries) {
    const found = findKey(value, keys, fits, [...path, key]);
    if (found !== undefined) return found;
  }
  return undefined;
}

function valueAt(body: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>((value, key) => (value as Record<string, unknown>)[key], body);
}

function written(path: readonly string[]): string {
  return path.every((key) => /^\w+$/.test(key))
    ? path.join(".")
    : `$${path.map((key) => `['${key}']`).join("")}`;
}
