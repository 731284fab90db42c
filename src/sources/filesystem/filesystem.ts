/**
 * Files of a folder or a bucket as resources. Which files were loaded is state of the resource (`files`:
 * relative path -> size and time, or size and ETag), stored with the rows of those files, so that a file is loaded once, whatever fails when.
 *
 * - append, merge: a file whose entry is unchanged is passed over; a checkpoint follows each file.
 * - replace: the table is what the files hold now, so all of them are read, and there is no checkpoint
 *   between them: a package of half the files would replace the table with half the rows.
 */

import { resolve } from "node:path";
import { EngineError } from "../../engine/errors.ts";
import { checkpoint, type Yielded } from "../../engine/extract/page.ts";
import type { SourceContext } from "../../engine/extract/resource.ts";
import type { ResourceContext } from "../../engine/extract/resource-context.ts";
import { S3Bucket } from "../s3/bucket.ts";
import { s3Credentials } from "../s3/config.ts";
import type { ByteSource } from "./byte-source.ts";
import {
  type FileFormat,
  type FilesystemConfig,
  type FilesystemResourceConfig,
  parseFilesystemConfig,
} from "./config.ts";
import { readCsv } from "./csv.ts";
import type { FilePage } from "./file-page.ts";
import { RunGuesses } from "./guesses.ts";
import { readJson } from "./json.ts";
import { readJsonl } from "./jsonl.ts";
import { readParquet } from "./parquet.ts";
import { withFileName } from "./row-fields.ts";
import {
  BucketStore,
  type FileStamp,
  type FileStore,
  LocalStore,
  parseStamp,
  type StoredFile,
  sameStamp,
} from "./store.ts";
import { readXlsx } from "./xlsx.ts";

/** One resource of the source: its hints as configured, and its rows. */
export interface FileResource {
  readonly name: string;
  readonly hints: Omit<FilesystemResourceConfig, keyof ReadingConfig>;
  readonly read: (context: ResourceContext) => AsyncGenerator<Yielded>;
}

type ReadingConfig = Pick<
  FilesystemResourceConfig,
  "glob" | "format" | "encoding" | "csv" | "json" | "xlsx" | "add_file_name" | "on_changed"
>;

export interface ReadFilesConfig extends ReadingConfig {
  readonly write_disposition?: "append" | "replace" | "merge";
}

/** Without `resources` all files are one resource of this name. */
const DEFAULT_RESOURCE = "files";

/**
 * The resources that a configuration describes. Relative paths start at `workspaceDir`. What a resource does
 * not set is taken from the source's own settings.
 */
export function filesystem(
  raw: unknown,
  { workspaceDir = ".", secrets = {} }: Partial<Pick<SourceContext, "workspaceDir" | "secrets">> = {},
): FileResource[] {
  const config = parseFilesystemConfig(raw);
  const { resources = { [DEFAULT_RESOURCE]: {} }, path, s3, ...shared } = config;
  return Object.entries(resources).map(([name, own]) => {
    const { glob, format, encoding, csv, json, xlsx, add_file_name, on_changed, ...hints } = {
      ...shared,
      ...own,
    };
    const { write_disposition } = own;
    const reading = { glob, format, encoding, csv, json, xlsx, add_file_name, on_changed, write_disposition };
    return {
      name,
      hints,
      read: async function* (context) {
        const store = openStore(config, workspaceDir, secrets);
        try {
          yield* readFiles(store, reading, context);
        } finally {
          await store.close();
        }
      },
    };
  });
}

function openStore(
  { path, s3 = {} }: FilesystemConfig,
  workspaceDir: string,
  secrets: SourceContext["secrets"],
): FileStore {
  const url = /^s3:\/\/([^/]+)\/?(.*)$/s.exec(path);
  if (url === null) return new LocalStore(resolve(workspaceDir, path));
  const bucket = new S3Bucket({ bucket: url[1]!, settings: s3, credentials: s3Credentials(secrets) });
  return new BucketStore(bucket, url[2]!, s3);
}

/** Yields the pages of the files that are new or changed, and a checkpoint after each file. */
export async function* readFiles<F extends StoredFile>(
  store: FileStore<F>,
  config: ReadFilesConfig,
  context: ResourceContext,
): AsyncGenerator<Yielded> {
  const { state, signal, warn, log } = context;
  const replace = config.write_disposition === "replace";
  const ledger = ledgerOf(state);
  const listed = await store.list(config.glob ?? "**/*", warn, signal);
  const due = replace
    ? listed
    : listed.filter((file) => isDue(file, ledger.get(file.relative_path), config, warn));
  const passedOver = listed.length - due.length;
  log("info", "files.listed", { files: listed.length, unchanged: passedOver });
  // A replaced table holds the files that are there now and no others.
  if (replace) ledger.clear();
  const guesses = new RunGuesses();
  for await (const { file, source, stamp, verify } of store.open(due, warn, signal)) {
    signal.throwIfAborted();
    for await (const page of readFile(source, config, warn, true)) {
      signal.throwIfAborted();
      const guessed = guesses.apply(page);
      yield config.add_file_name === true ? withFileName(guessed, file.relative_path) : guessed;
    }
    await verify();
    ledger.set(file.relative_path, stamp);
    if (!replace) yield checkpoint;
  }
}

/**
 * The pages of one file, by its format. Works on any byte source, not only on local files. `recycle`: the bytes of a
 * page may be overwritten when the page after the next is asked for; extracting has written them by then.
 */
export function readFile(
  source: ByteSource,
  config: Omit<ReadingConfig, "glob" | "on_changed">,
  warn: (message: string) => void = () => {},
  recycle = false,
): AsyncGenerator<FilePage> {
  const { encoding } = config;
  const format =
    config.format === undefined || config.format === "auto" ? formatOf(source.name) : config.format;
  switch (format) {
    case "csv":
      return readCsv(source, { ...config.csv, encoding, warn, recycle });
    case "jsonl":
      return readJsonl(source, { encoding, recycle });
    case "json":
      return readJson(source, { ...config.json, encoding });
    case "parquet":
      return readParquet(source, { warn });
    case "xlsx":
      return readXlsx(source, { ...config.xlsx, warn });
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
  xlsx: "xlsx",
};

/** The format by the name, compression put aside: `a.csv.gz` is CSV. */
export function formatOf(name: string): FileFormat {
  const bare = name.replace(/\.(gz|gzip|zst|zstd)$/i, "");
  const format = EXTENSIONS[bare.slice(bare.lastIndexOf(".") + 1).toLowerCase()];
  if (format !== undefined) return format;
  throw new EngineError("FILE_FORMAT", `The format of ${name} cannot be told from its name.`, {
    hint: "Set `format` to csv, jsonl, json, parquet or xlsx, or a `glob` that leaves this file out.",
    details: { file: name },
  });
}

/** Has the file to be read? The rows of an appended file that is read twice would be there twice. */
function isDue(
  file: StoredFile,
  loaded: FileStamp | undefined,
  config: ReadFilesConfig,
  warn: (message: string) => void,
): boolean {
  if (loaded === undefined) return true;
  if (sameStamp(loaded, file.stamp)) return false;
  const decision = config.on_changed ?? (config.write_disposition === "merge" ? "reload" : "error");
  if (decision === "reload") return true;
  if (decision === "skip") {
    warn(`${file.name} changed since it was loaded; it is skipped, as on_changed says.`);
    return false;
  }
  throw new EngineError(
    "FILE_CHANGED",
    `${file.name} was loaded before and has changed since.` +
      (config.write_disposition === "merge" ? "" : " Reading it again would append its rows a second time."),
    {
      hint: 'Use write_disposition = "merge" with a key, or set on_changed = "reload" (rows may be there twice) or "skip".',
      details: { file: file.name, size_loaded: loaded.size, size_now: file.stamp.size },
      retry: "after_fix",
    },
  );
}

interface Ledger {
  get(relativePath: string): FileStamp | undefined;
  set(relativePath: string, stamp: FileStamp): void;
  clear(): void;
}

/** `state.files`, which is JSON from an earlier run: what is not an entry is treated as not loaded. */
function ledgerOf(state: Record<string, unknown>): Ledger {
  if (typeof state.files !== "object" || state.files === null) state.files = {};
  return {
    get(relativePath) {
      const files = state.files as Record<string, unknown>;
      return Object.hasOwn(files, relativePath) ? parseStamp(files[relativePath]) : undefined;
    },
    set(relativePath, stamp) {
      (state.files as Record<string, FileStamp>)[relativePath] = stamp;
    },
    clear() {
      state.files = {};
    },
  };
}
