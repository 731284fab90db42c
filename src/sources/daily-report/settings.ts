/** Settings that all sources of daily reports have, and the guard on the one that must not change. */

import { z } from "zod";
import { EngineError } from "../../engine/errors.ts";
import type { ResourceContext } from "../../engine/extract/resource-context.ts";
import { isDay, isTimezone } from "./days.ts";

const day = z.string().refine(isDay, "write a day as YYYY-MM-DD");
const timezone = z.string().refine(isTimezone, "write an IANA time zone such as America/New_York");

/** Fields of a zod object; `sweepEveryDays` is the vendor's default. */
export function dailySettings(sweepEveryDays: number) {
  return {
    start_date: day.describe("first day to load"),
    end_date: day.optional().describe("last day to load; default yesterday in the reporting time zone"),
    include_today: z.boolean().default(false).describe("also load the day that is not over yet"),
    timezone: timezone.optional().describe("days are cut in this zone (IANA name); default the account's"),
    lookback_days: z
      .int()
      .min(0)
      .max(365)
      .default(7)
      .describe("days behind the last loaded one that each run reads again"),
    sweep_days: z.int().min(0).max(365).default(35).describe("days that a sweep reads again; 0: no sweeps"),
    sweep_every_days: z.int().min(1).default(sweepEveryDays).describe("days from one sweep to the next"),
  };
}

/** Days that were cut in two zones do not add up. Errors: CONFIG_INVALID. */
export function keepTimezone({ state }: Pick<ResourceContext, "state">, timezone: string): void {
  if (state.timezone !== undefined && state.timezone !== timezone) {
    throw new EngineError(
      "CONFIG_INVALID",
      `The loaded days were cut in the time zone ${String(state.timezone)}, and now they would be cut in ${timezone}.`,
      {
        hint: `Set \`timezone\` to ${String(state.timezone)}, or load everything again with a refresh.`,
        details: { setting: "timezone", loaded: state.timezone, now: timezone },
      },
    );
  }
  state.timezone = timezone;
}
