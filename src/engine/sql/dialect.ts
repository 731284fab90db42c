/**
 * What differs between databases when SQL is built. Builders take a dialect and return strings; a member
 * that only one database needs is named here rather than tested for by name elsewhere.
 */

import { EngineError } from "../errors.ts";
import { snakeCase } from "../schema/naming.ts";
import type { Column } from "../schema/types.ts";
import { duckdbType, postgresType } from "./types.ts";

/** Where the tables of a dataset live. DuckDB needs the catalogue: see `qualified`. */
export interface Dataset {
  readonly catalog?: string;
  readonly schema: string;
}

export interface TableName extends Dataset {
  readonly table: string;
}

/** Pseudo-columns: the file, as its number among the step's files, and the row in it; both rise. */
export interface FilePlace {
  readonly file: string;
  readonly fileType: string;
  readonly row: string;
  readonly rowType: string;
}

export interface Dialect {
  readonly name: "duckdb" | "postgres";
  /** The only way an identifier gets into a statement. */
  quote(identifier: string): string;
  /** Two names that fold to the same text are the same table or column to the database. */
  fold(identifier: string): string;
  /** A text as a literal, for statements that take no parameters. */
  textLiteral(text: string): string;
  /** May a schema have a comment? */
  readonly commentsOnSchemas: boolean;
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
  /** Where in the files of a load step a row stands, of databases that read them themselves. */
  readonly filePlace?: FilePlace;
  /** Removes every row, inside the transaction. */
  emptyTable(quoted: string): string;
  /** A timestamp as ISO text with microseconds and `Z`. */
  isoTimestamp(expression: string): string;
  /** Text to sort and compare by its bytes, whatever the database's language: load ids are times as text. */
  byteOrder(expression: string): string;
  /** Follows the type of a column that is hinted as unique. */
  readonly uniqueColumn: string;
  /** The name of a helper table, made from another table's name, within the database's limit. */
  helperName(name: string): string;
  /** Tells the planner how many rows a staging table has; undefined where it knows. */
  analyze(quoted: string): string | undefined;
}

/** Virtual columns of read_parquet. */
export const duckdbFilePlace: FilePlace = {
  file: "file_index",
  fileType: "UBIGINT",
  row: "file_row_number",
  rowType: "BIGINT",
};

export const duckdbDialect: Dialect = {
  name: "duckdb",
  quote: quoteIdentifier,
  fold: (identifier) => identifier.toLowerCase(),
  textLiteral: (text) => `'${text.replaceAll("'", "''")}'`,
  commentsOnSchemas: false,
  sqlType: duckdbType,
  addsColumnsTogether: false,
  addsNotNull: false,
  temporary: { catalog: "temp", schema: "main" },
  temporarySuffix: "",
  // Rows keep their insertion order (preserve_insertion_order) and get rising row ids.
  arrival: { column: "rowid" },
  filePlace: duckdbFilePlace,
  emptyTable: (quoted) => `delete from ${quoted}`,
  isoTimestamp: (expression) => `strftime(${expression} at time zone 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ')`,
  byteOrder: (expression) => expression,
  uniqueColumn: "",
  helperName: (name) => name,
  analyze: () => undefined,
};

/** Longer identifiers are cut by Postgres without an error. */
export const POSTGRES_IDENTIFIER_BYTES_MAX = 63;

/** `createIndexes`: dlt's default, an index for every column that is hinted as unique. */
export function postgresDialect(options: { readonly createIndexes?: boolean } = {}): Dialect {
  const naming = snakeCase(POSTGRES_IDENTIFIER_BYTES_MAX);
  return {
    name: "postgres",
    quote: quotePostgres,
    // Quoted names keep their case.
    fold: (identifier) => identifier,
    textLiteral: postgresLiteral,
    commentsOnSchemas: true,
    sqlType: postgresType,
    addsColumnsTogether: true,
    // Rows that are there have no value for it yet; normalizing refuses nulls in the rows that come.
    addsNotNull: false,
    // Resolves to the session's own temporary schema, so that no search path is asked.
    temporary: { schema: "pg_temp" },
    temporarySuffix: " on commit drop",
    // Row addresses (ctid) do not rise with insertion: a short row may fill a gap in an earlier page.
    arrival: {
      column: "_loadwright_arrival",
      definition: "bigint generated always as identity (cache 10000)",
    },
    // Truncating would lock readers out until the commit and show older snapshots an empty table.
    emptyTable: (quoted) => `delete from ${quoted}`,
    isoTimestamp: (expression) =>
      `pg_catalog.to_char(${expression} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`,
    byteOrder: (expression) => `${expression} collate "C"`,
    uniqueColumn: options.createIndexes === false ? "" : " unique",
    helperName: (name) => naming.shorten(name, name),
    analyze: (quoted) => `analyze ${quoted}`,
  };
}

function quotePostgres(identifier: string): string {
  if (Buffer.byteLength(identifier) > POSTGRES_IDENTIFIER_BYTES_MAX || identifier.includes("\0")) {
    throw new EngineError(
      "IDENTIFIER_INVALID",
      `The name ${identifier.replaceAll("\0", "")} cannot be a name in Postgres: it has more than ${POSTGRES_IDENTIFIER_BYTES_MAX} bytes, or a NUL.`,
      { details: { identifier: identifier.replaceAll("\0", "") } },
    );
  }
  return quoteIdentifier(identifier);
}

/** With a backslash as an escape string: what a plain one means depends on the server's settings. */
function postgresLiteral(text: string): string {
  const quoted = text.replaceAll("'", "''");
  return quoted.includes("\\") ? `E'${quoted.replaceAll("\\", "\\\\")}'` : `'${quoted}'`;
}

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
