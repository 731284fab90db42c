/** The configuration of the redtrack source. Keys are snake_case, as in loadwright.toml. */

import { z } from "zod";
import { dailySettings } from "../daily-report/settings.ts";

export const redtrackConfigSchema = z.strictObject({
  ...dailySettings(30),
  extra_metrics: z
    .array(z.string().regex(/^[a-z][a-z0-9_]*$/, "write a field of the report such as convtype1"))
    .default([])
    .describe("fields of the report to load besides the common ones, such as convtype1 and revenuetype1"),
  verify_totals: z
    .boolean()
    .default(false)
    .describe("ask for totals with each report and check the rows against them"),
  window_days: z.int().min(1).max(366).default(31).describe("days of one report request"),
  requests_per_minute: z.int().min(1).max(20).default(20).describe("requests in any 60 seconds"),
  base_url: z.url().default("https://api.redtrack.io").describe("where the API is"),
});

export type RedtrackConfig = z.infer<typeof redtrackConfigSchema>;
