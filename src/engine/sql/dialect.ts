/**
 * What differs between databases when SQL is built. Builders take a dialect and return strings; a member
 * that only one database needs is named here rather than tested for by name elsewhere.
 */

import type { Column } from "../schema/types.ts";
import { duckdbType } from "./types.ts";

/** Where the tables of a dataset live. DuckDB needs the catalogue: see `qualified`. */
export interface Dataset {
  readonly catalog?: string;
  readonly schema: string;
}

export interface TableName extends Dataset {
  readonly table: string;
}

export interface Dialect {
  readonly name: "duckdb" | "postgres";
  /** The only way an identifier gets into a statement. */
  quote(identifier: string): string;
  /** Two names that fold to the same text are the same table or column to the database. */
  fold(identifier: string): string;
  /** The type of a column in `create table`, spelled as the catalogue prints it. */
  sqlType(column: Column): string;
  /** One `alter table` for all new columns of a table, or one each. */
  readonly addsColumnsTogether: boolean;
  /** May an added column be `not null`? */
  readonly addsNotNull: boolean;
  /** Where temporary tables live. */
  readonly temporary: Dataset;
  /** Follows the column list of `create temp table`. */
  readonly temporarySuffix: string;
  /**
   * The order in which rows arrived in a staging table: a pseudo-column that rises with insertion
   * (`definition` undefined), or a column to declare.
   */
  readonly arrival: { readonly column: string; readonly definition?: string };
  /** Removes every row, inside the transaction. */
  emptyTable(quoted: string): string;
  /** A timestamp as ISO text with microseconds and `Z`. */
  isoTimestamp(expression: string): string;
}

export const duckdbDialect: Dialect = {
  name: "duckdb",
  quote: quoteIdentifier,
  fold: (identifier) => identifier.toLowerCase(),
  sqlType: duckdbType,
  addsColumnsTogether: false,
  addsNotNull: false,
  temporary: { catalog: "temp", schema: "main" },
  temporarySuffix: "",
  // Rows keep their insertion order (preserve_insertion_order) and get rising row ids.
  arrival: { column: "rowid" },
  emptyTable: (quoted) => `delete from ${quoted}`,
  isoTimestamp: (expression) => `strftime(${expression} at time zone 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ')`,
};

function quoteIdentifier(identifier: string): string {
  return `"${identifier.replaceAll('"', '""')}"`;
}

/**
 * A table's full name. Always with the catalogue where there is one: in a DuckDB file named like its
 * dataset, `"d"."t"` could mean schema d or catalogue d, and DuckDB refuses to guess.
 */
export function qualified(dialect: Dialect, name: TableName): string {
  const parts = name.catalog === undefined ? [] : [name.catalog];
  return [...parts, name.schema, name.table].map((part) => dialect.quote(part)).join(".");
}

export function qualifiedSchema(dialect: Dialect, dataset: Dataset): string {
  const parts = dataset.catalog === undefined ? [] : [dataset.catalog];
  return [...parts, dataset.schema].map((part) => dialect.quote(part)).join(".");
}

export function quoteAll(dialect: Dialect, identifiers: readonly string[]): string {
  return identifiers.map((identifier) => dialect.quote(identifier)).join(", ");
}
