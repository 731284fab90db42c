/** The configuration of the everflow source. Keys are snake_case, as in loadwright.toml. */

import { z } from "zod";
import { dailySettings } from "../daily-report/settings.ts";

export const everflowConfigSchema = z.strictObject({
  ...dailySettings(7),
  currency: z
    .string()
    .regex(/^[A-Z]{3}$/, "write an ISO 4217 code such as USD")
    .optional()
    .describe("reports are converted to it; default the account's"),
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
