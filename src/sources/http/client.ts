/**
 * The HTTP client of the sources, on Node's own fetch. A request is tried until it succeeds, is refused for
 * good, or has used its attempts:
 *
 *   pause (the service asked for one) -> slot of the pace -> send, follow redirects, read the whole body
 *     success                      -> the response
 *     401, OAuth2                  -> once more with a new token
 *     408, 429, 5xx, connection,
 *     time-out, body cut short     -> again with back-off; 429 and 503 with a Retry-After hold all requests back
 *     other                        -> the coded error
 *
 * Sources read, so every method is repeated, POST included.
 */

import { setTimeout as sleep } from "node:timers/promises";
import pRetry from "p-retry";
import { EngineError } from "../../engine/errors.ts";
import type { ResourceContext } from "../../engine/extract/resource-context.ts";
import { type JsonValue, plainJson } from "../../engine/interop/json.ts";
import { type Authorizer, authorizerOf, type HttpAuth } from "./auth.ts";
import { connectionError, type RequestFacts, statusError, timeoutError } from "./errors.ts";
import { jsonBody } from "./json-body.ts";
import { Pace, type PaceOptions } from "./pace.ts";
import { isExhausted, waitMsOf } from "./retry-after.ts";
import { joinUrl, parseUrl, type Query, shownUrl, withQuery } from "./url.ts";

export interface HttpClientOptions extends PaceOptions {
  /** Paths of requests are put behind it; without one they must be whole URLs. */
  readonly baseUrl?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly query?: Query;
  readonly auth?: HttpAuth;
  /** Hosts (`host` or `host:port`) that get the credentials as well as that of the base URL. */
  readonly authHosts?: readonly string[];
  /** Milliseconds for one attempt, its body included; default 120 000. */
  readonly timeoutMs?: number;
  /** Default 5. */
  readonly attemptsMax?: number;
  /** Milliseconds before the first repetition, doubled each time, with jitter; default 1000. */
  readonly backoffMs?: number;
  /** Default 300 000. */
  readonly backoffMsMax?: number;
  /** A longer pause asked for by the service ends the run with HTTP_RATE_LIMITED; default 300 000. */
  readonly pauseMsMax?: number;
  /** The pause after a 429 that names no time; default none beyond the back-off. */
  readonly pauseMsDefault?: number;
  /** Default 256 MiB, uncompressed. */
  readonly bodyBytesMax?: number;
  /** Query parameters whose values are secrets, besides those of `auth` and those with a telling name. */
  readonly secretQuery?: readonly string[];
}

export interface RequestOptions {
  /** Default GET, or POST when there is a body. */
  readonly method?: string;
  readonly query?: Query;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly json?: unknown;
  /** Sent as a form. */
  readonly form?: Readonly<Record<string, string>>;
  /** Of the resource that asks: its `signal` ends the request, its `log` gets an event for each attempt. */
  readonly context?: Pick<ResourceContext, "signal" | "log">;
  readonly timeoutMs?: number;
  /** A pace of its own for this endpoint, besides that of the client. */
  readonly pace?: Pace;
  /** In place of the client's. */
  readonly auth?: HttpAuth;
  /** True for a response that is to be returned as it is: whatever its status, and without parsing it. */
  readonly accept?: (response: HttpResponse) => boolean;
}

export interface HttpResponse {
  readonly status: number;
  readonly headers: Headers;
  /** Where the response came from, after redirects; may hold secrets. */
  readonly url: string;
  readonly bytes: Uint8Array;
}

export interface JsonResponse extends HttpResponse {
  /** Undefined when the body is empty. */
  readonly body: JsonValue | undefined;
}

/** One attempt, as it is logged. */
export interface RequestTrace {
  readonly method: string;
  /** Without secrets. */
  readonly url: string;
  readonly attempt: number;
  readonly status?: number;
  readonly ms: number;
  readonly bytes: number;
  /** The code of the error that ended it. */
  readonly error?: string;
}

const TRACE_MAX = 200;
const REDIRECTS_MAX = 5;
const MIB = 1024 ** 2;

export class HttpClient {
  readonly options: HttpClientOptions;
  readonly #pace: Pace;
  readonly #authorizer: Authorizer | undefined;
  readonly #authorizers = new Map<HttpAuth, Authorizer>();
  readonly #secretQuery: Set<string>;
  readonly #authHosts: ReadonlySet<string>;
  readonly #trace: RequestTrace[] = [];
  /** Milliseconds since 1970 until which the service wants no requests. */
  #pausedUntil = 0;

  /** Errors: CONFIG_INVALID. */
  constructor(options: HttpClientOptions = {}) {
    this.options = options;
    this.#pace = new Pace(options);
    this.#secretQuery = new Set(options.secretQuery);
    this.#authorizer = this.#authorizerOf(options.auth);
    const hosts = options.baseUrl === undefined ? [] : [parseUrl(options.baseUrl).host];
    this.#authHosts = new Set([...hosts, ...(options.authHosts ?? [])].map((host) => host.toLowerCase()));
  }

  /** The last attempts, oldest first. */
  get trace(): readonly RequestTrace[] {
    return this.#trace;
  }

  /** The response's bytes. Errors: HTTP_*, CONFIG_INVALID; the reason of the signal when it ends the request. */
  async request(path: string, options: RequestOptions = {}): Promise<HttpResponse> {
    return this.#run(path, options, (response) => response);
  }

  /** The response with its JSON; a body that was cut short counts as a failed attempt. */
  async json(path: string, options: RequestOptions = {}): Promise<JsonResponse> {
    return this.#run(path, options, (response, url) => {
      // what the caller takes as it is need not be JSON
      if (options.accept?.(response)) return { ...response, body: undefined };
      const contentType = response.headers.get("content-type");
      return { ...response, body: jsonBody(response.bytes, { url, status: response.status, contentType }) };
    });
  }

  /** The JSON alone: `await http.getJson("/orders", { query: { page: 2 }, context })`. */
  async getJson(path: string, options: RequestOptions = {}): Promise<JsonValue | undefined> {
    return (await this.json(path, options)).body;
  }

  /** A URL as messages may show it. */
  shown(url: string): string {
    return shownUrl(joinUrl(this.options.baseUrl, url), this.#secretQuery);
  }

  #authorizerOf(auth: HttpAuth | undefined): Authorizer | undefined {
    if (auth === undefined) return undefined;
    let authorizer = this.#authorizers.get(auth);
    if (authorizer === undefined) {
      authorizer = authorizerOf(
        auth,
        async (url, form, headers) => {
          const { body } = await this.#plain(url, form, headers);
          return body;
        },
        Date.now,
      )!;
      this.#authorizers.set(auth, authorizer);
      for (const name of authorizer.secretQuery) this.#secretQuery.add(name);
    }
    return authorizer;
  }

  /** The token endpoint: without our own credentials and headers, and outside of the pace. */
  async #plain(
    url: string,
    form: Readonly<Record<string, string>>,
    headers: Readonly<Record<string, string>>,
  ) {
    const { timeoutMs, attemptsMax, backoffMs, backoffMsMax, pauseMsMax } = this.options;
    const client = new HttpClient({ timeoutMs, attemptsMax, backoffMs, backoffMsMax, pauseMsMax });
    return client.json(joinUrl(this.options.baseUrl, url).href, { form, headers });
  }

  async #run<T>(
    path: string,
    options: RequestOptions,
    finish: (response: HttpResponse, shown: string) => T,
  ): Promise<T> {
    const { baseUrl, query, attemptsMax = 5, backoffMs = 1000, backoffMsMax = 300_000 } = this.options;
    const authorizer = options.auth === undefined ? this.#authorizer : this.#authorizerOf(options.auth);
    const signal = options.context?.signal;
    const url = withQuery(withQuery(joinUrl(baseUrl, path), missingFrom(path, query)), options.query);
    const attempt = async (number: number): Promise<T> => {
      await this.#pause(signal);
      const send = async (): Promise<T> => {
        // the pause may have begun while this request waited for its turn
        await this.#pause(signal);
        return this.#attempt(url, options, authorizer, number, finish);
      };
      const paced = (): Promise<T> => this.#pace.run(send, signal);
      return options.pace === undefined ? paced() : options.pace.run(paced, signal);
    };
    return pRetry(attempt, {
      retries: attemptsMax - 1,
      minTimeout: backoffMs,
      maxTimeout: Math.max(backoffMs, backoffMsMax),
      randomize: true,
      ...(signal === undefined ? {} : { signal }),
      shouldRetry: ({ error }) => error instanceof EngineError && error.retry === "yes" && this.#waits(error),
    });
  }

  async #pause(signal: AbortSignal | undefined): Promise<void> {
    for (let wait = this.#pausedUntil - Date.now(); wait > 0; wait = this.#pausedUntil - Date.now()) {
      await sleep(wait, undefined, signal === undefined ? {} : { signal }).catch((error: unknown) => {
        throw signal?.aborted ? signal.reason : error;
      });
    }
  }

  async #attempt<T>(
    url: URL,
    options: RequestOptions,
    authorizer: Authorizer | undefined,
    attempt: number,
    finish: (response: HttpResponse, shown: string) => T,
  ): Promise<T> {
    const started = performance.now();
    const method = methodOf(options);
    const facts: RequestFacts = { method, url: shownUrl(url, this.#secretQuery), attempt };
    const note = (response: Partial<RequestTrace>): void => {
      const entry = { ...facts, ms: Math.round(performance.now() - started), bytes: 0, ...response };
      this.#trace.push(entry);
      if (this.#trace.length > TRACE_MAX) this.#trace.shift();
      options.context?.log(entry.error === undefined ? "debug" : "warn", "http.request", { ...entry });
    };
    let response: (HttpResponse & { withheld: boolean }) | undefined;
    try {
      response = await this.#exchange(url, options, authorizer, facts);
      if (response.status === 401 && !response.withheld && authorizer?.renew() === true) {
        response = await this.#exchange(url, options, authorizer, facts);
      }
      const { withheld, ...received } = response;
      if ((response.status < 200 || response.status >= 300) && !options.accept?.(received)) {
        throw this.#refused(facts, received, withheld);
      }
      const result = finish(received, facts.url);
      note({ status: response.status, bytes: response.bytes.length });
      return result;
    } catch (error) {
      const error_code = error instanceof EngineError ? error.code : "ABORTED";
      note({ status: response?.status, bytes: response?.bytes.length ?? 0, error: error_code });
      throw error;
    }
  }

  #refused(facts: RequestFacts, response: HttpResponse, withheld: boolean): EngineError {
    const { status, headers, bytes } = response;
    const now = Date.now();
    const exhausted = isExhausted(headers);
    const asked = status === 429 || status === 503 || (status === 403 && exhausted);
    const named = asked ? waitMsOf(headers, now) : undefined;
    const waitMs = named ?? (status === 429 ? this.options.pauseMsDefault : undefined);
    const error = statusError(facts, { status, headers, bytes, exhausted, waitMs, withheld });
    if (waitMs === undefined) return error;
    // whole milliseconds: timers may fire a fraction too early
    if (this.#waits(error)) this.#pausedUntil = Math.max(this.#pausedUntil, Math.ceil(now + waitMs));
    return error;
  }

  /** Is the pause that the service asks for short enough to be waited for in this run? */
  #waits(error: EngineError): boolean {
    const { pauseMsMax = 300_000 } = this.options;
    return Number(error.details.retry_after_seconds ?? 0) * 1000 <= pauseMsMax;
  }

  /** Sends, follows redirects and reads the body, all within the time-out. */
  async #exchange(
    start: URL,
    options: RequestOptions,
    authorizer: Authorizer | undefined,
    facts: RequestFacts,
  ): Promise<HttpResponse & { withheld: boolean }> {
    const outer = options.context?.signal;
    outer?.throwIfAborted();
    const timeoutMs = options.timeoutMs ?? this.options.timeoutMs ?? 120_000;
    const timeout = AbortSignal.timeout(timeoutMs);
    const signal = outer === undefined ? timeout : AbortSignal.any([outer, timeout]);
    let { method } = facts;
    let url = start;
    let body = bodyOf(options);
    try {
      for (let redirects = 0; ; redirects += 1) {
        const trusted = this.#isTrusted(url, start);
        const headers = this.#headers(trusted, options, body?.type);
        const target = new URL(url);
        if (trusted) await authorizer?.apply(target, headers);
        signal.throwIfAborted();
        const response = await fetch(target, {
          method,
          headers,
          body: body?.content,
          redirect: "manual",
          signal,
        });
        const location = response.headers.get("location");
        if (isRedirect(response.status) && location !== null) {
          await response.body?.cancel();
          if (redirects === REDIRECTS_MAX) throw tooManyRedirects(facts);
          url = redirectTarget(location, url, facts);
          if (
            response.status === 303 ||
            (response.status !== 307 && response.status !== 308 && method === "POST")
          ) {
            method = method === "HEAD" ? "HEAD" : "GET";
            body = undefined;
          }
          continue;
        }
        const bytes = await this.#read(response, facts);
        return {
          status: response.status,
          headers: response.headers,
          url: url.href,
          bytes,
          withheld: !trusted && authorizer !== undefined,
        };
      }
    } catch (error) {
      if (outer?.aborted) throw outer.reason;
      if (error instanceof EngineError) throw error;
      if (timeout.aborted) throw timeoutError(facts, timeoutMs);
      throw connectionError(facts, error);
    }
  }

  /** Credentials go to the client's own host only: a link in a response must not carry them elsewhere. */
  #isTrusted(url: URL, start: URL): boolean {
    if (this.#authHosts.size === 0) return url.origin === start.origin;
    const base = this.options.baseUrl === undefined ? undefined : parseUrl(this.options.baseUrl);
    // never from https down to http
    if (base?.protocol === "https:" && url.protocol !== "https:") return false;
    return this.#authHosts.has(url.host.toLowerCase());
  }

  #headers(trusted: boolean, options: RequestOptions, bodyType: string | undefined): Headers {
    const headers = new Headers({ accept: "application/json", "user-agent": "loadwright" });
    if (bodyType !== undefined) headers.set("content-type", bodyType);
    // headers of the configuration may hold secrets as well
    if (!trusted) return headers;
    for (const [name, value] of Object.entries({ ...this.options.headers, ...options.headers })) {
      headers.set(name, value);
    }
    return headers;
  }

  async #read(response: Response, facts: RequestFacts): Promise<Uint8Array> {
    const { bodyBytesMax = 256 * MIB } = this.options;
    const parts: Uint8Array[] = [];
    let length = 0;
    for await (const part of response.body ?? []) {
      parts.push(part);
      length += part.length;
      if (length > bodyBytesMax) {
        throw new EngineError(
          "HTTP_TOO_LARGE",
          `${facts.method} ${facts.url}: the body has more than ${bodyBytesMax} bytes.`,
          { details: { ...facts, body_bytes_max: bodyBytesMax } },
        );
      }
    }
    return parts.length === 1 ? parts[0]! : Buffer.concat(parts, length);
  }
}

function methodOf({ method, json, form }: RequestOptions): string {
  return method?.toUpperCase() ?? (json === undefined && form === undefined ? "GET" : "POST");
}

function bodyOf({ json, form }: RequestOptions): { content: string; type: string } | undefined {
  if (json !== undefined) return { content: plainJson(json), type: "application/json" };
  if (form === undefined) return undefined;
  return { content: new URLSearchParams(form).toString(), type: "application/x-www-form-urlencoded" };
}

/** A whole URL (a link to the next page) brings its own parameters; the defaults fill what it lacks. */
function missingFrom(path: string, query: Query | undefined): Query | undefined {
  if (query === undefined || !path.includes("?")) return query;
  const there = new URLSearchParams(path.slice(path.indexOf("?") + 1));
  return Object.fromEntries(Object.entries(query).filter(([name]) => !there.has(name)));
}

function isRedirect(status: number): boolean {
  return status === 301 || status === 302 || status === 303 || status === 307 || status === 308;
}

function redirectTarget(location: string, from: URL, facts: RequestFacts): URL {
  const url = URL.parse(location, from.href);
  if (url !== null && (url.protocol === "http:" || url.protocol === "https:")) return url;
  throw new EngineError(
    "HTTP_REDIRECT",
    `${facts.method} ${facts.url} redirects to what is not an http URL.`,
    {
      details: { ...facts },
    },
  );
}

function tooManyRedirects(facts: RequestFacts): EngineError {
  return new EngineError(
    "HTTP_REDIRECT",
    `${facts.method} ${facts.url} redirects more than ${REDIRECTS_MAX} times.`,
    { details: { ...facts } },
  );
}
