/**
 * loadwright.toml: the pipelines and destinations of a workspace. Parsed once at the edge; what passes is
 * trusted inside. Unknown keys are refused, because a setting that is silently ignored is worse than an error.
 */

import { parse, TomlDate, TomlError } from "smol-toml";
import { z } from "zod";
import { DEFAULT_LIMITS, type Limits } from "../engine/context.ts";
import { EngineError } from "../engine/errors.ts";
import type { DeclaredChecks } from "../engine/inspect/checks.ts";
import { didYouMean } from "../engine/nearest.ts";
import { CONTRACT_MODES } from "../engine/schema/contract.ts";
import { NAMING_CONVENTIONS } from "../engine/schema/naming.ts";
import type { Contract, ContractMode } from "../engine/schema/types.ts";
import { REPLACE_STRATEGIES, type ReplaceStrategy } from "../engine/sql/replace.ts";

export const CONFIG_FILE = "loadwright.toml";

/** Names become folders, schema names and parts of environment variables. */
const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
const name = z.string().regex(NAME, "use letters, digits and underscores, not starting with a digit");

const LIMIT_KEYS = new Map(
  (Object.keys(DEFAULT_LIMITS) as (keyof Limits)[]).map((key) => [snakeKey(key), key] as const),
);

const limits = z.strictObject(
  Object.fromEntries(
    [...LIMIT_KEYS.keys()].map((key) => [key, z.number().int().positive().optional()] as const),
  ),
);

/** `[pipelines.shop.checks.orders]`: what must hold of a table, see run_checks. */
const checks = z.strictObject({
  unique: z.array(z.array(z.string().min(1)).min(1)).optional(),
  not_null: z.array(z.string().min(1)).optional(),
  null_share_max: z.record(z.string(), z.number().min(0).max(1)).optional(),
  accepted_values: z
    .record(
      z.string(),
      z
        .array(z.union([z.string(), z.number(), z.boolean()]))
        .min(1)
        .max(1000),
    )
    .optional(),
  rows_min: z.number().int().nonnegative().optional(),
  fresh: z.strictObject({ column: z.string().min(1), within_hours: z.number().positive() }).optional(),
  row_drift_max: z.number().positive().optional(),
});

const MODE = z.enum(CONTRACT_MODES);
/** What a run may change in the schema: one mode for all, or one each. */
export const SCHEMA_CONTRACT = z.union([
  MODE,
  z.strictObject({ tables: MODE.optional(), columns: MODE.optional(), data_type: MODE.optional() }),
]);

const pipeline = z.strictObject({
  source: z.string().min(1),
  destination: name.default("duckdb"),
  dataset: z.string().min(1).optional(),
  description: z.string().optional(),
  config: z.record(z.string(), z.unknown()).default({}),
  naming: z.enum(NAMING_CONVENTIONS).optional(),
  import_schema_path: z.string().min(1).optional(),
  export_schema_path: z.string().min(1).optional(),
  limits: limits.default({}),
  checks: z.record(z.string(), checks).default({}),
  schema_contract: SCHEMA_CONTRACT.optional(),
  keep_rejected: z.boolean().optional(),
  keep_null_columns: z.boolean().optional(),
  create_empty_tables: z.boolean().optional(),
});

const duckdbDestination = z.strictObject({
  type: z.literal("duckdb"),
  path: z.string().min(1).optional(),
  replace_strategy: z.enum(REPLACE_STRATEGIES).optional(),
});

/** What is not secret of a Postgres server; the rest comes from the secrets, which win where both say. */
const postgresDestination = z.strictObject({
  type: z.literal("postgres"),
  host: z.string().min(1).optional(),
  port: z.number().int().min(1).max(65_535).optional(),
  database: z.string().min(1).optional(),
  username: z.string().min(1).optional(),
  ssl_mode: z.enum(["disable", "prefer", "require", "verify-ca", "verify-full"]).optional(),
  ssl_root_cert: z.string().min(1).optional(),
  connect_timeout_s: z.number().positive().optional(),
  statement_timeout_ms: z.number().int().nonnegative().optional(),
  lock_timeout_ms: z.number().int().nonnegative().optional(),
  application_name: z.string().min(1).optional(),
  create_indexes: z.boolean().optional(),
  nul: z.enum(["error", "remove"]).optional(),
});

const destination = z.discriminatedUnion("type", [duckdbDestination, postgresDestination]);

/** Types that need no section of their own: `destination = "postgres"`. */
const DESTINATION_TYPES = ["duckdb", "postgres"];

const workspace = z.strictObject({
  pipelines: z.record(name, pipeline).default({}),
  destinations: z.record(name, destination).default({}),
});

export interface PipelineConfig {
  readonly name: string;
  readonly source: string;
  /** A name of `[destinations]`, or a destination type for its defaults. */
  readonly destination: string;
  readonly dataset?: string;
  readonly description?: string;
  /** Handed to the source as it is; the source checks it. */
  readonly config: Readonly<Record<string, unknown>>;
  /** How source names become names of tables and columns. */
  readonly naming?: string;
  /** Folders of schema files, as written; relative paths start at the workspace. */
  readonly import_schema_path?: string;
  readonly export_schema_path?: string;
  readonly limits: Partial<Limits>;
  /** By table. */
  readonly checks: Readonly<Record<string, DeclaredChecks>>;
  /** Of every run that is not given another one. */
  readonly schema_contract?: Contract | ContractMode;
  /** See PipelineOptions. */
  readonly keep_rejected?: boolean;
  readonly keep_null_columns?: boolean;
  readonly create_empty_tables?: boolean;
}

export interface DuckdbConfig {
  readonly name: string;
  readonly type: "duckdb";
  /** As written; relative paths start at the workspace. */
  readonly path?: string;
  /** How `replace` empties and fills tables; all are atomic, and on DuckDB they are the same. */
  readonly replace_strategy?: ReplaceStrategy;
}

export interface PostgresConfig extends Readonly<z.infer<typeof postgresDestination>> {
  readonly name: string;
}

export type DestinationConfig = DuckdbConfig | PostgresConfig;

export interface WorkspaceConfig {
  readonly pipelines: ReadonlyMap<string, PipelineConfig>;
  readonly destinations: ReadonlyMap<string, DestinationConfig>;
}

export interface ConfigProblem {
  /** Dotted: `pipelines.shop.sorce`. */
  readonly path: string;
  readonly line?: number;
  readonly problem: string;
}

/** The text of loadwright.toml as a config. Errors: CONFIG_INVALID with every problem and its line. */
export function parseConfig(text: string, file = CONFIG_FILE): WorkspaceConfig {
  let document: unknown;
  try {
    document = plain(parse(text));
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const problem = error.message.split("\n")[0]?.replace(/^Invalid TOML document: /, "") ?? "invalid TOML";
    throw new EngineError("CONFIG_INVALID", `${file}:${error.line}: not valid TOML: ${problem}`, {
      details: { file, line: error.line, column: error.column },
    });
  }
  const parsed = workspace.safeParse(document);
  const problems = parsed.success ? destinationProblems(parsed.data, text) : problemsOf(parsed.error, text);
  if (problems.length > 0) throw invalid(problems, file);
  return named(workspace.parse(document));
}

/** Problems of a value that a zod schema refused, with lines of the TOML text it came from. */
export function problemsOf(error: z.ZodError, text: string, prefix: readonly string[] = []): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  for (const issue of error.issues) {
    const path = [...prefix, ...issue.path.map(String)];
    if (issue.code === "unrecognized_keys") {
      for (const key of issue.keys) {
        if (path[0] === "destinations" && /^(password|credentials|url)$/.test(key)) {
          const name = `DESTINATION__${path[1]?.toUpperCase()}__CREDENTIALS`;
          const problem = `secrets do not belong in ${CONFIG_FILE}. Set ${name}, or write it to secrets.toml.`;
          problems.push(problemAt([...path, key], text, problem));
          continue;
        }
        const guess = didYouMean(key, knownKeys(path));
        const known = knownKeys(path).join(", ");
        const help = guess !== "" ? ` ${guess}` : known === "" ? "" : ` Known keys: ${known}.`;
        problems.push(problemAt([...path, key], text, `unknown key.${help}`));
      }
    } else {
      problems.push(problemAt(path, text, issue.message));
    }
  }
  return problems;
}

export function invalid(problems: readonly ConfigProblem[], file: string): EngineError {
  const [first] = problems;
  const place = first?.line === undefined ? file : `${file}:${first.line}`;
  const more = problems.length > 1 ? ` (and ${problems.length - 1} more)` : "";
  return new EngineError("CONFIG_INVALID", `${place}: ${first?.path}: ${first?.problem}${more}`, {
    details: { file, problems },
  });
}

function named(data: z.infer<typeof workspace>): WorkspaceConfig {
  const pipelines = Object.entries(data.pipelines).map(([key, value]): [string, PipelineConfig] => [
    key,
    { name: key, ...value, limits: limitsOf(value.limits) },
  ]);
  const destinations = Object.entries(data.destinations).map(([key, value]): [string, DestinationConfig] => [
    key,
    { name: key, ...value },
  ]);
  return { pipelines: new Map(pipelines), destinations: new Map(destinations) };
}

function limitsOf(written: Readonly<Record<string, number | undefined>>): Partial<Limits> {
  const found: [string, number][] = [];
  for (const [key, value] of Object.entries(written)) {
    const limit = LIMIT_KEYS.get(key);
    if (limit !== undefined && value !== undefined) found.push([limit, value]);
  }
  return Object.fromEntries(found);
}

function destinationProblems(data: z.infer<typeof workspace>, text: string): ConfigProblem[] {
  const known = [...DESTINATION_TYPES, ...Object.keys(data.destinations)];
  return Object.entries(data.pipelines)
    .filter(([, value]) => !known.includes(value.destination))
    .map(([key, value]) => {
      const guess = didYouMean(value.destination, known);
      const problem = `there is no destination ${JSON.stringify(value.destination)}.`;
      const help =
        guess === "" ? `Add [destinations.${value.destination}], or use "duckdb" or "postgres".` : guess;
      return problemAt(["pipelines", key, "destination"], text, `${problem} ${help}`);
    });
}

function knownKeys(path: readonly string[]): string[] {
  const [section, , part] = path;
  if (path.length === 0) return Object.keys(workspace.shape);
  if (section === "pipelines" && path.length === 2) return Object.keys(pipeline.shape);
  if (section === "pipelines" && part === "limits") return [...LIMIT_KEYS.keys()];
  if (section === "pipelines" && part === "checks") return Object.keys(checks.shape);
  if (section === "destinations" && path.length === 2) {
    return [...new Set([...Object.keys(duckdbDestination.shape), ...Object.keys(postgresDestination.shape)])];
  }
  return [];
}

function problemAt(path: readonly string[], text: string, problem: string): ConfigProblem {
  const line = lineOf(text, path);
  return { path: path.join("."), ...(line === undefined ? {} : { line }), problem };
}

/**
 * The line (1-based) where a key is written, or the nearest table header above it. The parser keeps no
 * positions; keys inside inline tables and multi-line strings resolve to what encloses them.
 */
export function lineOf(text: string, path: readonly string[]): number | undefined {
  let header: string[] = [];
  let best: { line: number; depth: number } | undefined;
  for (const [index, raw] of text.split("\n").entries()) {
    const line = raw.trim();
    const table = /^\[{1,2}([^\]]+)\]{1,2}/.exec(line)?.[1];
    const key =
      table === undefined
        ? /^((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=/.exec(line)?.[1]
        : undefined;
    if (table !== undefined) header = keyParts(table);
    const here = table !== undefined ? header : key !== undefined ? [...header, ...keyParts(key)] : undefined;
    if (here === undefined || here.length > path.length) continue;
    if (here.every((part, at) => part === path[at]) && here.length > (best?.depth ?? 0)) {
      best = { line: index + 1, depth: here.length };
    }
  }
  return best?.line;
}

function keyParts(key: string): string[] {
  return [...key.matchAll(/[\w-]+|"([^"]*)"|'([^']*)'/g)].map((part) => part[1] ?? part[2] ?? part[0]);
}

/** TOML's tables and dates as plain JSON: sources then see the same whether a value was quoted or not. */
function plain(value: unknown): unknown {
  if (value instanceof TomlDate) return value.toISOString();
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
}

function snakeKey(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => "_" + letter.toLowerCase());
}
