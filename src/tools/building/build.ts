/** From a draft to what stands in the workspace: the texts, the check of what was written, and what to tell. */

import { z } from "zod";
import { EngineError } from "../../engine/errors.ts";
import type { ToolContext } from "../define-tool.ts";
import { type Finding, type LintResult, lintSource } from "./lint.ts";
import { type Planned, revisionOf, SourceFiles } from "./source-files.ts";

export const FINDING = z.object({
  severity: z.enum(["error", "warning", "info"]),
  path: z.string(),
  code: z.string(),
  message: z.string(),
  fix: z.string(),
});

export const SECRET = z.object({
  key: z.string(),
  set: z.boolean(),
  environment_variable: z.string(),
});

export const TYPE_CHECK = z.object({
  status: z.enum(["passed", "failed", "not_checked"]),
  why: z.string().optional(),
});

export const WRITTEN = {
  pipeline: z.string(),
  source: z.string(),
  written: z.boolean().describe("False: a dry run, nothing was changed"),
  revision: z.string().describe("Name of this state; update_source takes it as expected_revision"),
  changes: z.array(z.object({ path: z.string(), action: z.enum(["create", "change", "delete"]) })),
  diff: z.string(),
  resources: z.array(z.string()),
  secrets: z.array(SECRET),
  findings: z.array(FINDING),
  type_check: TYPE_CHECK,
};

/** Written and checked; a finding that is an error puts everything back: INVALID_PATCH. */
export async function writeChecked(
  planned: Planned,
  note: string,
  { workspace, gates, signal }: ToolContext,
): Promise<{ revision: string; lint: LintResult }> {
  gates.require("write", "Writing a source");
  const written = await new SourceFiles(workspace).write(planned, note, async () => {
    const lint = await lintSource(workspace.reopened(), planned.pipeline, signal);
    const errors = lint.findings.filter((one) => one.severity === "error");
    if (errors.length > 0) throw refused(errors);
    return lint;
  });
  return { revision: written.revision, lint: written.checked };
}

/** As `writeChecked`, with everything put back at the end. */
export async function dryRun(
  planned: Planned,
  context: ToolContext,
): Promise<{ revision: string; lint: LintResult }> {
  const done = new DryRunEnd();
  const { workspace, signal } = context;
  try {
    await new SourceFiles(workspace).write(planned, "", async () => {
      done.lint = await lintSource(workspace.reopened(), planned.pipeline, signal);
      throw done;
    });
  } catch (error) {
    if (error !== done) throw error;
  }
  const lint = done.lint!;
  const errors = lint.findings.filter((one) => one.severity === "error");
  if (errors.length > 0) throw refused(errors);
  return { revision: revisionOf(planned.after), lint };
}

class DryRunEnd extends Error {
  lint: LintResult | undefined;
}

function refused(errors: readonly Finding[]): EngineError {
  const [first] = errors;
  const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : "";
  return new EngineError("INVALID_PATCH", `Nothing was written: ${first!.path}: ${first!.message}${more}`, {
    hint: first!.fix,
    details: { findings: errors.map((one) => ({ ...one })) },
  });
}

export function lintShape(lint: LintResult): {
  resources: string[];
  secrets: z.input<typeof SECRET>[];
  findings: z.input<typeof FINDING>[];
  type_check: z.input<typeof TYPE_CHECK>;
} {
  const { status, why } = lint.types;
  return {
    resources: (lint.resources ?? []).map((one) => one.name),
    secrets: lint.secrets.map((one) => ({ ...one })),
    findings: lint.findings.map((one) => ({ ...one })),
    type_check: { status, ...(why === undefined ? {} : { why }) },
  };
}

export function missingSecrets(lint: LintResult): string[] {
  return lint.secrets.filter((one) => !one.set).map((one) => one.key);
}
