/** The configuration of the everflow source. Keys are snake_case, as in loadwright.toml. */

import { z } from "zod";
import { isDay, isTimezone } from "../daily-report/days.ts";

export const day = z.string().refine(isDay, "write a day as YYYY-MM-DD");
export const timezone = z.string().refine(isTimezone, "write an IANA time zone such as America/New_York");

export const everflowConfigSchema = z.strictObject({
  start_date: day.describe("first day to load"),
  end_date: day.optional().describe("last day to load; default yesterday in the reporting time zone"),
  include_today: z.boolean().default(false).describe("also load the day that is not over yet"),
  timezone: timezone.optional().describe("days are cut in this zone (IANA name); default the account's"),
  currency: z
    .string()
    .regex(/^[A-Z]{3}$/, "write an ISO 4217 code such as USD")
    .optional()
    .describe("reports are converted to it; default the account's"),
  lookback_days: z
    .int()
    .min(0)
    .max(365)
    .default(7)
    .describe("days behind the last loaded one that each run reads again"),
  sweep_days: z.int().min(0).max(365).default(35).describe("days that a sweep reads again; 0: no sweeps"),
  sweep_every_days: z.int().min(1).default(7).describe("days from one sweep to the next"),
  events: z.boolean().default(true).describe("load post-conversion events into `conversions` as well"),
  concurrency: z
    .int()
    .min(1)
    .max(10)
    .default(4)
    .describe("requests at the same time; Everflow refuses more than 10"),
  requests_per_minute: z.int().min(1).max(1200).default(600).describe("requests in any 60 seconds"),
  base_url: z
    .url()
    .default("https://api.eflow.team")
    .describe("https://api-eu.eflow.team for accounts of the EU cluster"),
});

export type EverflowConfig = z.infer<typeof everflowConfigSchema>;
