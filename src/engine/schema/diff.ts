/** What is different between two schemas, as typed changes. Columns without a type do not exist yet and are left out. */

import { completeColumns, isNullable, isSystemTable } from "./tables.ts";
import { describeType, isWidening } from "./type-change.ts";
import type { Column, Schema, Table } from "./types.ts";

export const CHANGE_KINDS = [
  "table_added",
  "table_removed",
  "column_added",
  "variant_added",
  "column_removed",
  "type_widened",
  "type_changed",
  "nullability_changed",
  "key_changed",
  "hint_changed",
  "description_changed",
] as const;
export type ChangeKind = (typeof CHANGE_KINDS)[number];

export interface Change {
  readonly kind: ChangeKind;
  readonly table: string;
  readonly column?: string;
  /** Of a changed hint. */
  readonly hint?: string;
  readonly before?: unknown;
  readonly after?: unknown;
  /** Can a query or a writer that worked before fail now? */
  readonly breaking: boolean;
}

const KEYS = new Set(["primary_key", "merge_key", "unique", "row_key", "parent_key", "root_key"]);
const TYPE_PARTS = new Set(["data_type", "precision", "scale", "timezone"]);
/** Said by other kinds, or notes of processing. */
const NOT_HINTS = new Set(["name", "nullable", "description", "variant", "columns", "parent", ...TYPE_PARTS]);

export interface DiffOptions {
  /** Also dlt's own tables, and the `_dlt` columns of new tables. */
  readonly system?: boolean;
  /** True: the columns of new and removed tables are listed too. */
  readonly columnsOfTables?: boolean;
}

/** Tables and columns in the order of the later schema, then what went. */
export function diffSchemas(
  before: Schema | undefined,
  after: Schema | undefined,
  options: DiffOptions = {},
): Change[] {
  const earlier = tablesOf(before, options);
  const later = tablesOf(after, options);
  const changes: Change[] = [];
  for (const [name, table] of later) {
    const known = earlier.get(name);
    if (known === undefined) {
      changes.push({ kind: "table_added", table: name, after: columnTypes(table), breaking: false });
      if (options.columnsOfTables)
        changes.push(...completeColumns(table).map((column) => added(name, column)));
    } else {
      changes.push(...diffTable(known, table));
    }
  }
  for (const [name, table] of earlier) {
    if (later.has(name)) continue;
    changes.push({ kind: "table_removed", table: name, before: columnTypes(table), breaking: true });
  }
  return changes;
}

function tablesOf(schema: Schema | undefined, { system }: DiffOptions): Map<string, Table> {
  return new Map(
    [...(schema?.tables ?? [])].filter(
      ([name, table]) => (system || !isSystemTable(name)) && completeColumns(table).length > 0,
    ),
  );
}

function columnTypes(table: Table): Record<string, string> {
  return Object.fromEntries(completeColumns(table).map((column) => [column.name, describeType(column)]));
}

function added(table: string, column: Column): Change {
  const kind = column.variant ? "variant_added" : "column_added";
  return { kind, table, column: column.name, after: describeType(column), breaking: false };
}

function diffTable(before: Table, after: Table): Change[] {
  const changes = diffHints(after.name, undefined, before, after);
  const known = new Map(completeColumns(before).map((column) => [column.name, column]));
  const later = completeColumns(after);
  for (const column of later) {
    const earlier = known.get(column.name);
    changes.push(...(earlier ? diffColumn(after.name, earlier, column) : [added(after.name, column)]));
  }
  const names = new Set(later.map(({ name }) => name));
  for (const column of known.values()) {
    if (names.has(column.name)) continue;
    const type = describeType(column);
    changes.push({
      kind: "column_removed",
      table: after.name,
      column: column.name,
      before: type,
      breaking: true,
    });
  }
  return changes;
}

function diffColumn(table: string, before: Column, after: Column): Change[] {
  const changes: Change[] = [];
  const at = { table, column: after.name };
  const [from, to] = [describeType(before), describeType(after)];
  if (from !== to) {
    const widened = isWidening(before, after);
    const kind = widened ? "type_widened" : "type_changed";
    changes.push({ ...at, kind, before: from, after: to, breaking: !widened });
  }
  if (isNullable(before) !== isNullable(after)) {
    const [was, is] = [isNullable(before), isNullable(after)].map((nullable) =>
      nullable ? "null" : "not null",
    );
    changes.push({ ...at, kind: "nullability_changed", before: was, after: is, breaking: is === "not null" });
  }
  return [...changes, ...diffHints(table, after.name, before, after)];
}

function diffHints(table: string, column: string | undefined, before: Hinted, after: Hinted): Change[] {
  const changes: Change[] = [];
  const at = { table, ...(column === undefined ? {} : { column }) };
  if ((before.description ?? "") !== (after.description ?? "")) {
    const described = { before: before.description ?? null, after: after.description ?? null };
    changes.push({ ...at, kind: "description_changed", ...described, breaking: false });
  }
  for (const hint of new Set([...Object.keys(before), ...Object.keys(after)])) {
    if (NOT_HINTS.has(hint) || hint.startsWith("x-normalizer") || hint.startsWith("x-loader")) continue;
    const [was, is] = [before[hint] ?? null, after[hint] ?? null];
    // false and absent are the same to dlt
    if (JSON.stringify(was || null) === JSON.stringify(is || null)) continue;
    const key = KEYS.has(hint);
    const kind = key ? "key_changed" : "hint_changed";
    changes.push({ ...at, kind, hint, before: was, after: is, breaking: key });
  }
  return changes;
}

type Hinted = { readonly description?: string; readonly [hint: string]: unknown };
