/** Sources over files and databases: what is there is read or reflected, keys and cursors are suggested. */

import { basename, dirname, extname } from "node:path";
import { counted } from "../../engine/counted.ts";
import { EngineError } from "../../engine/errors.ts";
import { listFiles } from "../../sources/filesystem/list.ts";
import type { Workspace } from "../workspace.ts";
import { type Draft, type Evidence, snakeName } from "./draft.ts";
import { type FieldFacts, suggestCursors, suggestKey } from "./fields.ts";
import { databaseFileOf } from "./local-paths.ts";
import { probe } from "./probe.ts";
import type { ReadTable, ReflectedTable } from "./probe-protocol.ts";

const SNIFF = { rows: 2000, pages: 20, seconds: 20 } as const;
const TIMEOUT_MS = 40_000;
const RESOURCES_MAX = 60;
const KNOWN_ENDING = /\.(csv|tsv|jsonl|ndjson|json|parquet|pq|xlsx)(\.(gz|gzip|zst|zstd))?$/i;

export interface FilesInput {
  /** A folder or file of the workspace, or `s3://bucket/prefix`. */
  readonly path: string;
  readonly glob?: string;
  readonly endpoint?: string;
  readonly region?: string;
}

export async function draftFromFiles(
  workspace: Workspace,
  pipeline: string,
  input: FilesInput,
  signal: AbortSignal,
): Promise<Draft> {
  const s3 = /^s3:\/\/([^/]+)\/?(.*)$/.exec(input.path);
  const warnings: string[] = [];
  const evidence: Evidence[] = [];
  const base = s3 === null ? await localConfig(workspace, input, evidence, warnings) : s3Config(s3, input);
  const source = s3 === null ? "filesystem" : "s3_exports";
  const outcome = await probe<"read">(
    {
      kind: "read",
      workspaceDir: workspace.dir,
      pipeline,
      source,
      config: base,
      bounds: SNIFF,
      sampleRows: 0,
    },
    { timeoutMs: TIMEOUT_MS, signal },
  );
  if (outcome.error !== undefined) {
    throw new EngineError("SPEC_UNREADABLE", `The files cannot be read: ${outcome.error.message}`, {
      hint: outcome.error.hint,
      details: { code: outcome.error.code, ...outcome.error.details },
    });
  }
  warnings.push(...outcome.warnings);
  const resources: Record<string, Record<string, unknown>> = {};
  for (const [name, settings] of Object.entries(base.resources)) {
    const table = outcome.tables.find((one) => one.resource === name && one.parent === undefined);
    resources[name] = {
      ...settings,
      ...(table === undefined ? {} : hintsOf(name, table, s3 === null, evidence)),
    };
    if (table === undefined) warnings.push(`${name}: no rows were found, so no key is suggested.`);
  }
  return {
    source,
    config: { ...base, resources },
    secrets:
      s3 === null
        ? []
        : [
            {
              key: "credentials.aws_access_key_id",
              why: "unless the AWS chain of this machine gives access",
            },
            { key: "credentials.aws_secret_access_key", why: "with the access key" },
          ],
    evidence,
    warnings,
  };
}

function hintsOf(
  name: string,
  table: ReadTable,
  local: boolean,
  evidence: Evidence[],
): Record<string, unknown> {
  evidence.push({
    about: name,
    finding: `${counted(table.rows, "row")} read, ${counted(table.columns.length, "column")}: ${table.columns
      .slice(0, 30)
      .map((column) => `${column.name} ${column.data_type}`)
      .join(", ")}`,
  });
  const fields = table.columns.map(
    (column): FieldFacts => ({
      name: column.name,
      type: typeOf(column.data_type),
      required: column.nulls === 0,
      rows: table.rows,
      nulls: column.nulls,
      distinct: column.distinct,
    }),
  );
  const { key, evidence: ofKey } = suggestKey(name, fields);
  evidence.push(...ofKey);
  for (const { field, why } of suggestCursors(fields))
    evidence.push({ about: `${name}.cursor`, finding: `${field}: ${why}` });
  // s3_exports has its own key: file and row
  if (!local || key === undefined) return {};
  return { write_disposition: "merge", primary_key: key };
}

function typeOf(type: string): string {
  if (/^timestamp/.test(type)) return "date-time";
  if (/^(bigint|integer|hugeint|smallint|tinyint)$/.test(type)) return "integer";
  if (/^(double|float|decimal)/.test(type)) return "number";
  return { date: "date", boolean: "boolean", varchar: "string" }[type] ?? type;
}

interface FilesConfig {
  readonly resources: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly [key: string]: unknown;
}

/** One resource for the files whose names differ only in digits: days, numbers, times. */
async function localConfig(
  workspace: Workspace,
  input: FilesInput,
  evidence: Evidence[],
  warnings: string[],
): Promise<FilesConfig> {
  const folder = workspace.inside(input.path);
  const files = await listFiles(folder, input.glob ?? "**/*", (message) => warnings.push(message));
  const known = files.filter((file) => KNOWN_ENDING.test(file.relative_path));
  if (known.length === 0) {
    throw new EngineError(
      "SPEC_UNREADABLE",
      `${input.path} has no file of a known format${input.glob === undefined ? "" : ` that matches ${input.glob}`}.`,
      {
        hint: "CSV, TSV, JSON, JSON Lines and Parquet are known, also as .gz and .zst.",
        details: { path: input.path, files: files.length },
      },
    );
  }
  const groups = Map.groupBy(known, (file) => patternOf(file.relative_path));
  const resources: Record<string, Record<string, unknown>> = {};
  for (const [pattern, members] of [...groups].slice(0, RESOURCES_MAX)) {
    const stem = basename(pattern).replace(/\..*$/, "").replaceAll("*", "");
    const folderName = dirname(pattern).replaceAll("*", "");
    const base = snakeName(stem) || snakeName(folderName) || "files";
    let name = base;
    for (let number = 2; name in resources; number++) name = `${base}_${number}`;
    resources[name] = { glob: pattern };
    evidence.push({
      about: `${name}.glob`,
      finding: `${counted(members.length, "file")} matching ${pattern}, format ${extname(members[0]!.relative_path.replace(/\.(gz|gzip|zst|zstd)$/i, "")).slice(1)} by name`,
    });
  }
  if (groups.size > RESOURCES_MAX)
    warnings.push(`${groups.size} kinds of files were found, the first ${RESOURCES_MAX} are taken.`);
  return { path: input.path, resources };
}

/** `2024/orders_2024-01-02.csv` -> `*` for what is a number in it. */
function patternOf(path: string): string {
  const ending = KNOWN_ENDING.exec(path)![0];
  const stem = path.slice(0, -ending.length);
  return (
    stem
      .replace(/[[\]{}()!?*]/g, "?")
      .replace(/\d+([-_T:.]?\d+)*/g, "*")
      .replace(/\*+/g, "*") + ending
  );
}

function s3Config([, bucket, prefix]: RegExpExecArray, input: FilesInput): FilesConfig {
  const name = snakeName((prefix ?? "").split("/").findLast((part) => part !== "") ?? "") || "files";
  return {
    bucket,
    ...(prefix === undefined || prefix === "" ? {} : { prefix }),
    ...(input.endpoint === undefined ? {} : { endpoint: input.endpoint }),
    ...(input.region === undefined ? {} : { region: input.region }),
    resources: { [name]: input.glob === undefined ? {} : { glob: input.glob } },
  };
}

export interface DatabaseInput {
  /** Without a password; absent: the secret `credentials` is the URL. */
  readonly url?: string;
  readonly schema?: string;
  readonly tables?: readonly string[];
}

export async function draftFromDatabase(
  workspace: Workspace,
  pipeline: string,
  input: DatabaseInput,
  signal: AbortSignal,
): Promise<Draft> {
  const base = {
    ...(input.url === undefined ? {} : { url: input.url }),
    ...(input.schema === undefined ? {} : { schema: input.schema }),
  };
  for (const path of databaseFileOf(input.url ?? "")) workspace.inside(path);
  const { tables } = await probe<"reflect">(
    { kind: "reflect", workspaceDir: workspace.dir, pipeline, source: "sql_database", config: base },
    { timeoutMs: TIMEOUT_MS, signal },
  );
  const wanted =
    input.tables ??
    tables
      .filter((one) => one.kind === "table" && !/^_(dlt|loadwright)_/.test(one.name))
      .map((one) => one.name);
  const warnings: string[] = [];
  const evidence: Evidence[] = [];
  const resources: Record<string, Record<string, unknown>> = {};
  for (const name of wanted.slice(0, RESOURCES_MAX)) {
    const table = tables.find((one) => one.name === name);
    if (table === undefined) {
      throw new EngineError("NO_MATCH", `The database has no table ${JSON.stringify(name)}.`, {
        hint: `There are: ${
          tables
            .slice(0, 40)
            .map((one) => one.name)
            .join(", ") || "none that this user may read"
        }.`,
        details: { table: name },
      });
    }
    resources[name] = tableSettings(table, evidence);
  }
  if (wanted.length === 0)
    throw new EngineError("SPEC_UNREADABLE", "The database has no tables that this user may read.");
  if (wanted.length > RESOURCES_MAX)
    warnings.push(
      `${wanted.length} tables were found, the first ${RESOURCES_MAX} are taken; name others in tables.`,
    );
  return {
    source: "sql_database",
    config: { ...base, resources },
    secrets:
      input.url === undefined ? [{ key: "credentials", why: "URL of the database, with its password" }] : [],
    evidence,
    warnings,
  };
}

/** Files outside the workspace are nobody's business here. */
function tableSettings(table: ReflectedTable, evidence: Evidence[]): Record<string, unknown> {
  const { name, primary_key } = table;
  evidence.push({
    about: `${name}.primary_key`,
    finding:
      primary_key.length > 0
        ? `${primary_key.join(", ")}: declared in the database`
        : "the database declares none",
  });
  const fields = table.columns.map(
    (column): FieldFacts => ({
      name: column.name,
      type: /^timestamp/.test(column.type) ? "date-time" : column.type,
      required: !column.nullable,
    }),
  );
  const cursors = suggestCursors(fields);
  for (const { field, why } of cursors) {
    const nullable = fields.find((one) => one.name === field)?.required === false ? "; it may be null" : "";
    evidence.push({ about: `${name}.cursor`, finding: `${field}: ${why}${nullable}` });
  }
  const best = cursors.find(
    (one) => one.kind === "changed" && fields.some((field) => field.name === one.field && field.required),
  );
  if (best === undefined || primary_key.length === 0) return { write_disposition: "replace" };
  return {
    write_disposition: "merge",
    incremental: { cursor: best.field },
  };
}
