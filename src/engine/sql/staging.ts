/**
 * Rows on their way to a merge: temporary tables with the names of the tables that they stand for. All of them
 * are made first, so that rows can be loaded before it is known how many will come.
 */

import type { Table } from "../schema/types.ts";
import { type Dialect, qualified } from "./dialect.ts";
import type { LoadColumn, Step } from "./statement.ts";

export interface StagedTable {
  readonly table: Table;
  readonly columns: readonly LoadColumn[];
  /** Empty: nothing is loaded into it. */
  readonly files: readonly string[];
  /** Its rows are numbered as they arrive, where the database has no number of its own. */
  readonly numbered: boolean;
}

export function stagingSteps(dialect: Dialect, tables: readonly StagedTable[]): Step[] {
  const staged = (table: Table): string => qualified(dialect, { ...dialect.temporary, table: table.name });
  const filled = tables.filter(({ files }) => files.length > 0);
  return [
    ...tables.map(
      ({ table, columns, numbered }): Step => ({
        kind: "sql",
        table: table.name,
        sql: createStaging(dialect, staged(table), columns, numbered),
        staging: true,
      }),
    ),
    ...filled.map(({ table, columns, files }): Step => {
      const into = { ...dialect.temporary, table: table.name };
      return { kind: "load", table: table.name, into, columns, files };
    }),
    ...filled.flatMap(({ table }): Step[] => {
      const sql = dialect.analyze(staged(table));
      return sql === undefined ? [] : [{ kind: "sql", table: table.name, sql }];
    }),
  ];
}

export function createStaging(
  dialect: Dialect,
  name: string,
  columns: readonly LoadColumn[],
  numbered: boolean,
): string {
  const lines = columns.map((column) => `${dialect.quote(column.name)} ${column.sqlType}`);
  const { column, definition } = dialect.arrival;
  if (numbered && definition !== undefined) lines.push(`${dialect.quote(column)} ${definition}`);
  return `create temp table ${name} (${lines.join(", ")})${dialect.temporarySuffix}`;
}
