/**
 * Sources by name: the built-in ones first, then the workspace's `sources/<name>/index.ts`. A user's source
 * is plain TypeScript whose types Node strips; it imports from "loadwright", which resolves to this very
 * copy (see resolve-loadwright.ts).
 */

import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { ZodType } from "zod";
import { EngineError } from "../engine/errors.ts";
import { Source, type SourceContext, type SourceFactory } from "../engine/extract/resource.ts";
import { didYouMean } from "../engine/nearest.ts";

export interface BuiltInSource {
  /** For documentation of the settings as JSON Schema; `create` itself refuses what does not fit. */
  readonly configSchema: ZodType;
  readonly create: (args: SourceContext) => Source | Promise<Source>;
}

interface BuiltInEntry {
  readonly description: string;
  readonly load: () => Promise<BuiltInSource>;
}

/** Loaded only when used, so that listing sources costs nothing. */
const BUILT_IN: ReadonlyMap<string, BuiltInEntry> = new Map([
  [
    "filesystem",
    {
      description:
        "CSV, JSON Lines, JSON, Parquet and Excel files of a folder, local or on S3; each file is loaded once",
      load: async () => (await import("./filesystem/resources.ts")).filesystemSource,
    },
  ],
  [
    "s3_exports",
    {
      description: "Exports in an S3 bucket; a file that is uploaded again replaces its own rows",
      load: async () => (await import("./s3_exports/s3-exports.ts")).s3ExportsSource,
    },
  ],
  [
    "everflow",
    {
      description: "Everflow network account: daily stats by affiliate and advertiser, conversions, entities",
      load: async () => (await import("./everflow/resources.ts")).everflowSource,
    },
  ],
  [
    "redtrack",
    {
      description: "RedTrack account: daily report by traffic source, conversions",
      load: async () => (await import("./redtrack/resources.ts")).redtrackSource,
    },
  ],
  [
    "rest_api",
    {
      description:
        "JSON over HTTP, by configuration: endpoints, credentials, paging, cursors, dependent resources",
      load: async () => (await import("./rest_api/resources.ts")).restApiSource,
    },
  ],
  [
    "sql_database",
    {
      description: "Tables and views of Postgres, MySQL, MariaDB, SQLite or DuckDB",
      load: async () => (await import("./sql_database/resources.ts")).sqlDatabaseSource,
    },
  ],
]);

export interface SourceListing {
  readonly name: string;
  readonly origin: "built_in" | "workspace";
  readonly description?: string;
  /** The file of a workspace source, relative to the workspace. */
  readonly file?: string;
}

const INDEX_FILES = ["index.ts", "index.js", "index.mjs"];

export function builtInSourceNames(): string[] {
  return [...BUILT_IN.keys()];
}

/** A built-in source by its name; undefined for others. */
export async function builtInSource(name: string): Promise<BuiltInSource | undefined> {
  return BUILT_IN.get(name)?.load();
}

/** Every source that a pipeline may name. Does not run a user's code. */
export function listSources(workspaceDir: string): SourceListing[] {
  const listing: SourceListing[] = [...BUILT_IN].map(([name, { description }]) => ({
    name,
    origin: "built_in",
    description,
  }));
  for (const name of workspaceSourceNames(workspaceDir)) {
    const file = sourceFile(workspaceDir, name);
    if (file !== undefined && !BUILT_IN.has(name)) listing.push({ name, origin: "workspace", file });
  }
  return listing;
}

/** The source of that name, made with its config. Errors: SOURCE_NOT_FOUND, SOURCE_INVALID, CONFIG_INVALID. */
export async function createSource(name: string, args: SourceContext): Promise<Source> {
  const builtIn = await BUILT_IN.get(name)?.load();
  if (builtIn !== undefined) return builtIn.create(args);
  const file = sourceFile(args.workspaceDir, name);
  if (file === undefined) throw notFound(name, args.workspaceDir);
  const factory = await loadSourceFile(join(args.workspaceDir, file), file);
  try {
    const source = await factory(args);
    if (source instanceof Source) return source;
  } catch (error) {
    if (error instanceof EngineError) throw error.withDetails({ source: name, file });
    throw new EngineError("SOURCE_INVALID", `${file}: the source raised ${told(error)}`, {
      details: { source: name, file, ...placeOf(error, file) },
      cause: error,
    });
  }
  throw new EngineError("SOURCE_INVALID", `${file}: the default export did not return a source`, {
    hint: EXPORT_HINT,
    details: { source: name, file },
  });
}

const EXPORT_HINT = 'Write `export default source({ name: "…" }, ({ config, secrets }) => [ …resources ])`.';

/** The default export of a source file. The file's own code runs: call this in a child process. */
export async function loadSourceFile(path: string, shown: string): Promise<SourceFactory> {
  let loaded: { default?: unknown };
  try {
    loaded = (await import(pathToFileURL(path).href)) as { default?: unknown };
  } catch (error) {
    throw new EngineError("SOURCE_INVALID", `${shown} cannot be loaded: ${told(error)}`, {
      hint: importHint(error),
      details: { file: shown, ...placeOf(error, shown) },
      cause: error,
    });
  }
  if (isSourceFactory(loaded.default)) return loaded.default;
  throw new EngineError("SOURCE_INVALID", `${shown} does not export a source as its default`, {
    hint: EXPORT_HINT,
    details: { file: shown, exports: Object.keys(loaded) },
  });
}

function isSourceFactory(value: unknown): value is SourceFactory {
  return typeof value === "function" && typeof (value as { sourceName?: unknown }).sourceName === "string";
}

function sourceFile(workspaceDir: string, name: string): string | undefined {
  // a name is one folder, never a path
  if (!/^[\w-]+$/.test(name)) return undefined;
  return INDEX_FILES.map((index) => `sources/${name}/${index}`).find((file) =>
    existsSync(join(workspaceDir, file)),
  );
}

function workspaceSourceNames(workspaceDir: string): string[] {
  try {
    return readdirSync(join(workspaceDir, "sources"), { withFileTypes: true })
      .filter((entry) => entry.isDirectory() || entry.isSymbolicLink())
      .map((entry) => entry.name)
      .sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

function notFound(name: string, workspaceDir: string): EngineError {
  const names = listSources(workspaceDir).map((listed) => listed.name);
  const guess = didYouMean(name, names);
  const known = names.length === 0 ? "The workspace has none yet." : `There are: ${names.join(", ")}.`;
  return new EngineError(
    "SOURCE_NOT_FOUND",
    `There is no source ${JSON.stringify(name)}. ${guess || known}`,
    {
      hint: `Use one of the names, or add sources/${name}/index.ts.`,
      details: { source: name, sources: names },
    },
  );
}

function told(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}

/** Line and column in the source's file, as far as the stack tells. */
function placeOf(error: unknown, file: string): { line?: number; column?: number } {
  const stack = error instanceof Error ? (error.stack ?? "") : "";
  const at = stack.indexOf(file);
  const place = at < 0 ? null : /^:(\d+)(?::(\d+))?/.exec(stack.slice(at + file.length));
  if (place?.[1] === undefined) return {};
  return { line: Number(place[1]), ...(place[2] === undefined ? {} : { column: Number(place[2]) }) };
}

function importHint(error: unknown): string {
  switch ((error as { code?: unknown }).code) {
    case "ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX":
      return "Use only TypeScript that can be erased: no enum, namespace or parameter properties.";
    case "ERR_MODULE_NOT_FOUND":
      return "Check the import; relative imports need their .ts extension, packages must be installed in the workspace.";
    default:
      return "Correct the file; the cause names what Node could not load.";
  }
}
