/**
 * One day of the aggregated report, whole. The API has no paging here: beyond 10,000 rows the answer is cut and
 * says `incomplete_results`. Then the day is asked for in parts:
 *
 *   the day                                  by affiliate, advertiser
 *   cut -> its advertisers, each filtered    by affiliate, advertiser
 *   cut -> their offers, each filtered       by affiliate, advertiser, offer; summed
 *   cut -> REPORT_INCOMPLETE
 *
 * https://developers.everflow.io/api-reference/reporting-overview
 */

import { EngineError } from "../../engine/errors.ts";
import type { Row } from "../../engine/extract/page.ts";
import { type Day, dayIn } from "../daily-report/days.ts";
import { addExact } from "../daily-report/exact.ts";
import type { RequestContext } from "../daily-report/read-ahead.ts";
import type { JsonObject } from "../daily-report/whole-list.ts";
import { type EverflowApi, listOf, notAsDocumented, type ReportSettings } from "./api.ts";
import { metricsOf } from "./metrics.ts";

const PATH = "/networks/reporting/entity/table";
/** As documented; an answer of exactly so many rows may be cut as well. */
const ROWS_MAX = 10_000;

type Entity = "affiliate" | "advertiser" | "offer";
interface Filter {
  readonly entity: Entity;
  readonly id: string;
}

interface Answer {
  readonly rows: readonly ReportRow[];
  readonly cut: boolean;
}

interface ReportRow {
  readonly ids: Readonly<Partial<Record<Entity, string>>>;
  readonly labels: Readonly<Partial<Record<Entity, string>>>;
  readonly metrics: JsonObject;
}

export interface ReportOptions {
  /** Rows from which on an answer counts as cut; default 10,000. */
  readonly rowsMax?: number;
}

export class DayReport {
  private readonly api: EverflowApi;
  private readonly settings: ReportSettings;
  private readonly context: RequestContext;
  private readonly rowsMax: number;

  constructor(api: EverflowApi, settings: ReportSettings, context: RequestContext, options: ReportOptions) {
    this.api = api;
    this.settings = settings;
    this.context = context;
    this.rowsMax = options.rowsMax ?? ROWS_MAX;
  }

  /** A row for each affiliate and advertiser of the day. */
  async rows(day: Day): Promise<Row[]> {
    const sums = new Map<string, Record<string, unknown>>();
    for (const row of await this.complete(day)) addTo(sums, row);
    return [...sums.values()];
  }

  private async complete(day: Day): Promise<ReportRow[]> {
    const columns: readonly Entity[] = ["affiliate", "advertiser"];
    const whole = await this.ask(day, columns, []);
    if (!whole.cut) return [...whole.rows];
    const rows: ReportRow[] = [];
    let requests = 1;
    for (const advertiser of await this.members(day, "advertiser", [])) {
      const part = await this.ask(day, columns, [advertiser]);
      requests++;
      if (!part.cut) {
        rows.push(...part.rows);
        continue;
      }
      for (const offer of await this.members(day, "offer", [advertiser])) {
        const filters = [advertiser, offer];
        const piece = await this.ask(day, [...columns, "offer"], filters);
        requests++;
        if (piece.cut) throw incomplete(day, filters, this.rowsMax);
        rows.push(...piece.rows);
      }
    }
    this.context.log("info", "everflow.day_split", { day, requests, rows: rows.length });
    return rows;
  }

  /** Filters for each advertiser, or offer, that has something on that day. */
  private async members(day: Day, entity: Entity, filters: readonly Filter[]): Promise<Filter[]> {
    const { rows, cut } = await this.ask(day, [entity], filters);
    if (cut) throw incomplete(day, filters, this.rowsMax);
    return rows.map(({ ids }) => ({ entity, id: ids[entity]! }));
  }

  private async ask(day: Day, entities: readonly Entity[], filters: readonly Filter[]): Promise<Answer> {
    const body = await this.api.post(
      PATH,
      {
        from: day,
        to: day,
        timezone_id: this.settings.timezoneId,
        currency_id: this.settings.currency,
        columns: [{ column: "date" }, ...entities.map((column) => ({ column }))],
        query: {
          filters: filters.map(({ entity, id }) => ({ resource_type: entity, filter_id_value: id })),
        },
      },
      this.context,
    );
    const rows = listOf(body, "table", PATH).map((row) => this.rowOf(row, day, entities));
    // a filter that the API does not understand is ignored, not refused
    for (const { ids } of rows) {
      const stray = filters.find(({ entity, id }) => ids[entity] !== undefined && ids[entity] !== id);
      if (stray !== undefined) throw filterIgnored(day, stray.entity);
    }
    return { rows, cut: body.incomplete_results === true || rows.length >= this.rowsMax };
  }

  private rowOf(row: JsonObject, day: Day, entities: readonly Entity[]): ReportRow {
    const ids: Partial<Record<Entity, string>> = {};
    const labels: Partial<Record<Entity, string>> = {};
    for (const column of listOf(row, "columns", PATH)) {
      const type = String(column.column_type);
      if (type === "date") {
        const answered = dayOfColumn(column, this.settings.timezone);
        if (answered !== undefined && answered !== day) throw otherDay(day, answered);
      } else if ((entities as readonly string[]).includes(type)) {
        ids[type as Entity] = String(column.id);
        if (typeof column.label === "string") labels[type as Entity] = column.label;
      }
    }
    const missing = entities.find((entity) => ids[entity] === undefined);
    if (missing !== undefined) throw notAsDocumented(PATH, `has a row without the column ${missing}`);
    return { ids, labels, metrics: (row.reporting ?? {}) as JsonObject };
  }
}

/** The label, or the id: midnight UTC of the day, else an instant of it. Undefined when neither says a day. */
export function dayOfColumn({ id, label }: JsonObject, timezone: string): Day | undefined {
  if (typeof label === "string" && /^\d{4}-\d{2}-\d{2}$/.test(label)) return label;
  const seconds = Number(id ?? Number.NaN);
  if (!Number.isSafeInteger(seconds) || seconds <= 0) return undefined;
  return dayIn(seconds % 86_400 === 0 ? "UTC" : timezone, seconds * 1000);
}

function addTo(sums: Map<string, Record<string, unknown>>, { ids, labels, metrics }: ReportRow): void {
  const key = `${ids.affiliate}/${ids.advertiser}`;
  const known = sums.get(key);
  const values = metricsOf(metrics);
  if (known === undefined) {
    sums.set(key, {
      affiliate_id: idNumber(ids.affiliate!),
      advertiser_id: idNumber(ids.advertiser!),
      affiliate_name: labels.affiliate,
      advertiser_name: labels.advertiser,
      ...values,
    });
    return;
  }
  for (const [name, value] of Object.entries(values)) known[name] = addExact(known[name], value);
}

function idNumber(id: string): number {
  const number = Number(id);
  if (Number.isSafeInteger(number)) return number;
  throw notAsDocumented(PATH, "has an id that is not an integer");
}

function incomplete(day: Day, filters: readonly Filter[], rowsMax: number): EngineError {
  const of = filters.map(({ entity, id }) => `${entity} ${id}`).join(", ");
  return new EngineError(
    "REPORT_INCOMPLETE",
    `Everflow cuts the report of ${day}${of === "" ? "" : ` for ${of}`} at ${rowsMax} rows, and it cannot be asked in smaller parts.`,
    { details: { day, filters: filters.map(({ entity, id }) => ({ [entity]: id })), rows_max: rowsMax } },
  );
}

function filterIgnored(day: Day, entity: Entity): EngineError {
  return new EngineError(
    "REPORT_MISMATCH",
    `Everflow ignored the filter by ${entity} for ${day}: its answer has rows of others, so the day cannot be split.`,
    { details: { day, filter: entity } },
  );
}

function otherDay(day: Day, answered: Day): EngineError {
  return new EngineError("REPORT_MISMATCH", `Everflow was asked for ${day} and answered with ${answered}.`, {
    hint: "Set `timezone` to the reporting time zone of the account.",
    details: { day, answered },
  });
}
