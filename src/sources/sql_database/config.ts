/** The configuration of the sql_database source, checked at the edge. Keys are snake_case, as in the TOML file. */

import { z } from "zod";
import { EngineError } from "../../engine/errors.ts";
import { didYouMean } from "../../engine/nearest.ts";
import { DATA_TYPES } from "../../engine/schema/types.ts";

const name = z.string().min(1);
const names = z.union([name, z.array(name).min(1)]);
const scalar = z.union([z.string(), z.number(), z.boolean()]);
const writeDisposition = z.enum(["append", "replace", "merge"]);

const incremental = z.strictObject({
  cursor: name,
  initial_value: scalar.optional(),
  end_value: scalar.optional(),
  lag: z.number().nonnegative().optional(),
  range_start: z.enum(["closed", "open"]).optional(),
  range_end: z.enum(["closed", "open"]).optional(),
  on_cursor_value_missing: z.enum(["raise", "include", "exclude"]).optional(),
});

const resource = z.strictObject({
  table: name.optional(),
  included_columns: z.array(name).min(1).optional(),
  excluded_columns: z.array(name).min(1).optional(),
  description: z.string().optional(),
  table_name: name.optional(),
  write_disposition: writeDisposition.optional(),
  primary_key: names.optional(),
  merge_key: names.optional(),
  columns: z
    .record(z.string(), z.looseObject({ data_type: z.enum(DATA_TYPES as [string, ...string[]]).optional() }))
    .optional(),
  incremental: incremental.optional(),
});

const config = z.strictObject({
  url: name.optional(),
  schema: name.optional(),
  tables: z.array(name).min(1).optional(),
  exclude_tables: z.array(name).optional(),
  include_views: z.boolean().optional(),
  write_disposition: writeDisposition.optional(),
  resources: z.record(name, resource).optional(),
  parallel_ranges: z.int().min(1).max(16).optional(),
  ssl_mode: z.enum(["disable", "prefer", "require", "verify-ca", "verify-full"]).optional(),
  ssl_root_cert: name.optional(),
  connect_timeout_s: z.number().positive().optional(),
  statement_timeout_ms: z.int().nonnegative().optional(),
});

export type SqlDatabaseConfig = z.infer<typeof config>;
export type SqlResourceConfig = z.infer<typeof resource>;
export type SqlIncrementalConfig = z.infer<typeof incremental>;

/** The schema itself, for documentation of the configuration as JSON Schema. */
export const sqlDatabaseConfigSchema = config;

/** Errors: CONFIG_INVALID. */
export function parseSqlDatabaseConfig(raw: unknown): SqlDatabaseConfig {
  const parsed = config.safeParse(raw);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  const at = issue.path.map(String);
  if (issue.code !== "unrecognized_keys") {
    const setting = at.join(".");
    throw new EngineError(
      "CONFIG_INVALID",
      `The sql_database source's setting "${setting}" is not valid: ${issue.message}.`,
      { details: { setting } },
    );
  }
  const key = issue.keys[0]!;
  const setting = [...at, key].join(".");
  const known = Object.keys(
    (at.length === 0 ? config : at.at(-1) === "incremental" ? incremental : resource).shape,
  );
  const secret = /^(password|credentials)$/.test(key);
  throw new EngineError("CONFIG_INVALID", `The sql_database source has no setting "${setting}".`, {
    hint: secret
      ? "Secrets do not belong in loadwright.toml: set SOURCES__SQL_DATABASE__CREDENTIALS, or write it to secrets.toml."
      : didYouMean(key, known) || `Settings there are: ${known.join(", ")}.`,
    details: { setting, known },
  });
}
