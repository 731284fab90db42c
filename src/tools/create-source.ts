import { readFileSync, statSync } from "node:fs";
import { z } from "zod";
import { counted } from "../engine/counted.ts";
import { EngineError } from "../engine/errors.ts";
import { listSources } from "../sources/registry.ts";
import { dryRun, lintShape, missingSecrets, WRITTEN, writeChecked } from "./building/build.ts";
import type { Draft } from "./building/draft.ts";
import { draftFromDatabase, draftFromFiles } from "./building/from-rows.ts";
import { draftFromOpenApi } from "./building/openapi.ts";
import { draftFromRest } from "./building/rest.ts";
import { draftFromSample } from "./building/sample.ts";
import { SourceFiles } from "./building/source-files.ts";
import { codeOf, emptyTemplate } from "./building/templates.ts";
import { writeTable } from "./building/toml-write.ts";
import { defineTool, FORMAT, type NextStep } from "./define-tool.ts";
import type { Workspace } from "./workspace.ts";

const SPEC_BYTES_MAX = 20_000_000;

const AUTH = z
  .strictObject({
    type: z.enum(["none", "bearer", "api_key", "http_basic", "header", "oauth2_client_credentials"]),
    name: z.string().min(1).optional().describe("Of the header, parameter or cookie"),
    location: z.enum(["header", "query", "cookie"]).optional(),
    access_token_url: z.string().min(1).optional(),
  })
  .describe("The kind of credentials. Values are secrets and never arguments");

const PAGINATOR = z
  .union([z.string(), z.record(z.string(), z.unknown())])
  .describe('As in rest_api: "header_link", or { type = "page_number", page_param = "page", … }');

const BASE_URL = z.string().regex(/^https?:\/\/\S+$/, "an http or https URL");
const NAME = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_]{0,62}$/, "use letters, digits and underscores, not starting with a digit");

const SAMPLE = z.strictObject({
  base_url: BASE_URL,
  path: z.string(),
  text: z.string().min(2).max(2_000_000).describe("The body of one answer, JSON"),
  resource: z.string().min(1).optional(),
  auth: AUTH.optional(),
  headers: z.array(z.string()).optional().describe("Names of the answer's headers, such as Link"),
});

const REST = z.strictObject({
  base_url: BASE_URL,
  auth: AUTH.optional(),
  paginator: PAGINATOR.optional(),
  requests_per_minute: z.int().positive().optional(),
  resources: z
    .array(
      z.strictObject({
        name: z.string().min(1).optional(),
        path: z.string(),
        params: z.record(z.string(), z.unknown()).optional(),
        data_selector: z.string().min(1).optional(),
        primary_key: z.union([z.string(), z.array(z.string()).min(1)]).optional(),
        write_disposition: z.enum(["append", "replace", "merge"]).optional(),
        cursor: z.string().min(1).optional().describe("Field of the rows that grows when a row changes"),
        start_param: z.string().min(1).optional().describe("Parameter that filters by it"),
        initial_value: z.union([z.string(), z.number()]).optional(),
        paginator: PAGINATOR.optional(),
      }),
    )
    .min(1)
    .max(100),
});

const OPENAPI = z.strictObject({
  file: z.string().min(1).optional().describe("A file of the workspace, JSON or YAML"),
  text: z.string().min(1).max(SPEC_BYTES_MAX).optional().describe("Or the document itself"),
  base_url: BASE_URL.optional().describe("Instead of the document's server"),
  resources: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .describe("Names, paths or operation ids; default all lists"),
  initial_value: z.union([z.string(), z.number()]).optional().describe("Where cursors start"),
});

const FILES = z.strictObject({
  path: z.string().min(1).describe("A folder or file of the workspace, or s3://bucket/prefix"),
  glob: z.string().min(1).optional(),
  endpoint: z.string().min(1).optional().describe("Of an S3-compatible store"),
  region: z.string().min(1).optional(),
});

const DATABASE = z.strictObject({
  url: z
    .string()
    .min(1)
    .optional()
    .describe("Without a password. Left out: the secret credentials is the URL (request_secret)"),
  schema: z.string().min(1).optional(),
  tables: z.array(z.string().min(1)).min(1).optional(),
});

const KINDS = ["openapi", "rest", "sample", "files", "database", "empty"] as const;

export const createSourceTool = defineTool({
  name: "create_source",
  title: "Create a source",
  description:
    "Builds a source and registers it as a pipeline in loadwright.toml. Takes exactly one of: openapi, rest (a short " +
    "description), sample (one JSON answer), files (a folder or S3 prefix), database (reflected), empty (a TypeScript " +
    "template). Keys, cursors and paging are suggested with the evidence for them. What is written was checked; with " +
    "dry_run only the diff comes back. request_secret makes places for missing secrets, test_source reads a little, " +
    "update_source changes or reverts, run_pipeline loads.",
  mode: "write",
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: false, openWorldHint: true },
  input: z.strictObject({
    name: NAME.describe("Of the pipeline, and of a TypeScript source"),
    openapi: OPENAPI.optional(),
    rest: REST.optional(),
    sample: SAMPLE.optional(),
    files: FILES.optional(),
    database: DATABASE.optional(),
    empty: z.boolean().optional(),
    style: z
      .enum(["config", "typescript"])
      .default("config")
      .describe("config: settings in loadwright.toml; typescript: sources/<name>/index.ts with a test"),
    destination: NAME.optional(),
    dataset: z.string().min(1).optional(),
    description: z.string().max(500).optional(),
    dry_run: z.boolean().default(false),
    response_format: FORMAT,
  }),
  output: z.object({
    ...WRITTEN,
    evidence: z.array(z.object({ about: z.string(), finding: z.string() })),
    secrets_needed: z.array(z.object({ key: z.string(), why: z.string() })),
    warnings: z.array(z.string()),
  }),
  async execute(input, context) {
    const { workspace, signal } = context;
    const { name } = input;
    const kinds = KINDS.filter((kind) => input[kind] !== undefined && input[kind] !== false);
    const [kind] = kinds;
    if (kind === undefined || kinds.length > 1) {
      throw new EngineError(
        "ARGUMENTS_INVALID",
        `create_source takes exactly one of ${KINDS.join(", ")}; ${kinds.length === 0 ? "none" : kinds.join(" and ")} came.`,
      );
    }
    const style = kind === "empty" ? "typescript" : input.style;
    refuseExisting(workspace, name, style);
    const draft = await draftOf(workspace, input, kind, signal);
    const code =
      style === "config" ? undefined : draft === undefined ? emptyTemplate(name) : codeFor(name, draft);
    const description = input.description ?? draft?.description;
    const config = code?.config ?? draft?.config ?? {};
    const source = code === undefined ? draft!.source : name;
    const section = writeTable(["pipelines", name], {
      source,
      ...(input.destination === undefined ? {} : { destination: input.destination }),
      ...(input.dataset === undefined ? {} : { dataset: input.dataset }),
      ...(description === undefined || description === "" ? {} : { description }),
      ...(Object.keys(config).length === 0
        ? {}
        : { config: source === "rest_api" ? { name, ...config } : config }),
    });
    const planned = new SourceFiles(workspace).plan(name, { section, files: code?.files ?? {} });
    const { revision, lint } = input.dry_run
      ? await dryRun(planned, context)
      : await writeChecked(planned, `created from ${kind}`, context);
    const shape = lintShape(lint);
    const missing = missingSecrets(lint);
    return {
      summary:
        `${input.dry_run ? "Dry run: nothing was written." : `Pipeline ${name} was registered with the source ${source}.`} ` +
        `${shape.resources.length > 0 ? `${counted(shape.resources.length, "resource")}: ${shape.resources.slice(0, 10).join(", ")}.` : ""}` +
        (missing.length > 0 ? ` Secrets to set: ${missing.join(", ")}.` : ""),
      data: {
        pipeline: name,
        source,
        written: !input.dry_run,
        revision,
        changes: planned.changes.map((one) => ({ ...one })),
        diff: planned.diff,
        ...shape,
        evidence: (draft?.evidence ?? []).map((one) => ({ ...one })),
        secrets_needed: (draft?.secrets ?? []).map((one) => ({ ...one })),
        warnings: [...(draft?.warnings ?? [])],
      },
      next_steps: nextSteps(name, missing, input.dry_run),
    };
  },
});

async function draftOf(
  workspace: Workspace,
  input: {
    readonly name: string;
    readonly openapi?: z.output<typeof OPENAPI>;
    readonly rest?: z.output<typeof REST>;
    readonly sample?: z.output<typeof SAMPLE>;
    readonly files?: z.output<typeof FILES>;
    readonly database?: z.output<typeof DATABASE>;
  },
  kind: (typeof KINDS)[number],
  signal: AbortSignal,
): Promise<Draft | undefined> {
  const { name } = input;
  switch (kind) {
    case "openapi": {
      const { file, text, ...rest } = input.openapi!;
      if ((file === undefined) === (text === undefined)) {
        throw new EngineError("ARGUMENTS_INVALID", "openapi takes either a file or a text.");
      }
      return draftFromOpenApi(name, { ...rest, text: text ?? readSpec(workspace, file!) });
    }
    case "rest":
      return draftFromRest(name, input.rest!);
    case "sample":
      return draftFromSample(name, input.sample!);
    case "files":
      return draftFromFiles(workspace, name, input.files!, signal);
    case "database":
      return draftFromDatabase(workspace, name, input.database!, signal);
    case "empty":
      return undefined;
  }
}

function codeFor(name: string, draft: Draft): ReturnType<typeof codeOf> {
  if (draft.source !== "s3_exports") return codeOf(name, draft);
  throw new EngineError("ARGUMENTS_INVALID", "There is no TypeScript template for exports on S3.", {
    hint: 'Use style "config".',
  });
}

/** Errors: PATH_OUTSIDE, SPEC_UNREADABLE. */
function readSpec(workspace: Workspace, file: string): string {
  const path = workspace.inside(file);
  const found = statSync(path, { throwIfNoEntry: false });
  if (found?.isFile() && found.size <= SPEC_BYTES_MAX) return readFileSync(path, "utf8");
  throw new EngineError(
    "SPEC_UNREADABLE",
    `${file} ${found?.isFile() ? `has more than ${SPEC_BYTES_MAX} bytes` : "is not a file of the workspace"}.`,
    {
      details: { file },
    },
  );
}

function refuseExisting(workspace: Workspace, name: string, style: string): void {
  const exists = (what: string): EngineError =>
    new EngineError("SOURCE_EXISTS", `There is already ${what} ${name}.`, {
      details: { name, pipelines: workspace.pipelineNames().slice(0, 100) },
    });
  if (workspace.config.pipelines.has(name)) throw exists("a pipeline");
  if (style === "typescript" && listSources(workspace.dir).some((one) => one.name === name))
    throw exists("a source");
}

export function nextSteps(pipeline: string, missing: readonly string[], dry: boolean): NextStep[] {
  if (dry) return [];
  return [
    ...missing.slice(0, 3).map((key) => ({
      tool: "request_secret",
      arguments: { pipeline, key },
      why: `the secret ${key} is not set`,
    })),
    { tool: "test_source", arguments: { pipeline }, why: "read a little into a scratch database" },
    // without its secrets a run would only fail
    ...(missing.length > 0 ? [] : [{ tool: "run_pipeline", arguments: { pipeline }, why: "load" }]),
  ];
}
