/** Calls to RedTrack's API: https://api.redtrack.io/docs/index.html */

import { EngineError } from "../../engine/errors.ts";
import type { JsonValue } from "../../engine/interop/json.ts";
import { isTimezone } from "../daily-report/days.ts";
import type { RequestContext } from "../daily-report/read-ahead.ts";
import type { JsonObject } from "../daily-report/whole-list.ts";
import { HttpClient, type Query } from "../http/index.ts";
import type { RedtrackConfig } from "./config.ts";

/** 20 reports a minute, and no header says when the next may be asked for. */
const PAUSE_MS = 60_000;

export interface RedtrackApiOptions {
  /** How long all requests wait after a 429; default 60 s. */
  readonly pauseMs?: number;
  /** In place of the configuration's, for a service with other limits. */
  readonly requestsPerMinute?: number;
}

/** A page of rows, and the totals that came with it: a count of rows, or sums. */
export interface Answer {
  readonly rows: readonly JsonObject[];
  readonly total: number | JsonObject | undefined;
}

export class RedtrackApi {
  readonly http: HttpClient;
  private readonly config: RedtrackConfig;
  private zone: Promise<string> | undefined;

  constructor(config: RedtrackConfig, apiKey: string, options: RedtrackApiOptions = {}) {
    this.config = config;
    this.http = new HttpClient({
      baseUrl: config.base_url,
      auth: { kind: "api_key", in: "query", name: "api_key", key: apiKey },
      concurrency: 1,
      requestsPerMinute: options.requestsPerMinute ?? config.requests_per_minute,
      pauseMsDefault: options.pauseMs ?? PAUSE_MS,
    });
  }

  /** The zone in which days are cut: the configuration's, else the account's; asked once. */
  timezone(context: RequestContext): Promise<string> {
    const { timezone } = this.config;
    this.zone ??= (timezone === undefined ? this.accountZone(context) : Promise.resolve(timezone)).catch(
      (error: unknown) => {
        this.zone = undefined;
        throw error;
      },
    );
    return this.zone;
  }

  private async accountZone(context: RequestContext): Promise<string> {
    const settings = await this.call("/me/settings", {}, context);
    const zone =
      typeof settings === "object" && settings !== null ? (settings as JsonObject).timezone : undefined;
    if (typeof zone === "string" && isTimezone(zone)) return zone;
    throw new EngineError("CONFIG_MISSING", "RedTrack did not say which time zone the account reports in.", {
      hint: "Set `timezone` to the account's time zone, such as America/New_York.",
      details: { setting: "timezone" },
    });
  }

  /**
   * A bare list, or `{items, total}`. A last row with neither of the fields that `isRow` asks for is a row of
   * totals.
   */
  async list(
    path: string,
    query: Query,
    context: RequestContext,
    isRow: (row: JsonObject) => boolean = () => true,
  ): Promise<Answer> {
    const body = await this.call(path, query, context);
    const bare = Array.isArray(body);
    const items = bare ? body : (body as JsonObject | null | undefined)?.items;
    if (!Array.isArray(items)) {
      const keys = typeof body === "object" && body !== null ? Object.keys(body) : [];
      throw notAsDocumented(path, "is neither a list nor an object with `items`", keys);
    }
    const rows = items as JsonObject[];
    const total = bare ? undefined : (body as JsonObject).total;
    const last = rows.at(-1);
    if (last !== undefined && query.total === true && !isRow(last))
      return { rows: rows.slice(0, -1), total: last };
    if (typeof total === "number") return { rows, total };
    const sums = typeof total === "object" && total !== null && total.constructor === Object;
    return { rows, total: sums ? (total as JsonObject) : undefined };
  }

  private async call(path: string, query: Query, context: RequestContext): Promise<JsonValue | undefined> {
    try {
      return await this.http.getJson(path, { query, context });
    } catch (error) {
      throw withNextStep(error);
    }
  }
}

export function notAsDocumented(path: string, problem: string, keys?: readonly string[]): EngineError {
  return new EngineError("HTTP_BODY_INVALID", `RedTrack's answer to ${path} ${problem}.`, {
    hint: "Check base_url; if it is right, the API has changed and the source has to be adapted.",
    details: { path, ...(keys === undefined ? {} : { keys }) },
  });
}

const NEXT_STEPS: Readonly<Record<string, string>> = {
  HTTP_UNAUTHORIZED:
    "RedTrack does not know the key: set SOURCES__REDTRACK__API_KEY to the API key of the account (Profile > API key).",
  HTTP_FORBIDDEN: "The key may not read this: use the API key of an owner or administrator of the account.",
  HTTP_RATE_LIMITED:
    "RedTrack's 20 reports a minute are spent, by this or another program with the key: lower requests_per_minute, or run again later.",
};

function withNextStep(error: unknown): unknown {
  if (!(error instanceof EngineError)) return error;
  const hint = NEXT_STEPS[error.code];
  if (hint === undefined) return error;
  const { code, message, retry, details, cause } = error;
  return new EngineError(code, message, { hint, retry, details, cause });
}
