/**
 * Files of a folder as resources. Which files were loaded is state of the resource (`files`: relative path ->
 * size and time), stored with the rows of those files, so that a file is loaded once, whatever fails when.
 *
 * - append, merge: a file whose entry is unchanged is passed over; a checkpoint follows each file.
 * - replace: the table is what the files hold now, so all of them are read, and there is no checkpoint
 *   between them: a package of half the files would replace the table with half the rows.
 */

import { resolve } from "node:path";
import { EngineError } from "../../engine/errors.ts";
import { checkpoint, type JsonlPage, type Yielded } from "../../engine/extract/page.ts";
import type { ResourceContext } from "../../engine/extract/resource-context.ts";
import { type ByteSource, localFile } from "./byte-source.ts";
import { type FileFormat, type FilesystemResourceConfig, parseFilesystemConfig } from "./config.ts";
import { readCsv } from "./csv.ts";
import { withFileName } from "./file-name.ts";
import { readJson } from "./json.ts";
import { readJsonl } from "./jsonl.ts";
import { type FileStat, type ListedFile, listFiles, statFile } from "./list.ts";
import { readParquet } from "./parquet.ts";

/** One resource of the source: its hints as configured, and its rows. */
export interface FileResource {
  readonly name: string;
  readonly hints: Omit<FilesystemResourceConfig, keyof ReadingConfig>;
  readonly read: (context: ResourceContext) => AsyncGenerator<Yielded>;
}

type ReadingConfig = Pick<
  FilesystemResourceConfig,
  "glob" | "format" | "encoding" | "csv" | "json" | "add_file_name" | "on_changed"
>;

export interface ReadFilesConfig extends ReadingConfig {
  /** The base folder; absolute, or relative to where the process runs. */
  readonly path: string;
  readonly write_disposition?: "append" | "replace" | "merge";
}

/** Without `resources` all files are one resource of this name. */
const DEFAULT_RESOURCE = "files";

/**
 * The resources that a configuration describes. Relative paths start at `folder`, the workspace. What a
 * resource does not set is taken from the source's own settings.
 */
export function filesystem(raw: unknown, folder = "."): FileResource[] {
  const config = parseFilesystemConfig(raw);
  const { resources = { [DEFAULT_RESOURCE]: {} }, path, ...shared } = config;
  return Object.entries(resources).map(([name, own]) => {
    const { glob, format, encoding, csv, json, add_file_name, on_changed, ...hints } = { ...shared, ...own };
    const reading = { glob, format, encoding, csv, json, add_file_name, on_changed };
    const { write_disposition } = own;
    return {
      name,
      hints,
      read: (context) => readFiles({ ...reading, path: resolve(folder, path), write_disposition }, context),
    };
  });
}

/** Yields the pages of the files that are new or changed, and a checkpoint after each file. */
export async function* readFiles(config: ReadFilesConfig, context: ResourceContext): AsyncGenerator<Yielded> {
  const { state, signal, warn, log } = context;
  const replace = config.write_disposition === "replace";
  const ledger = ledgerOf(state);
  const listed = await listFiles(config.path, config.glob, warn);
  const due = replace
    ? listed
    : listed.filter((file) => isDue(file, ledger.get(file.relative_path), config, warn));
  const passedOver = listed.length - due.length;
  log("info", "files.listed", { files: listed.length, unchanged: passedOver });
  // A replaced table holds the files that are there now and no others.
  if (replace) ledger.clear();
  for (const file of due) {
    signal.throwIfAborted();
    const before = await statFile(file.path);
    if (before === undefined) {
      throw new EngineError("FILE_NOT_FOUND", `${file.path} was listed and is gone.`, {
        hint: "Run again: the files are listed anew.",
        details: { file: file.path },
        retry: "yes",
      });
    }
    for await (const page of readFile(localFile(file.path, file.path, before.size), config, warn)) {
      signal.throwIfAborted();
      yield config.add_file_name === true ? withFileName(page, file.relative_path) : page;
    }
    const after = await statFile(file.path);
    if (after === undefined || !same(before, after)) {
      throw new EngineError("FILE_CHANGED", `${file.path} changed while it was read.`, {
        details: { file: file.path, size_before: before.size, size_after: after?.size },
      });
    }
    ledger.set(file.relative_path, before);
    if (!replace) yield checkpoint;
  }
}

/** The pages of one file, by its format. Works on any byte source, not only on local files. */
export function readFile(
  source: ByteSource,
  config: Omit<ReadingConfig, "glob" | "on_changed">,
  warn: (message: string) => void = () => {},
): AsyncGenerator<JsonlPage> {
  const { encoding } = config;
  const format =
    config.format === undefined || config.format === "auto" ? formatOf(source.name) : config.format;
  switch (format) {
    case "csv":
      return readCsv(source, { ...config.csv, encoding, warn });
    case "jsonl":
      return readJsonl(source, { encoding });
    case "json":
      return readJson(source, { ...config.json, encoding });
    case "parquet":
      return readParquet(source, { warn });
  }
}

const EXTENSIONS: Readonly<Record<string, FileFormat>> = {
  csv: "csv",
  tsv: "csv",
  jsonl: "jsonl",
  ndjson: "jsonl",
  json: "json",
  parquet: "parquet",
  pq: "parquet",
};

/** The format by the name, compression put aside: `a.csv.gz` is CSV. */
export function formatOf(name: string): FileFormat {
  const bare = name.replace(/\.(gz|gzip|zst|zstd)$/i, "");
  const format = EXTENSIONS[bare.slice(bare.lastIndexOf(".") + 1).toLowerCase()];
  if (format !== undefined) return format;
  throw new EngineError("FILE_FORMAT", `The format of ${name} cannot be told from its name.`, {
    hint: "Set `format` to csv, jsonl, json or parquet, or a `glob` that leaves this file out.",
    details: { file: name },
  });
}

/** Has the file to be read? The rows of an appended file that is read twice would be there twice. */
function isDue(
  file: ListedFile,
  loaded: FileStat | undefined,
  config: ReadFilesConfig,
  warn: (message: string) => void,
): boolean {
  if (loaded === undefined) return true;
  if (same(loaded, file)) return false;
  const decision = config.on_changed ?? (config.write_disposition === "merge" ? "reload" : "error");
  if (decision === "reload") return true;
  if (decision === "skip") {
    warn(`${file.path} changed since it was loaded; it is skipped, as on_changed says.`);
    return false;
  }
  throw new EngineError(
    "FILE_CHANGED",
    `${file.path} was loaded before and has changed since.` +
      (config.write_disposition === "merge" ? "" : " Reading it again would append its rows a second time."),
    {
      hint: 'Use write_disposition = "merge" with a key, or set on_changed = "reload" (rows may be there twice) or "skip".',
      details: { file: file.path, size_loaded: loaded.size, size_now: file.size },
      retry: "after_fix",
    },
  );
}

/** Times are compared to a hundredth of a millisecond: a copy of a file that keeps its time rounds it. */
function same(a: FileStat, b: FileStat): boolean {
  return a.size === b.size && Math.abs(a.mtime_ms - b.mtime_ms) < 0.01;
}

interface Ledger {
  get(relativePath: string): FileStat | undefined;
  set(relativePath: string, stat: FileStat): void;
  clear(): void;
}

/** `state.files`, which is JSON from an earlier run: what is not an entry is treated as not loaded. */
function ledgerOf(state: Record<string, unknown>): Ledger {
  if (typeof state.files !== "object" || state.files === null) state.files = {};
  return {
    get(relativePath) {
      const files = state.files as Record<string, unknown>;
      if (!Object.hasOwn(files, relativePath)) return undefined;
      const { size, mtime_ms } = (files[relativePath] ?? {}) as Partial<FileStat>;
      return typeof size === "number" && typeof mtime_ms === "number" ? { size, mtime_ms } : undefined;
    },
    set(relativePath, { size, mtime_ms }) {
      (state.files as Record<string, FileStat>)[relativePath] = { size, mtime_ms };
    },
    clear() {
      state.files = {};
    },
  };
}
