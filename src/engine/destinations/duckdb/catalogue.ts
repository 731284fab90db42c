/** What a DuckDB database says of a dataset. */

import type { DuckDBConnection, Json } from "@duckdb/node-api";
import { type Dataset, duckdbDialect } from "../../sql/dialect.ts";
import { LOADS_TABLE, selectLoad } from "../../sql/metadata.ts";
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
