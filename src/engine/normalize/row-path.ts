/**
 * The row path: one document at a time, with every decision of the schema (new tables and columns, type
 * inference, coercion, variant columns) made here and only here. The scanner takes the rows whose shape and
 * types are known; whatever it cannot prove it hands to this path.
 */

import { EngineError } from "../errors.ts";
import { decodeTyped, type JsonDoc } from "../interop/json.ts";
import type { SchemaChange } from "../package/types.ts";
import { type CoercedValue, coerce } from "../schema/coerce.ts";
import {
  allEvolve,
  columnRule,
  contractOf,
  contractViolation,
  expandContract,
  type FullContract,
  isNewTable,
} from "../schema/contract.ts";
import { newTable, updateTable } from "../schema/merge.ts";
import { DOCUMENT, hasSeenData, isComplete, isNullable, isSystemTable, ROW_ID } from "../schema/tables.ts";
import type { Column, ContractMode, DataType, Table } from "../schema/types.ts";
import { detectIsoTimestamp, inferType } from "../schema/values.ts";
import { type FlatRow, Flattener } from "./flatten.ts";
import { losesZeros } from "./leading-zeros.ts";
import { putCell } from "./put-cell.ts";
import { RejectedRows } from "./rejected.ts";
import type { NormalizeTables } from "./table-state.ts";

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
  private readonly rejected: RejectedRows;
  private readonly noted = new Set<string>();
  /** Contracts by table; undefined: everything evolves. */
  private readonly contracts = new Map<string, FullContract | undefined>();
  private guesses: ReadonlyMap<string, DataType> = new Map();
  private root = "";
  /** Documents so far, over all tables of the package. */
  private document = 0;
  private numbersDocuments = false;

  /** `refused`: tables that their contract kept out of the schema when they were declared. */
  constructor(
    tables: NormalizeTables,
    rejected = new RejectedRows(tables.loadId, false),
    refused: Readonly<Record<string, ContractMode>> = {},
  ) {
    this.tables = tables;
    this.rejected = rejected;
    for (const [name, mode] of Object.entries(refused)) {
      this.contracts.set(name, { ...expandContract(undefined), tables: mode });
    }
    this.flattener = new Flattener(tables.schema, tables.naming, tables.loadId);
  }

  /** Types for columns of the root table that no value has given a type yet. */
  setGuesses(guesses: Guesses | undefined): void {
    this.guesses = new Map(
      Object.entries(guesses ?? {}).map(([key, type]) => [this.flattener.keyName(key), type]),
    );
  }

  /** By the column's name. */
  guessOf(name: string): DataType | undefined {
    return this.guesses.get(name);
  }

  /** Adds a document's rows to the buffers of its tables. */
  add(rootTable: string, doc: JsonDoc): void {
    this.root = rootTable;
    this.document++;
    this.numbersDocuments = this.flattener.rowIdKind(rootTable) === "key_hash";
    this.flattener.document(rootTable, doc, (table, parent, row, item) =>
      this.write(table, parent, row, item),
    );
  }

  /** Makes a table that no row has come for, with the columns that every row of it has. */
  declareEmpty(rootTable: string): void {
    const empty: JsonDoc = new Map();
    this.root = rootTable;
    this.flattener.document(rootTable, empty, (name, _parent, row) => {
      const table = this.tables.schema.tables.get(name)!;
      const added: Column[] = [];
      for (const [column, value] of row) {
        const placed = value === null ? undefined : this.place(table, column, value, true).column;
        if (placed) added.push(placed);
      }
      this.extend(table, added, false);
      return false;
    });
  }

  /** Adds the columns that had only nulls, as text, where the contract lets them in. */
  keepNullColumns(): void {
    for (const [name, columns] of this.nullOnly) {
      const table = this.tables.schema.tables.get(name);
      if (!table) continue;
      const contract = this.contractOf(table, undefined);
      for (const columnName of columns) {
        const existing = table.columns.get(columnName);
        if (existing && isComplete(existing)) continue;
        const inferred = inferColumn(this.tables, columnName, "text");
        const column = existing ? Object.assign(inferred, existing) : inferred;
        if (contract && columnRule(this.tables.schema, table, column, contract)) continue;
        this.extend(table, [column], false);
      }
    }
  }

  /** False: the row was discarded, and nothing below it is looked at. */
  private write(tableName: string, parent: string | undefined, row: FlatRow, item: JsonDoc): boolean {
    const schema = this.tables.schema;
    const known = schema.tables.get(tableName);
    const table = known ?? newTable(tableName, { parent });
    const contract = this.contractOf(table, parent);
    if (contract && contract.tables !== "evolve" && isNewTable(schema, tableName)) {
      if (contract.tables === "freeze") throw contractViolation("tables", tableName);
      this.rejected.row(tableName, null, "tables", item);
      return false;
    }
    const cells: Cell[] = [];
    const added: Column[] = [];
    let dropped: [name: string, entity: "columns" | "data_type", value: JsonDoc][] | undefined;
    let twice = false;
    for (const [name, raw] of row) {
      if (raw === null) {
        this.nullValue(table, name);
        continue;
      }
      const value = decodeMarked(raw);
      const { cell, column } = this.place(table, name, value, tableName === this.root);
      const rule = column && contract && columnRule(schema, table, column, contract);
      if (rule) {
        const entity = rule.entity as "columns" | "data_type";
        if (rule.mode === "freeze") {
          throw contractViolation(entity, tableName, { name, value_type: inferType(value) });
        }
        if (rule.mode === "discard_row") {
          this.rejected.row(tableName, name, entity, item);
          return false;
        }
        dropped ??= [];
        dropped.push([name, entity, raw]);
        continue;
      }
      if (cell.name !== name && row.has(cell.name)) twice = true;
      cells.push(cell);
      if (column) added.push(column);
    }
    if (added.length > 0 || !known) this.extend(table, added, known === undefined);
    for (const [name, entity, value] of dropped ?? []) {
      this.rejected.value(tableName, name, entity, row.get(ROW_ID) ?? null, value);
    }
    const current = schema.tables.get(tableName)!;
    const state = this.tables.state(tableName);
    const at = state.buffer.beginRow();
    state.rowsTotal++;
    for (const { name, value } of twice ? lastOfEach(cells) : cells)
      putCell(state.slot(current, name)!, at, value);
    if (this.numbersDocuments) {
      const { buffer } = state;
      const numbers = buffer.byName.get(DOCUMENT) ?? buffer.addColumn(DOCUMENT, "int64");
      numbers.setInt(at, this.document);
    }
    return true;
  }

  private contractOf(table: Table, parent: string | undefined): FullContract | undefined {
    const { name } = table;
    if (this.contracts.has(name)) return this.contracts.get(name);
    const { schema } = this.tables;
    const contract = contractOf(schema, schema.tables.has(name) ? name : (parent ?? name));
    const guarded = allEvolve(contract) ? undefined : contract;
    this.contracts.set(name, guarded);
    return guarded;
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
    const guess = inRoot ? this.guesses.get(name) : undefined;
    if (existing && isComplete(existing)) {
      const coerced = coerce(existing.data_type!, from, value);
      const kept = guess !== "text" || !losesZeros(existing.data_type!, value);
      if (coerced !== undefined && kept) return { cell: { name, value: coerced } };
      return this.placeVariant(table, name, from, value);
    }
    const preferred = guess ?? preferredType(this.tables, name);
    const type = preferred ?? detected(this.tables, from, value);
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
    const type = detected(this.tables, from, value);
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

/** A key may be named as the variant that another's value went to; a cell is written once. */
function lastOfEach(cells: readonly Cell[]): Iterable<Cell> {
  return new Map(cells.map((cell) => [cell.name, cell])).values();
}

function decodeMarked(value: JsonDoc): JsonDoc {
  return typeof value === "string" ? (decodeTyped(value) as JsonDoc) : value;
}

interface Settings {
  readonly default_hints?: Readonly<Record<string, readonly string[]>>;
  readonly preferred_types?: Readonly<Record<string, DataType>>;
  readonly detections?: readonly string[];
}

/** Of dlt's detections only the one that is on in every new schema. */
function detected({ schema }: NormalizeTables, from: DataType, value: JsonDoc): DataType {
  const { detections = [] } = schema.settings as Settings;
  const looked = from === "text" && detections.includes("iso_timestamp");
  return looked && detectIsoTimestamp(String(value)) ? "timestamp" : from;
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
