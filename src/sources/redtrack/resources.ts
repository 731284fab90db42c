/** RedTrack's report and conversions as resources, and as the built-in source that a pipeline names. */

import { checkpoint, type Row, type Yielded } from "../../engine/extract/page.ts";
import { type Resource, resource, Source } from "../../engine/extract/resource.ts";
import type { ResourceContext } from "../../engine/extract/resource-context.ts";
import { addDays, type Day, dayIn, daysOf, earlier } from "../daily-report/days.ts";
import { DATE, type DueDays, dueDays } from "../daily-report/due-days.ts";
import { decimalOf } from "../daily-report/exact.ts";
import { keepTimezone } from "../daily-report/settings.ts";
import { type JsonObject, wholeList } from "../daily-report/whole-list.ts";
import { type DailyTable, dailyHints, dateValue, dayRows } from "../daily-report/window.ts";
import { parseSourceConfig } from "../parse-config.ts";
import type { BuiltInSource } from "../registry.ts";
import { notAsDocumented, RedtrackApi, type RedtrackApiOptions } from "./api.ts";
import { type RedtrackConfig, redtrackConfigSchema } from "./config.ts";
import { metricColumns } from "./metrics.ts";
import { windowReport } from "./report.ts";

const ENDED = "every day that was due has been read whole";

export interface RedtrackOptions extends RedtrackApiOptions {
  readonly now?: () => number;
}

/**
 * The resources `report` and `conversions`; for a source of one's own:
 *
 *     source({ name: "tracker" }, ({ secrets }) => redtrackResources({ start_date: "2026-01-01" }, secrets.api_key))
 */
export function redtrackResources(
  config: unknown,
  apiKey: string,
  options: RedtrackOptions = {},
): Resource[] {
  const parsed = parseSourceConfig(redtrackConfigSchema, config, "redtrack");
  const api = new RedtrackApi(parsed, apiKey, options);
  const now = options.now ?? Date.now;
  return [reportResource(api, parsed, now), conversionsResource(api, parsed, now)];
}

export const redtrackSource: BuiltInSource = {
  configSchema: redtrackConfigSchema,
  create: ({ config, secrets }) => {
    // a mistake in the configuration is told before a missing secret
    parseSourceConfig(redtrackConfigSchema, config, "redtrack");
    return new Source({ name: "redtrack", resources: redtrackResources(config, secrets.api_key!) });
  },
};

function reportResource(api: RedtrackApi, config: RedtrackConfig, now: () => number): Resource {
  const table: DailyTable = {
    key: { source_id: "" },
    columns: {
      source_id: { data_type: "text", description: "Empty for traffic without a source." },
      ...metricColumns(config.extra_metrics),
      timezone: { data_type: "text", description: "Time zone in which the day was cut." },
    },
  };
  return resource(
    {
      name: "report",
      description: "Clicks, conversions, revenue and cost for each day and traffic source",
      ...dailyHints(table, config.start_date, config),
    },
    async function* (context): AsyncGenerator<Yielded> {
      const { due, timezone } = await prepare(api, config, now, context);
      const told = new Set<string>();
      for (let from = due.from; from <= due.to; from = addDays(from, config.window_days)) {
        const to = earlier(addDays(from, config.window_days - 1), due.to);
        const report = await windowReport(api, config, timezone, { from, to }, context);
        for (const name of report.passedOver) told.add(name);
        yield daysOf(from, to).flatMap((day) => dayRows(table, day, report.rows.get(day) ?? []));
        if (to === due.to) due.done();
        yield checkpoint;
      }
      context.ended(ENDED);
      if (told.size > 0) {
        const names = [...told].sort().join(", ");
        context.warn(
          `the report has values in fields that are not loaded: ${names}. Name those you want in extra_metrics.`,
        );
      }
    },
  );
}

const CONVERSIONS: DailyTable = {
  key: { id: "" },
  columns: {
    id: { data_type: "text" },
    payout: { data_type: "decimal" },
    payout_default: { data_type: "decimal" },
    payout_network: { data_type: "decimal" },
    pub_revenue: { data_type: "decimal" },
    cost: { data_type: "decimal" },
    timezone: { data_type: "text", description: "Time zone in which the day was cut." },
  },
};
const CONVERSION_MONEY = ["payout", "payout_default", "payout_network", "pub_revenue", "cost"];
const CONVERSIONS_PATH = "/conversions";
const CONVERSION_PAGE_ROWS = 10_000;

function conversionsResource(api: RedtrackApi, config: RedtrackConfig, now: () => number): Resource {
  const fetch = async (day: Day, timezone: string, context: ResourceContext): Promise<Row[]> => {
    const rows = await wholeList({
      what: `conversions of ${day}`,
      idOf: conversionId,
      pageRows: CONVERSION_PAGE_ROWS,
      fetch: async (page) => {
        const query = { date_from: day, date_to: day, timezone, page, per: CONVERSION_PAGE_ROWS };
        const { rows: found, total } = await api.list(CONVERSIONS_PATH, query, context);
        return { rows: found, total: typeof total === "number" ? total : undefined };
      },
    });
    return rows.map((row) => {
      const converted: Record<string, unknown> = { [DATE]: dateValue(day), ...row, timezone };
      for (const name of CONVERSION_MONEY) converted[name] = decimalOf(row[name]) ?? row[name];
      return converted;
    });
  };
  return resource(
    {
      name: "conversions",
      description: "Each conversion",
      maxTableNesting: 0,
      ...dailyHints(CONVERSIONS, config.start_date, config),
    },
    async function* (context): AsyncGenerator<Yielded> {
      const { due, timezone } = await prepare(api, config, now, context);
      for (const day of daysOf(due.from, due.to)) {
        yield dayRows(CONVERSIONS, day, await fetch(day, timezone, context));
        if (day === due.to) due.done();
        yield checkpoint;
      }
      context.ended(ENDED);
    },
  );
}

function conversionId(row: JsonObject): string {
  if (typeof row.id === "string" && row.id !== "") return row.id;
  throw notAsDocumented(CONVERSIONS_PATH, "has a conversion without id");
}

async function prepare(
  api: RedtrackApi,
  config: RedtrackConfig,
  now: () => number,
  context: ResourceContext,
): Promise<{ due: DueDays; timezone: string }> {
  const timezone = await api.timezone(context);
  keepTimezone(context, timezone);
  const today = dayIn(timezone, now());
  const end = config.end_date ?? (config.include_today ? today : addDays(today, -1));
  const due = dueDays(context, config.start_date, end, config);
  context.log("info", "redtrack.days_due", { from: due.from, to: due.to, timezone });
  return { due, timezone };
}
