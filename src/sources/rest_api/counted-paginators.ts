/**
 * Paginators that count: offset and page number. What proves the end, in this order: the service's own word
 * (has_more, the total), a page without rows, a short page behind a full one. A short first page proves
 * nothing, because a service may send less than the limit asks for; the offset goes on by what really came.
 */

import { EngineError } from "../../engine/errors.ts";
import { type CompiledPath, compilePath, findFirst } from "../../engine/extract/json-path.ts";
import type { PaginatorConfig } from "./config.ts";
import { isFalse } from "./link-paginators.ts";
import {
  end,
  type Next,
  next,
  type Page,
  type PageRequest,
  type Paginator,
  withBodyValue,
  withParam,
} from "./paginator.ts";

type ConfigOf<Type extends PaginatorConfig["type"]> = Extract<PaginatorConfig, { type: Type }>;

export function offsetPaginator(config: ConfigOf<"offset">, warn: (message: string) => void): Paginator {
  const { limit, maximum_offset, stop_after_empty_page } = config;
  const total = new Total(config.total_path, warn);
  const more = config.has_more_path === undefined ? undefined : compilePath(config.has_more_path);
  requireAnEnd("offset", config, maximum_offset);
  const put = (request: PageRequest, offset: number): PageRequest => {
    const { offset_body_path, limit_body_path, offset_param, limit_param } = config;
    let made = request;
    made =
      offset_body_path === undefined
        ? withParam(made, offset_param ?? "offset", offset)
        : withBodyValue(made, offset_body_path, offset);
    return limit_body_path === undefined
      ? withParam(made, limit_param ?? "limit", limit)
      : withBodyValue(made, limit_body_path, limit);
  };
  let { offset } = config;
  let sawFull = false;
  return {
    first: (request) => put(request, offset),
    after(page): Next {
      if (more !== undefined && isFalse(findFirst(more, page.body))) return saysNoMore(page, config);
      if (stop_after_empty_page && page.rows === 0) return emptyPage(page);
      offset += page.rows === 0 ? limit : page.rows;
      const count = total.read(page);
      if (count !== undefined && offset >= count) {
        return end(`the total of ${count} was reached with page ${page.number}`, "the total was reached");
      }
      if (maximum_offset !== undefined && offset >= maximum_offset) {
        return bound(`maximum_offset ${maximum_offset} was reached`);
      }
      if (sawFull && page.rows < limit && count === undefined && more === undefined) {
        return end(`page ${page.number} had ${page.rows} of ${limit} rows`, "a short page behind a full one");
      }
      sawFull ||= page.rows >= limit;
      return next(put(page.request, offset));
    },
  };
}

export function pageNumberPaginator(
  config: ConfigOf<"page_number">,
  warn: (message: string) => void,
): Paginator {
  const { base_page, maximum_page, stop_after_empty_page } = config;
  const total = new Total(config.total_path, warn);
  const more = config.has_more_path === undefined ? undefined : compilePath(config.has_more_path);
  requireAnEnd("page_number", config, maximum_page);
  const put = (request: PageRequest, number: number): PageRequest =>
    config.page_body_path === undefined
      ? withParam(request, config.page_param ?? "page", number)
      : withBodyValue(request, config.page_body_path, number);
  let number = config.page ?? base_page;
  return {
    first: (request) => put(request, number),
    after(page): Next {
      if (more !== undefined && isFalse(findFirst(more, page.body))) return saysNoMore(page, config);
      if (stop_after_empty_page && page.rows === 0) return emptyPage(page);
      number += 1;
      const pages = total.read(page);
      if (pages !== undefined && number >= base_page + pages) {
        return end(`page ${page.number} was the last of ${pages}`, "the last page by the service's count");
      }
      if (maximum_page !== undefined && number >= base_page + maximum_page) {
        return bound(`maximum_page ${maximum_page} was reached`);
      }
      return next(put(page.request, number));
    },
  };
}

function saysNoMore(page: Page, config: { has_more_path?: string }): Next {
  return end(`page ${page.number} says ${config.has_more_path} = false`, "no more, says the service");
}

function emptyPage(page: Page): Next {
  return end(`page ${page.number} had no rows`, "an empty page");
}

function bound(reason: string): Next {
  return { kind: "end", reason, why: "a configured maximum", bound: true };
}

/** A total that moves while paging means that rows move between the pages. */
class Total {
  readonly #path: CompiledPath | undefined;
  readonly #text: string;
  readonly #required: boolean;
  readonly #warn: (message: string) => void;
  #seen: number | undefined;

  constructor(path: string | false | null | undefined, warn: (message: string) => void) {
    this.#required = typeof path === "string" && path !== "";
    this.#text = this.#required ? (path as string) : "total";
    this.#path = path === undefined || this.#required ? compilePath(this.#text) : undefined;
    this.#warn = warn;
  }

  read(page: Page): number | undefined {
    if (this.#path === undefined) return undefined;
    const found = findFirst(this.#path, page.body);
    const count = typeof found === "string" && found.trim() !== "" ? Number(found) : found;
    if (typeof count !== "number" || !Number.isFinite(count)) {
      if (!this.#required || page.number > 1) return undefined;
      throw new EngineError("SELECTOR_EMPTY", `The response has no number at total_path "${this.#text}".`, {
        hint: "Correct total_path, or set total_path = false.",
        details: { total_path: this.#text, page: page.number },
      });
    }
    if (this.#seen !== undefined && this.#seen !== count) {
      this.#warn(
        "the total changed while paging: rows may have moved between pages. Load again, or sort by a key that does not change.",
      );
    }
    this.#seen = count;
    return count;
  }
}

function requireAnEnd(
  type: string,
  config: { total_path?: string | false | null; stop_after_empty_page: boolean; has_more_path?: string },
  maximum: number | undefined,
): void {
  const { total_path, stop_after_empty_page, has_more_path } = config;
  if (stop_after_empty_page || has_more_path !== undefined || maximum !== undefined) return;
  if (typeof total_path === "string" && total_path !== "") return;
  throw new EngineError("CONFIG_INVALID", `The ${type} paginator has nothing that ends it.`, {
    hint: "Set total_path, has_more_path or a maximum, or leave stop_after_empty_page true.",
    details: { paginator: type },
  });
}
