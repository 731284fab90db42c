/**
 * The command line. Results go to stdout (tables, or JSON with --json), everything else to stderr.
 * With --json stdout holds exactly one document: `{summary, data}` or `{error}`.
 */

import { createInterface } from "node:readline/promises";
import { Argument, Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { counted, nounOf } from "../engine/counted.ts";
import { EngineError, toEnvelope } from "../engine/errors.ts";
import type { DropPlan } from "../engine/pipeline-options.ts";
import { REFRESH_MODES, type RefreshMode } from "../engine/reset/refresh.ts";
import { CONTRACT_MODES } from "../engine/schema/contract.ts";
import type { Contract, ContractMode } from "../engine/schema/types.ts";
import { progressView, silentView } from "./cli-progress.ts";
import {
  number,
  type QueriedRows,
  renderDropPlan,
  renderError,
  renderInfo,
  renderList,
  renderPackages,
  renderRows,
  renderRun,
  renderTrace,
} from "./cli-render.ts";
import { textOf, valuesAsValues } from "./cli-words.ts";
import { SCHEMA_CONTRACT } from "./config.ts";
import { EXIT, EXIT_CODES_HELP, exitCodeOfError, exitCodeOfRun } from "./exit-codes.ts";
import { initWorkspace } from "./init.ts";
import {
  failedPackages,
  listPipelines,
  pipelineInfo,
  pipelineTrace,
  storedSchemas,
  sum,
} from "./pipeline-info.ts";
import { toJson } from "./run-protocol.ts";
import { intervalOf, refreshQuestion } from "./run-settings.ts";
import { startRun } from "./runs.ts";
import { importSchemaFile, printSchemas, SCHEMA_FORMATS, type SchemaFormat } from "./schema-documents.ts";
import { type ServerFlags, withServerFlags } from "./server-flags.ts";
import { VERSION } from "./version.ts";
import { findWorkspace, type Workspace } from "./workspace.ts";

interface CommonOptions {
  readonly json?: boolean;
  readonly workspace?: string;
}

/** What a command answers: one line, data for programs, text for people. */
interface Answer {
  readonly summary: string;
  readonly data: unknown;
  readonly text: string;
  readonly exitCode?: number;
  /** What the answers of tools have besides. */
  readonly truncated?: boolean;
  readonly next_cursor?: string;
  readonly next_steps?: unknown;
}

const PIPELINE_OPERATIONS = [
  "info",
  "trace",
  "schema",
  "import-schema",
  "drop",
  "drop-pending-packages",
  "failed-jobs",
  "sync",
] as const;
type PipelineOperation = (typeof PIPELINE_OPERATIONS)[number];

interface PipelineOptionsOfCommand extends CommonOptions {
  readonly run?: string;
  readonly format: SchemaFormat;
  readonly file?: string;
  readonly from?: string;
  readonly resources?: readonly string[];
  readonly all?: boolean;
  readonly statePaths?: readonly string[];
  readonly stateOnly?: boolean;
  readonly source?: string;
  readonly yes?: boolean;
}

interface ToolOptionsOfCommand extends CommonOptions {
  readonly yes?: boolean;
}

interface RunOptionsOfCommand extends CommonOptions {
  readonly resources?: readonly string[];
  readonly limit?: number;
  readonly dryRun?: boolean;
  readonly backfill?: { readonly from: string; readonly to: string };
  readonly refresh?: RefreshMode;
  readonly schemaContract?: Contract | ContractMode;
  readonly yes?: boolean;
  readonly fullTrace?: boolean;
}

export async function main(words: readonly string[]): Promise<number> {
  const argv = valuesAsValues(words);
  const json = argv.includes("--json");
  let exitCode: number = EXIT.ok;
  const answer = async (make: () => Promise<Answer>): Promise<void> => {
    const given = await make();
    await print(process.stdout, json ? toJson(documentOf(given), 2) : given.text);
    exitCode = given.exitCode ?? EXIT.ok;
  };
  try {
    const root = program(answer);
    await addWhatIsAsked(root, argv, answer);
    await root.parseAsync(argv, { from: "user" });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return usage(error, json);
    const envelope = toEnvelope(error);
    if (json) await print(process.stdout, toJson({ error: envelope }, 2));
    else await print(process.stderr, renderError(envelope));
    if (envelope.code === "INTERNAL" && process.env.LOADWRIGHT_DEBUG !== undefined) console.error(error);
    return exitCodeOfError(envelope.code);
  }
}

function documentOf({ text: _text, exitCode: _exitCode, ...rest }: Answer): Record<string, unknown> {
  return { ...rest };
}

function program(answer: (make: () => Promise<Answer>) => Promise<void>): Command {
  const root = new Command("loadwright")
    .description("Load data from APIs, files and databases into DuckDB, each load whole or not at all")
    .version(VERSION)
    // behind a command's name --version is the command's own: a version of the schema in get_schema
    .enablePositionalOptions()
    .addHelpText("after", EXIT_CODES_HELP)
    .showSuggestionAfterError()
    // errors are told by `usage`, as text or JSON
    .configureOutput({ outputError: () => {} })
    .exitOverride();

  command(root, "init <dir>", "make a workspace with an example that runs", { workspace: false }).action(
    (dir: string) => answer(() => init(dir)),
  );

  command(root, "run <pipeline>", "extract, normalize and load")
    .option("--resources <names>", "only these resources, separated by commas", names)
    .option("--limit <rows>", "at most so many rows of each resource", positive)
    .option("--dry-run", "only tell what the run would do; nothing is written")
    .option("--backfill <from..to>", "load a window of cursor values again; stored cursors stay", windowOf)
    .addOption(
      new Option(
        "--refresh <mode>",
        "begin anew: drop tables and state of the source or of its resources, or only rows and state",
      ).choices(REFRESH_MODES),
    )
    .option("--schema-contract <modes>", "freeze, or columns=freeze,tables=evolve,…", contractOf)
    .option("--yes", "--refresh: without asking")
    .option("--full-trace", "show the steps of the run, not only the outcome")
    .action((pipeline: string, options: RunOptionsOfCommand) => answer(() => run(pipeline, options)));

  command(root, "list", "pipelines with their last run and pending packages").action(
    (options: CommonOptions) => answer(() => list(options)),
  );

  command(root, "pipeline <name>", "look at a pipeline, or repair it")
    .addArgument(new Argument("[operation]", "what to do").choices(PIPELINE_OPERATIONS).default("info"))
    .option("--run <id>", "trace: of this run instead of the newest")
    .addOption(
      new Option("--format <format>", "schema: how to print it").choices(SCHEMA_FORMATS).default("json"),
    )
    .option("--file <path>", "import-schema: the YAML or JSON file")
    .option("--from <load-id>", "drop-pending-packages: this package and all later ones")
    .option(
      "--resources <names>",
      "drop: tables and state of these, separated by commas; re:^raw_ is a pattern",
      names,
    )
    .option("--all", "drop: tables and state of all resources")
    .option("--state-paths <paths>", "drop: parts of the source's state, such as token or pages[*]", names)
    .option("--state-only", "drop: the tables stay")
    .option("--source <name>", "drop: of this source, where the pipeline has loaded several")
    .option("--yes", "drop, drop-pending-packages: without asking")
    .action((name: string, operation: PipelineOperation, options: PipelineOptionsOfCommand) =>
      answer(() => OPERATIONS[operation](workspaceOf(options), name, options)),
    );

  command(root, "query <pipeline>", "read what was loaded: one SELECT, checked and read-only")
    .argument("<sql>", "the statement, or - to read it from standard input", textOf)
    .option("--limit <rows>", "at most so many rows", positive)
    .action((pipeline: string, sql: string, options: CommonOptions & { limit?: number }) =>
      answer(() => query(pipeline, sql, options)),
    );

  command(root, "tool [name] [input]", "the agent's tools: list them, or call one with JSON")
    .option("--yes", "confirm what the tool asks")
    .action((name: string | undefined, input: string | undefined, options: ToolOptionsOfCommand) =>
      answer(async () => {
        const { text, ...given } = await tool(name, input ?? "{}", options);
        // JSON in, JSON out; the tool's own command draws tables
        return { ...given, text: name === undefined ? text : toJson(given, 2) };
      }),
    );

  root.addHelpText("after", "\nShell completion: loadwright completion bash|zsh|fish prints the script.");

  withServerFlags(
    command(root, "mcp", "serve the tools to an AI agent, over stdio or HTTP", { json: false }),
  ).action(async (flags: ServerFlags) => {
    // loaded only here: no other command needs the MCP SDK
    const { serve } = await import("./serve.ts");
    await serve(flags);
  });
  return root;
}

/** The catalogue and its schemas take time to load: only for its commands, for help, and for completion. */
async function addWhatIsAsked(
  root: Command,
  argv: readonly string[],
  answer: (make: () => Promise<Answer>) => Promise<void>,
): Promise<void> {
  const [first] = argv;
  if (root.commands.some((each) => each.name() === first)) return;
  const [{ CATALOG }, { addToolCommands }] = await Promise.all([
    import("./catalog.ts"),
    import("./cli-commands.ts"),
  ]);
  addToolCommands(root, CATALOG, ({ name }, input, options) =>
    answer(() => tool(name, JSON.stringify(input), options)),
  );
  if (first !== "completion" && first !== "complete") return;
  const { addCompletion } = await import("./cli-completion.ts");
  await addCompletion(root);
}

function command(
  root: Command,
  name: string,
  description: string,
  has: { json?: boolean; workspace?: boolean } = {},
): Command {
  const made = root.command(name).description(description);
  if (has.workspace ?? true) {
    made.option("--workspace <dir>", "the folder with loadwright.toml (default: the nearest one above)");
  }
  if (has.json ?? true) made.option("--json", "one JSON document on stdout");
  return made;
}

async function init(dir: string): Promise<Answer> {
  const made = await initWorkspace(dir);
  const summary = `Made a workspace in ${made.workspace}`;
  const next = `Next:\n  cd ${dir}\n  loadwright run example`;
  return { summary, data: made, text: [summary, ...made.files.map((file) => `  ${file}`), next].join("\n") };
}

async function list(options: CommonOptions): Promise<Answer> {
  const workspace = workspaceOf(options);
  const pipelines = await listPipelines(workspace);
  const summary = `${counted(pipelines.length, "pipeline")} in ${workspace.dir}`;
  return { summary, data: { workspace: workspace.dir, pipelines }, text: renderList(pipelines) };
}

async function run(pipeline: string, options: RunOptionsOfCommand): Promise<Answer> {
  const workspace = workspaceOf(options);
  const { refresh, resources, backfill, schemaContract } = options;
  if (refresh !== undefined && !options.dryRun) await confirmRefresh(workspace, pipeline, refresh, options);
  const view = options.json ? silentView() : progressView(process.stderr);
  const handle = startRun(workspace, pipeline, {
    resources,
    rowsMax: options.limit,
    backfill,
    interval: intervalOf(process.env),
    refresh,
    dryRun: options.dryRun,
    schemaContract,
  });
  const stop = (): void => {
    process.removeListener("SIGINT", stop).removeListener("SIGTERM", stop);
    process.once("SIGINT", handle.kill).once("SIGTERM", handle.kill);
    view.say("Cancelling; what is committed stays. Press Ctrl-C again to end the run at once.");
    handle.cancel();
  };
  process.on("SIGINT", stop).on("SIGTERM", stop);
  for await (const event of handle.events) view.show(event);
  const report = await handle.done;
  view.end();
  const exitCode = exitCodeOfRun(report);
  const rows = sum(report.dry_run?.rows ?? report.rows);
  const summary = `${report.dry_run ? "dry run " : ""}${report.status}: ${pipeline}, ${number(rows)} ${nounOf(rows, "row")}`;
  const text = options.fullTrace ? renderTrace(report) : renderRun(report);
  if (report.error !== undefined && !options.json && !options.fullTrace) {
    await print(process.stderr, renderError(report.error));
  }
  return { summary, data: report, text, exitCode };
}

async function tool(name: string | undefined, input: string, options: ToolOptionsOfCommand): Promise<Answer> {
  // loaded only here: the catalogue brings the parsers of the guarded query
  const [{ CATALOG }, { callTool, toolByName }, { stepsAsCommands }, { renderAnswer, renderPlan }] =
    await Promise.all([
      import("./catalog.ts"),
      import("./cli-tools.ts"),
      import("./cli-commands.ts"),
      import("./cli-answer.ts"),
    ]);
  if (name === undefined) {
    const tools = CATALOG.map((each) => ({ name: each.name, mode: each.mode, title: each.title }));
    const text = tools.map((each) => `${each.name.padEnd(24)}${each.title}`).join("\n");
    return { summary: `${tools.length} tools`, data: { tools }, text };
  }
  toolByName(name);
  const cancelled = new AbortController();
  process.once("SIGINT", () => cancelled.abort(new EngineError("CANCELLED", "The call was cancelled.")));
  const envelope = await callTool(workspaceOf(options), {
    name,
    input,
    signal: cancelled.signal,
    progress: (message) => {
      if (!options.json) process.stderr.write(`${message}\n`);
    },
    ask: async (question, plan) => {
      if (options.yes === true) return true;
      if (!options.json) await print(process.stderr, renderPlan(plan));
      return asked(question, { question, plan }, options);
    },
  });
  const { summary, ...rest } = envelope;
  return { ...rest, summary, text: renderAnswer(envelope, stepsAsCommands(CATALOG, envelope.next_steps)) };
}

async function query(
  pipeline: string,
  sql: string,
  options: CommonOptions & { limit?: number },
): Promise<Answer> {
  const input = { pipeline, sql, ...(options.limit === undefined ? {} : { limit: options.limit }) };
  const answer = await tool("query_data", JSON.stringify(input), options);
  return { ...answer, text: renderRows(answer.data as QueriedRows, answer.summary) };
}

const OPERATIONS: Record<
  PipelineOperation,
  (workspace: Workspace, name: string, options: PipelineOptionsOfCommand) => Promise<Answer>
> = {
  async info(workspace, name) {
    const info = await pipelineInfo(workspace, name);
    const summary = `${name}: ${counted(info.loaded_packages, "package")} loaded, ${info.pending_packages.length} pending`;
    return { summary, data: info, text: renderInfo(info) };
  },

  async trace(workspace, name, options) {
    const report = await pipelineTrace(workspace, name, options.run);
    return { summary: `run ${report.run_id} ${report.status}`, data: report, text: renderTrace(report) };
  },

  async schema(workspace, name, options) {
    const schemas = await storedSchemas(workspace, name);
    const summary = `schema ${Object.keys(schemas).join(", ")} of ${name}`;
    const text = printSchemas(Object.values(schemas), options.format, workspace.schemaPlace(name));
    const data =
      options.format === "json"
        ? {
            schemas: Object.fromEntries(
              Object.entries(schemas).map(([key, each]) => [key, JSON.parse(each)]),
            ),
          }
        : { [options.format]: text };
    return { summary, data, text: text.trimEnd() };
  },

  async "import-schema"(workspace, name, options) {
    const imported = await importSchemaFile(workspace, name, options.file);
    const summary = `schema ${imported.schema_name} of ${name} is taken from ${imported.file} by the next run`;
    return { summary, data: imported, text: `${summary}.` };
  },

  async "failed-jobs"(workspace, name) {
    const packages = await failedPackages(workspace, name);
    const summary = `${counted(packages.length, "package")} of ${name} set aside`;
    return {
      summary,
      data: { packages },
      text: packages.length === 0 ? `${summary}.` : renderPackages(packages),
    };
  },

  async sync(workspace, name) {
    const { pipeline } = workspace.openPipeline(name);
    const synced = await pipeline.sync();
    const summary = synced.restored
      ? `${name}: schema and state were restored from the destination`
      : `${name}: nothing to restore, the destination holds nothing newer`;
    return { summary, data: synced, text: `${summary}.` };
  },

  async drop(_workspace, name, options) {
    const { resources, all, statePaths: state_paths, stateOnly: state_only, source } = options;
    const wish = { resources, all, state_paths, state_only, source };
    return tool("reset_state", JSON.stringify({ pipeline: name, action: "drop_resource", ...wish }), options);
  },

  async "drop-pending-packages"(workspace, name, options) {
    const { pipeline } = workspace.openPipeline(name);
    let plan: DropPlan;
    try {
      plan = await pipeline.planDrop(options.from);
    } catch (error) {
      if (!(error instanceof EngineError && error.code === "NOTHING_PENDING")) throw error;
      plan = { pipeline_name: name, packages: [], backup: "" };
    }
    if (plan.packages.length === 0) {
      const summary = `${name} has no pending package`;
      return { summary, data: { dropped: false, plan }, text: `${summary}.` };
    }
    if (!options.yes && !(await confirmed(plan, options))) {
      return { summary: "nothing was dropped", data: { dropped: false, plan }, text: "Nothing was dropped." };
    }
    const dropped = await pipeline.dropPending(options.from, {
      expected: plan.packages.map((each) => each.load_id),
    });
    const summary = `${name}: ${counted(dropped.packages.length, "pending package")} dropped, kept in ${dropped.backup}`;
    return {
      summary,
      data: { dropped: true, plan: dropped },
      text: `${renderDropPlan(dropped)}\n${summary}.`,
    };
  },
};

/** Errors: CONFIRM_REQUIRED when nobody can be asked; CANCELLED when the answer is no. */
async function confirmRefresh(
  workspace: Workspace,
  name: string,
  refresh: RefreshMode,
  options: RunOptionsOfCommand,
): Promise<void> {
  if (options.yes) return;
  const plan = await workspace.openPipeline(name).pipeline.planRefresh(refresh, options.resources);
  if (plan.tables.length + plan.resource_states.length === 0) return;
  if (await asked(refreshQuestion(plan), { plan }, options)) return;
  throw new EngineError("CANCELLED", "Nothing was refreshed.", { hint: "Run without --refresh to go on." });
}

async function confirmed(plan: DropPlan, options: PipelineOptionsOfCommand): Promise<boolean> {
  if (!options.json) await print(process.stderr, renderDropPlan(plan));
  const count = plan.packages.length;
  return asked(`Drop ${counted(count, "pending package")} of ${plan.pipeline_name}?`, { plan }, options);
}

/** Asks on the terminal; without one, or for a program, refuses and says what would have been asked. */
async function asked(
  question: string,
  details: Readonly<Record<string, unknown>>,
  options: CommonOptions,
): Promise<boolean> {
  if (options.json || !process.stdin.isTTY || !process.stderr.isTTY) {
    throw new EngineError("CONFIRM_REQUIRED", `Not confirmed: ${question}`, {
      hint: "Look at the plan, then run the same command with --yes.",
      details,
    });
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^y(es)?$/i.test((await terminal.question(`${question} [y/N] `)).trim());
  } finally {
    terminal.close();
  }
}

function workspaceOf(options: CommonOptions): Workspace {
  return findWorkspace(process.cwd(), options.workspace);
}

function names(text: string): string[] {
  const list = text.split(",").map((name) => name.trim());
  if (list.some((name) => name === "")) throw new InvalidArgumentError("Give names separated by commas.");
  return list;
}

function windowOf(text: string): { from: string; to: string } {
  const [from, to, ...rest] = text.split("..");
  if (!from || !to || rest.length > 0) {
    throw new InvalidArgumentError("Give two cursor values as FROM..TO, such as 2024-01-01..2024-02-01.");
  }
  return { from, to };
}

function contractOf(text: string): Contract | ContractMode {
  const parts = text.split(",").map((part) => part.split("="));
  const given = text.includes("=") ? Object.fromEntries(parts) : text;
  const parsed = SCHEMA_CONTRACT.safeParse(given);
  if (parsed.success) return parsed.data;
  const known = CONTRACT_MODES.join(", ");
  throw new InvalidArgumentError(`Give one of ${known}, or a part of tables, columns and data_type each.`);
}

function positive(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1)
    throw new InvalidArgumentError("Give a whole number above 0.");
  return value;
}

/** Help and version are printed by commander; a wrong command is told like every other error. */
async function usage(error: CommanderError, json: boolean): Promise<number> {
  if (error.exitCode === 0) return EXIT.ok;
  // `loadwright` alone shows the help
  if (error.code === "commander.help") return EXIT.usage;
  const message = error.message.replace(/^error: /, "");
  const envelope = { code: "USAGE", message, hint: "See loadwright --help.", retry: "after_fix" } as const;
  if (json) await print(process.stdout, toJson({ error: envelope }, 2));
  else await print(process.stderr, renderError(envelope));
  return EXIT.usage;
}

/** Waits until the text is out: `process.exit` cuts what a pipe has not taken yet. */
function print(stream: NodeJS.WriteStream, text: string): Promise<void> {
  return new Promise((resolve) => stream.write(`${text}\n`, () => resolve()));
}

// A reader that has seen enough, as `head`, ends no run and is no error.
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
  });
}
process.exitCode = await main(process.argv.slice(2));
