/** The configuration of the filesystem source, checked at the edge. Keys are snake_case, as in the TOML file. */

import { z } from "zod";
import { DATA_TYPES } from "../../engine/schema/types.ts";
import { parseSourceConfig } from "../parse-config.ts";
import { s3Settings } from "../s3/config.ts";

const FORMATS = ["auto", "csv", "jsonl", "json", "parquet", "xlsx"] as const;
export type FileFormat = Exclude<(typeof FORMATS)[number], "auto">;

const names = z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]);

const csv = z.strictObject({
  delimiter: z.string().optional(),
  quote: z.string().optional(),
  header: z.boolean().optional(),
  null_values: z.array(z.string()).optional(),
  ragged: z.enum(["error", "pad"]).optional(),
  types: z.enum(["infer", "text"]).optional(),
});

const json = z.strictObject({ path: z.string().optional() });

const xlsx = z.strictObject({
  sheet: z.union([z.string().min(1), z.int().min(1)]).optional(),
  header: z.boolean().optional(),
});

/** How the bytes of a file become rows. */
export const fileFormat = {
  format: z.enum(FORMATS).optional(),
  encoding: z.string().optional(),
  csv: csv.optional(),
  json: json.optional(),
  xlsx: xlsx.optional(),
};

/** Hints of a resource's table that any source over files takes. */
export const tableHints = {
  description: z.string().optional(),
  table_name: z.string().min(1).optional(),
  columns: z
    .record(z.string(), z.looseObject({ data_type: z.enum(DATA_TYPES as [string, ...string[]]).optional() }))
    .optional(),
  max_table_nesting: z.int().min(0).optional(),
};

const reading = {
  ...fileFormat,
  glob: names.optional(),
  add_file_name: z.boolean().optional(),
  on_changed: z.enum(["error", "reload", "skip"]).optional(),
};

const resource = z.strictObject({
  ...reading,
  ...tableHints,
  write_disposition: z.enum(["append", "replace", "merge"]).optional(),
  primary_key: names.optional(),
  merge_key: names.optional(),
});

const config = z.strictObject({
  ...reading,
  /** A folder or file, or `s3://bucket/prefix`. */
  path: z.string().min(1),
  s3: s3Settings.optional(),
  resources: z.record(z.string().min(1), resource).optional(),
});

export type FilesystemConfig = z.infer<typeof config>;
export type FilesystemResourceConfig = z.infer<typeof resource>;

/** The schema itself, for documentation of the configuration as JSON Schema. */
export const filesystemConfigSchema = config;

export function parseFilesystemConfig(raw: unknown): FilesystemConfig {
  return parseSourceConfig(config, raw, "filesystem");
}
