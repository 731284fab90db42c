/** The resources that are read day by day: `stats` and `conversions`. */

import { checkpoint, type Row, type Yielded } from "../../engine/extract/page.ts";
import { type Resource, resource } from "../../engine/extract/resource.ts";
import type { ResourceContext } from "../../engine/extract/resource-context.ts";
import { addDays, type Day, dayIn, daysOf, later } from "../daily-report/days.ts";
import { DATE, dueDays } from "../daily-report/due-days.ts";
import { decimalOf } from "../daily-report/exact.ts";
import { type RequestContext, readAhead } from "../daily-report/read-ahead.ts";
import { keepTimezone } from "../daily-report/settings.ts";
import { type JsonObject, wholeList } from "../daily-report/whole-list.ts";
import { type DailyTable, dailyHints, dateValue, dayRows } from "../daily-report/window.ts";
import { type EverflowApi, notAsDocumented, PAGE_ROWS, pageOf, type ReportSettings } from "./api.ts";
import type { EverflowConfig } from "./config.ts";
import { METRIC_COLUMNS } from "./metrics.ts";
import { DayReport, type ReportOptions } from "./report.ts";

export interface DailyOptions extends ReportOptions {
  readonly now: () => number;
}

const STATS: DailyTable = {
  key: { affiliate_id: 0, advertiser_id: 0 },
  columns: {
    affiliate_id: { data_type: "bigint" },
    advertiser_id: { data_type: "bigint" },
    affiliate_name: { data_type: "text" },
    advertiser_name: { data_type: "text" },
    ...METRIC_COLUMNS,
    timezone: { data_type: "text", description: "Time zone in which the day was cut." },
    currency: { data_type: "text", description: "Currency of all money in the row." },
  },
};

export function statsResource(api: EverflowApi, config: EverflowConfig, options: DailyOptions): Resource {
  const fetch = async (day: Day, settings: ReportSettings, context: RequestContext): Promise<Row[]> => {
    const rows = await new DayReport(api, settings, context, options).rows(day);
    const { timezone, currency } = settings;
    return rows.map((row) => ({ [DATE]: dateValue(day), ...row, timezone, currency }));
  };
  return resource(
    {
      name: "stats",
      description: "Clicks, conversions and money for each day, affiliate and advertiser",
      ...dailyHints(STATS, config.start_date, config),
    },
    (context) => readDays(api, STATS, config, context, options, fetch),
  );
}

const CONVERSIONS: DailyTable = {
  key: { conversion_id: "" },
  columns: {
    conversion_id: { data_type: "text" },
    conversion_unix_timestamp: { data_type: "timestamp", description: "When it happened, in UTC." },
    click_unix_timestamp: { data_type: "timestamp", description: "When the click happened, in UTC." },
    payout: { data_type: "decimal" },
    revenue: { data_type: "decimal" },
    sale_amount: { data_type: "decimal" },
    currency_id: { data_type: "text", description: "The offer's currency: conversions are not converted." },
    affiliate_id: { data_type: "bigint" },
    advertiser_id: { data_type: "bigint" },
    offer_id: { data_type: "bigint" },
    relationship: { data_type: "json" },
    timezone: { data_type: "text", description: "Time zone in which the day was cut." },
  },
};
const CONVERSIONS_PATH = "/networks/reporting/conversions";
/** The report refuses what is older. */
const CONVERSION_DAYS_MAX = 364;
const CONVERSION_MONEY = ["payout", "revenue", "sale_amount"];
const CONVERSION_TIMES = ["conversion_unix_timestamp", "click_unix_timestamp"];

export function conversionsResource(
  api: EverflowApi,
  config: EverflowConfig,
  options: DailyOptions,
): Resource {
  const fetch = async (day: Day, settings: ReportSettings, context: RequestContext): Promise<Row[]> => {
    const body = {
      from: day,
      to: day,
      timezone_id: settings.timezoneId,
      currency_id: settings.currency,
      show_conversions: true,
      show_events: config.events,
      query: { filters: [] },
    };
    const rows = await wholeList({
      what: `conversions of ${day}`,
      idOf: conversionId,
      pageRows: PAGE_ROWS,
      fetch: async (page) => {
        const query = { page, page_size: PAGE_ROWS };
        return pageOf(
          await api.post(CONVERSIONS_PATH, body, context, query),
          "conversions",
          CONVERSIONS_PATH,
        );
      },
    });
    return rows.map((row) => conversionRow(row, day, settings.timezone));
  };
  return resource(
    {
      name: "conversions",
      description: "Each conversion and post-conversion event",
      maxTableNesting: 0,
      ...dailyHints(CONVERSIONS, config.start_date, config),
    },
    (context) => readDays(api, CONVERSIONS, config, context, options, fetch, CONVERSION_DAYS_MAX),
  );
}

function conversionId(row: JsonObject): string {
  if (typeof row.conversion_id === "string" && row.conversion_id !== "") return row.conversion_id;
  throw notAsDocumented(CONVERSIONS_PATH, "has a conversion without conversion_id");
}

function conversionRow(row: JsonObject, day: Day, timezone: string): Row {
  const converted: Record<string, unknown> = { [DATE]: dateValue(day), ...row };
  for (const name of CONVERSION_MONEY) converted[name] = decimalOf(row[name]) ?? row[name];
  // 0 stands for a time that is not there
  for (const name of CONVERSION_TIMES) if (row[name] === 0) converted[name] = null;
  const related = (row.relationship ?? {}) as Record<string, JsonObject | undefined>;
  for (const entity of ["affiliate", "advertiser", "offer"]) {
    converted[`${entity}_id`] = related[entity]?.[`network_${entity}_id`];
  }
  converted.timezone = timezone;
  return converted;
}

type FetchDay = (day: Day, settings: ReportSettings, context: RequestContext) => Promise<Row[]>;

/** Days that are due, some fetched ahead, each whole and followed by a checkpoint. */
async function* readDays(
  api: EverflowApi,
  table: DailyTable,
  config: EverflowConfig,
  context: ResourceContext,
  { now }: DailyOptions,
  fetch: FetchDay,
  daysMax?: number,
): AsyncGenerator<Yielded> {
  const settings = await api.reportSettings(context);
  keepTimezone(context, settings.timezone);
  const today = dayIn(settings.timezone, now());
  const end = config.end_date ?? (config.include_today ? today : addDays(today, -1));
  const due = dueDays(context, config.start_date, end, config);
  let { from } = due;
  const oldest = daysMax === undefined ? from : addDays(today, -daysMax);
  if (from < oldest) {
    context.warn(
      `Everflow gives conversions of the last 365 days only: ${from} to ${addDays(oldest, -1)} are left out.`,
    );
    from = later(from, oldest);
  }
  context.log("info", "everflow.days_due", { from, to: due.to, timezone: settings.timezone });
  const days = daysOf(from, due.to);
  for await (const [day, rows] of readAhead(days, config.concurrency, context, (day, each) =>
    fetch(day, settings, each),
  )) {
    yield dayRows(table, day, rows);
    if (day === due.to) due.done();
    yield checkpoint;
  }
  context.ended("every day that was due has been read whole");
}
