/** The columns that the database has now, read as inspection reads. */

import type { Dataset, Dialect } from "../sql/dialect.ts";
import type { ReadQuery } from "./reader.ts";

/** Types by column by table, as the database prints them. */
export type LiveColumns = ReadonlyMap<string, ReadonlyMap<string, string>>;

const SQL: Readonly<Record<Dialect["name"], string>> = {
  duckdb: `select table_name, column_name, data_type as type from duckdb_columns()
where database_name = current_database() and schema_name = $1 order by table_name, column_index`,
  postgres: `select c.relname as table_name, a.attname as column_name, pg_catalog.format_type(a.atttypid, a.atttypmod) as type
from pg_catalog.pg_class as c
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
join pg_catalog.pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where n.nspname = $1 and c.relkind in ('r', 'p') order by c.relname, a.attnum`,
};

export async function readLiveColumns(from: {
  readonly read: ReadQuery;
  readonly dialect: Dialect;
  readonly dataset: Dataset;
}): Promise<LiveColumns> {
  const live = new Map<string, Map<string, string>>();
  for (const row of await from.read(SQL[from.dialect.name], [from.dataset.schema])) {
    const table = String(row.table_name);
    const columns = live.get(table) ?? new Map<string, string>();
    columns.set(String(row.column_name), String(row.type));
    live.set(table, columns);
  }
  return live;
}
