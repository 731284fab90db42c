/** What can be said about a source without reading from it: findings, each with its place and its remedy. */

import { EngineError } from "../../engine/errors.ts";
import { builtInSource } from "../../sources/registry.ts";
import type { Workspace } from "../workspace.ts";
import { probe } from "./probe.ts";
import type { AskedSecret, DescribedResource, Description } from "./probe-protocol.ts";
import { secretName } from "./secret-names.ts";
import { SourceFiles } from "./source-files.ts";
import { type TypeCheck, typeCheck } from "./type-check.ts";

export interface Finding {
  readonly severity: "error" | "warning" | "info";
  /** A setting of loadwright.toml, or a file. */
  readonly path: string;
  readonly code: string;
  readonly message: string;
  readonly fix: string;
}

export interface SecretState {
  readonly key: string;
  readonly set: boolean;
  readonly environment_variable: string;
}

export interface LintResult {
  readonly findings: readonly Finding[];
  readonly secrets: readonly SecretState[];
  readonly resources: readonly DescribedResource[] | undefined;
  readonly types: TypeCheck;
}

const DESCRIBE_MS = 30_000;
/** Sources that know by themselves what is new, without a cursor. */
const KEEPS_LEDGER = new Set(["filesystem", "s3_exports", "everflow", "redtrack"]);

export async function lintSource(
  workspace: Workspace,
  pipeline: string,
  signal: AbortSignal,
): Promise<LintResult> {
  const { source, config } = workspace.pipelineConfig(pipeline);
  const at = (setting: string): string =>
    `pipelines.${pipeline}${setting === "" ? "" : `.config.${setting}`}`;
  const findings: Finding[] = [];
  const builtIn = await builtInSource(source);
  // beside the other process, which takes about as long
  const files = builtIn === undefined ? sourceFilesOf(workspace, source) : [];
  const typesLater = typeCheck(workspace.dir, files, signal);
  // a failure is told below, when it is waited for
  typesLater.catch(() => {});
  let described: Description | undefined;
  try {
    described = await probe<"describe">(
      { kind: "describe", workspaceDir: workspace.dir, pipeline, source, config },
      { timeoutMs: DESCRIBE_MS, signal },
    );
  } catch (error) {
    if (!(error instanceof EngineError) || error.code === "CANCELLED") throw error;
    const { setting, file, line } = error.details as { setting?: string; file?: string; line?: number };
    findings.push({
      severity: "error",
      path: file === undefined ? at(setting ?? "") : line === undefined ? file : `${file}:${line}`,
      code: error.code,
      message: error.message,
      fix: error.hint,
    });
  }
  // one error hides the next: the schema knows them all
  if (described === undefined && builtIn !== undefined && config.config_file === undefined) {
    const issues = builtIn.configSchema.safeParse(config).error?.issues ?? [];
    for (const issue of issues.slice(0, 50)) {
      const keys = issue.code === "unrecognized_keys" ? issue.keys : [undefined];
      for (const key of keys) {
        const path = at([...issue.path.map(String), ...(key === undefined ? [] : [key])].join("."));
        if (findings.some((one) => one.path === path)) continue;
        findings.push({
          severity: "error",
          path,
          code: "CONFIG_INVALID",
          message: issue.message,
          fix: "Correct or remove the setting.",
        });
      }
    }
  }
  const resources = described?.resources;
  if (resources !== undefined) findings.push(...resourceFindings(resources, source, at));
  if (resources !== undefined && source === "rest_api") findings.push(...restFindings(config, at));
  const secrets = secretsOf(workspace, pipeline, source, described?.secrets ?? []);
  for (const { key, environment_variable } of secrets.filter((one) => !one.set)) {
    findings.push({
      severity: "warning",
      path: `secrets.${key}`,
      code: "SECRET_MISSING",
      message: `The secret ${key} is not set; a run would fail.`,
      fix: `request_secret makes a place for it; or set ${environment_variable}.`,
    });
  }
  const types = await typesLater;
  for (const { file, line, message } of types.errors) {
    findings.push({
      severity: "error",
      path: `${file}:${line}`,
      code: "TYPE_ERROR",
      message,
      fix: "Correct the type error.",
    });
  }
  const rank = { error: 0, warning: 1, info: 2 };
  findings.sort((a, b) => rank[a.severity] - rank[b.severity]);
  return { findings, secrets, resources, types };
}

function sourceFilesOf(workspace: Workspace, source: string): string[] {
  return Object.keys(new SourceFiles(workspace).filesOfSource(source));
}

function secretsOf(
  workspace: Workspace,
  pipeline: string,
  source: string,
  asked: readonly AskedSecret[],
): SecretState[] {
  return asked.map(({ key, set }) => ({
    key,
    set,
    environment_variable: secretName(workspace, pipeline, source, key),
  }));
}

function resourceFindings(
  resources: readonly DescribedResource[],
  source: string,
  at: (setting: string) => string,
): Finding[] {
  const findings: Finding[] = [];
  for (const [index, one] of resources.entries()) {
    const path = at(source === "rest_api" ? `resources.${index}` : `resources.${one.name}`);
    const add = (
      severity: Finding["severity"],
      code: string,
      setting: string,
      message: string,
      fix: string,
    ): void => {
      findings.push({ severity, path: `${path}.${setting}`, code, message: `${one.name}: ${message}`, fix });
    };
    if (!one.selected) continue;
    const keyed = one.primary_key.length > 0 || one.merge_key.length > 0;
    if (one.write_disposition === "merge" && !keyed && one.strategy !== "scd2") {
      add(
        "error",
        "MERGE_WITHOUT_KEY",
        "primary_key",
        "merge without a key.",
        "Set primary_key (or merge_key), or another write_disposition.",
      );
    }
    if (["upsert", "insert-only"].includes(one.strategy ?? "") && one.primary_key.length === 0) {
      add(
        "error",
        "MERGE_WITHOUT_KEY",
        "primary_key",
        `the strategy ${one.strategy} needs a primary key.`,
        "Set primary_key.",
      );
    }
    if (one.write_disposition === "replace" && one.cursor !== undefined) {
      add(
        "warning",
        "REPLACE_WITH_CURSOR",
        "write_disposition",
        "replace with a cursor: each run leaves only the rows that are new since the last.",
        "Use merge with a primary key, or remove the cursor.",
      );
    }
    if (
      one.write_disposition === "append" &&
      one.cursor === undefined &&
      one.parent === undefined &&
      !KEEPS_LEDGER.has(source)
    ) {
      add(
        "warning",
        "APPEND_WITHOUT_CURSOR",
        "write_disposition",
        "append without a cursor: each run adds all rows again.",
        "Set incremental, or merge with a key, or replace.",
      );
    }
    if (one.write_disposition === "append" && one.cursor !== undefined && one.primary_key.length > 0) {
      add(
        "info",
        "KEY_WITHOUT_MERGE",
        "write_disposition",
        "append keeps every version of a row, although there is a primary key.",
        "Use merge where only the newest version is wanted.",
      );
    }
    if (one.cursor !== undefined && one.primary_key.includes(one.cursor.path)) {
      add(
        "info",
        "CURSOR_IS_KEY",
        "incremental",
        "the cursor is the key: rows that change later are not read again.",
        "Use a time of change as the cursor, if there is one.",
      );
    }
    if (one.cursor !== undefined && !one.cursor.has_initial_value) {
      add(
        "info",
        "CURSOR_WITHOUT_START",
        "incremental",
        "no initial_value: the first run reads everything.",
        "Set initial_value where history is not wanted.",
      );
    }
    if (one.cursor?.end_value === true) {
      add(
        "warning",
        "CURSOR_FIXED_END",
        "incremental",
        "end_value is set: the window is fixed and the cursor does not move.",
        "Remove end_value for regular runs.",
      );
    }
  }
  return findings;
}

type Json = Readonly<Record<string, unknown>>;

/** What is peculiar to rest_api: why paging will end, and whether the service filters by the cursor. */
function restFindings(config: Json, at: (setting: string) => string): Finding[] {
  const findings: Finding[] = [];
  const client = object(config.client);
  const defaults = object(config.resource_defaults);
  const entries = Array.isArray(config.resources) ? config.resources : [];
  for (const [index, raw] of entries.entries()) {
    const entry = object(raw);
    const own = typeof entry.endpoint === "string" ? { path: entry.endpoint } : object(entry.endpoint);
    const endpoint: Json = { ...object(defaults.endpoint), ...own };
    const name = String(entry.name ?? endpoint.path ?? raw);
    const path = at(`resources.${index}.endpoint`);
    const single = /\}\/?$/.test(String(endpoint.path ?? name));
    const paginator = endpoint.paginator ?? (single ? "single_page" : client.paginator);
    const page: Json = typeof paginator === "string" ? { type: paginator } : object(paginator);
    if (paginator === undefined || page.type === "auto") {
      findings.push({
        severity: "info",
        path: `${path}.paginator`,
        code: "PAGINATOR_GUESSED",
        message: `${name}: how it pages is recognised by the first answer of each run.`,
        fix: "test_source says what is recognised; write that down.",
      });
    } else if (page.type === "page_number" || page.type === "offset") {
      const counts = typeof page.total_path === "string" && page.total_path !== "";
      const stops = page.stop_after_empty_page !== false;
      const bound = page[page.type === "offset" ? "maximum_offset" : "maximum_page"];
      if (!counts && page.has_more_path === undefined && bound !== undefined) {
        findings.push({
          severity: "warning",
          path: `${path}.paginator`,
          code: "PAGING_BOUNDED",
          message: `${name}: paging may end at a bound before the last row.`,
          fix: "Set total_path or has_more_path, or remove the bound.",
        });
      } else if (!counts && page.has_more_path === undefined && stops) {
        findings.push({
          severity: "info",
          path: `${path}.paginator`,
          code: "PAGING_ENDS_EMPTY",
          message: `${name}: paging ends with ${page.type === "offset" ? "a short or an empty page" : "an empty page"}.`,
          fix: "Set total_path or has_more_path where the service tells the end.",
        });
      }
    }
    const cursor = object(endpoint.incremental ?? entry.incremental);
    if (
      cursor.cursor_path !== undefined &&
      cursor.start_param === undefined &&
      !JSON.stringify(endpoint).includes("{incremental.")
    ) {
      findings.push({
        severity: "warning",
        path: `${path}.incremental.start_param`,
        code: "CURSOR_NOT_SENT",
        message: `${name}: the cursor is not sent to the service: every run reads all pages and drops what is old.`,
        fix: "Set start_param to the parameter that filters by time, or put {incremental.start_value} into the request.",
      });
    }
    if (/^https?:\/\/(www\.)?example\.com/.test(String(client.base_url)) && index === 0) {
      findings.push({
        severity: "warning",
        path: at("client.base_url"),
        code: "BASE_URL_EXAMPLE",
        message: "The base URL is an example.",
        fix: "Set client.base_url to where the service is.",
      });
    }
  }
  return findings;
}

function object(value: unknown): Json {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : {};
}
