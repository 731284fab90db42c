/** The configuration of the filesystem source, checked at the edge. Keys are snake_case, as in the TOML file. */

import { distance } from "fastest-levenshtein";
import { z } from "zod";
import { EngineError } from "../../engine/errors.ts";
import { DATA_TYPES } from "../../engine/schema/types.ts";

const FORMATS = ["auto", "csv", "jsonl", "json", "parquet"] as const;
export type FileFormat = Exclude<(typeof FORMATS)[number], "auto">;

const names = z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]);

const csv = z.strictObject({
  delimiter: z.string().optional(),
  quote: z.string().optional(),
  header: z.boolean().optional(),
  null_values: z.array(z.string()).optional(),
  ragged: z.enum(["error", "pad"]).optional(),
});

const json = z.strictObject({ path: z.string().optional() });

const reading = {
  glob: names.optional(),
  format: z.enum(FORMATS).optional(),
  encoding: z.string().optional(),
  csv: csv.optional(),
  json: json.optional(),
  add_file_name: z.boolean().optional(),
  on_changed: z.enum(["error", "reload", "skip"]).optional(),
};

const resource = z.strictObject({
  ...reading,
  description: z.string().optional(),
  table_name: z.string().min(1).optional(),
  write_disposition: z.enum(["append", "replace", "merge"]).optional(),
  primary_key: names.optional(),
  merge_key: names.optional(),
  columns: z
    .record(z.string(), z.looseObject({ data_type: z.enum(DATA_TYPES as [string, ...string[]]).optional() }))
    .optional(),
  max_table_nesting: z.int().min(0).optional(),
});

const config = z.strictObject({
  ...reading,
  path: z.string().min(1),
  resources: z.record(z.string().min(1), resource).optional(),
});

export type FilesystemConfig = z.infer<typeof config>;
export type FilesystemResourceConfig = z.infer<typeof resource>;

/** The schema itself, for documentation of the configuration as JSON Schema. */
export const filesystemConfigSchema = config;

export function parseFilesystemConfig(raw: unknown): FilesystemConfig {
  const parsed = config.safeParse(raw);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  const at = issue.path.map(String);
  if (issue.code === "unrecognized_keys") {
    const key = issue.keys[0]!;
    const known = knownKeys(at);
    const nearest = known.toSorted((a, b) => distance(key, a) - distance(key, b))[0];
    const setting = [...at, key].join(".");
    throw new EngineError("CONFIG_INVALID", `The filesystem source has no setting "${setting}".`, {
      hint:
        nearest !== undefined && distance(key, nearest) <= Math.max(2, key.length / 2)
          ? `Did you mean "${[...at, nearest].join(".")}"?`
          : `Settings there are: ${known.join(", ")}.`,
      details: { setting, known },
    });
  }
  const setting = at.join(".");
  throw new EngineError(
    at.length === 1 && at[0] === "path" && (raw as { path?: unknown } | null)?.path === undefined
      ? "CONFIG_MISSING"
      : "CONFIG_INVALID",
    `The filesystem source's setting "${setting}" is not valid: ${issue.message}.`,
    { details: { setting } },
  );
}

function knownKeys(path: readonly string[]): string[] {
  const last = path.at(-1);
  if (path.length === 0) return Object.keys(config.shape);
  if (path[0] === "resources" && path.length === 2) return Object.keys(resource.shape);
  if (last === "csv") return Object.keys(csv.shape);
  return last === "json" ? Object.keys(json.shape) : [];
}
