import { z } from "zod";
import { counted } from "../engine/counted.ts";
import { FINDING, lintShape, missingSecrets, SECRET, TYPE_CHECK } from "./building/build.ts";
import { lintSource } from "./building/lint.ts";
import { revisionOf, SourceFiles } from "./building/source-files.ts";
import { defineTool, FORMAT, type NextStep, PIPELINE, READS } from "./define-tool.ts";

export const validateSourceTool = defineTool({
  name: "validate_source",
  title: "Check a source without reading from it",
  description:
    "Looks at the source of a pipeline offline: settings against their schema (with the nearest known key), keys " +
    "against write dispositions, cursors, what ends paging, secrets that are missing, types of TypeScript sources. " +
    "Findings have a path, a severity and a fix. The source's code is loaded in a process of its own that may not " +
    "write files or start programs; its resources are not run. The revision is what update_source takes. " +
    "test_source reads for real.",
  mode: "read",
  annotations: READS,
  input: z.strictObject({ pipeline: PIPELINE, response_format: FORMAT }),
  output: z.object({
    pipeline: z.string(),
    source: z.string(),
    revision: z.string(),
    valid: z.boolean().describe("No finding is an error"),
    ready: z.boolean().describe("Valid, and no secret is missing"),
    findings: z.array(FINDING),
    secrets: z.array(SECRET),
    resources: z.array(
      z.object({
        name: z.string(),
        selected: z.boolean(),
        parent: z.string().optional(),
        write_disposition: z.string(),
        strategy: z.string().optional(),
        primary_key: z.array(z.string()),
        merge_key: z.array(z.string()),
        cursor: z.string().optional(),
      }),
    ),
    type_check: TYPE_CHECK,
  }),
  async execute({ pipeline }, { workspace, signal }) {
    const { source } = workspace.pipelineConfig(pipeline);
    const lint = await lintSource(workspace, pipeline, signal);
    const shape = lintShape(lint);
    const count = (severity: string): number =>
      lint.findings.filter((one) => one.severity === severity).length;
    const valid = count("error") === 0;
    const missing = missingSecrets(lint);
    const next: NextStep[] = missing.slice(0, 3).map((key) => ({
      tool: "request_secret",
      arguments: { pipeline, key },
      why: `the secret ${key} is not set`,
    }));
    if (valid && missing.length === 0) {
      next.push({
        tool: "test_source",
        arguments: { pipeline },
        why: "read a little into a scratch database",
      });
    }
    return {
      summary: `${valid ? "Valid" : "Not valid"}: ${counted(count("error"), "error")}, ${counted(count("warning"), "warning")}, ${counted(count("info"), "note")}.${missing.length === 0 ? "" : ` Secrets to set: ${missing.join(", ")}.`}`,
      data: {
        pipeline,
        source,
        revision: revisionOf(new SourceFiles(workspace).current(pipeline)),
        valid,
        ready: valid && missing.length === 0,
        findings: shape.findings,
        secrets: shape.secrets,
        resources: (lint.resources ?? []).map(({ columns: _, cursor, primary_key, merge_key, ...one }) => ({
          ...one,
          primary_key: [...primary_key],
          merge_key: [...merge_key],
          ...(cursor === undefined ? {} : { cursor: cursor.path }),
        })),
        type_check: shape.type_check,
      },
      next_steps: next,
    };
  },
});
