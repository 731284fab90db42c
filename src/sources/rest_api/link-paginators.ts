/** Paginators that the service leads: it sends the link or the cursor of the next page. */

import { EngineError } from "../../engine/errors.ts";
import { compilePath, findFirst } from "../../engine/extract/json-path.ts";
import type { PaginatorConfig } from "./config.ts";
import { end, type Next, next, type Page, type Paginator, withBodyValue, withParam } from "./paginator.ts";

type ConfigOf<Type extends PaginatorConfig["type"]> = Extract<PaginatorConfig, { type: Type }>;

const first: Paginator["first"] = (request) => request;

export function singlePage(): Paginator {
  return { first, after: () => end("the resource is one page") };
}

export function jsonLink({ next_url_path }: ConfigOf<"json_link">): Paginator {
  const path = compilePath(next_url_path);
  return {
    first,
    after(page) {
      const link = linkIn(findFirst(path, page.body));
      if (link === undefined)
        return end(`page ${page.number} has no link at ${next_url_path}`, "no next link");
      return follow(page, link);
    },
  };
}

export function headerLink({ links_next_key }: ConfigOf<"header_link">): Paginator {
  return {
    first,
    after(page) {
      const link = linkHeader(page.headers.get("link"), links_next_key);
      if (link === undefined) {
        return end(`page ${page.number} has no Link header with rel="${links_next_key}"`, "no next link");
      }
      return follow(page, link);
    },
  };
}

export function headerCursor({ cursor_key, cursor_param }: ConfigOf<"header_cursor">): Paginator {
  return {
    first,
    after(page) {
      const cursor = page.headers.get(cursor_key);
      if (cursor === null || cursor === "") {
        return end(`page ${page.number} has no header ${cursor_key}`, "no next cursor");
      }
      return next(withParam(page.request, cursor_param, cursor));
    },
  };
}

export function jsonCursor(config: ConfigOf<"cursor">): Paginator {
  const { cursor_path, cursor_param, cursor_body_path, stop_after_empty_page, has_more_path } = config;
  const path = compilePath(cursor_path);
  const more = has_more_path === undefined ? undefined : compilePath(has_more_path);
  return {
    first,
    after(page): Next {
      if (stop_after_empty_page && page.rows === 0)
        return end(`page ${page.number} had no rows`, "an empty page");
      const hasMore = more === undefined ? undefined : findFirst(more, page.body);
      if (more !== undefined && isFalse(hasMore)) {
        return end(`page ${page.number} says ${has_more_path} = false`, "no more, says the service");
      }
      const cursor = findFirst(path, page.body);
      if (cursor === undefined || cursor === null || cursor === "" || cursor === false) {
        if (more !== undefined) {
          throw new EngineError(
            "SELECTOR_EMPTY",
            `Page ${page.number} says ${has_more_path}, but has no cursor at "${cursor_path}".`,
            { hint: "Correct cursor_path.", details: { cursor_path, has_more_path, page: page.number } },
          );
        }
        return end(`page ${page.number} has no cursor at ${cursor_path}`, "no next cursor");
      }
      if (cursor_body_path !== undefined) return next(withBodyValue(page.request, cursor_body_path, cursor));
      return next(withParam(page.request, cursor_param ?? "cursor", cursor as string | number));
    },
  };
}

/** Absent counts as false: services leave it out on the last page. */
export function isFalse(value: unknown): boolean {
  return value === undefined || value === null || value === false || value === "false" || value === 0;
}

/** A link as text, or as an object with `href` or `url`. */
export function linkIn(value: unknown): string | undefined {
  if (typeof value === "string" && value.trim() !== "") return value.trim();
  if (typeof value !== "object" || value === null) return undefined;
  const { href, url } = value as { href?: unknown; url?: unknown };
  return typeof href === "string" ? linkIn(href) : typeof url === "string" ? linkIn(url) : undefined;
}

/** The link with that relation (RFC 8288 §3): `<https://…?page=2>; rel="next", …`. */
export function linkHeader(header: string | null, relation: string): string | undefined {
  for (const [, link, parameters] of (header ?? "").matchAll(/<([^>]*)>((?:[^,"]|"[^"]*")*)/g)) {
    const rel = /;\s*rel\s*=\s*(?:"([^"]*)"|([^\s;,]+))/i.exec(parameters ?? "");
    const relations = (rel?.[1] ?? rel?.[2] ?? "").toLowerCase().split(/\s+/);
    if (relations.includes(relation.toLowerCase())) return link;
  }
  return undefined;
}

/** A link with a query of its own stands by itself; one without keeps the parameters. */
function follow(page: Page, link: string): Next {
  const url = URL.parse(link, page.url);
  if (url === null || (url.protocol !== "http:" && url.protocol !== "https:")) {
    throw new EngineError("SELECTOR_EMPTY", `The next link of page ${page.number} is not a URL.`, {
      hint: "Correct the path of the link, or use the cursor paginator if it is a cursor.",
      details: { page: page.number },
    });
  }
  return next({ ...page.request, path: url.href, query: url.search === "" ? page.request.query : {} });
}
