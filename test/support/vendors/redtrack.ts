/**
 * RedTrack's API as its Swagger file and public clients describe it, over a truth that the test knows:
 * `/report` with paging and both shapes, `/conversions`, the account's settings, 20 reports a window.
 */

import { daysBetween } from "./everflow.ts";
import { type VendorLimits, type VendorReply, type VendorRequest, VendorServer } from "./vendor-server.ts";

export interface SourceDay {
  readonly source_id: string | null;
  readonly source?: string;
  readonly clicks: number;
  readonly conversions: number;
  readonly revenueCents: number;
  readonly costCents: number;
  /** Fields beyond the common ones. */
  readonly more?: Readonly<Record<string, unknown>>;
}

export interface RedtrackTruth {
  readonly report: (day: string) => readonly SourceDay[];
  readonly conversions?: (day: string) => readonly Record<string, unknown>[];
}

export interface RedtrackOptions {
  readonly truth: RedtrackTruth;
  readonly apiKey?: string;
  readonly limits?: VendorLimits;
  /** `{items, total}` with the number of rows, or with a row of sums, or an array that ends with such a row. */
  readonly totalShape?: "count" | "sums" | "row";
  /** The account's report has no `date` field. */
  readonly withoutDate?: boolean;
  readonly beforeReportPage?: (page: number) => void;
}

export const REDTRACK_KEY = "rt-key-0123456789";
export const PER_MAX = 1000;

export class RedtrackServer extends VendorServer {
  constructor(options: RedtrackOptions) {
    super((request) => answer(request, options), options.limits);
  }
}

function answer(request: VendorRequest, options: RedtrackOptions): VendorReply {
  if (request.query.get("api_key") !== (options.apiKey ?? REDTRACK_KEY)) {
    return { status: 401, body: { error: "invalid api key" } };
  }
  if (request.method !== "GET") return { status: 404, body: { error: "not found" } };
  switch (request.path) {
    case "/me/settings":
      return { body: { timezone: "America/New_York", currency: "USD" } };
    case "/report":
      return report(request, options);
    case "/conversions":
      return conversions(request, options);
    default:
      return { status: 404, body: { error: "not found" } };
  }
}

function report({ query }: VendorRequest, options: RedtrackOptions): VendorReply {
  const group = (query.get("group") ?? "").split(",");
  const from = query.get("date_from");
  const to = query.get("date_to");
  if (from === null || to === null)
    return { status: 400, body: { error: "date_from and date_to are required" } };
  const { page, per } = pageOf(query, PER_MAX);
  options.beforeReportPage?.(page);
  const rows: Record<string, unknown>[] = [];
  for (const day of daysBetween(from, to)) {
    for (const truth of options.truth.report(day)) rows.push(reportRow(day, truth, options));
  }
  // without grouping by both, the answer is sums: a client that spells `group` otherwise gets this
  const answered = group.includes("date") && group.includes("source") ? rows : rows.slice(0, 1);
  const slice = answered.slice((page - 1) * per, page * per);
  if (query.get("total") !== "true") return { body: slice };
  const sums = {
    clicks: sum(rows, "clicks"),
    conversions: sum(rows, "conversions"),
    cost: sum(rows, "cost"),
    revenue: sum(rows, "revenue"),
  };
  if (options.totalShape === "row") return { body: [...slice, sums] };
  return { body: { items: slice, total: options.totalShape === "sums" ? sums : answered.length } };
}

function reportRow(day: string, truth: SourceDay, options: RedtrackOptions): Record<string, unknown> {
  const { source_id, source, clicks, conversions, revenueCents, costCents, more } = truth;
  return {
    ...(options.withoutDate ? {} : { date: day }),
    source_id,
    source: source ?? (source_id ? `Source ${source_id}` : ""),
    source_alias: "facebook",
    impressions: 0,
    clicks,
    unique_clicks: clicks,
    lp_views: clicks,
    lp_clicks: 0,
    conversions,
    total_conversions: conversions,
    approved: 0,
    pending: 0,
    declined: 0,
    revenue: revenueCents / 100,
    total_revenue: revenueCents / 100,
    cost: costCents / 100,
    profit: (revenueCents - costCents) / 100,
    roi: 1.5,
    cpc: clicks === 0 ? 0 : costCents / 100 / clicks,
    convtype1: 0,
    revenuetype1: 0,
    type1_roas: 0,
    ...more,
  };
}

function conversions({ query }: VendorRequest, options: RedtrackOptions): VendorReply {
  const from = query.get("date_from");
  const to = query.get("date_to");
  if (from === null || to === null)
    return { status: 400, body: { error: "date_from and date_to are required" } };
  const { page, per } = pageOf(query, 10_000);
  const rows = daysBetween(from, to).flatMap((day) => options.truth.conversions?.(day) ?? []);
  return { body: { items: rows.slice((page - 1) * per, page * per), total: rows.length } };
}

function pageOf(query: URLSearchParams, max: number): { page: number; per: number } {
  return {
    page: Number(query.get("page") ?? "1"),
    per: Math.min(Number(query.get("per") ?? "100"), max),
  };
}

function sum(rows: readonly Record<string, unknown>[], field: string): number {
  return Math.round(rows.reduce((total, row) => total + Number(row[field]) * 100, 0)) / 100;
}
