/** The pieces of a plan: each can be printed, and running them in order is all that loading does. */

import { counted } from "../counted.ts";
import type { LiveCatalogue } from "../destinations/plan-facts.ts";
import type { Kind } from "../normalize/column-buffer.ts";
import { kindOf } from "../normalize/column-buffer.ts";
import { completeColumns } from "../schema/tables.ts";
import type { Table } from "../schema/types.ts";
import { type Dialect, qualified, type TableName } from "./dialect.ts";

export interface Statement {
  readonly sql: string;
  /** Values for $1, $2, … */
  readonly parameters?: readonly (string | number | null)[];
}

/** A column to fill from job files. */
export interface LoadColumn {
  readonly name: string;
  readonly kind: Kind;
  /** The type the column has in the table that is filled; cells of another type are cast to it. */
  readonly sqlType: string;
}

export type Count = "inserted" | "deleted" | "deduplicated";

export type Step =
  /** One statement; the rows it touches are reported for `table` under `counts`. */
  | {
      readonly kind: "sql";
      readonly table: string;
      readonly sql: string;
      readonly counts?: Count;
      /** Makes a temporary table and nothing else: can be done before the rows are known. */
      readonly staging?: true;
    }
  /** Bulk load of job files. */
  | {
      readonly kind: "load";
      readonly table: string;
      readonly into: TableName;
      readonly columns: readonly LoadColumn[];
      readonly files: readonly string[];
      /** Whether the rows are in their final place with this step. */
      readonly counts?: "inserted";
      /** Two more columns of the table, for the place of each row (`Dialect.filePlace`). */
      readonly placed?: readonly [file: string, row: string];
      /** Only rows of which this holds. */
      readonly where?: string;
    };

/** The columns of a table as they are, or will be after the DDL: a live type wins over the schema's. */
export function loadColumns(dialect: Dialect, table: Table, live: LiveCatalogue): LoadColumn[] {
  const liveTypes = new Map<string, string>();
  for (const [name, columns] of live) {
    if (dialect.fold(name) !== dialect.fold(table.name)) continue;
    for (const [column, { type }] of columns) liveTypes.set(dialect.fold(column), type);
  }
  return completeColumns(table).map((column) => {
    const kind = kindOf(column.data_type);
    const sqlType = liveTypes.get(dialect.fold(column.name)) ?? dialect.sqlType(column);
    return { name: column.name, kind, sqlType };
  });
}

/** A step as one line of text, for people who want to see what a load will do. */
export function describeStep(dialect: Dialect, step: Step): string {
  if (step.kind === "sql") return step.sql;
  const files = counted(step.files.length, "file");
  const columns = [...step.columns.map(({ name }) => name), ...(step.placed ?? [])].join(", ");
  const where = step.where === undefined ? "" : ` where ${step.where}`;
  return `-- load ${files} into ${qualified(dialect, step.into)} (${columns})${where}`;
}
