/**
 * The difference between the schema and the live catalogue as statements. What is missing is added. A column
 * whose declared type was changed since the last load is altered when the new type holds all that the old one
 * held, and refused otherwise. A table or column that somebody else made, and a column of a type that somebody
 * else gave it, are reported and left alone.
 */

import type { LiveCatalogue } from "../destinations/plan-facts.ts";
import {
  type CompleteColumn,
  completeColumns,
  completeColumnWith,
  isComplete,
  LOADS_TABLE,
  PARENT_KEY,
  ROOT_KEY,
  ROW_KEY,
  tableChain,
  VERSION_TABLE,
} from "../schema/tables.ts";
import { isWidening, typeChangeRefused } from "../schema/type-change.ts";
import type { Column, Schema, Table } from "../schema/types.ts";
import { type LiveComments, planComments } from "./comments.ts";
import { type Dataset, type Dialect, qualified, qualifiedSchema } from "./dialect.ts";
import { metadataTable } from "./metadata.ts";

export interface DdlStatement {
  readonly kind:
    | "create_schema"
    | "create_table"
    | "add_unique"
    | "add_column"
    | "widen_column"
    | "fill_root_key"
    | "comment"
    | "drop_table"
    | "delete_versions"
    | "empty_table";
  /** Empty where it is the dataset's. */
  readonly table: string;
  readonly sql: string;
}

/** A live column whose type is not the one that the schema says. */
export interface TypeMismatch {
  readonly table: string;
  readonly column: string;
  readonly live: string;
  readonly schema: string;
}

export interface DdlPlan {
  /** Those of `runsAfterRows` come last. */
  readonly statements: readonly DdlStatement[];
  /** `table` or `table.column` of the database that the schema does not know. */
  readonly foreign: readonly string[];
  readonly mismatched: readonly TypeMismatch[];
  /** Columns that get the schema's type in place of the live one. */
  readonly widened: readonly TypeMismatch[];
}

export interface DdlInput {
  readonly dialect: Dialect;
  readonly dataset: Dataset;
  readonly schema: Schema;
  /** Tables that receive rows; others that are missing are created only when they have had data before. */
  readonly tablesWithJobs: ReadonlySet<string>;
  readonly live: LiveCatalogue;
  /** Does the dataset itself exist? */
  readonly exists: boolean;
  /** The schema as of the last load: tells a changed hint from a column that somebody else altered. */
  readonly previous?: Schema | undefined;
  /** The comments that are there; without them none is planned. */
  readonly comments?: LiveComments | undefined;
}

/** Statements that are cheaper once the tables of a load are filled than before: an index is built at once. */
export function runsAfterRows({ kind }: DdlStatement): boolean {
  return kind === "add_unique";
}

export function planDdl(input: DdlInput): DdlPlan {
  const { dialect, dataset, live } = input;
  const liveByName = new Map([...live].map(([name, columns]) => [dialect.fold(name), columns]));
  const statements: DdlStatement[] = [];
  const mismatched: TypeMismatch[] = [];
  const widened: TypeMismatch[] = [];
  const unique: DdlStatement[] = [];
  if (!input.exists) {
    const sql = `create schema if not exists ${qualifiedSchema(dialect, dataset)}`;
    statements.push({ kind: "create_schema", table: "", sql });
  }
  const rootKeysAdded = new Set<string>();
  const tables = tablesToHave(input);
  for (const table of tables) {
    const liveColumns = liveByName.get(dialect.fold(table.name));
    if (liveColumns === undefined) {
      statements.push({ kind: "create_table", table: table.name, sql: createTable(dialect, dataset, table) });
      unique.push(...addUnique(dialect, dataset, table));
      continue;
    }
    const known = new Map([...liveColumns].map(([name, column]) => [dialect.fold(name), column]));
    const missing: CompleteColumn[] = [];
    for (const column of completeColumns(table)) {
      const found = known.get(dialect.fold(column.name));
      if (found === undefined) missing.push(column);
      else if (found.type !== dialect.sqlType(column)) {
        const differs = {
          table: table.name,
          column: column.name,
          live: found.type,
          schema: dialect.sqlType(column),
        };
        if (hintChanged(input, table, column, found.type)) widened.push(differs);
        else mismatched.push(differs);
      }
    }
    for (const sql of addColumns(dialect, dataset, table, missing)) {
      statements.push({ kind: "add_column", table: table.name, sql });
    }
    if (missing.some((column) => column[ROOT_KEY] === true)) rootKeysAdded.add(table.name);
  }
  for (const each of widened) {
    const name = qualified(dialect, { ...dataset, table: each.table });
    const column = dialect.quote(each.column);
    const sql = `alter table ${name} alter column ${column} type ${each.schema} using cast(${column} as ${each.schema})`;
    statements.push({ kind: "widen_column", table: each.table, sql });
  }
  statements.push(...fillRootKeys(input, rootKeysAdded));
  if (input.comments !== undefined) {
    const comments = planComments({ ...input, tables, live: input.comments });
    statements.push(...comments.map((each) => ({ kind: "comment" as const, ...each })));
  }
  statements.push(...unique);
  return { statements, foreign: foreignNames(input), mismatched, widened };
}

/** Is the live type the one that the schema had before this package? Then the change is the package's. */
function hintChanged(input: DdlInput, table: Table, column: CompleteColumn, live: string): boolean {
  const before = input.previous?.tables.get(table.name)?.columns.get(column.name);
  if (before === undefined || !isComplete(before) || input.dialect.sqlType(before) !== live) return false;
  if (!isWidening(before, column)) throw typeChangeRefused(table.name, before, column);
  return true;
}

/** The catalogue as it is once the columns are widened. */
export function catalogueAfter(dialect: Dialect, live: LiveCatalogue, ddl: DdlPlan): LiveCatalogue {
  if (ddl.widened.length === 0) return live;
  const key = (table: string, column: string): string =>
    `${dialect.fold(table)}\u0000${dialect.fold(column)}`;
  const types = new Map(ddl.widened.map(({ table, column, schema }) => [key(table, column), schema]));
  return new Map(
    [...live].map(([table, columns]) => [
      table,
      new Map(
        [...columns].map(([name, column]) => [
          name,
          { ...column, type: types.get(key(table, name)) ?? column.type },
        ]),
      ),
    ]),
  );
}

/** Data tables in the schema's order, then dlt's own: those that are there, get rows now or have had some. */
function tablesToHave(input: DdlInput): Table[] {
  const { dialect, schema, tablesWithJobs } = input;
  const there = new Set([...input.live.keys()].map((name) => dialect.fold(name)));
  const data: Table[] = [];
  const own = new Map<string, Table>([
    [LOADS_TABLE, metadataTable(schema, LOADS_TABLE)],
    [VERSION_TABLE, metadataTable(schema, VERSION_TABLE)],
  ]);
  for (const table of schema.tables.values()) {
    const hasData =
      there.has(dialect.fold(table.name)) ||
      tablesWithJobs.has(table.name) ||
      table["x-normalizer"]?.["seen-data"] === true;
    if (!hasData || completeColumns(table).length === 0) continue;
    if (isOwn(table.name)) own.set(table.name, table);
    else data.push(table);
  }
  const ownSorted = [...own.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  return [...data, ...ownSorted];
}

function isOwn(table: string): boolean {
  return table.startsWith("_dlt") || table.startsWith("_loadwright");
}

/** A data table's unique columns are not declared here: see `addUnique`. */
function createTable(dialect: Dialect, dataset: Dataset, table: Table): string {
  const own = isOwn(table.name);
  const lines = completeColumns(table).map(
    (column) =>
      "  " + declaration(dialect, own ? column : { ...column, unique: false }, column.nullable === false),
  );
  const create = own ? "create table if not exists" : "create table";
  return `${create} ${qualified(dialect, { ...dataset, table: table.name })} (\n${lines.join(",\n")}\n)`;
}

/**
 * The unique columns of a new data table, for when its rows are in: building an index once takes a fraction of
 * keeping it while rows come. The database names the constraints as it would have inline.
 * No step that fills a new table relies on them.
 */
function addUnique(dialect: Dialect, dataset: Dataset, table: Table): DdlStatement[] {
  const columns = completeColumns(table).filter(({ unique }) => unique === true);
  if (dialect.uniqueColumn === "" || columns.length === 0 || isOwn(table.name)) return [];
  const name = qualified(dialect, { ...dataset, table: table.name });
  const additions = columns.map((column) => `add unique (${dialect.quote(column.name)})`).join(", ");
  return [{ kind: "add_unique", table: table.name, sql: `alter table ${name} ${additions}` }];
}

function declaration(dialect: Dialect, column: Column, notNull: boolean): string {
  const unique = column.unique === true ? dialect.uniqueColumn : "";
  return `${dialect.quote(column.name)} ${dialect.sqlType(column)}${unique}${notNull ? " not null" : ""}`;
}

/** A root key is always added nullable: rows that are there already get theirs from `fillRootKeys`. */
function addColumns(
  dialect: Dialect,
  dataset: Dataset,
  table: Table,
  columns: readonly CompleteColumn[],
): string[] {
  if (columns.length === 0) return [];
  const name = qualified(dialect, { ...dataset, table: table.name });
  const additions = columns.map((column) => {
    const notNull = dialect.addsNotNull && column.nullable === false && column[ROOT_KEY] !== true;
    return `add column ${declaration(dialect, column, notNull)}`;
  });
  if (dialect.addsColumnsTogether) return [`alter table ${name} ${additions.join(", ")}`];
  return additions.map((addition) => `alter table ${name} ${addition}`);
}

/**
 * Nested tables that were appended to know only their parents; merging needs the root. Level 1 has its root
 * as parent, every deeper level takes the root of its parent, so parents come first.
 */
function fillRootKeys(input: DdlInput, added: ReadonlySet<string>): DdlStatement[] {
  const { dialect, dataset, schema } = input;
  const statements: DdlStatement[] = [];
  const roots = [...schema.tables.values()].filter((table) => table.parent === undefined);
  for (const table of roots.flatMap((root) => tableChain(schema, root.name).slice(1))) {
    if (!added.has(table.name)) continue;
    const parent = schema.tables.get(table.parent ?? "");
    const rootKey = completeColumnWith(table, ROOT_KEY);
    const parentKey = completeColumnWith(table, PARENT_KEY);
    if (parent === undefined || rootKey === undefined || parentKey === undefined) continue;
    const name = qualified(dialect, { ...dataset, table: table.name });
    const target = dialect.quote(rootKey);
    const parentId = dialect.quote(parentKey);
    let sql: string;
    if (parent.parent === undefined) {
      sql = `update ${name} set ${target} = ${parentId} where ${target} is null`;
    } else {
      const parentName = qualified(dialect, { ...dataset, table: parent.name });
      const parentRowKey = completeColumnWith(parent, ROW_KEY);
      const parentRoot = completeColumnWith(parent, ROOT_KEY);
      if (parentRowKey === undefined || parentRoot === undefined) continue;
      sql =
        `update ${name} as n set ${target} = p.${dialect.quote(parentRoot)} from ${parentName} as p ` +
        `where n.${parentId} = p.${dialect.quote(parentRowKey)} and n.${target} is null`;
    }
    statements.push({ kind: "fill_root_key", table: table.name, sql });
  }
  return statements;
}

function foreignNames(input: DdlInput): string[] {
  const { dialect, schema, live } = input;
  const tables = new Map([...schema.tables.values()].map((table) => [dialect.fold(table.name), table]));
  const foreign: string[] = [];
  for (const [name, columns] of live) {
    if (isOwn(name)) continue;
    const table = tables.get(dialect.fold(name));
    if (table === undefined) {
      foreign.push(name);
      continue;
    }
    const known = new Set([...table.columns.keys()].map((column) => dialect.fold(column)));
    for (const column of columns.keys()) {
      if (!known.has(dialect.fold(column))) foreign.push(`${name}.${column}`);
    }
  }
  return foreign;
}
