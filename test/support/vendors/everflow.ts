/**
 * Everflow's network API as its documentation describes it, over a truth that the test knows: pivoted reports
 * with the row cap, raw conversions and entity lists with paging, time zones, the rate window.
 * Sources: developers.everflow.io (reporting overview, paging, time zones, rate limits, errors).
 */

import { type VendorLimits, type VendorReply, type VendorRequest, VendorServer } from "./vendor-server.ts";

/** One cell of truth: what happened on a day for an affiliate, an advertiser and an offer. Money in cents. */
export interface StatCell {
  readonly affiliate: number;
  readonly advertiser: number;
  readonly offer?: number;
  readonly clicks: number;
  readonly conversions: number;
  readonly payoutCents: number;
  readonly revenueCents: number;
}

export interface EverflowTruth {
  /** The cells of a day; the truth may change between runs. */
  readonly stats: (day: string) => Iterable<StatCell>;
  /** Conversions of a day, whole rows as the vendor sends them. */
  readonly conversions?: (day: string) => readonly Record<string, unknown>[];
  readonly offers?: readonly Record<string, unknown>[];
  readonly affiliates?: readonly Record<string, unknown>[];
  readonly advertisers?: readonly Record<string, unknown>[];
  /** More metrics in each reporting object, by name. */
  readonly moreMetrics?: (day: string) => Readonly<Record<string, number>>;
}

export interface EverflowOptions {
  readonly truth: EverflowTruth;
  readonly apiKey?: string;
  readonly rowsMax?: number;
  readonly limits?: VendorLimits;
  /** The account's day; conversions older than 365 days are refused. */
  readonly today?: string;
  /** Answers `incomplete_results: false` although rows were cut: only their number tells. */
  readonly hidesCut?: boolean;
  /** Ignores filters, as the API does with those of a wrong shape. */
  readonly ignoresFilters?: boolean;
  /** Called before each conversions page is made: a test may let a row arrive in between. */
  readonly beforeConversionsPage?: (page: number) => void;
}

export const EVERFLOW_KEY = "ef-key-0123456789";

export const TIMEZONES = [
  { timezone_id: 67, timezone: "UTC", timezone_name: "UTC", utc_offset: 0 },
  { timezone_id: 80, timezone: "America/New_York", timezone_name: "EST", utc_offset: -18_000 },
  { timezone_id: 85, timezone: "America/Chicago", timezone_name: "CST", utc_offset: -21_600 },
  { timezone_id: 87, timezone: "America/Denver", timezone_name: "MST", utc_offset: -25_200 },
];

const TIME_COLUMNS = new Set(["date", "hour", "week", "month"]);
const ENTITY_COLUMNS = new Set(["affiliate", "advertiser", "offer"]);

export class EverflowServer extends VendorServer {
  constructor(options: EverflowOptions) {
    super((request) => answer(request, options), options.limits);
  }
}

function answer(request: VendorRequest, options: EverflowOptions): VendorReply {
  const key = request.headers["x-eflow-api-key"];
  if (key === undefined) return failure(401, "No Authentication Method Found");
  if (key !== (options.apiKey ?? EVERFLOW_KEY)) return failure(403, "Out Of Realm");
  const { truth } = options;
  switch (`${request.method} ${request.path}`) {
    case "GET /v1/networks":
      return {
        body: { network_id: 1, name: "Test", default_currency_id: "USD", reporting_timezone_id: 80 },
      };
    case "GET /v1/meta/timezones":
      return { body: { timezones: TIMEZONES } };
    case "POST /v1/networks/reporting/entity/table":
      return table(request, options);
    case "POST /v1/networks/reporting/conversions":
      return conversions(request, options);
    case "GET /v1/networks/offers":
      return paged(request, "offers", truth.offers ?? []);
    case "GET /v1/networks/affiliates":
      return paged(request, "affiliates", truth.affiliates ?? []);
    case "GET /v1/networks/advertisers":
      return paged(request, "advertisers", truth.advertisers ?? []);
    default:
      return failure(404, "Not Found");
  }
}

interface ReportBody {
  readonly from?: string;
  readonly to?: string;
  readonly timezone_id?: number;
  readonly currency_id?: string;
  readonly columns?: readonly { column: string }[];
  readonly query?: { filters?: readonly { resource_type?: string; filter_id_value?: unknown }[] };
  readonly show_conversions?: boolean;
  readonly show_events?: boolean;
}

function table(request: VendorRequest, options: EverflowOptions): VendorReply {
  const body = (request.body ?? {}) as ReportBody;
  const problem = rangeProblem(body, 366);
  if (problem !== undefined) return failure(400, problem);
  if (!body.currency_id) return failure(400, "currency_id is required");
  const columns = (body.columns ?? []).map(({ column }) => column);
  if (columns.length < 1 || columns.length > 10) return failure(400, "1 to 10 columns are required");
  if (columns.filter((column) => TIME_COLUMNS.has(column)).length > 1) {
    return failure(400, "only one time column is allowed");
  }
  const unknown = columns.find((column) => !ENTITY_COLUMNS.has(column) && column !== "date");
  if (unknown !== undefined) return failure(400, `unknown column ${unknown}`);
  const filters = options.ignoresFilters ? [] : (body.query?.filters ?? []);
  const wanted = (cell: StatCell): boolean =>
    filters.every(({ resource_type, filter_id_value }) => {
      // a filter of a wrong shape is ignored, not refused
      if (typeof filter_id_value !== "string" || resource_type === undefined) return true;
      return String(cell[resource_type as "affiliate"]) === filter_id_value;
    });

  const groups = new Map<string, { day: string; cell: StatCell; sum: Sum }>();
  for (const day of daysBetween(body.from!, body.to!)) {
    for (const cell of options.truth.stats(day)) {
      if (!wanted(cell)) continue;
      const id = columns
        .map((column) => (column === "date" ? day : cell[column as "affiliate"]))
        .join("\u0000");
      let group = groups.get(id);
      if (group === undefined) {
        group = { day, cell, sum: { clicks: 0, conversions: 0, payoutCents: 0, revenueCents: 0 } };
        groups.set(id, group);
      }
      group.sum.clicks += cell.clicks;
      group.sum.conversions += cell.conversions;
      group.sum.payoutCents += cell.payoutCents;
      group.sum.revenueCents += cell.revenueCents;
    }
  }
  const rowsMax = options.rowsMax ?? 10_000;
  const rows: unknown[] = [];
  for (const { day, cell, sum } of groups.values()) {
    if (rows.length === rowsMax) break;
    rows.push({
      columns: columns.map((column) => pivot(column, day, cell)),
      reporting: { ...reporting(sum), ...options.truth.moreMetrics?.(day) },
    });
  }
  const cut = groups.size > rowsMax;
  return { body: { table: rows, summary: {}, incomplete_results: cut && !options.hidesCut } };
}

interface Sum {
  clicks: number;
  conversions: number;
  payoutCents: number;
  revenueCents: number;
}

function pivot(column: string, day: string, cell: StatCell): unknown {
  if (column === "date")
    return { column_type: "date", id: String(Date.parse(`${day}T00:00Z`) / 1000), label: day };
  const id = cell[column as "affiliate"];
  return { column_type: column, id: String(id), label: `${column} ${id}` };
}

function reporting({ clicks, conversions, payoutCents, revenueCents }: Sum): Record<string, number> {
  return {
    imp: 0,
    total_click: clicks,
    unique_click: clicks,
    invalid_click: 0,
    duplicate_click: 0,
    gross_click: clicks,
    ctr: 0,
    cv: conversions,
    invalid_cv_scrub: 0,
    view_through_cv: 0,
    total_cv: conversions,
    event: 0,
    cvr: clicks === 0 ? 0 : (conversions * 100) / clicks,
    cpc: clicks === 0 ? 0 : payoutCents / 100 / clicks,
    payout: payoutCents / 100,
    revenue: revenueCents / 100,
    event_revenue: 0,
    gross_sales: 0,
    margin: revenueCents === 0 ? 0 : ((revenueCents - payoutCents) * 100) / revenueCents,
    profit: (revenueCents - payoutCents) / 100,
    media_buying_cost: 0,
  };
}

function conversions(request: VendorRequest, options: EverflowOptions): VendorReply {
  const body = (request.body ?? {}) as ReportBody;
  const problem = rangeProblem(body, 366);
  if (problem !== undefined) return failure(400, problem);
  if (body.show_conversions === undefined || body.show_events === undefined) {
    return failure(400, "show_conversions and show_events are required");
  }
  const today = options.today ?? "2026-03-31";
  if (dayNumber(today) - dayNumber(body.from!) > 365) return failure(400, "from is over 365 days ago");
  options.beforeConversionsPage?.(Number(request.query.get("page") ?? "1"));
  const rows = daysBetween(body.from!, body.to!).flatMap((day) => options.truth.conversions?.(day) ?? []);
  const wanted = rows.filter((row) => (row.is_event === true ? body.show_events : body.show_conversions));
  return paged(request, "conversions", wanted);
}

function paged(request: VendorRequest, name: string, rows: readonly unknown[]): VendorReply {
  const page = Number(request.query.get("page") ?? "1");
  const size = Math.min(Number(request.query.get("page_size") ?? "50"), 2000);
  return {
    body: {
      [name]: rows.slice((page - 1) * size, page * size),
      paging: { page, page_size: size, total_count: rows.length },
    },
  };
}

function rangeProblem(body: ReportBody, daysMax: number): string | undefined {
  if (!isDay(body.from) || !isDay(body.to)) return "from and to are required";
  if (!TIMEZONES.some(({ timezone_id }) => timezone_id === body.timezone_id))
    return "timezone_id is required";
  if (dayNumber(body.to!) - dayNumber(body.from!) > daysMax) return "the range is over 1 year";
  return undefined;
}

function isDay(text: string | undefined): boolean {
  return text !== undefined && /^\d{4}-\d{2}-\d{2}$/.test(text);
}

function failure(status: number, error: string): VendorReply {
  return { status, body: { error } };
}

export function dayNumber(day: string): number {
  return Date.parse(`${day}T00:00Z`) / 86_400_000;
}

export function daysBetween(from: string, to: string): string[] {
  const days: string[] = [];
  for (let at = dayNumber(from); at <= dayNumber(to); at++) {
    days.push(new Date(at * 86_400_000).toISOString().slice(0, 10));
  }
  return days;
}
