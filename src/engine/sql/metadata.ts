/** dlt's own tables: what they are when a schema does not say, what is written to them, how they are read. */

import { inflateSync } from "node:zlib";
import { LOADS_TABLE, STATE_TABLE, VERSION_TABLE } from "../schema/tables.ts";
import type { Schema, Table } from "../schema/types.ts";
import { loadsTable, versionTable } from "../schema/version.ts";
import { type Dataset, type Dialect, qualified } from "./dialect.ts";
import type { Statement } from "./statement.ts";

/** `_dlt_loads.status` of a load that is complete; dlt writes no other. */
export const LOAD_COMPLETE = 0;

/** The table as the schema describes it, else as dlt creates it. */
export function metadataTable(schema: Schema, name: typeof VERSION_TABLE | typeof LOADS_TABLE): Table {
  return schema.tables.get(name) ?? (name === VERSION_TABLE ? versionTable() : loadsTable());
}

/** Parameters arrive as text; the casts say what they are. */
export function insertVersion(
  dialect: Dialect,
  dataset: Dataset,
  row: { schema: Schema; schemaJson: string; insertedAt: string },
): Statement {
  const table = qualified(dialect, { ...dataset, table: VERSION_TABLE });
  return {
    sql: `insert into ${table} ("version", "engine_version", "inserted_at", "schema_name", "version_hash", "schema")
select cast($1 as bigint), cast($2 as bigint), cast($3 as timestamp with time zone), $4, cast($5 as varchar), $6
where not exists (select 1 from ${table} where "version_hash" = cast($5 as varchar))`,
    parameters: [
      row.schema.version,
      row.schema.engine_version,
      row.insertedAt,
      row.schema.name,
      row.schema.version_hash,
      row.schemaJson,
    ],
  };
}

export function insertLoad(
  dialect: Dialect,
  dataset: Dataset,
  row: { loadId: string; schema: Schema; insertedAt: string },
): Statement {
  return {
    sql: `insert into ${qualified(dialect, { ...dataset, table: LOADS_TABLE })} ("load_id", "schema_name", "status", "inserted_at", "schema_version_hash")
values ($1, $2, ${LOAD_COMPLETE}, cast($3 as timestamp with time zone), $4)`,
    parameters: [row.loadId, row.schema.name, row.insertedAt, row.schema.version_hash],
  };
}

export function selectLoad(dialect: Dialect, dataset: Dataset, loadId: string): Statement {
  return {
    sql: `select 1 from ${qualified(dialect, { ...dataset, table: LOADS_TABLE })} where "load_id" = $1 limit 1`,
    parameters: [loadId],
  };
}

/** The newest state whose load is complete: load ids sort by time as text. */
export function selectState(dialect: Dialect, dataset: Dataset, pipelineName: string): Statement {
  return {
    sql: `select s."version", s."engine_version", s."version_hash", ${dialect.isoTimestamp('s."created_at"')} as "created_at", l."load_id", s."state"
from ${qualified(dialect, { ...dataset, table: STATE_TABLE })} as s
join ${qualified(dialect, { ...dataset, table: LOADS_TABLE })} as l on l."load_id" = s."_dlt_load_id"
where s."pipeline_name" = $1 and l."status" = ${LOAD_COMPLETE}
order by ${dialect.byteOrder('l."load_id"')} desc
limit 1`,
    parameters: [pipelineName],
  };
}

/** Newest first. */
export function selectVersions(
  dialect: Dialect,
  dataset: Dataset,
  filter: { schemaName?: string; versionHash?: string; limit?: number },
): Statement {
  const parameters: string[] = [];
  const conditions: string[] = [];
  if (filter.schemaName !== undefined)
    conditions.push(`"schema_name" = $${parameters.push(filter.schemaName)}`);
  if (filter.versionHash !== undefined)
    conditions.push(`"version_hash" = $${parameters.push(filter.versionHash)}`);
  return {
    sql: `select "version", "engine_version", ${dialect.isoTimestamp('"inserted_at"')} as "inserted_at", "schema_name", "version_hash", "schema"
from ${qualified(dialect, { ...dataset, table: VERSION_TABLE })} as v${where(conditions)}
order by v."inserted_at" desc${limit(filter.limit)}`,
    parameters,
  };
}

/** Newest first; `before` is the load id of the last row of the page before. */
export function selectLoads(
  dialect: Dialect,
  dataset: Dataset,
  filter: { schemaName?: string; before?: string; limit: number },
): Statement {
  const parameters: string[] = [];
  const conditions: string[] = [];
  if (filter.schemaName !== undefined)
    conditions.push(`"schema_name" = $${parameters.push(filter.schemaName)}`);
  if (filter.before !== undefined)
    conditions.push(`${dialect.byteOrder('"load_id"')} < $${parameters.push(filter.before)}`);
  return {
    sql: `select "load_id", "schema_name", "status", ${dialect.isoTimestamp('"inserted_at"')} as "inserted_at", "schema_version_hash"
from ${qualified(dialect, { ...dataset, table: LOADS_TABLE })} as l${where(conditions)}
order by ${dialect.byteOrder('"load_id"')} desc${limit(filter.limit)}`,
    parameters,
  };
}

function where(conditions: readonly string[]): string {
  return conditions.length === 0 ? "" : `\nwhere ${conditions.join(" and ")}`;
}

function limit(rows: number | undefined): string {
  return rows === undefined ? "" : `\nlimit ${Math.trunc(rows)}`;
}

/** dlt packs a schema that is too long for a text column: base64 of zlib. JSON begins with a brace. */
export function storedSchemaText(stored: string): string {
  if (stored.startsWith("{")) return stored;
  try {
    return inflateSync(Buffer.from(stored, "base64")).toString("utf8");
  } catch {
    return stored;
  }
}
