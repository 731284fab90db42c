import { applyPatch, parsePatch } from "diff";
import { parse } from "smol-toml";
import { z } from "zod";
import { EngineError } from "../engine/errors.ts";
import { builtInSourceNames } from "../sources/registry.ts";
import { dryRun, lintShape, missingSecrets, WRITTEN, writeChecked } from "./building/build.ts";
import { revisionOf, SourceFiles, type SourceState } from "./building/source-files.ts";
import { sectionOf, withSection } from "./building/toml-section.ts";
import { writeTable } from "./building/toml-write.ts";
import { CONFIG_FILE } from "./config.ts";
import { nextSteps } from "./create-source.ts";
import { defineTool, FORMAT, PIPELINE } from "./define-tool.ts";

const REVISIONS_TOLD = 20;

export const updateSourceTool = defineTool({
  name: "update_source",
  title: "Change or revert a source",
  description:
    "Changes the source of a pipeline: its settings in loadwright.toml (set, or the whole section as text), files below " +
    "sources/, or both by a unified diff; or takes it back with revert_to. expected_revision, from create_source, " +
    "validate_source or an earlier update, keeps a change from being made to something else. The result is checked " +
    "as validate_source does; with an error nothing is written. Every state is kept as a revision. test_source comes next.",
  mode: "write",
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: false, openWorldHint: false },
  input: z.strictObject({
    pipeline: PIPELINE,
    expected_revision: z.string().min(1).describe("Revision that the change was made for"),
    set: z
      .record(z.string(), z.unknown())
      .optional()
      .describe(
        'Dotted path below the pipeline -> value; null removes: {"config.resources.0.endpoint.paginator": "header_link"}',
      ),
    section: z
      .string()
      .min(1)
      .max(500_000)
      .optional()
      .describe("The pipeline's tables of loadwright.toml as a whole"),
    files: z
      .array(z.strictObject({ path: z.string().min(1), content: z.string().max(524_288).nullable() }))
      .max(50)
      .optional()
      .describe("Whole files below sources/; content null deletes"),
    patch: z
      .string()
      .min(1)
      .max(1_000_000)
      .optional()
      .describe("Unified diff of loadwright.toml and files below sources/"),
    revert_to: z.string().min(1).optional().describe("A revision"),
    dry_run: z.boolean().default(false),
    response_format: FORMAT,
  }),
  output: z.object({
    ...WRITTEN,
    revisions: z.array(
      z.object({ number: z.number(), revision: z.string(), at: z.string(), note: z.string() }),
    ),
  }),
  async execute(input, context) {
    const { workspace } = context;
    const { pipeline } = input;
    const { source } = workspace.pipelineConfig(pipeline);
    const files = new SourceFiles(workspace);
    const current = files.current(pipeline);
    if (current.section === undefined) {
      throw new EngineError(
        "INVALID_PATCH",
        `${pipeline} has no table [pipelines.${pipeline}] of its own in ${CONFIG_FILE}.`,
        {
          hint: `Write it as [pipelines.${pipeline}] by hand first.`,
        },
      );
    }
    const revision = revisionOf(current);
    if (input.expected_revision !== revision) {
      throw new EngineError(
        "STALE_REVISION",
        `The source of ${pipeline} is at revision ${revision}, not ${input.expected_revision}.`,
        {
          details: { pipeline, revision, expected_revision: input.expected_revision },
        },
      );
    }
    const after = changed(current, input, files, source);
    const planned = files.plan(pipeline, after);
    const note = input.revert_to === undefined ? "updated" : `reverted to ${input.revert_to}`;
    const done = input.dry_run ? await dryRun(planned, context) : await writeChecked(planned, note, context);
    const shape = lintShape(done.lint);
    const missing = missingSecrets(done.lint);
    const what = planned.changes.map((one) => `${one.action} ${one.path}`).join(", ");
    return {
      summary: `${input.dry_run ? "Dry run: nothing was written" : `The source of ${pipeline} is at revision ${done.revision} now`} (${what === "" ? "no difference" : what}).`,
      data: {
        pipeline,
        source: workspace.reopened().config.pipelines.get(pipeline)?.source ?? source,
        written: !input.dry_run,
        revision: done.revision,
        changes: planned.changes.map((one) => ({ ...one })),
        diff: planned.diff,
        ...shape,
        revisions: files.revisions(pipeline).slice(-REVISIONS_TOLD),
      },
      next_steps: nextSteps(pipeline, missing, input.dry_run),
    };
  },
});

interface Change {
  readonly pipeline: string;
  readonly set?: Readonly<Record<string, unknown>>;
  readonly section?: string;
  readonly files?: readonly { readonly path: string; readonly content: string | null }[];
  readonly patch?: string;
  readonly revert_to?: string;
}

function changed(current: SourceState, change: Change, store: SourceFiles, source: string): SourceState {
  const { pipeline, set, section, files, patch, revert_to } = change;
  const given = Object.entries({ set, section, files, patch, revert_to }).filter(
    ([, value]) => value !== undefined,
  );
  const alone = [revert_to, patch].some((one) => one !== undefined) && given.length > 1;
  if (given.length === 0 || alone || (set !== undefined && section !== undefined)) {
    throw new EngineError(
      "ARGUMENTS_INVALID",
      "update_source takes set or section, with files or without; or patch alone; or revert_to alone.",
    );
  }
  if (revert_to !== undefined) return store.revision(pipeline, revert_to);
  if (patch !== undefined) return patched(current, pipeline, patch);
  const texts: Record<string, string> = { ...current.files };
  for (const { path, content } of files ?? []) {
    const own = path.replace(/^\.\//, "");
    if (!builtInSourceNames().includes(source) && !own.startsWith(`sources/${source}/`)) {
      throw new EngineError("PATH_OUTSIDE", `${path} is not below sources/${source}.`, { details: { path } });
    }
    if (content === null) delete texts[own];
    else texts[own] = content;
  }
  const next = section ?? (set === undefined ? current.section : withValues(current.section!, pipeline, set));
  return { section: next, files: texts };
}

/** The section written anew with some values changed; its comments are not kept. */
function withValues(section: string, pipeline: string, set: Readonly<Record<string, unknown>>): string {
  const document = parse(section) as { pipelines: Record<string, Record<string, unknown>> };
  const table = document.pipelines[pipeline]!;
  for (const [path, value] of Object.entries(set)) put(table, path.split("."), value, path);
  return writeTable(["pipelines", pipeline], table);
}

function put(target: unknown, keys: readonly string[], value: unknown, path: string): void {
  const [key, ...rest] = keys;
  const wrong = (why: string): EngineError =>
    new EngineError("INVALID_PATCH", `The path ${path} ${why}.`, {
      hint: "Paths begin below the pipeline, as config.client.base_url; members of lists are numbers from 0.",
    });
  if (key === undefined || key === "__proto__" || key === "constructor") throw wrong("is not a path");
  if (typeof target !== "object" || target === null) throw wrong("leads into a value");
  if (Array.isArray(target) && !(/^\d+$/.test(key) && Number(key) <= target.length))
    throw wrong(`leads to no member of a list (${key})`);
  const holder = target as Record<string, unknown>;
  if (rest.length > 0) {
    // a resource that is only a name or path becomes a table
    if (typeof holder[key] === "string" && key === "endpoint") holder[key] = { path: holder[key] };
    holder[key] ??= {};
    put(holder[key], rest, value, path);
  } else if (value !== null) holder[key] = value;
  else if (Array.isArray(target)) target.splice(Number(key), 1);
  else delete holder[key];
}

function patched(current: SourceState, pipeline: string, text: string): SourceState {
  const invalid = (message: string, cause?: unknown): EngineError =>
    new EngineError("INVALID_PATCH", message, {
      hint: "Make the diff for the present revision, with three lines of context; or pass whole files.",
      ...(cause === undefined ? {} : { cause }),
    });
  let parts: ReturnType<typeof parsePatch>;
  try {
    parts = parsePatch(text);
  } catch (cause) {
    throw invalid("The patch is not a unified diff.", cause);
  }
  let { section } = current;
  const files: Record<string, string> = { ...current.files };
  for (const part of parts) {
    const name = [part.newFileName, part.oldFileName]
      .map((one) => one?.replace(/^[ab]\//, ""))
      .find((one) => one !== undefined && one !== "/dev/null");
    if (name === undefined) throw invalid("The patch names no file.");
    const before = name === CONFIG_FILE ? section! : (files[name] ?? "");
    // line numbers of the whole file do not fit the section: the context decides
    const result = applyPatch(
      before,
      { ...part, hunks: part.hunks.map((hunk) => ({ ...hunk })) },
      { fuzzFactor: 0 },
    );
    if (result === false) throw invalid(`The patch does not fit ${name} as it is.`);
    if (name === CONFIG_FILE) section = sectionOf(withSection("", pipeline, result), pipeline);
    else if (part.newFileName === "/dev/null") delete files[name];
    else files[name] = result;
  }
  return { section, files };
}
