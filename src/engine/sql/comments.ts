/**
 * Descriptions of the schema as comments of the database. A comment is written when the description is new or
 * was changed since the last load, or when there is none yet; one that somebody else wrote stays.
 */

import { completeColumns, isSystemTable } from "../schema/tables.ts";
import type { Schema, Table } from "../schema/types.ts";
import { type Dataset, type Dialect, qualified, qualifiedSchema } from "./dialect.ts";

/** The comments of the dataset that are there; see `commentKey`. */
export type LiveComments = ReadonlyMap<string, string>;

/** Names the dataset (no arguments), a table, or a column. */
export function commentKey(table = "", column = ""): string {
  return `${table}\u0000${column}`;
}

export interface CommentInput {
  readonly dialect: Dialect;
  readonly dataset: Dataset;
  readonly schema: Schema;
  /** The schema as of the last load. */
  readonly previous?: Schema | undefined;
  /** Tables that exist once the DDL is done. */
  readonly tables: readonly Table[];
  readonly live: LiveComments;
}

export interface CommentStatement {
  readonly table: string;
  readonly sql: string;
}

/** False: there is nothing to compare, and the database need not be asked for its comments. */
export function hasDescriptions(schema: Schema): boolean {
  if (schema.description) return true;
  return [...schema.tables.values()].some(
    (table) =>
      !isSystemTable(table.name) &&
      (table.description || [...table.columns.values()].some((column) => column.description)),
  );
}

export function planComments(input: CommentInput): CommentStatement[] {
  const { dialect, dataset, schema, previous } = input;
  const live = new Map([...input.live].map(([key, text]) => [dialect.fold(key), text]));
  const statements: CommentStatement[] = [];
  const comment = (
    what: string,
    table: string,
    key: string,
    wanted: string | undefined,
    before: string | undefined,
  ): void => {
    const there = live.get(dialect.fold(key));
    const text = wanted?.replaceAll("\0", "");
    if (!text || text === there) return;
    const theirs = there !== undefined && there !== before;
    if (theirs && text === before) return;
    statements.push({ table, sql: `comment on ${what} is ${dialect.textLiteral(text)}` });
  };
  if (dialect.commentsOnSchemas) {
    const what = `schema ${qualifiedSchema(dialect, dataset)}`;
    comment(what, "", commentKey(), schema.description, previous?.description);
  }
  for (const table of input.tables) {
    if (isSystemTable(table.name)) continue;
    const name = qualified(dialect, { ...dataset, table: table.name });
    const before = previous?.tables.get(table.name);
    comment(`table ${name}`, table.name, commentKey(table.name), table.description, before?.description);
    for (const column of completeColumns(table)) {
      comment(
        `column ${name}.${dialect.quote(column.name)}`,
        table.name,
        commentKey(table.name, column.name),
        column.description,
        before?.columns.get(column.name)?.description,
      );
    }
  }
  return statements;
}
