/** What a DuckDB database says of a dataset. */

import type { DuckDBConnection, Json } from "@duckdb/node-api";
import { LOADS_TABLE } from "../../schema/tables.ts";
import { commentKey, type LiveComments } from "../../sql/comments.ts";
import { type Dataset, duckdbDialect } from "../../sql/dialect.ts";
import { selectLoad } from "../../sql/metadata.ts";
import type { Statement } from "../../sql/statement.ts";
import type { LiveCatalogue } from "../destination.ts";

export type Row = Record<string, Json>;

export async function readRows(connection: DuckDBConnection, statement: Statement): Promise<Row[]> {
  const result = await connection.run(statement.sql, statement.parameters && [...statement.parameters]);
  return result.getRowObjectsJson();
}

export async function datasetExists(connection: DuckDBConnection, dataset: Dataset): Promise<boolean> {
  const rows = await readRows(connection, {
    sql: "select 1 from duckdb_schemas() where database_name = $1 and schema_name = $2",
    parameters: [dataset.catalog ?? "", dataset.schema],
  });
  return rows.length > 0;
}

export async function isCommitted(
  connection: DuckDBConnection,
  dataset: Dataset,
  loadId: string,
): Promise<boolean> {
  const tables = await readRows(connection, {
    sql: "select 1 from duckdb_tables() where database_name = $1 and schema_name = $2 and table_name = $3",
    parameters: [dataset.catalog ?? "", dataset.schema, LOADS_TABLE],
  });
  if (tables.length === 0) return false;
  return (await readRows(connection, selectLoad(duckdbDialect, dataset, loadId))).length > 0;
}

/** Tables only: a view cannot be loaded into, and creating a table of its name says so. */
export async function readCatalogue(connection: DuckDBConnection, dataset: Dataset): Promise<LiveCatalogue> {
  const rows = await readRows(connection, {
    sql: `select t.table_name, c.column_name, c.data_type, c.is_nullable
from duckdb_tables() as t
join duckdb_columns() as c on c.database_oid = t.database_oid and c.table_oid = t.table_oid and c.schema_oid = t.schema_oid
where t.database_name = $1 and t.schema_name = $2
order by t.table_name, c.column_index`,
    parameters: [dataset.catalog ?? "", dataset.schema],
  });
  const live = new Map<string, Map<string, { type: string; nullable: boolean }>>();
  for (const row of rows) {
    const table = String(row.table_name);
    const columns = live.get(table) ?? new Map<string, { type: string; nullable: boolean }>();
    columns.set(String(row.column_name), { type: String(row.data_type), nullable: row.is_nullable === true });
    live.set(table, columns);
  }
  return live;
}

async function readComments(connection: DuckDBConnection, dataset: Dataset): Promise<LiveComments> {
  const rows = await readRows(connection, {
    sql: `select table_name, '' as column_name, comment from duckdb_tables()
where database_name = $1 and schema_name = $2 and comment is not null
union all
select table_name, column_name, comment from duckdb_columns()
where database_name = $1 and schema_name = $2 and comment is not null`,
    parameters: [dataset.catalog ?? "", dataset.schema],
  });
  return new Map(
    rows.map((row) => [commentKey(String(row.table_name), String(row.column_name)), String(row.comment)]),
  );
}

/** What there is of a dataset, for a plan. */
export interface Live {
  readonly catalogue: LiveCatalogue;
  readonly comments: LiveComments;
  readonly exists: boolean;
}

export async function readLive(connection: DuckDBConnection, dataset: Dataset): Promise<Live> {
  return {
    catalogue: await readCatalogue(connection, dataset),
    comments: await readComments(connection, dataset),
    exists: await datasetExists(connection, dataset),
  };
}
