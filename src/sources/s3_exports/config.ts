/** The configuration of the s3_exports source. Keys are snake_case, as in the TOML file. */

import { z } from "zod";
import { fileFormat, tableHints } from "../filesystem/config.ts";
import { parseSourceConfig } from "../parse-config.ts";
import { s3Settings } from "../s3/config.ts";
import { isDatePattern } from "./key-date.ts";

const names = z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]);

const choosing = {
  ...fileFormat,
  /** Below the resource's prefix. Default: every file whose ending is known. */
  glob: names.optional(),
  /** `ledger` lists everything each time; `date_in_key` only from some days before the newest date seen. */
  listing: z.enum(["ledger", "date_in_key"]).optional(),
  date_pattern: z
    .string()
    .refine(isDatePattern, { error: "YYYY, MM and DD are needed, once each and in this order" })
    .optional(),
  lookback_days: z.int().min(0).optional(),
  /** An object younger than this is left for the next run. */
  min_age_seconds: z.number().min(0).optional(),
  /** Files of a folder are loaded once the folder has an object of this name, such as `_SUCCESS`. */
  success_marker: z.string().min(1).optional(),
};

const resource = z.strictObject({
  ...choosing,
  ...tableHints,
  /** Below the source's prefix. */
  prefix: z.string().optional(),
});

const config = z.strictObject({
  ...choosing,
  ...s3Settings.shape,
  bucket: z.string().min(1),
  prefix: z.string().optional(),
  resources: z.record(z.string().min(1), resource).optional(),
});

export type S3ExportsConfig = z.infer<typeof config>;
export type ExportResourceConfig = z.infer<typeof resource>;

/** The schema itself, for documentation of the configuration as JSON Schema. */
export const s3ExportsConfigSchema = config;

export function parseS3ExportsConfig(raw: unknown): S3ExportsConfig {
  return parseSourceConfig(config, raw, "s3_exports");
}
