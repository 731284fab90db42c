/** What a Postgres database says about itself. All names are qualified: no search path is asked. */

import { LOADS_TABLE } from "../../schema/tables.ts";
import { commentKey, type LiveComments } from "../../sql/comments.ts";
import type { Dataset, Dialect } from "../../sql/dialect.ts";
import { selectLoad } from "../../sql/metadata.ts";
import type { LiveCatalogue } from "../destination.ts";
import type { Connection } from "./connection.ts";

export async function datasetExists(connection: Connection, { schema }: Dataset): Promise<boolean> {
  const rows = await connection.rows({
    sql: "select 1 from pg_catalog.pg_namespace where nspname = $1",
    parameters: [schema],
  });
  return rows.length > 0;
}

export async function isCommitted(
  connection: Connection,
  dialect: Dialect,
  dataset: Dataset,
  loadId: string,
): Promise<boolean> {
  if (!(await tablesExist(connection, dataset, [LOADS_TABLE]))) return false;
  return (await connection.rows(selectLoad(dialect, dataset, loadId))).length > 0;
}

export async function tablesExist(
  connection: Connection,
  { schema }: Dataset,
  tables: readonly string[],
): Promise<boolean> {
  const rows = await connection.rows({
    sql: `select c.relname
from pg_catalog.pg_class as c
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where n.nspname = $1 and c.relkind in ('r', 'p')`,
    parameters: [schema],
  });
  const there = new Set(rows.map((row) => row.relname));
  return tables.every((table) => there.has(table));
}

/** Tables only: a view cannot be loaded into, and creating a table of its name says so. */
export async function readCatalogue(connection: Connection, { schema }: Dataset): Promise<LiveCatalogue> {
  const rows = await connection.rows({
    sql: `select c.relname, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod) as type, a.attnotnull
from pg_catalog.pg_class as c
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
left join pg_catalog.pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where n.nspname = $1 and c.relkind in ('r', 'p')
order by c.relname collate "C", a.attnum`,
    parameters: [schema],
  });
  const live = new Map<string, Map<string, { type: string; nullable: boolean }>>();
  for (const { relname, attname, type, attnotnull } of rows) {
    const table = String(relname);
    const columns = live.get(table) ?? new Map<string, { type: string; nullable: boolean }>();
    // a table may have no columns at all
    if (attname != null) columns.set(attname, { type: String(type), nullable: attnotnull !== "t" });
    live.set(table, columns);
  }
  return live;
}

export async function readComments(connection: Connection, { schema }: Dataset): Promise<LiveComments> {
  const rows = await connection.rows({
    sql: `select '' as relname, '' as attname, d.description
from pg_catalog.pg_namespace as n
join pg_catalog.pg_description as d
  on d.objoid = n.oid and d.classoid = 'pg_catalog.pg_namespace'::pg_catalog.regclass
where n.nspname = $1
union all
select c.relname, coalesce(a.attname, ''), d.description
from pg_catalog.pg_class as c
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
join pg_catalog.pg_description as d
  on d.objoid = c.oid and d.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass
left join pg_catalog.pg_attribute as a on a.attrelid = c.oid and a.attnum = d.objsubid and d.objsubid > 0
where n.nspname = $1 and c.relkind in ('r', 'p')`,
    parameters: [schema],
  });
  return new Map(
    rows.map((row) => [commentKey(row.relname ?? "", row.attname ?? ""), String(row.description)]),
  );
}
