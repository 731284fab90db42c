import { z } from "zod";
import { patternOf } from "../engine/diagnose/catalogue/index.ts";
import { type Candidate, type Classified, type Confidence, classify } from "../engine/diagnose/classify.ts";
import type { CheckName, Flag, Pattern, StepName } from "../engine/diagnose/pattern.ts";
import { EngineError, type ErrorEnvelope, type Retry } from "../engine/errors.ts";
import { quoted } from "../engine/inspect/measure.ts";
import { defineTool, FORMAT, type NextStep, PIPELINE, READS, type Tool } from "./define-tool.ts";
import { type Evidence, gather } from "./evidence.ts";
import { inspectionOf, schemaViewOf } from "./inspection.ts";
import { runFolder } from "./pipeline-info.ts";
import type { Workspace } from "./workspace.ts";

const CHECKS_WHEN_UNKNOWN: readonly CheckName[] = ["packages", "runs", "state", "types"];
const CHECKS_MAX = 6;
const TABLES_SEARCHED_MAX = 20;

/** What is to be diagnosed, wherever it came from. */
interface Case {
  readonly pipeline: string | undefined;
  readonly text: string;
  readonly step?: string;
  readonly loadId?: string;
  /** Set when the records themselves say what it is. */
  readonly code?: string;
  readonly origin: "run" | "load" | "text";
}

export const diagnoseError = defineTool({
  name: "diagnose_error",
  title: "Diagnose an error",
  description:
    "Says what an error is: a stable code, the causes ranked by evidence that it gathers itself (schema, keys, state, " +
    "packages, locks, network; read-only), whether a retry helps, and fixes as ready tool calls. Takes a run_id of a " +
    "failed run, a load_id, or any pasted text: tracebacks of Python dlt, errors of Postgres, Supabase, DuckDB, S3, HTTP " +
    'and Node, or a plain description such as "rows are missing". With pipeline it looks at that pipeline. An answer ' +
    "of low confidence, or UNCLASSIFIED, is not a diagnosis. get_run and query_loads show the failed runs and loads.",
  mode: "read",
  annotations: READS,
  input: z.strictObject({
    run_id: z.string().min(1).max(200).optional(),
    load_id: z
      .string()
      .regex(/^\d+\.\d+$/)
      .optional(),
    text: z
      .string()
      .min(1)
      .max(400_000)
      .optional()
      .describe("The whole error text, the inner causes included"),
    pipeline: PIPELINE.optional().describe("Where evidence is gathered; found from run_id and load_id"),
    table: z
      .string()
      .min(1)
      .max(500)
      .optional()
      .describe("The table concerned, where the text does not name it"),
    gather_evidence: z.boolean().default(true).describe("false: match the text only, touch nothing"),
    response_format: FORMAT,
  }),
  output: z.object({
    code: z.string().describe("Stable; UNCLASSIFIED when nothing fits"),
    title: z.string(),
    category: z.string(),
    confidence: z.enum(["high", "medium", "low", "none"]),
    retry: z.enum(["yes", "after_fix", "no", "unknown"]).describe("Does running again help?"),
    pipeline: z.string().nullable(),
    step: z.string().optional(),
    table: z.string().optional(),
    column: z.string().optional(),
    constraint: z.string().optional(),
    exceptions: z.array(z.string()).describe("Classes of the chain, outermost first"),
    causes: z.array(z.object({ cause: z.string(), supported_by: z.array(z.string()) })),
    evidence: z.array(z.object({ check: z.string(), finding: z.string(), speaks_for_a_cause: z.boolean() })),
    advice: z.array(z.string()),
    fixes: z.array(
      z.object({ tool: z.string(), arguments: z.record(z.string(), z.unknown()), why: z.string() }),
    ),
    other_candidates: z.array(z.object({ code: z.string(), title: z.string() })),
  }),
  async execute(input, { workspace, signal }) {
    const given = [input.run_id, input.load_id, input.text].filter((each) => each !== undefined);
    if (given.length !== 1) {
      throw new EngineError("ARGUMENTS_INVALID", "Give exactly one of run_id, load_id and text.");
    }
    if (input.pipeline !== undefined) workspace.pipelineConfig(input.pipeline);
    const found = await caseOf(workspace, input, signal);
    const classified = classify(found.text);
    const best = bestOf(found, classified);
    const { pattern } = best;
    const table = input.table ?? classified.subject.table;
    const checks = input.gather_evidence ? checksFor(classified, pattern) : [];
    const evidence = await gather(checks, { workspace, pipeline: found.pipeline, table, signal });
    const flags = new Set(evidence.flatMap((each) => each.flags));
    if (found.code === "LOAD_PARTIAL") flags.add("partial_load");
    const causes = rankedCauses(pattern, flags, evidence);
    const supported = causes.some((each) => each.supported_by.length > 0);
    const confidence: Confidence = pattern?.weak && supported ? "high" : best.confidence;
    const { cursor } = evidence.find((each) => each.cursor !== undefined) ?? {};
    const fixes = await readyCalls(stepsFor(pattern, found, flags), {
      pipeline: found.pipeline,
      table,
      loadId: found.loadId ?? classified.subject.loadId,
      cursor,
      rewind: flags.has("cursor_in_future"),
    });
    const retry: Retry | "unknown" = pattern?.retry ?? classified.unknownSqlstate?.retry ?? "unknown";
    const { column, constraint } = classified.subject;
    return {
      summary:
        pattern === undefined
          ? `Not classified.${classified.unknownSqlstate === undefined ? "" : ` SQLSTATE ${classified.unknownSqlstate.sqlstate} is not in the catalogue.`} The evidence may help.`
          : `${pattern.code} (${confidence} confidence): ${pattern.title}${supported ? ` ${causes[0]!.cause}` : ""}`,
      data: {
        code: pattern?.code ?? "UNCLASSIFIED",
        title: pattern?.title ?? "No entry of the error catalogue fits.",
        category: pattern?.category ?? "unknown",
        confidence,
        retry,
        pipeline: found.pipeline ?? null,
        ...(found.step === undefined ? {} : { step: found.step }),
        ...(table === undefined ? {} : { table }),
        ...(column === undefined ? {} : { column }),
        ...(constraint === undefined ? {} : { constraint }),
        exceptions: [...classified.exceptions],
        causes: causes.map((each) => ({ ...each, supported_by: [...each.supported_by] })),
        evidence: evidence.map((each) => ({
          check: each.check,
          finding: each.finding,
          speaks_for_a_cause: each.flags.some((flag) => flagsOf(pattern).has(flag)),
        })),
        advice: [
          ...(pattern?.fixes ?? ["Paste the whole error, its inner causes included, or name the run_id."]),
        ],
        fixes: fixes.map((each) => ({ ...each, arguments: { ...each.arguments } })),
        other_candidates: classified.candidates
          .filter((each) => each.pattern.code !== pattern?.code)
          .slice(0, 3)
          .map((each) => ({ code: each.pattern.code, title: each.pattern.title })),
      },
      next_steps: fixes.slice(0, 3),
    };
  },
});

// ---- where the error text comes from ----

async function caseOf(
  workspace: Workspace,
  input: { run_id?: string; load_id?: string; text?: string; pipeline?: string },
  signal: AbortSignal,
): Promise<Case> {
  const among = input.pipeline === undefined ? workspace.pipelineNames() : [input.pipeline];
  if (input.text !== undefined) return { pipeline: input.pipeline, text: input.text, origin: "text" };
  if (input.run_id !== undefined) return ofRun(workspace, among, input.run_id);
  return ofLoad(workspace, among, input.load_id!, signal);
}

async function ofRun(workspace: Workspace, among: readonly string[], runId: string): Promise<Case> {
  for (const pipeline of among) {
    const report = await runFolder(workspace, pipeline)
      .readTrace(runId)
      .catch((error: unknown) => {
        if (error instanceof EngineError && error.code === "RUN_NOT_FOUND") return undefined;
        throw error;
      });
    if (report === undefined) continue;
    const failed = report.steps.find((each) => each.error !== undefined);
    const error = report.error ?? failed?.error ?? report.packages.find((each) => each.error)?.error;
    const loadId = failed?.load_id ?? (error?.details?.load_id as string | undefined);
    return {
      pipeline,
      text: error === undefined ? "" : textOf(error),
      ...(failed === undefined ? {} : { step: failed.step }),
      ...(loadId === undefined ? {} : { loadId }),
      origin: "run",
    };
  }
  throw new EngineError("RUN_NOT_FOUND", `There is no run ${runId}.`, {
    hint: "get_run lists the last runs of a pipeline.",
  });
}

async function ofLoad(
  workspace: Workspace,
  among: readonly string[],
  loadId: string,
  signal: AbortSignal,
): Promise<Case> {
  for (const pipeline of among) {
    const inspection = inspectionOf(workspace, pipeline, signal);
    const { store, read } = inspection;
    const base = { pipeline, loadId, origin: "load" as const };
    for (const stage of ["failed", "extracted", "normalized", "loaded"] as const) {
      const ref = (await store.list(stage)).find((each) => each.load_id === loadId);
      if (ref === undefined) continue;
      const { error, run_id } = await store.readManifest(ref);
      const ofItsRun =
        error ?? (stage === "loaded" ? undefined : await errorOfRun(workspace, pipeline, run_id, loadId));
      if (ofItsRun !== undefined) return { ...base, text: textOf(ofItsRun) };
      return stage === "loaded" ? { ...base, text: "" } : { ...base, text: "", code: "PENDING_PACKAGES" };
    }
    const listed = await read("select status from _dlt_loads where load_id = $1 limit 1", [loadId]).catch(
      unknownHere,
    );
    if (listed[0] !== undefined && Number(listed[0].status) === 0) return { ...base, text: "" };
    const schema = await schemaViewOf(inspection).catch(() => undefined);
    for (const table of schema?.tables.slice(0, TABLES_SEARCHED_MAX) ?? []) {
      if (!table.columns.some((each) => each.name === "_dlt_load_id")) continue;
      const rows = await read(`select 1 as one from ${quoted(table.name)} where _dlt_load_id = $1 limit 1`, [
        loadId,
      ]).catch(unknownHere);
      if (rows.length > 0) return { ...base, text: "", code: "LOAD_PARTIAL" };
    }
  }
  throw new EngineError("PACKAGE_NOT_FOUND", `There is no load ${loadId}.`, {
    hint: "List loads with query_loads.",
  });
}

async function errorOfRun(
  workspace: Workspace,
  pipeline: string,
  runId: string,
  loadId: string,
): Promise<ErrorEnvelope | undefined> {
  const report = await runFolder(workspace, pipeline)
    .readTrace(runId)
    .catch(() => undefined);
  return report?.packages.find((each) => each.load_id === loadId)?.error ?? report?.error;
}

function unknownHere(error: unknown): [] {
  if (error instanceof EngineError) return [];
  throw error;
}

/** An envelope as text: code, message, details, then its cause as the inner link. */
function textOf({ code, message, details, cause }: ErrorEnvelope): string {
  return JSON.stringify({
    code,
    message,
    ...(details === undefined ? {} : { details }),
    ...(cause === undefined ? {} : { cause }),
  });
}

// ---- from the pattern to an answer ----

function bestOf(
  found: Case,
  { candidates }: Classified,
): { pattern: Pattern | undefined; confidence: Confidence } {
  if (found.code !== undefined) return { pattern: patternOf(found.code), confidence: "high" };
  const best: Candidate | undefined = candidates[0];
  if (best === undefined) return { pattern: undefined, confidence: "none" };
  // what this engine recorded is an error for sure; a text may be anything
  const raised = found.origin !== "text" && best.confidence === "low" ? "medium" : best.confidence;
  return { pattern: best.pattern, confidence: raised };
}

function checksFor({ candidates }: Classified, pattern: Pattern | undefined): CheckName[] {
  if (pattern === undefined) return [...CHECKS_WHEN_UNKNOWN];
  const second = candidates[1]?.pattern.checks ?? [];
  const wanted =
    pattern.category === "wrapper" ? [...pattern.checks, ...second, ...CHECKS_WHEN_UNKNOWN] : pattern.checks;
  return [...new Set(wanted)].slice(0, CHECKS_MAX);
}

function rankedCauses(
  pattern: Pattern | undefined,
  flags: ReadonlySet<Flag>,
  evidence: readonly Evidence[],
): { cause: string; supported_by: string[] }[] {
  const causes = (pattern?.causes ?? []).map((entry) => {
    if (typeof entry === "string") return { cause: entry, supported_by: [] };
    const wanted = ([] as Flag[]).concat(entry[0]).filter((each) => flags.has(each));
    const checks = evidence
      .filter((each) => each.flags.some((flag) => wanted.includes(flag)))
      .map((each) => each.check);
    return {
      cause: entry[1],
      supported_by: wanted.length === 0 ? [] : checks.length > 0 ? checks : ["records"],
    };
  });
  const supported = causes.filter((each) => each.supported_by.length > 0);
  // a cause may stand twice: with what would speak for it, and as the usual one
  const rest = causes.filter((each) => each.supported_by.length === 0);
  return [...supported, ...rest].filter(
    (each, i, all) => all.findIndex((other) => other.cause === each.cause) === i,
  );
}

function flagsOf(pattern: Pattern | undefined): Set<Flag> {
  return new Set(
    (pattern?.causes ?? []).flatMap((each) =>
      typeof each === "string" ? [] : ([] as Flag[]).concat(each[0]),
    ),
  );
}

function stepsFor(pattern: Pattern | undefined, found: Case, flags: ReadonlySet<Flag>): readonly StepName[] {
  const variants: StepName[] = flags.has("variant_columns") ? ["diff_schema"] : [];
  const steps = pattern?.steps ?? [...variants, "query_loads", "inspect_state", "run_checks"];
  return found.pipeline === undefined && steps.length > 0 ? ["get_workspace"] : steps;
}

interface About {
  readonly pipeline: string | undefined;
  readonly table: string | undefined;
  readonly loadId: string | undefined;
  readonly cursor: Evidence["cursor"];
  readonly rewind: boolean;
}

/** Calls that their tools accept as they are; a step whose tool is not there, or needs what is not known, is left out. */
async function readyCalls(steps: readonly StepName[], about: About): Promise<NextStep[]> {
  // the catalogue lists this tool too, so it is looked up when it is needed
  const { CATALOG } = await import("./catalog.ts");
  const calls: NextStep[] = [];
  for (const step of steps) {
    const wanted = callsFor(step, about);
    const call = wanted.find((each) =>
      accepts(
        CATALOG.find((tool) => tool.name === each.tool),
        each.arguments,
      ),
    );
    if (call !== undefined) calls.push(call);
  }
  return calls;
}

function accepts(tool: Tool | undefined, input: unknown): boolean {
  return tool?.input.safeParse(input).success ?? false;
}

/** Most telling arguments first. */
function callsFor(step: StepName, { pipeline, table, loadId, cursor, rewind }: About): NextStep[] {
  const call = (tool: string, why: string, ...variants: Readonly<Record<string, unknown>>[]): NextStep[] =>
    variants.map((input) => ({ tool, arguments: input, why }));
  if (step === "get_workspace")
    return call("get_workspace", "find the pipeline, then diagnose with its name", {});
  if (pipeline === undefined) return [];
  const ofTable = table === undefined ? { pipeline } : { pipeline, table };
  switch (step) {
    case "run_pipeline":
      return call("run_pipeline", "run again, once the cause is dealt with", { pipeline });
    case "query_loads":
      return call(
        "query_loads",
        "see the packages concerned",
        loadId === undefined ? { pipeline } : { pipeline, load_id: loadId },
        { pipeline },
      );
    case "get_schema":
      return call("get_schema", "see columns, types and keys", ofTable, { pipeline });
    case "diff_schema":
      return call("diff_schema", "see which load changed the type", ofTable, { pipeline });
    case "inspect_state":
      return call("inspect_state", "see the cursors", { pipeline });
    case "run_checks":
      return call(
        "run_checks",
        "find the rows concerned",
        table === undefined ? { pipeline } : { pipeline, tables: [table] },
        { pipeline },
      );
    case "profile_table":
      return table === undefined ? [] : call("profile_table", "see nulls and ranges", { pipeline, table });
    case "drop_pending_packages":
      return call("drop_pending_packages", "see what dropping the pending packages would do", { pipeline });
    case "sync_state":
      return call("reset_state", "see what taking the state from the destination would change", {
        pipeline,
        action: "restore_from_destination",
      });
    case "reset_cursor": {
      if (cursor === undefined) return [];
      const place = { pipeline, resource: cursor.resource, source: cursor.source, cursor_path: cursor.path };
      const why = "see what moving the cursor would do";
      return rewind && cursor.value !== undefined
        ? call("reset_state", why, { ...place, action: "set_cursor", value: cursor.value })
        : call("reset_state", why, { ...place, action: "clear_cursor" });
    }
    case "validate_source":
      return call(
        "validate_source",
        "check the source without running it",
        { pipeline },
        { source: pipeline },
      );
    case "test_source":
      return call("test_source", "read a few rows and see the requests", { pipeline }, { source: pipeline });
    case "request_secret":
      return call("request_secret", "have the secret set by a person", { pipeline });
  }
}
