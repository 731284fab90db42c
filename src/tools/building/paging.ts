/** How a service pages, by the parameters it takes and the shape of its answers. */

import type { Evidence } from "./draft.ts";
import { type Shape, valuesIn, writtenPath } from "./shape.ts";

export interface QueryParameter {
  readonly name: string;
  readonly required: boolean;
  readonly type?: string;
  readonly default?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
}

export interface PagingGuess {
  /** As rest_api's settings have it; undefined: nothing speaks for any. */
  readonly paginator: Readonly<Record<string, unknown>> | undefined;
  readonly params: Readonly<Record<string, unknown>>;
  readonly evidence: readonly Evidence[];
}

const PAGE = /^(page|page_?number|page_?no|page_?index|pagenum|p|page\[number\])$/i;
const SIZE = /^(limit|per_?page|page_?size|size|count|max_?results|top|\$top|page\[size\]|take|rows)$/i;
const OFFSET = /^(offset|skip|start|\$skip|start_?index|from|page\[offset\])$/i;
const CURSOR =
  /^(cursor|page_?token|next_?token|after|starting_?after|next_?cursor|continuation_?token|page\[after\]|page\[cursor\]|scroll_?id)$/i;
const NEXT_VALUE =
  /^(next_?cursor|next_?page_?token|next_?token|cursor|end_?cursor|continuation_?token|after|next)$/i;
const NEXT_LINK = /^(next|next_?url|next_?link|next_?page|@odata\.nextlink|href)$/i;
const TOTAL_PAGES = /^(total_?pages|page_?count|pages|last_?page|num_?pages)$/i;
const TOTAL_ROWS = /^(total|total_?count|total_?results|total_?items|total_?records|count)$/i;
const HAS_MORE = /^(has_?more|has_?next(_?page)?|more)$/i;
/** Large pages mean few requests; beyond this, services rarely go. */
const PAGE_SIZE = 100;

export function guessPaging(
  resource: string,
  answer: Shape,
  parameters: readonly QueryParameter[],
  headers: readonly string[] = [],
): PagingGuess {
  const about = `${resource}.paginator`;
  const values = valuesIn(answer).filter(({ path }) => path.length > 0);
  const named = (pattern: RegExp, types: readonly string[]) =>
    values.find(({ path, shape }) => pattern.test(path.at(-1)!) && types.includes(shape.type));
  const parameter = (pattern: RegExp) => parameters.find(({ name }) => pattern.test(name));
  const size = parameter(SIZE);
  const limit = sizeOf(size);
  const sizeParams = size === undefined ? {} : { [size.name]: limit };
  const found = (paginator: Record<string, unknown>, finding: string, params = {}): PagingGuess => ({
    paginator,
    params,
    evidence: [{ about, finding }],
  });

  const link = values.find(
    ({ path, shape }) =>
      ((NEXT_LINK.test(path.at(-1)!) && path.at(-1) !== "href") ||
        (path.at(-1) === "href" && /^next$/i.test(path.at(-2) ?? ""))) &&
      (shape.format === "uri" || shape.format === "uri-reference" || /url|link/i.test(path.at(-1)!)),
  );
  if (link !== undefined) {
    const path = writtenPath(link.path);
    return found({ type: "json_link", next_url_path: path }, `answers have a link at ${path}`, sizeParams);
  }
  if (headers.some((name) => name.toLowerCase() === "link")) {
    return found({ type: "header_link" }, "answers have a Link header", sizeParams);
  }
  const next = named(NEXT_VALUE, ["string", "integer", "unknown", "null"]);
  const cursor = parameter(CURSOR);
  const more = named(HAS_MORE, ["boolean"]);
  const morePath = more === undefined ? {} : { has_more_path: writtenPath(more.path) };
  if (next !== undefined && (cursor !== undefined || parameters.length === 0)) {
    const path = writtenPath(next.path);
    const name = cursor?.name ?? "cursor";
    const how = cursor === undefined ? "no parameters are known: cursor is assumed" : `parameter ${name}`;
    return found(
      { type: "cursor", cursor_path: path, cursor_param: name, ...morePath },
      `answers have ${path}; ${how}`,
      sizeParams,
    );
  }
  const page = parameter(PAGE);
  const pages = named(TOTAL_PAGES, ["integer", "number"]);
  if (page !== undefined || pages !== undefined) {
    const base = page?.default === 0 || (page?.default === undefined && page?.minimum === 0) ? 0 : 1;
    const total = pages === undefined ? { total_path: false } : { total_path: writtenPath(pages.path) };
    const told =
      pages === undefined
        ? "no count of pages: an empty page is the end"
        : `answers count pages at ${writtenPath(pages.path)}`;
    return found(
      { type: "page_number", base_page: base, page_param: page?.name ?? "page", ...total, ...morePath },
      `${page === undefined ? "parameter page is assumed" : `parameter ${page.name} from ${base}`}; ${told}`,
      sizeParams,
    );
  }
  const offset = parameter(OFFSET);
  if (offset !== undefined) {
    const count = named(TOTAL_ROWS, ["integer", "number"]);
    return found(
      {
        type: "offset",
        limit,
        offset_param: offset.name,
        limit_param: size?.name ?? "limit",
        total_path: count === undefined ? false : writtenPath(count.path),
        ...morePath,
      },
      `parameters ${offset.name} and ${size?.name ?? "limit (assumed)"}; ${count === undefined ? "no total" : `total at ${writtenPath(count.path)}`}`,
    );
  }
  const nothing =
    "no parameter and no field of the answer tells how it pages: recognised by the first answer";
  return { paginator: undefined, params: sizeParams, evidence: [{ about, finding: nothing }] };
}

function sizeOf(size: QueryParameter | undefined): number {
  const wanted = Math.max(PAGE_SIZE, typeof size?.default === "number" ? size.default : 0);
  return Math.max(1, Math.min(wanted, size?.maximum ?? wanted));
}
