import { z } from "zod";
import { counted } from "../engine/counted.ts";
import { FINDING } from "./building/build.ts";
import type { Finding } from "./building/lint.ts";
import { probe } from "./building/probe.ts";
import type { ReadOutcome } from "./building/probe-protocol.ts";
import { revisionOf, SourceFiles } from "./building/source-files.ts";
import { defineTool, FORMAT, type NextStep, PIPELINE } from "./define-tool.ts";
import { ERROR, errorShape } from "./shapes.ts";

/** Starting the process, normalizing and loading, beside the reading itself. */
const OVERHEAD_MS = 25_000;

const PAGING = z
  .enum(["ended", "stopped", "failed", "not_told"])
  .describe(
    "ended: proven by the source; stopped: a bound of this test came first; not_told: the source says nothing",
  );

export const testSourceTool = defineTool({
  name: "test_source",
  title: "Read a little from a source",
  description:
    "Reads from the real service, files or database within bounds of records, pages and seconds, into a scratch " +
    "database that is removed. Nothing reaches the destination, no cursor moves. Tells the tables as they would be, a " +
    "sample of masked rows (untrusted data), the HTTP requests without secrets, whether and why paging ended, keys that " +
    "come twice and what the cursor did. Useful after create_source and update_source, before run_pipeline.",
  // requests with the person's credentials, from code of the workspace
  mode: "run",
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: true, openWorldHint: true },
  input: z.strictObject({
    pipeline: PIPELINE,
    resources: z
      .array(z.string().min(1))
      .min(1)
      .max(100)
      .optional()
      .describe("Only these; default all selected"),
    max_records: z.int().min(1).max(100_000).default(1000).describe("Of each resource"),
    max_pages: z.int().min(1).max(1000).default(20).describe("Of each resource"),
    max_seconds: z.number().min(1).max(120).default(20),
    sample_rows: z.int().min(0).max(20).default(3),
    response_format: FORMAT,
  }),
  untrusted: true,
  output: z.object({
    pipeline: z.string(),
    revision: z.string(),
    ok: z.boolean().describe("It read, and nothing speaks against it"),
    resources: z.array(
      z.object({
        name: z.string(),
        rows: z.number(),
        pages: z.number().optional(),
        paging: PAGING,
        reasons: z.array(z.string()),
        recognised_paginator: z.string().optional(),
        cursor: z.object({ path: z.string(), after: z.unknown(), moved: z.boolean() }).optional(),
      }),
    ),
    tables: z.array(
      z.object({
        name: z.string(),
        resource: z.string().optional(),
        parent: z.string().optional(),
        rows: z.number(),
        columns: z.array(z.string()).describe("name type, and the share of nulls"),
        duplicate_keys: z.object({ key: z.array(z.string()), rows: z.number() }).optional(),
      }),
    ),
    samples: z
      .record(z.string(), z.array(z.record(z.string(), z.unknown())))
      .describe("Rows by table; mail addresses, long numbers and what looks like a secret are masked"),
    printed: z.array(z.string()),
    requests: z.array(
      z.object({
        method: z.string(),
        url: z.string(),
        status: z.number().optional(),
        ms: z.number(),
        bytes: z.number(),
        attempt: z.number(),
        error: z.string().optional(),
      }),
    ),
    requests_total: z.number(),
    findings: z.array(FINDING),
    warnings: z.array(z.string()),
    error: ERROR.optional(),
  }),
  async execute(input, { workspace, gates, signal }) {
    gates.require("run", "Reading from a source");
    const { pipeline } = input;
    const { source, config } = workspace.pipelineConfig(pipeline);
    const bounds = { rows: input.max_records, pages: input.max_pages, seconds: input.max_seconds };
    const outcome = await probe<"read">(
      {
        kind: "read",
        workspaceDir: workspace.dir,
        pipeline,
        source,
        config,
        bounds,
        sampleRows: input.sample_rows,
        ...(input.resources === undefined ? {} : { resources: input.resources }),
      },
      { timeoutMs: bounds.seconds * 1000 + OVERHEAD_MS, signal },
    );
    const resources = resourcesOf(outcome);
    const findings = findingsOf(outcome, resources);
    const ok = outcome.error === undefined && findings.every((one) => one.severity !== "error");
    const detailed = input.response_format === "detailed";
    const revision = revisionOf(new SourceFiles(workspace).current(pipeline));
    return {
      summary: summaryOf(outcome, resources, findings, ok),
      data: {
        pipeline,
        revision,
        ok,
        ...(outcome.error === undefined ? {} : { error: errorShape(outcome.error) }),
        findings,
        resources,
        tables: outcome.tables.map((table) => ({
          name: table.name,
          ...(table.resource === undefined ? {} : { resource: table.resource }),
          ...(table.parent === undefined ? {} : { parent: table.parent }),
          rows: table.rows,
          columns: table.columns.map((column) => {
            const nulls = table.rows > 0 ? Math.round((column.nulls / table.rows) * 100) : 0;
            return `${column.name} ${column.data_type}${nulls > 0 ? `, ${nulls} % null` : ""}`;
          }),
          ...(table.duplicate_keys === undefined
            ? {}
            : { duplicate_keys: { key: [...table.duplicate_keys.key], rows: table.duplicate_keys.rows } }),
        })),
        samples: Object.fromEntries(
          outcome.tables.map((table) => [table.name, table.sample.map((row) => ({ ...row }))]),
        ),
        printed: [...outcome.printed],
        requests: outcome.requests.slice(0, detailed ? 40 : 10).map((one) => ({ ...one })),
        requests_total: outcome.requests_total,
        warnings: [...outcome.warnings],
      },
      next_steps: nextStepsOf(pipeline, revision, ok, outcome),
    };
  },
});

type ResourceShape = {
  name: string;
  rows: number;
  pages?: number;
  paging: z.infer<typeof PAGING>;
  reasons: string[];
  recognised_paginator?: string;
  cursor?: { path: string; after: unknown; moved: boolean };
};

function resourcesOf(outcome: ReadOutcome): ResourceShape[] {
  return outcome.resources.map((one) => {
    const ends = outcome.paging.filter((end) => end.resource === one.name);
    const reasons = [...new Set([...Object.keys(one.ended), ...ends.map((end) => end.reason)])];
    const recognised = outcome.recognised.find((each) => each.resource === one.name)?.paginator;
    const failed = outcome.error?.details?.resource === one.name;
    return {
      name: one.name,
      rows: one.rows,
      ...(ends.length === 0 ? {} : { pages: ends.reduce((sum, end) => sum + Number(end.pages), 0) }),
      paging: failed
        ? "failed"
        : one.stopped_by_bound
          ? "stopped"
          : reasons.length > 0
            ? "ended"
            : "not_told",
      reasons,
      ...(recognised === undefined ? {} : { recognised_paginator: recognised }),
      ...(one.cursor === undefined
        ? {}
        : {
            cursor: {
              path: one.cursor.path,
              after: one.cursor.after,
              moved: one.cursor.after !== null && one.rows > 0,
            },
          }),
    };
  });
}

const FIXES: Readonly<Record<string, string>> = {
  PAGINATION_LOOP:
    "The service ignores the parameter that the paginator sends: give page_param (or offset_param, cursor_param) its name, or use another type. An answer's own next link or cursor tells which.",
  SELECTOR_EMPTY: "Set data_selector to one of the keys that the message names.",
  HTTP_UNAUTHORIZED: "Check the secret, and where the service wants it: auth.type, name and location.",
  HTTP_FORBIDDEN: "The key is known but may not do this: give it the scope, or leave the resource out.",
  HTTP_RATE_LIMITED: "Set client.requests_per_minute below the service's limit, and try again later.",
  CONFIG_MISSING: "request_secret makes a place for a missing secret.",
};

function findingsOf(outcome: ReadOutcome, resources: readonly ResourceShape[]): Finding[] {
  const findings: Finding[] = [];
  const { error } = outcome;
  if (error !== undefined) {
    const resource = error.details?.resource;
    findings.push({
      severity: "error",
      path: typeof resource === "string" ? resource : "source",
      code: error.code,
      message: error.message,
      fix: FIXES[error.code] ?? error.hint,
    });
  }
  const limited = outcome.requests.filter((one) => one.status === 429).length;
  if (limited > 0 && error?.code !== "HTTP_RATE_LIMITED") {
    findings.push({
      severity: error === undefined ? "warning" : "error",
      path: "client",
      code: "HTTP_RATE_LIMITED",
      message: `The service answered 429 to ${counted(limited, "request")}.`,
      fix: FIXES.HTTP_RATE_LIMITED!,
    });
  }
  if (error !== undefined) return findings;
  for (const one of resources) {
    if (one.rows === 0) {
      findings.push({
        severity: "warning",
        path: one.name,
        code: "NO_ROWS",
        message: `${one.name}: no rows came.`,
        fix: "Check data_selector, parameters and the cursor's initial_value; or there is nothing to read.",
      });
    }
    if (one.paging === "stopped") {
      findings.push({
        severity: "info",
        path: one.name,
        code: "END_NOT_SEEN",
        message: `${one.name}: a bound of this test came before the end, so it is not proven that paging ends.`,
        fix: "Raise max_records and max_pages, or narrow the request.",
      });
    }
    if (one.recognised_paginator !== undefined) {
      findings.push({
        severity: "info",
        path: one.name,
        code: "PAGINATOR_GUESSED",
        message: `${one.name}: recognised as ${one.recognised_paginator}.`,
        fix: "Write it down as the endpoint's paginator.",
      });
    }
    if (one.cursor !== undefined && !one.cursor.moved && one.rows > 0) {
      findings.push({
        severity: "warning",
        path: one.name,
        code: "CURSOR_DID_NOT_MOVE",
        message: `${one.name}: rows came, but the cursor ${one.cursor.path} has no value.`,
        fix: "Check cursor_path.",
      });
    }
  }
  for (const table of outcome.tables) {
    const { duplicate_keys: duplicates } = table;
    if (duplicates === undefined || duplicates.rows === 0) continue;
    findings.push({
      severity: "error",
      path: table.resource ?? table.name,
      code: "DUPLICATE_KEY",
      message: `${table.name}: ${duplicates.rows} of ${table.rows} rows share their key (${duplicates.key.join(", ")}) with another row; merge would keep one of each.`,
      fix: "Add the fields to primary_key that tell such rows apart, or see whether the paginator reads rows twice.",
    });
  }
  for (const message of outcome.warnings.filter((one) => one.includes("the response says"))) {
    findings.push({
      severity: "error",
      path: "paginator",
      code: "ENDED_TOO_EARLY",
      message,
      fix: "Correct the paginator: rows are missing.",
    });
  }
  return findings;
}

function summaryOf(
  outcome: ReadOutcome,
  resources: readonly ResourceShape[],
  findings: readonly Finding[],
  ok: boolean,
): string {
  if (outcome.error !== undefined) return `Reading failed: ${outcome.error.code}: ${outcome.error.message}`;
  const rows = resources.reduce((sum, one) => sum + one.rows, 0);
  const ended = resources.filter((one) => one.paging === "ended").length;
  const errors = findings.filter((one) => one.severity === "error");
  return `${counted(rows, "row")} of ${counted(resources.length, "resource")}, ${counted(outcome.requests_total, "request")}; ${ended} proved their end.${ok ? "" : ` ${errors.map((one) => one.code).join(", ")}: ${errors[0]?.message}`}`;
}

function nextStepsOf(pipeline: string, revision: string, ok: boolean, { error }: ReadOutcome): NextStep[] {
  if (ok) return [{ tool: "run_pipeline", arguments: { pipeline }, why: "load" }];
  const key = error?.code === "CONFIG_MISSING" ? error.details?.key : undefined;
  if (typeof key === "string") {
    return [{ tool: "request_secret", arguments: { pipeline, key }, why: `the secret ${key} is not set` }];
  }
  return [
    {
      tool: "update_source",
      arguments: { pipeline, expected_revision: revision, set: {} },
      why: "correct what the findings name; put the settings into set",
    },
    { tool: "test_source", arguments: { pipeline }, why: "test again" },
  ];
}
