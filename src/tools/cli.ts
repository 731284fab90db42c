/**
 * The command line. Results go to stdout (tables, or JSON with --json), everything else to stderr.
 * With --json stdout holds exactly one document: `{summary, data}` or `{error}`.
 */

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline/promises";
import { Argument, Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { EngineError, toEnvelope } from "../engine/errors.ts";
import type { DropPlan } from "../engine/pipeline-options.ts";
import { progressView, silentView } from "./cli-progress.ts";
import {
  number,
  renderDropPlan,
  renderError,
  renderInfo,
  renderList,
  renderPackages,
  renderRun,
  renderTrace,
} from "./cli-render.ts";
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
import { startRun } from "./runs.ts";
import { schemasAsDdl } from "./schema-ddl.ts";
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
}

const PIPELINE_OPERATIONS = [
  "info",
  "trace",
  "schema",
  "drop-pending-packages",
  "failed-jobs",
  "sync",
] as const;
type PipelineOperation = (typeof PIPELINE_OPERATIONS)[number];

interface PipelineOptionsOfCommand extends CommonOptions {
  readonly run?: string;
  readonly format: "json" | "ddl";
  readonly from?: string;
  readonly yes?: boolean;
}

interface RunOptionsOfCommand extends CommonOptions {
  readonly resources?: readonly string[];
  readonly limit?: number;
  readonly fullTrace?: boolean;
}

export async function main(argv: readonly string[]): Promise<number> {
  const json = argv.includes("--json");
  let exitCode: number = EXIT.ok;
  const answer = async (make: () => Promise<Answer>): Promise<void> => {
    const given = await make();
    await print(process.stdout, json ? toJson({ summary: given.summary, data: given.data }, 2) : given.text);
    exitCode = given.exitCode ?? EXIT.ok;
  };
  try {
    await program(answer).parseAsync(argv, { from: "user" });
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

function program(answer: (make: () => Promise<Answer>) => Promise<void>): Command {
  const root = new Command("loadwright")
    .description("Load data from APIs, files and databases into DuckDB, each load whole or not at all")
    .version(packageVersion())
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
    .option("--full-trace", "show the steps of the run, not only the outcome")
    .action((pipeline: string, options: RunOptionsOfCommand) => answer(() => run(pipeline, options)));

  command(root, "list", "pipelines with their last run and pending packages").action(
    (options: CommonOptions) => answer(() => list(options)),
  );

  command(root, "pipeline <name>", "look at a pipeline, or repair it")
    .addArgument(new Argument("[operation]", "what to do").choices(PIPELINE_OPERATIONS).default("info"))
    .option("--run <id>", "trace: of this run instead of the newest")
    .addOption(
      new Option("--format <format>", "schema: how to print it").choices(["json", "ddl"]).default("json"),
    )
    .option("--from <load-id>", "drop-pending-packages: this package and all later ones")
    .option("--yes", "drop-pending-packages: without asking")
    .action((name: string, operation: PipelineOperation, options: PipelineOptionsOfCommand) =>
      answer(() => OPERATIONS[operation](workspaceOf(options), name, options)),
    );

  command(root, "mcp", "serve the tools to an AI agent over stdio", { json: false })
    .option("--allow <modes>", "besides reading: run, write, destructive, separated by commas", modes)
    .option("--require-human", "destroy nothing that a person has not confirmed at the client")
    .action(async (options: ServeOptions) => serve(options));
  return root;
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
  const summary = `${pipelines.length} pipelines in ${workspace.dir}`;
  return { summary, data: { workspace: workspace.dir, pipelines }, text: renderList(pipelines) };
}

async function run(pipeline: string, options: RunOptionsOfCommand): Promise<Answer> {
  const workspace = workspaceOf(options);
  const view = options.json ? silentView() : progressView(process.stderr);
  const handle = startRun(workspace, pipeline, { resources: options.resources, rowsMax: options.limit });
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
  const summary = `${report.status}: ${pipeline}, ${number(sum(report.rows))} rows`;
  const text = options.fullTrace ? renderTrace(report) : renderRun(report);
  if (report.error !== undefined && !options.json && !options.fullTrace) {
    await print(process.stderr, renderError(report.error));
  }
  return { summary, data: report, text, exitCode };
}

const OPERATIONS: Record<
  PipelineOperation,
  (workspace: Workspace, name: string, options: PipelineOptionsOfCommand) => Promise<Answer>
> = {
  async info(workspace, name) {
    const info = await pipelineInfo(workspace, name);
    const summary = `${name}: ${info.loaded_packages} packages loaded, ${info.pending_packages.length} pending`;
    return { summary, data: info, text: renderInfo(info) };
  },

  async trace(workspace, name, options) {
    const report = await pipelineTrace(workspace, name, options.run);
    return { summary: `run ${report.run_id} ${report.status}`, data: report, text: renderTrace(report) };
  },

  async schema(workspace, name, options) {
    const schemas = await storedSchemas(workspace, name);
    const summary = `schema ${Object.keys(schemas).join(", ")} of ${name}`;
    if (options.format === "ddl") {
      const ddl = schemasAsDdl(Object.values(schemas), workspace.dataset(name));
      return { summary, data: { ddl }, text: ddl };
    }
    const parsed = Object.fromEntries(
      Object.entries(schemas).map(([key, text]) => [key, JSON.parse(text) as unknown]),
    );
    const [only] = Object.values(parsed);
    const data = { schemas: parsed };
    return { summary, data, text: toJson(Object.keys(parsed).length === 1 ? only : parsed, 2) };
  },

  async "failed-jobs"(workspace, name) {
    const packages = await failedPackages(workspace, name);
    const summary = `${packages.length} packages of ${name} were set aside`;
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
    const dropped = await pipeline.dropPending(options.from);
    const summary = `${name}: ${dropped.packages.length} pending packages dropped, kept in ${dropped.backup}`;
    return {
      summary,
      data: { dropped: true, plan: dropped },
      text: `${renderDropPlan(dropped)}\n${summary}.`,
    };
  },
};

/** Asks on the terminal; without one, or for a program, refuses with the plan. */
async function confirmed(plan: DropPlan, options: PipelineOptionsOfCommand): Promise<boolean> {
  if (options.json || !process.stdin.isTTY || !process.stderr.isTTY) {
    if (!options.json) await print(process.stderr, renderDropPlan(plan));
    const count = plan.packages.length;
    throw new EngineError(
      "CONFIRM_REQUIRED",
      `${count} pending packages of ${plan.pipeline_name} would be dropped`,
      {
        hint: "Look at the plan, then run the same command with --yes.",
        details: { plan },
      },
    );
  }
  await print(process.stderr, renderDropPlan(plan));
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^y(es)?$/i.test((await terminal.question("Drop these packages? [y/N] ")).trim());
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

const MODES = ["run", "write", "destructive"];

function modes(text: string): string[] {
  const list = names(text);
  const unknown = list.filter((mode) => !MODES.includes(mode));
  if (unknown.length > 0) throw new InvalidArgumentError(`Allowed are ${MODES.join(", ")}.`);
  return list;
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

interface StdioModule {
  serveStdio(options: {
    workspace?: string;
    allow: readonly string[];
    requireHuman?: boolean;
  }): Promise<void>;
}

interface ServeOptions extends CommonOptions {
  readonly allow?: readonly string[];
  readonly requireHuman?: boolean;
}

async function serve(options: ServeOptions): Promise<void> {
  // loaded only here: no other command needs the MCP SDK
  const server = new URL(`./stdio${import.meta.url.endsWith(".ts") ? ".ts" : ".js"}`, import.meta.url);
  const { serveStdio } = (await import(server.href)) as StdioModule;
  await serveStdio({
    workspace: options.workspace,
    allow: options.allow ?? [],
    requireHuman: options.requireHuman,
  });
}

function packageVersion(): string {
  const file = new URL("../../package.json", import.meta.url);
  return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
}

process.exitCode = await main(process.argv.slice(2));
