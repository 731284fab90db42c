/**
 * The pages of one request and those after it. What is guarded:
 * - a request that was made before, or a page whose rows came before, is PAGINATION_LOOP;
 * - more pages than the bound are PAGINATION_LIMIT, because rows would be missing;
 * - an end while the response says that there is more is a warning;
 * - the reason of the end is logged and goes into the run's report.
 */

import { createHash } from "node:crypto";
import { EngineError } from "../../engine/errors.ts";
import type { Row } from "../../engine/extract/page.ts";
import type { ResourceContext } from "../../engine/extract/resource-context.ts";
import { plainJson } from "../../engine/interop/json.ts";
import type { HttpAuth, HttpClient, HttpResponse, JsonResponse, Pace } from "../http/index.ts";
import type { ResponseActionConfig } from "./config.ts";
import type { PageRequest, Paginator } from "./paginator.ts";
import type { Selector } from "./select.ts";

const PAGES_MAX = 100_000;
const TOTAL_KEYS = /^(total|total_?count|total_?results|total_?items|total_?records|total_?rows)$/i;
const MORE_KEYS = /^(has_?more|has_?next(_?page)?|more)$/i;

export interface Endpoint {
  readonly resource: string;
  readonly http: HttpClient;
  readonly method: string;
  readonly auth?: HttpAuth;
  readonly pace?: Pace;
  readonly timeoutMs?: number;
  readonly form?: Readonly<Record<string, string>>;
  readonly actions: readonly ResponseActionConfig[];
  readonly maximumPages?: number;
  readonly makePaginator: (warn: (message: string) => void, told: (what: string) => void) => Paginator;
}

export interface Chain {
  readonly request: PageRequest;
  readonly headers: Readonly<Record<string, string>>;
  readonly selector: Selector;
  /** One of many requests, one for each row of a parent: ends are counted by kind. */
  readonly dependent: boolean;
}

export async function* readPages(
  endpoint: Endpoint,
  chain: Chain,
  context: ResourceContext,
): AsyncGenerator<Row[]> {
  const { resource, maximumPages = PAGES_MAX } = endpoint;
  const { signal, log, warn, ended } = context;
  const paginator = endpoint.makePaginator(warn, (what) =>
    log("info", "paging.recognised", { resource, paginator: what }),
  );
  const guard = new LoopGuard(resource);
  let rowsTotal = 0;
  const finish = (pages: number, reason: string, why: string): void => {
    ended(chain.dependent ? why : reason);
    log(chain.dependent ? "debug" : "info", "paging.ended", { resource, pages, rows: rowsTotal, reason });
  };
  let request = paginator.first(chain.request);
  for (let number = 1; ; number += 1) {
    signal.throwIfAborted();
    guard.request(request, number);
    const response = await ask(endpoint, chain, request, context);
    if (response === "ignored") {
      finish(number, `page ${number} was ignored by a response action`, "ignored by a response action");
      return;
    }
    const rows = chain.selector.rows(response.body, number === 1);
    guard.page(rows, number);
    rowsTotal += rows.length;
    const { headers, url, body } = response;
    const next = paginator.after({ request, headers, url, body, rows: rows.length, number });
    if (next.kind === "end") {
      // told before the last rows are handed on, so that it is in their package
      finish(number, next.reason, next.why);
      const sign = next.bound === true ? undefined : signOfMore(body, rowsTotal, 0);
      // of many requests the numbers differ, and equal warnings are told once
      if (sign !== undefined) warn(moreIsThere(next.why, chain.dependent ? undefined : { sign, rowsTotal }));
      if (rows.length > 0) yield rows;
      return;
    }
    if (number >= maximumPages) {
      throw new EngineError(
        "PAGINATION_LIMIT",
        `Resource ${resource}: there are more than ${maximumPages} pages.`,
        { details: { resource, maximum_pages: maximumPages, rows: rowsTotal } },
      );
    }
    if (rows.length > 0) {
      let handedOn = false;
      try {
        yield rows;
        handedOn = true;
      } finally {
        if (!handedOn) finish(number, "reading was stopped early", "reading was stopped early");
      }
    }
    request = next.request;
  }
}

async function ask(
  endpoint: Endpoint,
  chain: Chain,
  request: PageRequest,
  context: ResourceContext,
): Promise<JsonResponse | "ignored"> {
  const { http, method, auth, pace, timeoutMs, form, actions, resource } = endpoint;
  let verdict: "ignore" | "raise" | undefined;
  let response: JsonResponse;
  try {
    response = await http.json(request.path, {
      method,
      query: request.query,
      headers: chain.headers,
      ...(request.json === undefined ? {} : { json: request.json }),
      ...(form === undefined ? {} : { form }),
      auth,
      pace,
      timeoutMs,
      context,
      accept: (received) => {
        verdict = verdictOn(received, actions);
        return verdict !== undefined;
      },
    });
  } catch (error) {
    if (error instanceof EngineError) throw error.withDetails({ resource });
    throw error;
  }
  if (verdict === "ignore") return "ignored";
  if (verdict === "raise") {
    const { status } = response;
    const url = http.shown(request.path);
    throw new EngineError(
      "HTTP_REFUSED",
      `${method} ${url} answered ${status}, which a response action refuses.`,
      {
        details: { resource, method, url, status },
      },
    );
  }
  return response;
}

/** The first action that fits decides. */
function verdictOn(
  response: HttpResponse,
  actions: readonly ResponseActionConfig[],
): "ignore" | "raise" | undefined {
  for (const { status_code, content, action } of actions) {
    if (status_code !== undefined && status_code !== response.status) continue;
    if (content !== undefined && !Buffer.from(response.bytes).includes(content)) continue;
    const verdict = typeof action === "function" ? action(response) : action;
    if (verdict !== undefined) return verdict;
  }
  return undefined;
}

class LoopGuard {
  readonly #resource: string;
  readonly #requests = new Map<string, number>();
  readonly #pages = new Map<string, number>();

  constructor(resource: string) {
    this.#resource = resource;
  }

  request(request: PageRequest, number: number): void {
    const before = seen(this.#requests, digest(request), number);
    if (before === undefined) return;
    this.#raise(`the request for page ${number} is that of page ${before}`, number, before);
  }

  page(rows: readonly Row[], number: number): void {
    if (rows.length === 0) return;
    const before = seen(this.#pages, digest(rows), number);
    if (before === undefined) return;
    this.#raise(`page ${number} has the very rows of page ${before}`, number, before);
  }

  #raise(problem: string, page: number, before: number): never {
    const resource = this.#resource;
    throw new EngineError("PAGINATION_LOOP", `Resource ${resource}: ${problem}.`, {
      details: { resource, page, same_as_page: before },
    });
  }
}

/** The page that had this digest, else notes it. */
function seen(known: Map<string, number>, key: string, number: number): number | undefined {
  const before = known.get(key);
  if (before === undefined) known.set(key, number);
  return before;
}

function digest(value: unknown): string {
  return createHash("sha1").update(plainJson(value)).digest("base64");
}

function moreIsThere(why: string, seen: { sign: string; rowsTotal: number } | undefined): string {
  const sign = seen === undefined ? "there is more" : `${seen.sign} and ${seen.rowsTotal} rows were read`;
  return `reading ended (${why}), but the response says ${sign}. Check the paginator.`;
}

/** The quietest way to lose rows is to stop too early: the response often says so. */
function signOfMore(body: unknown, rows: number, depth: number): string | undefined {
  if (typeof body !== "object" || body === null || Array.isArray(body) || depth > 2) return undefined;
  for (const [key, value] of Object.entries(body)) {
    if (TOTAL_KEYS.test(key) && typeof value === "number" && value > rows) return `${key} = ${value}`;
    if (MORE_KEYS.test(key) && value === true) return `${key} = true`;
  }
  for (const value of Object.values(body)) {
    const sign = signOfMore(value, rows, depth + 1);
    if (sign !== undefined) return sign;
  }
  return undefined;
}
