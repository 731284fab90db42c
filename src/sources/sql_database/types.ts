/** What the dialects have in common: the tables that a database has, and how they are read. */

import type { Log } from "../../engine/context.ts";
import type { ColumnsPage } from "../../engine/extract/page.ts";
import type { ColumnHints } from "../../engine/extract/resource.ts";

/**
 * How a column's values become JSON. `timestamptz` comes in UTC and `timestamp` without a zone; of both, and of
 * `date`, what lies outside the years 1 to 9999 becomes null, as does a `decimal` that is not a number.
 */
export type CellKind =
  | "integer"
  | "float"
  | "bool"
  | "text"
  | "decimal"
  | "binary"
  | "json"
  | "timestamptz"
  | "timestamp"
  | "date"
  | "time";

export interface SourceColumn {
  readonly name: string;
  /** The type as the database writes it. */
  readonly sourceType: string;
  readonly kind: CellKind;
  readonly hints: ColumnHints;
  readonly nullable: boolean;
  /** What is selected, where it is not the column itself. */
  readonly expression?: string;
  /**
   * What is selected where cells are read in the database's binary form, see `ColumnPages`; absent: there is none
   * for the column.
   */
  readonly binary?: string;
}

export interface SourceTable {
  /** Where a schema's name alone may mean something else. */
  readonly catalog?: string;
  readonly schema: string;
  readonly name: string;
  readonly kind: "table" | "view";
  readonly description?: string;
  readonly columns: readonly SourceColumn[];
  /** In the order of the key; empty: there is none. */
  readonly primaryKey: readonly string[];
}

/** The rows whose cursor lies in a range, in its order. */
export interface CursorRange {
  readonly column: SourceColumn;
  /** As the engine hands it out: text for everything that is not a number. */
  readonly from?: unknown;
  readonly fromOpen: boolean;
  readonly to?: unknown;
  readonly toClosed: boolean;
  readonly nulls: "include" | "exclude";
}

export interface ReadRequest {
  readonly table: SourceTable;
  /** At least one. */
  readonly columns: readonly SourceColumn[];
  readonly range?: CursorRange;
}

export interface ReadContext {
  readonly signal: AbortSignal;
  readonly warn: (message: string) => void;
}

/** A database as a source. Its errors are EngineErrors. */
export interface SqlDatabase {
  /** Shown in messages. */
  readonly displayName: string;
  /** All tables and views of the schema, also those that nobody asked for. */
  reflect(): Promise<readonly SourceTable[]>;
  /** What the resources of one run read from. */
  openRun(log: Log): Promise<SqlRun>;
}

export interface SqlRun {
  /** Whole lines of JSON Lines, about a megabyte at a time, or rows as columns. */
  read(request: ReadRequest, context: ReadContext): AsyncGenerator<Uint8Array | ColumnsPage>;
  /** Is there a row without a value in that column? */
  hasNull(table: SourceTable, column: SourceColumn): Promise<boolean>;
  close(): Promise<void>;
}
