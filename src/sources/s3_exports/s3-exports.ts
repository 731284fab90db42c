/**
 * Exports under a prefix of a bucket, one resource a kind of export. Each row gets `_file_name`, the object's
 * key, and `_row_id`, its number in the file from 1. Rows are merged by file: what an object holds now replaces
 * all that it held before, in the transaction of the package, so a shorter or emptied re-upload leaves no old
 * row behind. An object that is deleted in the bucket keeps its rows.
 */

import { EngineError } from "../../engine/errors.ts";
import { checkpoint, JsonlPage, type Yielded } from "../../engine/extract/page.ts";
import { type Resource, resource, Source, type SourceContext } from "../../engine/extract/resource.ts";
import type { ResourceContext } from "../../engine/extract/resource-context.ts";
import { readFile } from "../filesystem/filesystem.ts";
import { RunGuesses } from "../filesystem/guesses.ts";
import { FILE_NAME_KEY, ROW_ID_KEY, withRowFields } from "../filesystem/row-fields.ts";
import { globMatcher } from "../filesystem/store.ts";
import type { BuiltInSource } from "../registry.ts";
import { S3Bucket } from "../s3/bucket.ts";
import { s3Credentials } from "../s3/config.ts";
import { type Fetched, fetchAhead } from "../s3/fetch-ahead.ts";
import {
  type ExportResourceConfig,
  parseS3ExportsConfig,
  type S3ExportsConfig,
  s3ExportsConfigSchema,
} from "./config.ts";
import { dayOfKey, daysBefore, keyOfDay } from "./key-date.ts";
import { Ledger } from "./ledger.ts";
import { Plan } from "./plan.ts";

/** Set in the one row that stands for a file without rows; the merge removes the file's old rows, and it. */
const EMPTIED_KEY = "_file_emptied";
const KNOWN_ENDINGS = "**/*.{csv,tsv,jsonl,ndjson,json,parquet,pq,xlsx,CSV,TSV}{,.gz,.gzip,.zst,.zstd,.GZ}";
const DEFAULT_RESOURCE = "exports";
const LOOKBACK_DAYS = 7;

export const s3ExportsSource: BuiltInSource = {
  configSchema: s3ExportsConfigSchema,
  create: ({ config, secrets }) =>
    new Source({ name: "s3_exports", resources: s3ExportsResources(config, secrets) }),
};

/** The resources that a configuration describes; what a resource does not set is taken from the source. */
export function s3ExportsResources(raw: unknown, secrets: SourceContext["secrets"] = {}): Resource[] {
  const config = parseS3ExportsConfig(raw);
  const { resources = { [DEFAULT_RESOURCE]: {} } } = config;
  return Object.entries(resources).map(([name, own]) => {
    const wanted: ExportResourceConfig = {
      ...config,
      ...own,
      prefix: (config.prefix ?? "") + (own.prefix ?? ""),
    };
    checkListing(name, wanted);
    const options = {
      name,
      checkpoints: true,
      description: own.description,
      tableName: own.table_name,
      // one object comes once in a load
      writeDisposition: { disposition: "merge", strategy: "delete-insert", deduplicated: true },
      primaryKey: [FILE_NAME_KEY, ROW_ID_KEY],
      mergeKey: FILE_NAME_KEY,
      columns: {
        [FILE_NAME_KEY]: { data_type: "text", description: "The object's key" },
        [ROW_ID_KEY]: { data_type: "bigint", description: "The row's number in its file, from 1" },
        // without a type there is no such column until a file is emptied
        [EMPTIED_KEY]: { hard_delete: true },
        ...own.columns,
      },
      maxTableNesting: own.max_table_nesting,
    } as const;
    return resource(options, (context) => readExports(config, wanted, secrets, context));
  });
}

function checkListing(name: string, { listing, date_pattern }: ExportResourceConfig): void {
  if (listing !== "date_in_key" || date_pattern !== undefined) return;
  throw new EngineError("CONFIG_MISSING", `The resource ${name} lists by date but has no date_pattern.`, {
    hint: 'Set date_pattern to how a key goes on behind the prefix, such as "YYYY-MM-DD".',
    details: { setting: `resources.${name}.date_pattern` },
  });
}

async function* readExports(
  config: S3ExportsConfig,
  wanted: ExportResourceConfig,
  secrets: SourceContext["secrets"],
  context: ResourceContext,
): AsyncGenerator<Yielded> {
  const { bucket: name } = config;
  const bucket = new S3Bucket({ bucket: name, settings: config, credentials: s3Credentials(secrets) });
  const { state, signal, warn, log } = context;
  const ledger = new Ledger(state);
  try {
    const plan = await listDue(bucket, wanted, ledger, context);
    const guesses = new RunGuesses();
    let at = 0;
    for await (const fetched of fetchAhead(bucket, plan.due, config, signal)) {
      const listed = plan.due[at++]!;
      if (fetched === undefined) {
        warn(`${bucket.url(listed.key)} was listed and is gone; it is left out.`);
        continue;
      }
      const { object } = fetched;
      const before = ledger.get(object.key)?.rows ?? 0;
      const rows = yield* readExport(fetched, wanted, guesses, context);
      if (rows === 0 && before > 0) yield emptied(object.key);
      ledger.set(object, rows);
      log("info", "file.loaded", {
        file: bucket.url(object.key),
        rows,
        bytes: object.size,
        rows_before: before,
      });
      yield checkpoint;
    }
    moveDay(wanted, ledger, plan);
  } finally {
    await bucket.close();
  }
}

/** Yields the pages of one object; returns its rows. */
async function* readExport(
  { object, source }: Fetched,
  wanted: ExportResourceConfig,
  guesses: RunGuesses,
  { signal, warn }: ResourceContext,
): AsyncGenerator<Yielded, number> {
  let rows = 0;
  for await (const page of readFile(source, wanted, warn, true)) {
    signal.throwIfAborted();
    const told = withRowFields(guesses.apply(page), object.key, rows + 1);
    rows += told.rows;
    yield told.page;
  }
  return rows;
}

function emptied(key: string): JsonlPage {
  const row = { [FILE_NAME_KEY]: key, [ROW_ID_KEY]: 0, [EMPTIED_KEY]: true };
  return new JsonlPage(Buffer.from(`${JSON.stringify(row)}\n`));
}

async function listDue(
  bucket: S3Bucket,
  wanted: ExportResourceConfig,
  ledger: Ledger,
  { signal, warn, log }: ResourceContext,
): Promise<Plan> {
  const { prefix = "", glob, format, success_marker, min_age_seconds = 0 } = wanted;
  const anyName = format !== undefined && format !== "auto";
  const choice = {
    prefix,
    matches: globMatcher(glob ?? (anyName ? "**/*" : KNOWN_ENDINGS)),
    successMarker: success_marker,
    modifiedMax: min_age_seconds === 0 ? Number.POSITIVE_INFINITY : Date.now() - min_age_seconds * 1000,
  };
  const plan = new Plan(choice, ledger);
  const startAfter = startOf(wanted, ledger);
  for await (const objects of bucket.list({ prefix, startAfter, signal })) plan.add(objects);
  plan.settle();
  log("info", "files.listed", {
    bucket: bucket.name,
    prefix,
    files: plan.listed,
    due: plan.due.length,
    unchanged: plan.unchanged,
    waiting: plan.waiting.length,
    ignored: plan.ignored,
  });
  if (plan.waiting.length > 0) {
    warn(
      `${plan.waiting.length} objects wait for a later run: they are too young, or their folder has no ${success_marker ?? "marker"} yet.`,
    );
  }
  if (plan.listed === plan.ignored && startAfter === undefined) {
    warn(`No object in ${bucket.url(prefix)} is an export: ${plan.ignored} others are there.`);
  }
  return plan;
}

/** Listing by date begins some days before the newest day that was loaded. */
function startOf(wanted: ExportResourceConfig, ledger: Ledger): string | undefined {
  const { listing, date_pattern: pattern, prefix = "", lookback_days = LOOKBACK_DAYS } = wanted;
  const { newestDay } = ledger;
  if (listing !== "date_in_key" || pattern === undefined || newestDay === undefined) return undefined;
  // the day before, so that a key which is nothing but its date is listed as well
  return prefix + keyOfDay(pattern, daysBefore(newestDay, lookback_days + 1));
}

/** The newest day that is loaded; not behind a day of which something waits. */
function moveDay(wanted: ExportResourceConfig, ledger: Ledger, plan: Plan): void {
  const { listing, date_pattern: pattern, prefix = "" } = wanted;
  if (listing !== "date_in_key" || pattern === undefined) return;
  const day = ({ key }: { key: string }): string | undefined => dayOfKey(pattern, key.slice(prefix.length));
  const days = plan.due.map(day).filter((found) => found !== undefined);
  const held = plan.waiting.map(day).filter((found) => found !== undefined);
  const newest = [ledger.newestDay, ...days].filter((found) => found !== undefined).reduce(later, "");
  const bound = held.reduce(earlier, "9999-12-31");
  const moved = earlier(newest, bound);
  if (moved === "") return;
  ledger.newestDay = moved;
  const start = startOf(wanted, ledger);
  if (start !== undefined) ledger.forgetUpTo(prefix, start);
}

const later = (a: string, b: string): string => (a > b ? a : b);
const earlier = (a: string, b: string): string => (a < b ? a : b);
