/** Calls to Everflow's network API: https://developers.everflow.io/api-reference/network-overview */

import { EngineError } from "../../engine/errors.ts";
import type { JsonValue } from "../../engine/interop/json.ts";
import { didYouMean } from "../../engine/nearest.ts";
import type { RequestContext } from "../daily-report/read-ahead.ts";
import type { JsonObject, ListPage } from "../daily-report/whole-list.ts";
import { HttpClient, type RequestOptions } from "../http/index.ts";
import type { EverflowConfig } from "./config.ts";

/** Rows of a page; most endpoints give no more. */
export const PAGE_ROWS = 2000;
/** The limit window ends after 30 s, and no header says when. */
const WINDOW_MS = 30_000;

/** How a report is asked for: the zone in which days are cut, and the currency of money. */
export interface ReportSettings {
  readonly timezone: string;
  readonly timezoneId: number;
  readonly currency: string;
}

export class EverflowApi {
  readonly http: HttpClient;
  private readonly config: EverflowConfig;
  private settings: Promise<ReportSettings> | undefined;

  constructor(config: EverflowConfig, apiKey: string, pauseMs = WINDOW_MS) {
    this.config = config;
    this.http = new HttpClient({
      baseUrl: `${config.base_url.replace(/\/+$/, "")}/v1`,
      auth: { kind: "header", name: "X-Eflow-API-Key", value: apiKey },
      concurrency: config.concurrency,
      requestsPerMinute: config.requests_per_minute,
      pauseMsDefault: pauseMs,
    });
  }

  async get(path: string, context: RequestContext, query: RequestOptions["query"] = {}): Promise<JsonObject> {
    return this.call(path, { query, context });
  }

  async post(path: string, body: unknown, context: RequestContext, query: RequestOptions["query"] = {}) {
    return this.call(path, { json: body, query, context });
  }

  /** Asked once, by whichever resource needs it first. */
  reportSettings(context: RequestContext): Promise<ReportSettings> {
    this.settings ??= this.findSettings(context).catch((error: unknown) => {
      this.settings = undefined;
      throw error;
    });
    return this.settings;
  }

  /**
   * Zone names are looked up at run time: ids are Everflow's own, and the ones in circulation are often wrong.
   * Without `timezone` and `currency` the account's own are used.
   */
  private async findSettings(context: RequestContext): Promise<ReportSettings> {
    const { timezone, currency } = this.config;
    const network =
      timezone === undefined || currency === undefined ? await this.get("/networks", context) : {};
    const zones = listOf(await this.get("/meta/timezones", context), "timezones", "/meta/timezones");
    const accountZone = network.reporting_timezone_id;
    const zone = zones.find((each) =>
      timezone === undefined ? Number(each.timezone_id) === Number(accountZone) : each.timezone === timezone,
    );
    if (zone === undefined && timezone !== undefined) {
      const names = zones.map((each) => String(each.timezone));
      throw new EngineError("CONFIG_INVALID", `Everflow has no time zone ${timezone}.`, {
        hint: didYouMean(timezone, names) || "Use one of the names that GET /v1/meta/timezones lists.",
        details: { setting: "timezone", timezone },
      });
    }
    if (zone === undefined) {
      throw new EngineError(
        "CONFIG_MISSING",
        "Everflow did not say which time zone the account reports in.",
        {
          hint: "Set `timezone` to the reporting time zone of the account, such as America/New_York.",
          details: { setting: "timezone" },
        },
      );
    }
    const accountCurrency = network.default_currency_id;
    if (currency === undefined && typeof accountCurrency !== "string") {
      throw new EngineError("CONFIG_MISSING", "Everflow did not say which currency the account has.", {
        hint: "Set `currency`, such as USD.",
        details: { setting: "currency" },
      });
    }
    return {
      timezone: String(zone.timezone),
      timezoneId: Number(zone.timezone_id),
      currency: currency ?? String(accountCurrency),
    };
  }

  private async call(path: string, options: RequestOptions): Promise<JsonObject> {
    let body: JsonValue | undefined;
    try {
      body = await this.http.getJson(path, options);
    } catch (error) {
      throw withNextStep(error);
    }
    if (typeof body === "object" && body !== null && body.constructor === Object) return body as JsonObject;
    throw notAsDocumented(path, "is not an object");
  }
}

/** The list at `name` of an answer. Errors: HTTP_BODY_INVALID. */
export function listOf(body: JsonObject, name: string, path: string): JsonObject[] {
  const list = body[name];
  // an empty list comes as null from some endpoints
  if (list === null) return [];
  if (Array.isArray(list)) return list as JsonObject[];
  throw notAsDocumented(path, `has no list ${name}`, Object.keys(body));
}

/** A page of an answer with `paging`. */
export function pageOf(body: JsonObject, name: string, path: string): ListPage {
  const { total_count: total } = (body.paging ?? {}) as JsonObject;
  return { rows: listOf(body, name, path), total: typeof total === "number" ? total : undefined };
}

export function notAsDocumented(path: string, problem: string, keys?: readonly string[]): EngineError {
  return new EngineError("HTTP_BODY_INVALID", `Everflow's answer to ${path} ${problem}.`, {
    hint: "Check base_url; if it is right, the API has changed and the source has to be adapted.",
    details: { path, ...(keys === undefined ? {} : { keys }) },
  });
}

const NEXT_STEPS: Readonly<Record<string, string>> = {
  HTTP_UNAUTHORIZED:
    "Everflow got no valid key: set SOURCES__EVERFLOW__API_KEY to a network API key (Control Center > Security) that is not revoked.",
  HTTP_FORBIDDEN:
    'The key is of another portal or cluster, or lacks a permission: use a network API key, and for EU accounts base_url = "https://api-eu.eflow.team".',
  HTTP_RATE_LIMITED:
    "Everflow's limit is spent, by this or another program with a key of the account: lower requests_per_minute and concurrency, or run again later.",
};

function withNextStep(error: unknown): unknown {
  if (!(error instanceof EngineError)) return error;
  const hint = NEXT_STEPS[error.code];
  if (hint === undefined) return error;
  const { code, message, retry, details, cause } = error;
  return new EngineError(code, message, { hint, retry, details, cause });
}
