/**
 * The stored schema and its version (`dlt/common/schema/{utils,migrations}.py`). A schema is identified by the
 * hash of its content, order of columns included; the destination runs DDL only for a hash it has not seen.
 */

import { EngineError } from "../errors.ts";
import { sha3Base64 } from "../interop/hash.ts";
import { plainJson, sortByCodePoint } from "../interop/json.ts";
import { namingByName } from "./naming.ts";
import { LOADS_TABLE, STATE_TABLE, VERSION_TABLE } from "./tables.ts";
import type { Column, Schema, Table } from "./types.ts";

export const SCHEMA_ENGINE_VERSION = 11;
/** The oldest engine that had a version hash; nothing older is in use. */
const ENGINE_VERSION_MIN = 4;
const PREVIOUS_HASHES_MAX = 10;
const SCHEMA_NAME_LENGTH_MAX = 64;

/** A schema as dlt creates it for a new name: version 1, only the two tables of dlt itself. */
export function newSchema(name: string): Schema {
  if (
    !/^[\p{XID_Start}_]\p{XID_Continue}*$/u.test(name) ||
    Array.from(name).length > SCHEMA_NAME_LENGTH_MAX
  ) {
    throw new EngineError("IDENTIFIER_INVALID", `"${name}" is not a schema name.`, {
      hint: `Use letters, digits and underscores, at most ${SCHEMA_NAME_LENGTH_MAX}.`,
    });
  }
  const schema: Schema = {
    version: 0,
    version_hash: "",
    engine_version: SCHEMA_ENGINE_VERSION,
    name,
    tables: new Map([
      [VERSION_TABLE, versionTable()],
      [LOADS_TABLE, loadsTable()],
    ]),
    settings: {
      detections: ["iso_timestamp"],
      default_hints: {
        not_null: ["_dlt_id", "_dlt_root_id", "_dlt_parent_id", "_dlt_list_idx", "_dlt_load_id"],
        parent_key: ["_dlt_parent_id"],
        root_key: ["_dlt_root_id"],
        unique: ["_dlt_id"],
        row_key: ["_dlt_id"],
      },
    },
    normalizers: { names: "snake_case", json: { module: "dlt.common.normalizers.json.relational" } },
    previous_hashes: [],
  };
  bumpSchema(schema);
  return schema;
}

/** One row per schema version at the destination. */
export function versionTable(): Table {
  return dltTable(VERSION_TABLE, "skip", "Created by DLT. Tracks schema updates", [
    column("version", "bigint", "Numeric version of the schema, incremented on each schema change"),
    column("engine_version", "bigint", "Version of the dlt schema engine that created this schema"),
    column("inserted_at", "timestamp", "Timestamp when this schema version was stored"),
    column("schema_name", "text", "Name of the schema"),
    column("version_hash", "text", "Unique hash of the schema content, used to detect changes"),
    column("schema", "text", "JSON representation of the complete schema definition"),
  ]);
}

/** One row per finished load package. */
export function loadsTable(): Table {
  return dltTable(LOADS_TABLE, "skip", "Created by DLT. Tracks completed loads", [
    column("load_id", "text", "Unique identifier of the load operation", { precision: 64 }),
    column("schema_name", "text", "Name of the schema associated with this load", { nullable: true }),
    column("status", "bigint", "Status of the load operation (0 = success)"),
    column("inserted_at", "timestamp", "Timestamp when the load was completed"),
    column("schema_version_hash", "text", "Hash of the schema version used during this load", {
      nullable: true,
    }),
  ]);
}

/** The pipeline's state, an ordinary append table. Its `_dlt_id` column comes from normalizing, as for any table. */
export function pipelineStateTable(): Table {
  const table = dltTable(STATE_TABLE, "append", "Created by DLT. Tracks pipeline state", [
    column("version", "bigint", "Numeric version of the pipeline state"),
    column("engine_version", "bigint", "Version of the dlt state engine"),
    column("pipeline_name", "text", "Name of the pipeline this state belongs to"),
    column("state", "text", "Compressed JSON representation of the pipeline state"),
    column("created_at", "timestamp", "Timestamp when this state was created"),
    column("version_hash", "text", "Hash of the state content, used to detect changes", { nullable: true }),
    column("_dlt_load_id", "text", "Load identifier linking this row to its load operation", {
      precision: 64,
    }),
  ]);
  // dlt makes it from a resource, which has no description
  const { name, columns, write_disposition, resource } = table;
  return { name, columns, write_disposition, file_format: "preferred", resource };
}

function column(
  name: string,
  data_type: NonNullable<Column["data_type"]>,
  description: string,
  { nullable = false, precision }: { nullable?: boolean; precision?: number } = {},
): Column {
  return { name, data_type, nullable, ...(precision === undefined ? {} : { precision }), description };
}

function dltTable(
  name: string,
  write_disposition: "skip" | "append",
  description: string,
  columns: readonly Column[],
): Table {
  return {
    name,
    columns: new Map(columns.map((each) => [each.name, each])),
    write_disposition,
    resource: name,
    description,
  };
}

/**
 * The schema as the value to store, keys in dlt's order. Tables and columns stay Maps, which `plainJson`
 * writes as objects in their order; plain objects would move integer-like names to the front.
 */
export function schemaToStored(schema: Schema): Record<string, unknown> {
  const { version, version_hash, name, tables, settings, normalizers, previous_hashes, ...rest } = schema;
  const { engine_version, imported_version_hash, description, ...others } = rest;
  return {
    version,
    version_hash,
    engine_version,
    name,
    tables,
    settings,
    normalizers,
    previous_hashes,
    // absent and empty are the same to dlt
    ...(imported_version_hash ? { imported_version_hash } : {}),
    ...(description ? { description } : {}),
    ...others,
  };
}

/** Hash of the content: everything but the version fields as sorted JSON, then names and order of columns. */
export function schemaVersionHash(schema: Schema): string {
  const content: Record<string, unknown> = schemaToStored(schema);
  for (const key of ["version", "version_hash", "imported_version_hash", "previous_hashes"])
    delete content[key];
  const parts = [plainJson(content, { sortKeys: true })];
  for (const name of sortByCodePoint([...schema.tables.keys()])) {
    parts.push(name, ...(schema.tables.get(name) as Table).columns.keys());
  }
  return sha3Base64(parts.join(""));
}

/**
 * Brings version and hash up to date with the content. True if the hash changed: then the version went up and
 * the old hash is the newest of the previous ones. A schema without a hash gets its first, without a new version.
 */
export function bumpSchema(schema: Schema): boolean {
  const hash = schemaVersionHash(schema);
  const previous = schema.version_hash;
  if (hash === previous) return false;
  if (previous === "") {
    schema.version = schema.version || 1;
  } else {
    schema.version += 1;
    if (!schema.previous_hashes.includes(previous)) {
      schema.previous_hashes = [previous, ...schema.previous_hashes].slice(0, PREVIOUS_HASHES_MAX);
    }
  }
  schema.version_hash = hash;
  return true;
}

type Plain = Record<string, unknown>;

/**
 * A stored schema (parsed JSON, objects plain or Maps) as the schema in memory. Schemas of engines 4 to 10 are
 * migrated and get a new version; a newer engine is refused. The hash is not verified: compare
 * `schemaVersionHash` with `version_hash` where an edit would matter.
 */
export function storedToSchema(value: unknown): Schema {
  const stored = plainOf(value, "schema");
  const engine = stored.engine_version;
  const { name } = stored;
  if (typeof name !== "string" || typeof engine !== "number")
    throw invalid("it has no name or no engine version");
  if (engine > SCHEMA_ENGINE_VERSION) {
    throw new EngineError(
      "SCHEMA_ENGINE_NEWER",
      `Schema "${name}" has engine version ${engine}; this program knows ${SCHEMA_ENGINE_VERSION}.`,
      { details: { schema: name, engine_version: engine } },
    );
  }
  if (engine < ENGINE_VERSION_MIN) throw invalid(`engine version ${engine} is too old`);
  const tables = new Map<string, Table>();
  for (const [tableName, table] of entriesOf(stored.tables, "tables"))
    tables.set(tableName, tableOf(tableName, table));
  const schema: Schema = {
    ...stored,
    version: typeof stored.version === "number" ? stored.version : 0,
    version_hash: typeof stored.version_hash === "string" ? stored.version_hash : "",
    engine_version: engine,
    name,
    tables,
    settings: (stored.settings ?? {}) as Plain,
    normalizers: (stored.normalizers ?? {}) as Plain,
    previous_hashes: Array.isArray(stored.previous_hashes) ? stored.previous_hashes.map(String) : [],
  };
  const migrated = engine < SCHEMA_ENGINE_VERSION;
  if (migrated) migrate(schema, engine);
  removeSeenNullFirst(schema);
  for (const table of [VERSION_TABLE, LOADS_TABLE]) {
    if (!tables.has(table) && schema.normalizers.names === "snake_case")
      throw invalid(`table ${table} is missing`);
  }
  applyDefaults(schema);
  if (migrated) bumpSchema(schema);
  return schema;
}

function invalid(problem: string): EngineError {
  return new EngineError("SCHEMA_INVALID", `The stored schema cannot be used: ${problem}.`);
}

function entriesOf(value: unknown, where: string): [string, unknown][] {
  if (value instanceof Map) {
    const odd = [...value.keys()].find((key) => typeof key !== "string");
    if (odd !== undefined) throw invalid(`the name ${String(odd)} in ${where} is not text; put it in quotes`);
    return [...(value as Map<string, unknown>)];
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw invalid(`${where} is not an object`);
  return Object.entries(value);
}

/** The object of one level, with the objects below plain as well, except tables and columns. */
function plainOf(value: unknown, where: string): Plain {
  return Object.fromEntries(
    entriesOf(value, where).map(([key, member]) => [
      key,
      key === "tables" && where === "schema" ? member : plainDeep(member),
    ]),
  );
}

function plainDeep(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plainDeep);
  if (value instanceof Map || (typeof value === "object" && value?.constructor === Object)) {
    return Object.fromEntries(entriesOf(value, "value").map(([key, member]) => [key, plainDeep(member)]));
  }
  return value;
}

function tableOf(name: string, value: unknown): Table {
  const table: Table = { name, columns: new Map() };
  const members: [string, unknown][] = [];
  for (const [key, member] of entriesOf(value, `table ${name}`)) {
    if (key !== "columns") {
      members.push([key, plainDeep(member)]);
      continue;
    }
    members.push([key, table.columns]);
    for (const [columnName, hints] of entriesOf(member, `columns of ${name}`)) {
      table.columns.set(columnName, plainOf(hints, `column ${name}.${columnName}`) as unknown as Column);
    }
  }
  const ordered = Object.fromEntries(members) as Partial<Table>;
  return { ...ordered, name, columns: table.columns };
}

/** Names that YAML leaves out, and what every root table has. */
function applyDefaults(schema: Schema): void {
  for (const [name, table] of schema.tables) {
    table.name = name;
    for (const [columnName, column_] of table.columns) column_.name = columnName;
    if (!table.parent) {
      table.write_disposition ??= "append";
      table.resource ??= name;
    }
  }
}

/** Columns that only ever held null left marks in old schemas; dlt no longer keeps them. */
function removeSeenNullFirst(schema: Schema): void {
  for (const table of schema.tables.values()) {
    for (const [name, column_] of [...table.columns]) {
      const hints = column_["x-normalizer"] as Plain | undefined;
      if (!hints?.["seen-null-first"]) continue;
      if ("data_type" in column_) {
        delete hints["seen-null-first"];
        if (Object.keys(hints).length === 0) delete column_["x-normalizer"];
      } else {
        table.columns.delete(name);
      }
    }
  }
}

/** Each step brings a schema from one engine to the next. */
function migrate(schema: Schema, from: number): void {
  for (let engine = from; engine < SCHEMA_ENGINE_VERSION; engine += 1) MIGRATIONS[engine]?.(schema);
  schema.engine_version = SCHEMA_ENGINE_VERSION;
}

const MIGRATIONS: Readonly<Record<number, (schema: Schema) => void>> = {
  4: (schema) => {
    schema.tables.set(VERSION_TABLE, versionTable());
    schema.tables.set(LOADS_TABLE, loadsTable());
  },
  5: (schema) => {
    schema.tables.set(LOADS_TABLE, loadsTable());
  },
  // contracts replaced sealing
  6: (schema) => {
    delete schema.settings.schema_sealed;
    for (const table of schema.tables.values()) delete table.table_sealed;
  },
  7: (schema) => {
    schema.previous_hashes = [];
  },
  // tables with row ids have data; packages may be on their way
  8: (schema) => {
    for (const table of schema.tables.values()) {
      if (table.columns.has("_dlt_id"))
        table["x-normalizer"] = { ...table["x-normalizer"], "seen-data": true };
    }
  },
  9: migrateKeysAndJson,
  // older schemas contracted `__` inside names
  10: (schema) => {
    schema.normalizers.use_break_path_on_normalize = false;
  },
};

/** Engine 10: `complex` became `json`; row and parent keys replaced foreign keys. */
function migrateKeysAndJson(schema: Schema): void {
  const naming = namingByName(String(schema.normalizers.names ?? "snake_case"));
  const rowKey = naming.identifier("_dlt_id");
  const parentKey = naming.identifier("_dlt_parent_id");
  for (const table of schema.tables.values()) {
    for (const column_ of table.columns.values()) {
      if ((column_.data_type as string | undefined) === "complex") column_.data_type = "json";
    }
    const rowColumn = table.columns.get(rowKey);
    if (rowColumn !== undefined) rowColumn.row_key = rowColumn.unique ?? false;
    const parentColumn = table.columns.get(parentKey);
    if (parentColumn !== undefined) parentColumn.parent_key = (parentColumn.foreign_key ?? false) as boolean;
    for (const column_ of table.columns.values()) delete column_.foreign_key;
  }
  const preferred = schema.settings.preferred_types as Plain | undefined;
  for (const [pattern, type] of Object.entries(preferred ?? {})) {
    if (preferred !== undefined && type === "complex") preferred[pattern] = "json";
  }
  const hints = schema.settings.default_hints as Plain | undefined;
  if (hints !== undefined && Object.keys(hints).length > 0) {
    delete hints.foreign_key;
    hints.row_key = [rowKey];
    hints.parent_key = [parentKey];
  }
  const json = schema.normalizers.json as Plain | undefined;
  const config = json?.config as Plain | undefined;
  if (config) delete config.generate_dlt_id;
}
