/**
 * The report by date and source over a window of days, whole.
 *
 *   pages of 1000 until one is shorter
 *   a row on two pages, or fewer rows than counted   the report moved: again, day by day
 *   rows without a date (some accounts)              day by day, each row gets the day that was asked for
 *
 * Rows without a source (direct traffic) have the key ''. Two rows of one key on one page are added up.
 */

import { EngineError } from "../../engine/errors.ts";
import type { Row } from "../../engine/extract/page.ts";
import { type Day, daysOf } from "../daily-report/days.ts";
import { DATE } from "../daily-report/due-days.ts";
import { addExact, decimalOf } from "../daily-report/exact.ts";
import type { RequestContext } from "../daily-report/read-ahead.ts";
import type { JsonObject } from "../daily-report/whole-list.ts";
import { dateValue } from "../daily-report/window.ts";
import { notAsDocumented, type RedtrackApi } from "./api.ts";
import type { RedtrackConfig } from "./config.ts";
import { metricsOf, passedOver, TEXTS } from "./metrics.ts";

const PATH = "/report";
const PAGE_ROWS = 1000;
/** A single day is read so often before its movement is an error. */
const READS_MAX = 4;
/** Sums that `verify_totals` compares. */
const VERIFIED = ["clicks", "conversions", "cost"];

export interface WindowReport {
  /** Rows by day; a day without rows is not in it. */
  readonly rows: ReadonlyMap<Day, readonly Row[]>;
  /** Fields with values that were not loaded. */
  readonly passedOver: ReadonlySet<string>;
}

interface Found {
  readonly rows: Map<Day, Map<string, Record<string, unknown>>>;
  readonly passedOver: Set<string>;
}

type Reading = Found | "moved" | "undated";

/** Errors: REPORT_SHIFTED, REPORT_MISMATCH, HTTP_*. */
export async function windowReport(
  api: RedtrackApi,
  config: RedtrackConfig,
  timezone: string,
  window: { readonly from: Day; readonly to: Day },
  context: RequestContext,
): Promise<WindowReport> {
  const { from, to } = window;
  const reader = new Reader(api, config, timezone, context);
  const first = await reader.read(from, to);
  if (typeof first === "object") return finished([first]);
  context.log("info", "redtrack.window_split", { from, to, reason: first });
  const days: Found[] = [];
  for (const day of daysOf(from, to)) days.push(await reader.readDay(day));
  return finished(days);
}

class Reader {
  private readonly api: RedtrackApi;
  private readonly config: RedtrackConfig;
  private readonly timezone: string;
  private readonly context: RequestContext;

  constructor(api: RedtrackApi, config: RedtrackConfig, timezone: string, context: RequestContext) {
    this.api = api;
    this.config = config;
    this.timezone = timezone;
    this.context = context;
  }

  async readDay(day: Day): Promise<Found> {
    for (let read = 1; read <= READS_MAX; read++) {
      const found = await this.read(day, day);
      if (typeof found === "object") return found;
    }
    throw new EngineError(
      "REPORT_SHIFTED",
      `RedTrack's report of ${day} changed while its pages were read, ${READS_MAX} times in a row.`,
      { details: { day, reads: READS_MAX } },
    );
  }

  async read(from: Day, to: Day): Promise<Reading> {
    const { verify_totals, extra_metrics } = this.config;
    const found: Found = { rows: new Map(), passedOver: new Set() };
    let seen = 0;
    for (let page = 1; ; page++) {
      const query = {
        group: "date,source",
        date_from: from,
        date_to: to,
        timezone: this.timezone,
        page,
        per: PAGE_ROWS,
        ...(verify_totals ? { total: true } : {}),
      };
      const answer = await this.api.list(PATH, query, this.context, isGrouped);
      const pageKeys = new Map<string, Record<string, unknown>>();
      for (const row of answer.rows) {
        if (!isGrouped(row)) throw notGrouped();
        const day = from === to && row.date === undefined ? from : dayOf(row);
        if (day === undefined) return "undated";
        if (day < from || day > to) throw otherDay(from, to, day);
        for (const name of passedOver(row, extra_metrics)) found.passedOver.add(name);
        const source = sourceIdOf(row);
        const key = `${day}/${source}`;
        const same = pageKeys.get(key);
        const metrics = metricsOf(row, extra_metrics);
        if (same !== undefined) {
          addMetrics(same, metrics);
          continue;
        }
        const made = { [DATE]: dateValue(day), source_id: source, ...metrics, timezone: this.timezone };
        pageKeys.set(key, made);
        const ofDay = found.rows.get(day) ?? new Map<string, Record<string, unknown>>();
        if (ofDay.has(source)) return "moved";
        found.rows.set(day, ofDay.set(source, made));
      }
      seen += answer.rows.length;
      if (answer.rows.length >= PAGE_ROWS) continue;
      return fits(answer.total, seen, found) ? found : "moved";
    }
  }
}

/** A row of totals has neither field, and so has the answer to a report that was not grouped. */
function isGrouped(row: JsonObject): boolean {
  return "source_id" in row || "source" in row;
}

/** Null, empty and absent are all "no source". */
function sourceIdOf(row: JsonObject): string {
  const id = row.source_id;
  return id === null || id === undefined ? "" : String(id);
}

function dayOf(row: JsonObject): Day | undefined {
  const day = typeof row.date === "string" ? row.date.slice(0, 10) : "";
  if (/^\d{4}-\d{2}-\d{2}$/.test(day)) return day;
  if (row.date === undefined) return undefined;
  throw notAsDocumented(PATH, "has a row whose date is not a date");
}

function addMetrics(row: Record<string, unknown>, more: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(more)) {
    if (!(TEXTS as readonly string[]).includes(name)) row[name] = addExact(row[name], value);
  }
}

/** Does the answer's total agree with what was read? */
function fits(total: number | JsonObject | undefined, seen: number, { rows }: Found): boolean {
  if (total === undefined) return true;
  if (typeof total === "number") return total === seen;
  return VERIFIED.every((name) => {
    const told = decimalOf(total[name]);
    if (told === undefined) return true;
    let sum: unknown = 0;
    for (const day of rows.values()) for (const row of day.values()) sum = addExact(sum, row[name]);
    // the vendor adds floating point numbers: to the cent is as good as its total is
    return Math.abs(Number(String(sum)) - Number(told.text)) < 0.01;
  });
}

function finished(parts: readonly Found[]): WindowReport {
  const rows = new Map<Day, readonly Row[]>();
  const names = new Set<string>();
  for (const part of parts) {
    for (const [day, ofDay] of part.rows) rows.set(day, [...ofDay.values()]);
    for (const name of part.passedOver) names.add(name);
  }
  return { rows, passedOver: names };
}

function notGrouped(): EngineError {
  return new EngineError(
    "REPORT_MISMATCH",
    "RedTrack's report is not grouped by source: it has no source_id.",
    {
      details: { path: PATH },
    },
  );
}

function otherDay(from: Day, to: Day, day: Day): EngineError {
  return new EngineError(
    "REPORT_MISMATCH",
    `RedTrack was asked for ${from} to ${to} and answered with ${day}.`,
    { hint: "Set `timezone` to the account's time zone.", details: { from, to, day } },
  );
}
