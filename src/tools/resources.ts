/**
 * What a client can attach to a conversation by URI. Where a tool answers the same, the resource is that
 * tool's detailed answer, with its fence, its masking and its limits.
 */

import {
  type McpServer,
  ProtocolError,
  type ReadResourceResult,
  ResourceNotFoundError,
  ResourceTemplate,
} from "@modelcontextprotocol/server";
import { type EngineError, ERRORS, toEnvelope } from "../engine/errors.ts";
import { listSources } from "../sources/registry.ts";
import { complete, isCompletable } from "./completions.ts";
import { docSlugs, docTitle, readDoc } from "./docs.ts";
import { newFence } from "./fence.ts";
import { inspectionOf } from "./inspection.ts";
import { pipelineInfo } from "./pipeline-info.ts";
import { toJson } from "./run-protocol.ts";
import { readSkillFile, skillFiles } from "./skills.ts";
import { VIEW_META, VIEW_SCHEME, VIEW_TYPE, VIEWS, type ViewName, viewPage, viewPath } from "./views.ts";
import type { Workspace } from "./workspace.ts";

export const SCHEME = "loadwright";

export interface ResourceHost {
  /** As it is now. */
  readonly workspace: () => Workspace;
  /** The whole answer of a tool, ready to be shown. */
  readonly ask: (tool: string, input: Readonly<Record<string, unknown>>) => Promise<unknown>;
}

type Variables = Readonly<Record<string, string>>;

/** A resource by its place below `loadwright://`, or another scheme. */
interface ResourceDefinition {
  readonly name: string;
  readonly scheme?: string;
  readonly path: string;
  readonly title: string;
  readonly description: string;
  readonly mimeType: string;
  readonly meta?: Record<string, unknown>;
  /** Undefined: there is no such thing. */
  readonly read: (host: ResourceHost, variables: Variables) => Promise<unknown> | unknown;
  /** Entries to choose from, where they are few. */
  readonly list?: (workspace: Workspace) => readonly { readonly path: string; readonly title: string }[];
}

const JSON_TYPE = "application/json";
const DETAILED = { response_format: "detailed" } as const;
/** A client shows the list to a person; the tool get_workspace lists all. */
const LISTED_MAX = 100;

const RESOURCES: readonly ResourceDefinition[] = [
  {
    name: "workspace",
    path: "workspace",
    title: "Workspace",
    description: "Pipelines with their last run, pending packages and what this server may do",
    mimeType: JSON_TYPE,
    read: (host) => host.ask("get_workspace", DETAILED),
  },
  {
    name: "pipeline",
    path: "pipelines/{pipeline}",
    title: "Pipeline",
    description: "Source, destination, cursors, pending packages and last runs of a pipeline",
    mimeType: JSON_TYPE,
    read: async (host, { pipeline = "" }) => fenced(await pipelineInfo(host.workspace(), pipeline)),
    list: (workspace) =>
      workspace
        .pipelineNames()
        .slice(0, LISTED_MAX)
        .map((name) => ({ path: `pipelines/${name}`, title: `Pipeline ${name}` })),
  },
  {
    name: "schema",
    path: "pipelines/{pipeline}/schema",
    title: "Schema",
    description: "Tables and columns of a pipeline as they are now",
    mimeType: JSON_TYPE,
    read: (host, { pipeline }) => host.ask("get_schema", { pipeline, ...DETAILED }),
  },
  {
    name: "schema-version",
    path: "pipelines/{pipeline}/schema/{version}",
    title: "Schema version",
    description: "Tables and columns of a pipeline as of a schema version",
    mimeType: JSON_TYPE,
    read: (host, { pipeline, version }) =>
      host.ask("get_schema", { pipeline, version: Number(version), ...DETAILED }),
  },
  {
    name: "state",
    path: "pipelines/{pipeline}/state",
    title: "State",
    description: "Cursors and state of a pipeline: committed, pending and at the destination",
    mimeType: JSON_TYPE,
    read: (host, { pipeline }) => host.ask("inspect_state", { pipeline, ...DETAILED }),
  },
  {
    name: "run",
    path: "pipelines/{pipeline}/runs/{run_id}",
    title: "Run",
    description: "Status, steps, rows, packages and error of a run",
    mimeType: JSON_TYPE,
    read: (host, { pipeline, run_id }) =>
      host.ask("get_run", { pipeline, run_id, log_lines: 0, ...DETAILED }),
  },
  {
    name: "run-log",
    path: "pipelines/{pipeline}/runs/{run_id}/log",
    title: "Log of a run",
    description: "The newest lines of a run's log",
    mimeType: JSON_TYPE,
    read: (host, { pipeline, run_id }) =>
      host.ask("get_run", { pipeline, run_id, log_lines: 500, log_level: "debug", ...DETAILED }),
  },
  {
    name: "run-log-level",
    path: "pipelines/{pipeline}/runs/{run_id}/log/{level}",
    title: "Log of a run by level",
    description: "The newest lines of a run's log at or above a level: debug, info, warn, error",
    mimeType: JSON_TYPE,
    read: (host, { pipeline, run_id, level }) =>
      host.ask("get_run", { pipeline, run_id, log_lines: 500, log_level: level, ...DETAILED }),
  },
  {
    name: "load",
    path: "pipelines/{pipeline}/loads/{load_id}",
    title: "Load",
    description: "A load package: status, rows for each table, schema hash, first error",
    mimeType: JSON_TYPE,
    read: (host, { pipeline, load_id }) => host.ask("query_loads", { pipeline, load_id, ...DETAILED }),
  },
  {
    name: "job",
    path: "pipelines/{pipeline}/loads/{load_id}/jobs/{job}",
    title: "Job of a load",
    description: "A file of a load package: its table, rows and bytes",
    mimeType: JSON_TYPE,
    read: (host, { pipeline = "", load_id, job }) => jobOf(host.workspace(), pipeline, load_id, job),
  },
  {
    name: "source",
    path: "sources/{source}",
    title: "Source",
    description: "A source: built in, or a file of the workspace, and the pipelines that use it",
    mimeType: JSON_TYPE,
    read: (host, { source }) => sourceOf(host.workspace(), source),
    list: (workspace) =>
      listSources(workspace.dir)
        .slice(0, LISTED_MAX)
        .map(({ name }) => ({ path: `sources/${name}`, title: `Source ${name}` })),
  },
  {
    name: "error",
    path: "errors/{code}",
    title: "Error code",
    description: "What an error code asks for: the hint, and whether a retry helps",
    mimeType: JSON_TYPE,
    read: (_host, { code = "" }) =>
      Object.hasOwn(ERRORS, code) ? { code, ...ERRORS[code as keyof typeof ERRORS] } : undefined,
  },
  {
    name: "docs",
    path: "docs/{+slug}",
    title: "Documentation",
    description: "A page of loadwright's documentation",
    mimeType: "text/markdown",
    read: (_host, { slug = "" }) => readDoc(slug),
    list: () => docSlugs().map((slug) => ({ path: `docs/${slug}`, title: docTitle(slug) })),
  },
  {
    name: "skill",
    scheme: "skill",
    path: "{+file}",
    title: "Skill",
    description: "How a kind of task is done with these tools; a skill's name, or a file that it refers to",
    mimeType: "text/markdown",
    read: (_host, { file = "" }) => readSkillFile(file),
    list: () =>
      skillFiles()
        .filter((file) => file.endsWith("/SKILL.md"))
        .map((file) => ({ path: file, title: `Skill ${file.replace("/SKILL.md", "")}` })),
  },
  ...(Object.entries(VIEWS) as [ViewName, string][]).map(([view, description]) => ({
    name: `view-${view}`,
    scheme: VIEW_SCHEME,
    path: viewPath(view),
    title: `View ${view}`,
    description,
    mimeType: VIEW_TYPE,
    meta: VIEW_META,
    read: () => viewPage(view),
  })),
];

export function registerResources(server: McpServer, host: ResourceHost): void {
  for (const definition of RESOURCES) {
    const { name, title, description, mimeType, scheme = SCHEME } = definition;
    const uri = `${scheme}://${definition.path}`;
    const config = { title, description, mimeType };
    if (!uri.includes("{")) {
      server.registerResource(name, uri, config, (asked) => contentOf(definition, host, asked, {}));
      continue;
    }
    const template = new ResourceTemplate(uri, {
      list:
        definition.list === undefined
          ? undefined
          : () => ({
              resources: (definition.list?.(host.workspace()) ?? []).map((each) => ({
                uri: `${scheme}://${each.path}`,
                name: each.path,
                title: each.title,
                mimeType,
              })),
            }),
      complete: Object.fromEntries(
        variablesOf(uri)
          .filter(isCompletable)
          .map((variable) => [
            variable,
            (typed: string, context?: { arguments?: Record<string, string> }) =>
              complete(host.workspace(), variable, typed, context?.arguments),
          ]),
      ),
    });
    server.registerResource(name, template, config, (asked, variables) =>
      contentOf(definition, host, asked, decoded(variables)),
    );
  }
}

async function contentOf(
  { read, mimeType, meta }: ResourceDefinition,
  host: ResourceHost,
  uri: URL,
  variables: Variables,
): Promise<ReadResourceResult> {
  let value: unknown;
  try {
    value = await read(host, variables);
  } catch (error) {
    const { code, message } = toEnvelope(error);
    const safe = host.workspace().secrets().mask(message);
    // A wrong name and a name in a wrong form are both a URI under which there is nothing.
    if (/_NOT_FOUND$|^PIPELINE_NEVER_RAN$|^ARGUMENTS_INVALID$/.test(code)) {
      throw new ResourceNotFoundError(uri.href, `${code}: ${safe}`);
    }
    throw new ProtocolError(INTERNAL_ERROR, `${code}: ${safe}`, { hint: (error as EngineError).hint });
  }
  if (value === undefined) throw new ResourceNotFoundError(uri.href);
  const text = typeof value === "string" ? value : toJson(host.workspace().secrets().maskAll(value));
  return { contents: [{ uri: uri.href, mimeType, text, ...(meta === undefined ? {} : { _meta: meta }) }] };
}

const INTERNAL_ERROR = -32603;

/** Cursors and messages come from outside. */
function fenced(data: object): Record<string, unknown> {
  const { fence_close, ...open } = newFence();
  return { ...open, data, fence_close };
}

async function jobOf(
  workspace: Workspace,
  pipeline: string,
  loadId?: string,
  job?: string,
): Promise<unknown> {
  const { store } = inspectionOf(workspace, pipeline);
  for (const stage of ["extracted", "normalized", "loaded", "failed"] as const) {
    const ref = (await store.list(stage)).find((each) => each.load_id === loadId);
    if (ref === undefined) continue;
    const found = (await store.readManifest(ref)).jobs.find((each) => each.file === job);
    return found === undefined ? undefined : { pipeline, load_id: loadId, stage, ...found };
  }
  return undefined;
}

function sourceOf(workspace: Workspace, name?: string): unknown {
  const listed = listSources(workspace.dir).find((each) => each.name === name);
  if (listed === undefined) return undefined;
  const pipelines = [...workspace.config.pipelines.values()].filter((each) => each.source === name);
  return { ...listed, pipelines: pipelines.map((each) => each.name) };
}

function variablesOf(uri: string): string[] {
  return [...uri.matchAll(/\{\+?(\w+)\}/g)].map((match) => match[1] as string);
}

function decoded(variables: Readonly<Record<string, string | string[]>>): Variables {
  return Object.fromEntries(
    Object.entries(variables).map(([key, value]) => [
      key,
      safeDecode(Array.isArray(value) ? value.join("/") : value),
    ]),
  );
}

function safeDecode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
