/** The statement that reads a table, or a range of its cursor. */

import type { CursorRange, ReadRequest, SourceColumn, SourceTable } from "./types.ts";

export interface SelectDialect {
  readonly quote: (name: string) => string;
  /** A value that the column is compared with, as a literal or a placeholder. */
  readonly value: (value: unknown, column: SourceColumn) => string;
  /** The column in the order in which its values are compared: code point by code point for text. */
  readonly sortable: (quoted: string, column: SourceColumn) => string;
  /** Must nulls be told to come first? */
  readonly nullsFirst: string;
}

/**
 *     select "id", "note" from "public"."orders"
 *     where "id" >= '7'::bigint order by "id"
 */
export function selectOf(
  { table, columns, range }: ReadRequest,
  dialect: SelectDialect,
  list: string = columns.map((column) => column.expression ?? dialect.quote(column.name)).join(", "),
): string {
  const from = qualified(table, dialect.quote);
  if (range === undefined) return `select ${list} from ${from}`;
  return `select ${list} from ${from}${whereOf(range, dialect)} order by ${dialect.sortable(dialect.quote(range.column.name), range.column)}${range.nulls === "include" ? dialect.nullsFirst : ""}`;
}

function whereOf(range: CursorRange, dialect: SelectDialect): string {
  const { column, from, fromOpen, to, toClosed, nulls } = range;
  const quoted = dialect.quote(column.name);
  const sortable = dialect.sortable(quoted, column);
  const bounds: string[] = [];
  if (from !== undefined) bounds.push(`${sortable} ${fromOpen ? ">" : ">="} ${dialect.value(from, column)}`);
  if (to !== undefined) bounds.push(`${sortable} ${toClosed ? "<=" : "<"} ${dialect.value(to, column)}`);
  if (nulls === "include")
    return bounds.length === 0 ? "" : ` where (${bounds.join(" and ")} or ${quoted} is null)`;
  if (bounds.length === 0) bounds.push(`${quoted} is not null`);
  return ` where ${bounds.join(" and ")}`;
}

/** `"public"."orders"` */
export function qualified({ catalog, schema, name }: SourceTable, quote: (name: string) => string): string {
  return [...(catalog === undefined ? [] : [catalog]), schema, name].map(quote).join(".");
}

export function quoted(quote: string): (name: string) => string {
  return (name) => quote + name.replaceAll(quote, quote + quote) + quote;
}

export function sqlString(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
