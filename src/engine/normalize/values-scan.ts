/**
 * The fast path from columns of undeclared values to columns. What the rows of a source, or of a CSV file, hold that were
 * extracted as columns (see ../extract/row-columns.ts and TextsPage) is what their lines would: texts, numbers (integers where they are safe
 * integers, as in JSON), booleans and datetimes. Like the scanner it decides nothing. As many rows as need no decision are
 * appended at a time; the row behind them goes to the row path as the document that it is, and then it goes on.
 */

import { decodeTyped, isoOfDate, type JsonDoc, TypedValue } from "../interop/json.ts";
import { type Block, type BlockColumn, isValidAt } from "../package/block-format.ts";
import { coerce } from "../schema/coerce.ts";
import { isComplete, isNullable, LOAD_ID, ROW_ID } from "../schema/tables.ts";
import type { Table } from "../schema/types.ts";
import { inferType } from "../schema/values.ts";
import { losesZeros } from "./leading-zeros.ts";
import { putCell } from "./put-cell.ts";
import { putText, slicedBuffer } from "./put-text.ts";
import type { RowPath } from "./row-path.ts";
import type { Scanner } from "./scanner.ts";
import type { NormalizeTables, Slot, TableState } from "./table-state.ts";
import { always, isUnmarked, textEnd, textsEnd } from "./text-cells.ts";

/** After a row that needed the row path as many rows are tried as lay between it and the one before, but not fewer. */
const SPAN_MIN = 8;
/** So many such rows one behind the other: nothing is gained by trying the rest of the block. */
const ROWS_IN_VAIN_MAX = 16;

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** A key with its cells in the block at hand. */
class Values {
  readonly key: string;
  /** The column's name. */
  readonly name: string;
  /** Undefined: null in every row. */
  readonly cells: BlockColumn | undefined;
  readonly f64: Float64Array | undefined;
  /** Where the text of the next row stands. */
  textAt = 0;
  /** Where that of a later row stands, once the texts before it have been gone through. */
  private later = { row: -1, at: 0 };

  constructor(key: string, name: string, cells: BlockColumn | undefined) {
    this.key = key;
    this.name = name;
    this.cells = cells;
    if (cells?.kind !== "float64") return;
    const { buffer, byteOffset, byteLength } = cells.data;
    this.f64 = new Float64Array(buffer, byteOffset, byteLength >> 3);
  }

  isValid(row: number): boolean {
    return this.cells !== undefined && isValidAt(this.cells.valid, row);
  }

  textEnd(block: Block, from: number, to: number): number {
    if (this.later.row === to) return this.later.at;
    return textsEnd(block, this.cells!, from, to, this.textAt, always);
  }

  /** The text of this row stands here. */
  note(row: number, at: number): void {
    this.later.row = row;
    this.later.at = at;
  }

  /** Of the next row; as the line's parser would tell it. */
  value(block: Block, row: number): JsonDoc {
    if (!this.isValid(row)) return null;
    const { kind, data } = this.cells!;
    if (kind === "bool") return data[row] !== 0;
    if (kind === "float64") return this.f64![row]!;
    if (kind === "timestamp") return dateText(data, row);
    return decoder.decode(data.subarray(this.textAt + 4, this.textEnd(block, row, row + 1)));
  }
}

/** Where values go: the column of their key, and the variants of it that have been filled before. */
interface Target {
  readonly values: Values;
  readonly cells: BlockColumn;
  readonly slot: Slot;
  /** The file calls the column text: a number column does not take what has zeros in front. */
  readonly keepsZeros: boolean;
}

export interface RowKeys {
  readonly keys: readonly string[];
  /** A row lacks the keys that it has no value for; else they are null in it. */
  readonly sparse: boolean;
}

/** Takes the blocks of one root table whose rows have these keys. */
export class ValuesScan {
  private readonly tables: NormalizeTables;
  private readonly rowPath: RowPath;
  private readonly scanner: Scanner;
  private readonly rootTable: string;
  private readonly loadId: Buffer;
  private readonly keys: readonly { readonly key: string; readonly name: string }[];
  private readonly sparse: boolean;
  /** Two keys of one column, or one of the engine's own: a matter of the row path. */
  private readonly hasOddKeys: boolean;
  private readonly names: ReadonlySet<string>;
  private readonly marks: number[] = [];

  /** `scanner`: of the same table. */
  constructor(
    tables: NormalizeTables,
    rowPath: RowPath,
    scanner: Scanner,
    rootTable: string,
    { keys, sparse }: RowKeys,
  ) {
    this.tables = tables;
    this.rowPath = rowPath;
    this.scanner = scanner;
    this.rootTable = rootTable;
    this.loadId = Buffer.from(tables.loadId);
    this.sparse = sparse;
    this.keys = keys.map((key) => ({ key, name: rowPath.flattener.keyName(key) }));
    this.names = new Set(this.keys.map(({ name }) => name));
    this.hasOddKeys = this.names.size < keys.length || this.keys.some(({ name }) => name.startsWith("_dlt"));
  }

  /** Adds the block's rows. `onError` gets the row of the block that is at fault, and throws. */
  scan(block: Block, onError: (row: number, error: unknown) => never): void {
    const byName = new Map(block.columns.map((column) => [column.name, column]));
    const values = this.keys.map(({ key, name }) => new Values(key, name, byName.get(key)));
    let from = 0;
    let span = block.rows;
    let inVain = 0;
    while (from < block.rows) {
      const to = Math.min(from + span, block.rows);
      const reached = inVain < ROWS_IN_VAIN_MAX ? this.append(block, values, from, to) : from;
      skip(block, values, from, reached);
      if (reached === to) {
        span *= 2;
      } else {
        inVain = reached === from ? inVain + 1 : 0;
        span = Math.max(SPAN_MIN, 2 * (reached - from));
        try {
          this.scanner.addDocument(this.document(block, values, reached));
        } catch (error) {
          onError(reached, error);
        }
        skip(block, values, reached, reached + 1);
      }
      from = reached < to ? reached + 1 : to;
    }
  }

  private document(block: Block, values: readonly Values[], row: number): JsonDoc {
    const there = this.sparse ? values.filter((each) => each.isValid(row)) : values;
    return new Map(there.map((each) => [each.key, each.value(block, row)]));
  }

  /** Appends the rows up to the first that needs the row path, and returns its number; `to`: none does. */
  private append(block: Block, values: readonly Values[], from: number, to: number): number {
    const table = this.tables.schema.tables.get(this.rootTable);
    if (table === undefined || this.hasOddKeys || !this.scanner.takesRows) return from;
    const state = this.tables.state(this.rootTable);
    const targets: Target[] = [];
    for (const each of values) {
      const slot = each.cells && state.slot(table, each.name);
      const keepsZeros = this.rowPath.guessOf(each.name) === "text";
      if (each.cells && slot) targets.push({ values: each, cells: each.cells, slot, keepsZeros });
      to = this.nullsEnd(table, each, slot, from, to);
      if (to === from) return from;
    }
    const { buffer } = state;
    while (to > from) {
      buffer.mark(this.marks, 0);
      const first = buffer.beginRows(to - from);
      let end = to;
      for (const target of targets) {
        if (end > from) end = this.put(state, target, first, block, from, end);
      }
      if (end === to) {
        state.slot(table, ROW_ID)!.cells.fillRowIds(first, to - from);
        state.slot(table, LOAD_ID)!.cells.fillText(first, to - from, this.loadId);
        state.rowsTotal += to - from;
        this.scanner.counts.rows += to - from;
        return to;
      }
      buffer.takeBack(this.marks, 0);
      to = end;
    }
    return from;
  }

  /** The first row that is null where it must not be, or has the first value of a column; else `to`. */
  private nullsEnd(table: Table, values: Values, slot: Slot | undefined, from: number, to: number): number {
    const takesNulls = this.sparse || this.takesNulls(table, values.name);
    const { cells } = values;
    if (cells === undefined) return takesNulls ? to : from;
    if (slot !== undefined && (takesNulls || cells.valid === null)) return to;
    for (let row = from; row < to; row++) {
      const isNull = !isValidAt(cells.valid, row);
      if (isNull ? !takesNulls : slot === undefined) return row;
    }
    return to;
  }

  private takesNulls(table: Table, name: string): boolean {
    const column = table.columns.get(name);
    if (column !== undefined && isComplete(column)) return isNullable(column);
    // the row path notes the first null for its report
    return this.rowPath.nullOnly.get(this.rootTable)?.has(name) === true;
  }

  /** Fills rows from `first` on with the values from `from` on; returns the first that could not be put, or `to`. */
  private put(
    state: TableState,
    target: Target,
    first: number,
    block: Block,
    from: number,
    to: number,
  ): number {
    const { cells, slot, values } = target;
    if (cells.kind === "text") return this.putTexts(state, target, first, block, from, to);
    const count = to - from;
    if (cells.kind === "bool" && slot.type === "bool") {
      slot.cells.bytes.set(cells.data.subarray(from, to), first);
      slot.cells.setValid(first, cells.valid, from, count);
      return to;
    }
    if (
      (cells.kind === "float64" && slot.type === "double") ||
      (cells.kind === "timestamp" && slot.type === "timestamp")
    ) {
      slot.cells.bytes.set(cells.data.subarray(from * 8, to * 8), first * 8);
      slot.cells.setValid(first, cells.valid, from, count);
      return to;
    }
    if (cells.kind === "float64" && slot.type === "bigint")
      return this.putIntegers(state, target, first, from, to);
    for (let row = from; row < to; row++) {
      if (!isValidAt(cells.valid, row)) continue;
      if (!this.putValue(state, target, first + row - from, values.value(block, row))) return row;
    }
    return to;
  }

  private putIntegers(state: TableState, target: Target, first: number, from: number, to: number): number {
    const { cells, slot, values } = target;
    const f64 = values.f64!;
    for (let row = from; row < to; row++) {
      if (cells.valid !== null && !isValidAt(cells.valid, row)) continue;
      const value = f64[row]!;
      if (Number.isSafeInteger(value)) slot.cells.setInt(first + row - from, value);
      else if (!this.putValue(state, target, first + row - from, value)) return row;
    }
    return to;
  }

  private putTexts(
    state: TableState,
    target: Target,
    first: number,
    block: Block,
    from: number,
    to: number,
  ): number {
    const { cells, slot, values } = target;
    const { data, valid } = cells;
    if (slot.type === "text") {
      const end = textsEnd(block, cells, from, to, values.textAt, isUnmarked);
      if (end >= 0) {
        slot.cells.addTexts(data.subarray(values.textAt, end));
        slot.cells.setValid(first, valid, from, to - from);
        values.note(to, end);
        return to;
      }
    }
    const bytes = slicedBuffer(data);
    let at = values.textAt;
    for (let row = from; row < to; row++) {
      if (valid !== null && !isValidAt(valid, row)) continue;
      const start = at + 4;
      at = textEnd(block, cells, row, at);
      if (isUnmarked(bytes, start, at) && putText(slot, first + row - from, bytes, start, at)) continue;
      const text = decoder.decode(bytes.subarray(start, at));
      if (!this.putValue(state, target, first + row - from, text)) return row;
    }
    values.note(to, at);
    return to;
  }

  /** Into the column, or into the variant that takes such values; false: that has to be made. */
  private putValue(state: TableState, target: Target, row: number, raw: JsonDoc): boolean {
    const { slot, values, keepsZeros } = target;
    const value = typeof raw === "string" ? decodeTyped(raw) : raw;
    const from = inferType(value);
    const refused = keepsZeros && losesZeros(slot.type, value);
    const coerced = refused ? undefined : coerce(slot.type, from, value);
    if (coerced !== undefined) {
      putCell(slot, row, coerced);
      return true;
    }
    const variantName = this.tables.naming.join([values.name, `v_${from}`]);
    const variant = this.names.has(variantName) ? undefined : state.slots.get(variantName);
    const inVariant = variant && coerce(variant.type, from, value);
    if (variant === undefined || inVariant === undefined) return false;
    putCell(variant, row, inVariant);
    return true;
  }
}

/** Of a cell that was a Date: a multiple of a millisecond. */
function dateText(data: Uint8Array, row: number): string {
  const micros = new DataView(data.buffer, data.byteOffset).getBigInt64(row * 8, true);
  return new TypedValue("datetime", isoOfDate(new Date(Number(micros) / 1000))).encoded();
}

/** The rows from `from` up to `to` are done. */
function skip(block: Block, values: readonly Values[], from: number, to: number): void {
  for (const each of values) {
    if (each.cells?.kind === "text") each.textAt = each.textEnd(block, from, to);
  }
}
