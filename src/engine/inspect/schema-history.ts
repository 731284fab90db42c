/**
 * How a schema came to be: the versions in `_dlt_version` in order, what each changed, and the load that
 * brought it, which `_dlt_loads` tells by the version's hash. The last step can be the live database, where
 * somebody may have changed tables by hand.
 */

import { EngineError } from "../errors.ts";
import { type Change, type DiffOptions, diffSchemas } from "../schema/diff.ts";
import { schemaFromText } from "../schema/documents.ts";
import { completeColumns, isComplete, isSystemTable } from "../schema/tables.ts";
import type { Schema, Table } from "../schema/types.ts";
import { planDdl } from "../sql/ddl.ts";
import type { Dataset, Dialect } from "../sql/dialect.ts";
import { storedSchemaText } from "../sql/metadata.ts";
import { type LiveColumns, readLiveColumns } from "./live-columns.ts";
import { type ReadQuery, readIfPossible } from "./reader.ts";

export interface HistoryDestination {
  readonly read: ReadQuery;
  readonly dialect: Dialect;
  readonly dataset: Dataset;
}

/** A stored version; `loads` are those made with it, oldest first. */
export interface StoredVersion {
  readonly version: number;
  readonly version_hash: string;
  readonly inserted_at: string;
  readonly first_load: string | null;
  readonly last_load: string | null;
  readonly loads: number;
  readonly chars: number;
}

export interface HistoricChange extends Change {
  /** Null for what somebody did at the destination by hand. */
  readonly version: number | null;
  readonly version_hash: string | null;
  /** The first load made with that version. */
  readonly load_id: string | null;
  /** When the version was stored. */
  readonly at: string | null;
  readonly resource?: string;
  readonly ddl?: readonly string[];
}

export interface SchemaHistory {
  readonly schema_name: string;
  /** Null: the beginning. */
  readonly from: StoredVersion | null;
  readonly to: StoredVersion | "live";
  readonly changes: readonly HistoricChange[];
  /** Of the newest version in the range, for examples. */
  readonly schema: Schema;
  /** Present when the destination was compared. */
  readonly live?: LiveColumns;
}

export interface HistoryWanted {
  readonly schema_name?: string;
  /** See `versionAt`; default the beginning. */
  readonly from?: string;
  /** Default the newest version; `live` compares that with the database as well. */
  readonly to?: string;
  /** Only what this load brought. */
  readonly load_id?: string;
  readonly table?: string;
  readonly column?: string;
  readonly system?: boolean;
}

const LOAD_ID_TEXT = /^\d+\.\d+$/;
/** Characters of schemas that are held at a time. */
const BATCH_CHARS = 16 * 1024 ** 2;

/** Errors: PIPELINE_NEVER_RAN, DESTINATION_LOCKED, SCHEMA_VERSION_NOT_FOUND, ARGUMENTS_INVALID. */
export async function schemaHistory(
  destination: HistoryDestination,
  wanted: HistoryWanted,
): Promise<SchemaHistory> {
  const name = await schemaName(destination, wanted.schema_name);
  const versions = await storedVersions(destination, name);
  const toLive = wanted.to === "live";
  const until =
    wanted.to === undefined || toLive
      ? versions.length - 1
      : await versionAt(destination, versions, wanted.to);
  let after = wanted.from === undefined ? -1 : await versionAt(destination, versions, wanted.from);
  let last = until;
  if (wanted.load_id !== undefined) {
    last = await versionAt(destination, versions, wanted.load_id);
    // a load that changed nothing was made with a version that an earlier load brought
    after = versions[last]?.first_load === wanted.load_id ? last - 1 : last;
  }
  if (after > last) {
    throw new EngineError("ARGUMENTS_INVALID", "`from` is later than `to`.", { hint: "Exchange the two." });
  }
  const options: DiffOptions = { system: wanted.system, columnsOfTables: wanted.column !== undefined };
  const changes: HistoricChange[] = [];
  let previous: Schema | undefined;
  for await (const [index, schema] of schemasOf(destination, name, versions, Math.max(after, 0), last)) {
    if (index > after) {
      const step = versions[index]!;
      const found = diffSchemas(previous, schema, options).filter((change) => matches(change, wanted));
      for (const change of found) changes.push(inVersion(change, step, previous, schema, destination));
    }
    previous = schema;
  }
  const schema = previous!;
  const history = {
    schema_name: name,
    from: after < 0 ? null : versions[after]!,
    to: toLive ? ("live" as const) : versions[last]!,
    schema,
  };
  if (!toLive) return { ...history, changes };
  const live = await readLiveColumns(destination);
  const byHand = diffLive(destination.dialect, schema, live).filter((change) => matches(change, wanted));
  const unknown = { version: null, version_hash: null, load_id: null, at: null };
  return { ...history, live, changes: [...changes, ...byHand.map((change) => ({ ...change, ...unknown }))] };
}

function matches(change: Change, { table, column }: HistoryWanted): boolean {
  if (table !== undefined && change.table !== table) return false;
  return column === undefined || change.column === column;
}

function inVersion(
  change: Change,
  step: StoredVersion,
  before: Schema | undefined,
  after: Schema,
  destination: HistoryDestination,
): HistoricChange {
  const ddl = ddlOf(change, before, after, destination);
  const resource = rootResource(after, change.table);
  return {
    ...change,
    version: step.version,
    version_hash: step.version_hash,
    load_id: step.first_load,
    at: step.inserted_at,
    ...(resource === undefined ? {} : { resource }),
    ...(ddl.length === 0 ? {} : { ddl }),
  };
}

function rootResource(schema: Schema, name: string): string | undefined {
  let table = schema.tables.get(name);
  while (table?.parent) table = schema.tables.get(table.parent);
  return table?.resource;
}

/** The statements that the change meant for a table as it was before. */
function ddlOf(
  { kind, table: name, column }: Change,
  before: Schema | undefined,
  after: Schema,
  { dialect, dataset }: HistoryDestination,
): string[] {
  const table = after.tables.get(name);
  const known = before?.tables.get(name);
  if (table === undefined) return [];
  const changed = column === undefined ? undefined : table.columns.get(column);
  if (kind === "table_added") return planned(table, undefined);
  if (changed === undefined || !["column_added", "variant_added", "type_widened"].includes(kind)) return [];
  if (known === undefined) return [];
  return planned({ ...known, columns: new Map([...known.columns, [changed.name, changed]]) }, known);

  function planned(wanted: Table, there: Table | undefined): string[] {
    const live = new Map<string, Map<string, { type: string; nullable: boolean }>>();
    if (there !== undefined) {
      const columns = completeColumns(there).map(
        (each) => [each.name, { type: dialect.sqlType(each), nullable: true }] as const,
      );
      live.set(there.name, new Map(columns));
    }
    const schema = { ...after, tables: new Map([[wanted.name, wanted]]) };
    const previous = before && { ...before, tables: new Map(there ? [[there.name, there]] : []) };
    const tablesWithJobs = new Set([wanted.name]);
    try {
      const plan = planDdl({ dialect, dataset, schema, tablesWithJobs, live, exists: true, previous });
      return plan.statements.filter((statement) => statement.table === name).map(({ sql }) => sql);
    } catch (error) {
      // a change that a table with data could not follow, or a type that the database does not have
      if (error instanceof EngineError) return [];
      throw error;
    }
  }
}

/** Columns that are not as the schema says: dropped, added or retyped by hand. */
function diffLive(dialect: Dialect, schema: Schema, live: LiveColumns): Change[] {
  const changes: Change[] = [];
  const folded = new Map([...live].map(([name, columns]) => [dialect.fold(name), columns]));
  for (const table of schema.tables.values()) {
    if (isSystemTable(table.name) || completeColumns(table).length === 0) continue;
    const columns = folded.get(dialect.fold(table.name));
    if (columns === undefined) {
      const seen = table["x-normalizer"]?.["seen-data"] === true;
      if (seen) changes.push({ kind: "table_removed", table: table.name, breaking: true });
      continue;
    }
    const types = new Map([...columns].map(([name, type]) => [dialect.fold(name), type]));
    for (const column of completeColumns(table)) {
      const at = { table: table.name, column: column.name };
      const type = types.get(dialect.fold(column.name));
      const expected = dialect.sqlType(column);
      if (type === undefined)
        changes.push({ ...at, kind: "column_removed", before: expected, breaking: true });
      else if (type !== expected) {
        changes.push({ ...at, kind: "type_changed", before: expected, after: type, breaking: true });
      }
      types.delete(dialect.fold(column.name));
    }
    for (const [name, type] of columns) {
      if (!types.has(dialect.fold(name))) continue;
      const incomplete = table.columns.get(name);
      if (incomplete !== undefined && isComplete(incomplete)) continue;
      changes.push({ kind: "column_added", table: table.name, column: name, after: type, breaking: false });
    }
  }
  return changes;
}

async function schemaName({ read }: HistoryDestination, wanted: string | undefined): Promise<string> {
  const rows = await stored(() =>
    read(
      "select schema_name, max(inserted_at) as newest from _dlt_version group by schema_name order by 2 desc",
    ),
  );
  const names = rows.map((row) => String(row.schema_name));
  if (wanted !== undefined ? names.includes(wanted) : names.length === 1) return wanted ?? names[0]!;
  if (names.length === 0) throw neverRan();
  const message =
    wanted === undefined
      ? `There are ${names.length} schemas: ${names.join(", ")}.`
      : `There is no schema ${wanted}; there are ${names.join(", ")}.`;
  throw new EngineError("SCHEMA_INVALID", message, {
    hint: "Name one of them as schema_name.",
    retry: "after_fix",
    details: { schemas: names },
  });
}

/** Oldest first. */
async function storedVersions(
  { read, dialect }: HistoryDestination,
  schema: string,
): Promise<StoredVersion[]> {
  const rows = await stored(() =>
    read(
      `select v.version, v.version_hash, ${dialect.isoTimestamp("v.inserted_at")} as inserted_at, length(v.schema) as chars,
  (select min(${dialect.byteOrder("l.load_id")}) from _dlt_loads as l where l.schema_version_hash = v.version_hash) as first_load,
  (select max(${dialect.byteOrder("l.load_id")}) from _dlt_loads as l where l.schema_version_hash = v.version_hash) as last_load,
  (select count(*) from _dlt_loads as l where l.schema_version_hash = v.version_hash) as loads
from _dlt_version as v where v.schema_name = $1
order by v.inserted_at, v.version`,
      [schema],
    ),
  );
  if (rows.length === 0) throw neverRan();
  return rows.map((row) => ({
    version: Number(row.version),
    version_hash: String(row.version_hash),
    inserted_at: String(row.inserted_at),
    first_load: row.first_load === null ? null : String(row.first_load),
    last_load: row.last_load === null ? null : String(row.last_load),
    loads: Number(row.loads),
    chars: Number(row.chars),
  }));
}

/**
 * The place of the version that a text means: a version number (`12`), a load id (`1700000000.1`: the version
 * it was made with), a version hash, or a time (ISO: what was stored by then).
 */
async function versionAt(
  { read }: HistoryDestination,
  versions: readonly StoredVersion[],
  text: string,
): Promise<number> {
  let wanted: (each: StoredVersion) => boolean;
  if (/^\d{1,9}$/.test(text)) {
    wanted = (each) => each.version === Number(text);
  } else if (/^[A-Za-z0-9+/]{43}=$/.test(text)) {
    wanted = (each) => each.version_hash === text;
  } else if (LOAD_ID_TEXT.test(text)) {
    const [load] = await stored(() =>
      read("select schema_version_hash from _dlt_loads where load_id = $1 limit 1", [text]),
    );
    wanted = (each) => each.version_hash === load?.schema_version_hash;
  } else {
    const time = Date.parse(text);
    if (Number.isNaN(time)) {
      throw new EngineError("ARGUMENTS_INVALID", `"${text}" names no version.`, {
        hint: "Give a version number, a load id, a version hash or an ISO time.",
      });
    }
    wanted = (each) => Date.parse(each.inserted_at) <= time;
  }
  const place = versions.findLastIndex(wanted);
  if (place >= 0) return place;
  const [oldest, newest] = [versions[0]!, versions.at(-1)!];
  throw new EngineError(
    "SCHEMA_VERSION_NOT_FOUND",
    `No stored version of the schema is meant by "${text}".`,
    {
      hint: `Versions ${oldest.version} to ${newest.version} are stored, from ${oldest.inserted_at} to ${newest.inserted_at}.`,
      details: { wanted: text, versions: versions.length },
    },
  );
}

/** Schemas by their place, in order; a few at a time, so that many large ones do not fill the memory. */
async function* schemasOf(
  { read }: HistoryDestination,
  name: string,
  versions: readonly StoredVersion[],
  first: number,
  last: number,
): AsyncGenerator<[number, Schema], void, undefined> {
  for (let start = first; start <= last; ) {
    let end = start;
    for (
      let chars = 0;
      end <= last && (end === start || chars + versions[end]!.chars <= BATCH_CHARS);
      end++
    ) {
      chars += versions[end]!.chars;
    }
    const hashes = versions.slice(start, end).map(({ version_hash }) => version_hash);
    const places = hashes.map((_, i) => `$${i + 2}`).join(", ");
    const rows = await stored(() =>
      read(
        `select version_hash, schema from _dlt_version where schema_name = $1 and version_hash in (${places})`,
        [name, ...hashes],
      ),
    );
    const texts = new Map(rows.map((row) => [String(row.version_hash), String(row.schema)]));
    for (let index = start; index < end; index++) {
      yield [index, schemaFromText(storedSchemaText(texts.get(versions[index]!.version_hash)!))];
    }
    start = end;
  }
}

/** The schema of one place. */
export async function schemaAt(
  destination: HistoryDestination,
  wanted: { readonly schema_name?: string; readonly at: string },
): Promise<Schema> {
  const name = await schemaName(destination, wanted.schema_name);
  const versions = await storedVersions(destination, name);
  const place = await versionAt(destination, versions, wanted.at);
  for await (const [, schema] of schemasOf(destination, name, versions, place, place)) return schema;
  throw neverRan();
}

async function stored<T>(read: () => Promise<T>): Promise<T> {
  const answer = await readIfPossible(read);
  if (answer.view === "read") return answer.value;
  if (answer.view === "absent") throw neverRan();
  throw new EngineError("DESTINATION_LOCKED", "The database is open in another process.", {
    hint: "Wait for the run that loads, then ask again.",
  });
}

function neverRan(): EngineError {
  return new EngineError("PIPELINE_NEVER_RAN", "There is no stored schema yet: nothing has been loaded.");
}
