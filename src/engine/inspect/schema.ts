/** The schema of a pipeline: now, as of a version, or as of a load. */

import { EngineError } from "../errors.ts";
import { didYouMean } from "../nearest.ts";
import type { PackageStore } from "../package/store.ts";
import { schemaFromText } from "../schema/documents.ts";
import { completeColumns, isNullable } from "../schema/tables.ts";
import type { Column, Schema, Table } from "../schema/types.ts";
import { storedSchemaText } from "../sql/metadata.ts";
import { plainOf } from "./plain.ts";
import type { JsonValue } from "./query-values.ts";
import { type ReadQuery, readIfPossible } from "./reader.ts";
import { type HistoryDestination, schemaAt } from "./schema-history.ts";

export interface ColumnView {
  readonly name: string;
  readonly data_type: string;
  readonly nullable: boolean;
  /** Hints other than their defaults: primary_key, merge_key, unique, precision, description … */
  readonly hints: Readonly<Record<string, JsonValue>>;
}

export interface TableView {
  readonly name: string;
  readonly parent?: string;
  readonly resource?: string;
  readonly write_disposition?: string;
  readonly description?: string;
  readonly columns: readonly ColumnView[];
}

export interface SchemaView {
  readonly schema_name: string;
  readonly version: number;
  readonly version_hash: string;
  /** Where this schema was read: the working folder, a pending package, or the destination. */
  readonly read_from: "disk" | "package" | "destination";
  readonly tables: readonly TableView[];
}

export interface SchemaWanted {
  readonly schema_name?: string;
  readonly version?: number;
  /** The schema that this load was made with. */
  readonly load_id?: string;
  /** As stored at a time (ISO), or any other point that `schemaHistory` takes. */
  readonly as_of?: string;
}

export interface FoundSchema {
  readonly schema: Schema;
  readonly read_from: SchemaView["read_from"];
}

/** Errors: PIPELINE_NEVER_RAN, PACKAGE_NOT_FOUND, SCHEMA_VERSION_NOT_FOUND, DESTINATION_LOCKED. */
export async function findSchema(
  store: PackageStore,
  destination: HistoryDestination,
  wanted: SchemaWanted = {},
): Promise<FoundSchema> {
  const { read } = destination;
  if (wanted.as_of !== undefined) {
    const schema = await schemaAt(destination, { schema_name: wanted.schema_name, at: wanted.as_of });
    return { schema, read_from: "destination" };
  }
  if (wanted.load_id !== undefined) return ofLoad(store, read, wanted.load_id);
  const names = await store.committedSchemaNames();
  const name = wanted.schema_name ?? (names.length === 1 ? names[0] : undefined);
  if (name === undefined && names.length > 1) {
    throw new EngineError("SCHEMA_INVALID", `There are ${names.length} schemas: ${names.join(", ")}.`, {
      hint: "Name one of them.",
      retry: "after_fix",
      details: { schemas: names },
    });
  }
  if (name !== undefined) {
    const text = await store.committedSchema(name);
    if (text !== undefined) {
      const schema = schemaFromText(text);
      if (wanted.version === undefined || wanted.version === schema.version) {
        return { schema, read_from: "disk" };
      }
    }
  }
  return ofDestination(read, wanted, name);
}

async function ofDestination(read: ReadQuery, wanted: SchemaWanted, name?: string): Promise<FoundSchema> {
  const answer = await readIfPossible(() =>
    read(
      `select schema from _dlt_version
       where ($1::varchar is null or schema_name = $1) and ($2::bigint is null or version = $2)
       order by inserted_at desc limit 1`,
      [name ?? null, wanted.version ?? null],
    ),
  );
  if (answer.view === "locked") throw locked();
  const row = answer.view === "read" ? answer.value[0] : undefined;
  if (row !== undefined) return fromDestination(row.schema);
  if (wanted.version !== undefined) {
    throw new EngineError("SCHEMA_VERSION_NOT_FOUND", `No schema version ${wanted.version} is stored.`, {
      details: { version: wanted.version },
    });
  }
  throw new EngineError("PIPELINE_NEVER_RAN", "There is no schema yet: nothing has been loaded.");
}

async function ofLoad(store: PackageStore, read: ReadQuery, loadId: string): Promise<FoundSchema> {
  for (const stage of ["normalized", "extracted", "loaded", "failed"] as const) {
    const ref = (await store.list(stage)).find((each) => each.load_id === loadId);
    if (ref !== undefined)
      return { schema: schemaFromText(await store.readSchema(ref)), read_from: "package" };
  }
  const answer = await readIfPossible(() =>
    read(
      `select v.schema from _dlt_loads l
       join _dlt_version v on v.version_hash = l.schema_version_hash
       where l.load_id = $1 limit 1`,
      [loadId],
    ),
  );
  if (answer.view === "locked") throw locked();
  const row = answer.view === "read" ? answer.value[0] : undefined;
  if (row === undefined) {
    throw new EngineError("PACKAGE_NOT_FOUND", `There is no load ${loadId}.`, {
      hint: "List loads with query_loads.",
      details: { load_id: loadId },
    });
  }
  return fromDestination(row.schema);
}

function locked(): EngineError {
  return new EngineError("DESTINATION_LOCKED", "The database is open in another process.", {
    hint: "Wait for the run that loads, then ask again.",
  });
}

function fromDestination(stored: JsonValue | undefined): FoundSchema {
  return { schema: schemaFromText(storedSchemaText(String(stored))), read_from: "destination" };
}

/** One table of a view. Errors: TABLE_NOT_FOUND with the nearest name. */
export function tableOf(view: SchemaView, name: string): TableView {
  const table = view.tables.find((each) => each.name === name);
  if (table !== undefined) return table;
  const names = view.tables.map((each) => each.name);
  throw new EngineError("TABLE_NOT_FOUND", `There is no table ${name}. ${didYouMean(name, names)}`.trim(), {
    details: { table: name, tables: names.slice(0, 50) },
  });
}

export function viewOf({ schema, read_from }: FoundSchema): SchemaView {
  return {
    schema_name: schema.name,
    version: Number(schema.version),
    version_hash: schema.version_hash,
    read_from,
    tables: [...schema.tables.values()].map(tableView),
  };
}

function tableView(table: Table): TableView {
  return {
    name: table.name,
    ...(table.parent ? { parent: table.parent } : {}),
    ...(table.resource ? { resource: table.resource } : {}),
    ...(table.write_disposition ? { write_disposition: table.write_disposition } : {}),
    ...(table.description ? { description: table.description } : {}),
    columns: completeColumns(table).map(columnView),
  };
}

function columnView(column: Column): ColumnView {
  const { name, data_type, nullable: _, ...hints } = column;
  const set = Object.entries(hints).filter(
    ([, value]) => value !== undefined && value !== null && value !== false,
  );
  return {
    name,
    data_type: String(data_type),
    nullable: isNullable(column),
    hints: Object.fromEntries(set.map(([key, value]) => [key, plainOf(value)])),
  };
}
