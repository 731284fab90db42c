/** URLs of requests: joined, with their query, and as they may be shown. */

import { EngineError } from "../../engine/errors.ts";

export type QueryValue = string | number | bigint | boolean | null | undefined;
/** A list becomes the same name several times; null and undefined are left out. */
export type Query = Readonly<Record<string, QueryValue | readonly QueryValue[]>>;

const SECRET_NAME = /key|token|secret|passw|signature|^sig$|auth|credential|session/i;
const MASK = "***";

/** `path` on top of `base`; a path that is a whole URL stands by itself. */
export function joinUrl(base: string | undefined, path: string): URL {
  if (/^https?:\/\//i.test(path) || base === undefined) return parseUrl(path);
  if (path === "") return parseUrl(base);
  const url = parseUrl(base);
  if (path.startsWith("?")) return parseUrl(base + path);
  return parseUrl(`${url.origin}${url.pathname.replace(/\/+$/, "")}/${path.replace(/^\/+/, "")}`);
}

/** Errors: CONFIG_INVALID. */
export function parseUrl(text: string): URL {
  const url = URL.parse(text);
  if (url === null || (url.protocol !== "http:" && url.protocol !== "https:")) {
    throw new EngineError("CONFIG_INVALID", "A request's address is not an http or https URL.", {
      hint: "Write the base URL with its scheme: https://api.example.com/v1.",
    });
  }
  if (url.username !== "" || url.password !== "") {
    throw new EngineError("CONFIG_INVALID", `The URL of ${url.host} holds a user name or password.`, {
      hint: "Leave it out of the URL and configure auth of type http_basic.",
    });
  }
  return url;
}

/** Sets each name of the query; a name that the URL has already is replaced. */
export function withQuery(url: URL, query: Query | undefined): URL {
  const joined = new URL(url);
  for (const [name, value] of Object.entries(query ?? {})) {
    const values = (Array.isArray(value) ? value : [value]).filter(
      (one) => one !== null && one !== undefined,
    );
    if (values.length === 0) continue;
    joined.searchParams.delete(name);
    for (const one of values) joined.searchParams.append(name, String(one));
  }
  return joined;
}

/** The URL with the values of secret query parameters masked: those named, and those whose name says so. */
export function shownUrl(url: URL, secretNames: ReadonlySet<string>): string {
  const shown = new URL(url);
  shown.username = "";
  shown.password = "";
  for (const name of new Set(shown.searchParams.keys())) {
    if (secretNames.has(name) || SECRET_NAME.test(name)) shown.searchParams.set(name, MASK);
  }
  return shown.href;
}
