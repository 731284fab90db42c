/**
 * The row path: one document at a time, with every decision of the schema (new tables and columns, type
 * inference, coercion, variant columns) made here and only here. The scanner takes the rows whose shape and
 * types are known; whatever it cannot prove it hands to this path.
 */

import { EngineError } from "../errors.ts";
import { decodeTyped, type JsonDoc } from "../interop/json.ts";
import type { SchemaChange } from "../package/types.ts";
import { type CoercedValue, coerce } from "../schema/coerce.ts";
import { newTable, updateTable } from "../schema/merge.ts";
import { DOCUMENT, hasSeenData, isComplete, isNullable, isSystemTable } from "../schema/tables.ts";
import type { Column, DataType, Table } from "../schema/types.ts";
import { detectIsoTimestamp, inferType } from "../schema/values.ts";
import { type FlatRow, Flattener } from "./flatten.ts";
import type { NormalizeTables, Slot, TableState } from "./table-state.ts";

type Guesses = Readonly<Record<string, DataType>>;

interface Cell {
  readonly name: string;
  readonly value: CoercedValue;
}

export class RowPath {
  readonly flattener: Flattener;
  readonly changes: SchemaChange[] = [];
  /** Columns that had only nulls: table -> names. They get no column until a value arrives. */
  readonly nullOnly = new Map<string, Set<string>>();
  private readonly tables: NormalizeTables;
  private readonly noted = new Set<string>();
  private guesses: ReadonlyMap<string, DataType> = new Map();
  private root = "";
  /** Documents so far, over all tables of the package. */
  private document = 0;
  private numbersDocuments = false;

  constructor(tables: NormalizeTables) {
    this.tables = tables;
    this.flattener = new Flattener(tables.schema, tables.naming, tables.loadId);
  }

  /** Types for columns of the root table that no value has given a type yet. */
  setGuesses(guesses: Guesses | undefined): void {
    this.guesses = new Map(
      Object.entries(guesses ?? {}).map(([key, type]) => [this.flattener.keyName(key), type]),
    );
  }

  /** Adds a document's rows to the buffers of its tables. */
  add(rootTable: string, doc: JsonDoc): void {
    this.root = rootTable;
    this.document++;
    this.numbersDocuments = this.flattener.rowIdKind(rootTable) === "key_hash";
    this.flattener.document(rootTable, doc, (table, parent, row) => {
      this.write(table, parent, row);
      return true;
    });
  }

  private write(tableName: string, parent: string | undefined, row: FlatRow): void {
    const schema = this.tables.schema;
    const known = schema.tables.get(tableName);
    const table = known ?? newTable(tableName, { parent });
    const cells: Cell[] = [];
    const added: Column[] = [];
    for (const [name, raw] of row) {
      if (raw === null) {
        this.nullValue(table, name);
        continue;
      }
      const value = decodeMarked(raw);
      const { cell, column } = this.place(table, name, value, tableName === this.root);
      cells.push(cell);
      if (column) added.push(column);
    }
    if (added.length > 0 || !known) this.extend(table, added, known === undefined);
    const current = schema.tables.get(tableName)!;
    const state = this.tables.state(tableName);
    const at = state.buffer.beginRow();
    state.rowsTotal++;
    for (const { name, value } of cells) putCell(state, state.slot(current, name)!, at, value);
    if (this.numbersDocuments) {
      const { buffer } = state;
      const numbers = buffer.byName.get(DOCUMENT) ?? buffer.addColumn(DOCUMENT, "int64");
      numbers.setInt(at, this.document);
    }
  }

  private nullValue(table: Table, name: string): void {
    const column = table.columns.get(name);
    if (column && isComplete(column)) {
      if (!isNullable(column)) throw nullInRequired(table.name, name);
      return;
    }
    if (!column && isRequiredName(this.tables, name)) throw nullInRequired(table.name, name);
    const names = this.nullOnly.get(table.name) ?? new Set();
    names.add(name);
    this.nullOnly.set(table.name, names);
  }

  /** Where a value goes: its column, or a variant of it; with the column that has to be added for that. */
  private place(
    table: Table,
    name: string,
    value: JsonDoc,
    inRoot: boolean,
  ): { cell: Cell; column?: Column } {
    const existing = table.columns.get(name);
    const from = inferType(value);
    if (existing && isComplete(existing)) {
      const coerced = coerce(existing.data_type!, from, value);
      if (coerced !== undefined) return { cell: { name, value: coerced } };
      return this.placeVariant(table, name, from, value);
    }
    const guess = inRoot ? this.guesses.get(name) : undefined;
    const preferred = guess ?? preferredType(this.tables, name);
    const type = preferred ?? (from === "text" && detectIsoTimestamp(String(value)) ? "timestamp" : from);
    const coerced = coerce(type, from, value);
    // a guess is made over a whole file, but the column may have been declared meanwhile
    if (coerced === undefined) return this.placeVariant(table, name, from, value);
    const inferred = inferColumn(this.tables, name, type);
    // what an incomplete column declares wins over what is inferred
    const column = existing ? Object.assign(inferred, existing) : inferred;
    return { cell: { name, value: coerced }, column };
  }

  private placeVariant(
    table: Table,
    base: string,
    from: DataType,
    value: JsonDoc,
  ): { cell: Cell; column?: Column } {
    const name = this.tables.naming.join([base, `v_${from}`]);
    const existing = table.columns.get(name);
    if (existing && isComplete(existing)) {
      const coerced = coerce(existing.data_type!, from, value);
      if (coerced === undefined) {
        throw new EngineError(
          "CONTRACT_VIOLATION",
          `A ${from} value fits neither column ${base} of table ${table.name} nor its variant ${name}.`,
          { details: { table: table.name, column: base, variant: name, type: from } },
        );
      }
      return { cell: { name, value: coerced } };
    }
    const type = from === "text" && detectIsoTimestamp(String(value)) ? "timestamp" : from;
    const column = inferColumn(this.tables, name, type);
    column.variant = true;
    column.description = `Variant of column ${name} generated by dlt`;
    const coerced = coerce(type, from, value)!;
    return { cell: { name, value: coerced }, column: existing ? Object.assign(column, existing) : column };
  }

  private extend(table: Table, columns: readonly Column[], isNew: boolean): void {
    const partial: Table = isNew ? table : { ...table, columns: new Map() };
    for (const column of columns) partial.columns.set(column.name, column);
    updateTable(this.tables.schema, partial);
    this.note(table, columns);
  }

  /** Records what a reader of the schema would call a change: not dlt's own tables and columns. */
  private note(table: Table, columns: readonly Column[]): void {
    if (isSystemTable(table.name)) return;
    // a declared table is in the schema before its first row
    if (!hasSeenData(table) && !this.noted.has(table.name)) {
      this.noted.add(table.name);
      this.changes.push({
        kind: "table_added",
        table: table.name,
        ...(table.parent ? { parent: table.parent } : {}),
      });
    }
    for (const column of columns) {
      if (column.name.startsWith("_dlt_")) continue;
      this.changes.push({
        kind: "column_added",
        table: table.name,
        column: column.name,
        data_type: column.data_type!,
        nullable: isNullable(column),
        ...(column.variant ? { variant: true } : {}),
      });
    }
  }
}

function decodeMarked(value: JsonDoc): JsonDoc {
  return typeof value === "string" ? (decodeTyped(value) as JsonDoc) : value;
}

const encoder = new TextEncoder();

/** Writes a coerced value into its cell. */
export function putCell(state: TableState, slot: Slot, row: number, value: CoercedValue): void {
  const { cells } = slot;
  switch (cells.kind) {
    case "bool":
      cells.setBool(row, value as boolean);
      return;
    case "float64":
      cells.setFloat(row, value as number);
      return;
    case "date":
      cells.setDays(row, value as number);
      return;
    case "int64":
    case "timestamp":
    case "time":
      if (typeof value === "bigint") cells.setBigInt(row, value);
      else cells.setInt(row, value as number);
      return;
    case "bytes":
      state.buffer.setBytes(cells, row, value as Uint8Array, 0, (value as Uint8Array).length);
      return;
    case "text": {
      const bytes = encoder.encode(value as string);
      state.buffer.setBytes(cells, row, bytes, 0, bytes.length);
    }
  }
}

interface Settings {
  readonly default_hints?: Readonly<Record<string, readonly string[]>>;
  readonly preferred_types?: Readonly<Record<string, DataType>>;
}

/** dlt's simple regexes: an exact name, or a regular expression after `re:`. */
function matches(pattern: string, name: string): boolean {
  return pattern.startsWith("re:") ? new RegExp(pattern.slice(3)).test(name) : pattern === name;
}

function hinted(tables: NormalizeTables, hint: string, name: string): boolean {
  const hints = (tables.schema.settings as Settings).default_hints ?? {};
  return (hints[hint] ?? []).some((pattern) => matches(pattern, name));
}

function isRequiredName(tables: NormalizeTables, name: string): boolean {
  return hinted(tables, "not_null", name);
}

function preferredType(tables: NormalizeTables, name: string): DataType | undefined {
  const preferred = (tables.schema.settings as Settings).preferred_types;
  if (!preferred) return undefined;
  for (const [pattern, type] of Object.entries(preferred)) if (matches(pattern, name)) return type;
  return undefined;
}

function inferColumn(tables: NormalizeTables, name: string, type: DataType): Column {
  const column: Column = { name, data_type: type, nullable: !isRequiredName(tables, name) };
  for (const hint of Object.keys((tables.schema.settings as Settings).default_hints ?? {})) {
    if (hint !== "not_null" && hinted(tables, hint, name)) column[hint] = true;
  }
  return column;
}

function nullInRequired(table: string, column: string): EngineError {
  return new EngineError(
    "NULL_IN_REQUIRED",
    `A row of table ${table} has null in column ${column}, which must have a value.`,
    {
      details: { table, column },
    },
  );
}
