/**
 * The fast path from columns to columns: a block of an extracted job becomes rows of its table without a look at
 * most values. Like the scanner it decides nothing: where a column is not known yet, or a value needs the row
 * path, the rows are written as the lines that they stand for, and the scanner gets those.
 */

import { type BlockColumn, cellBytes, isValidAt } from "../package/block-format.ts";
import { type ColumnsView, linesOfColumns } from "../package/column-lines.ts";
import type { ExtractedColumn } from "../package/types.ts";
import { coerce } from "../schema/coerce.ts";
import { isComplete, isNullable, LOAD_ID, ROW_ID } from "../schema/tables.ts";
import { type ColumnBuffer, INLINE_BYTES, type TableBuffer } from "./column-buffer.ts";
import { putCell } from "./put-cell.ts";
import type { RowPath } from "./row-path.ts";
import { isPlainDecimal, type Scanner } from "./scanner.ts";
import type { NormalizeTables, Slot, TableState } from "./table-state.ts";

type OnError = (lineAt: number, error: unknown, lines: Uint8Array) => never;

const DAY_MICROS = 86_400_000_000;
const TWO_32 = 4294967296;
/** The UTF-8 form of dlt's type marks, U+F026…U+F02E. */
const MARK_LEAD = 0xef;
const MARK_SECOND = 0x80;
const MARK_FIRST = 0xa6;
const MARK_LAST = 0xae;

const decoder = new TextDecoder("utf-8");

/** Takes the blocks of one root table. */
export class ColumnsScan {
  private readonly tables: NormalizeTables;
  private readonly rowPath: RowPath;
  private readonly scanner: Scanner;
  private readonly rootTable: string;
  private readonly loadId: Uint8Array;

  /** `scanner`: of the same table. */
  constructor(tables: NormalizeTables, rowPath: RowPath, scanner: Scanner, rootTable: string) {
    this.tables = tables;
    this.rowPath = rowPath;
    this.scanner = scanner;
    this.rootTable = rootTable;
    this.loadId = new TextEncoder().encode(tables.loadId);
  }

  /** Adds the block's rows. `onError` gets the lines at fault, and the offset of the line in them, and throws. */
  scan(block: ColumnsView, columns: readonly ExtractedColumn[], onError: OnError): void {
    let slots = this.slotsOf(block, columns);
    let from = 0;
    if (slots === undefined && block.rows > 0) {
      // the first row tells what there is to decide; what it does not settle is a matter for each row
      this.asLines(block, columns, 0, 1, onError);
      from = 1;
      slots = this.slotsOf(block, columns);
    }
    if (from === block.rows) return;
    if (slots !== undefined && this.append(block, from, slots)) return;
    this.asLines(block, columns, from, block.rows, onError);
  }

  private asLines(
    block: ColumnsView,
    columns: readonly ExtractedColumn[],
    from: number,
    to: number,
    onError: OnError,
  ): void {
    const lines = linesOfColumns(block, columns, from, to);
    this.scanner.scan(lines, 0, lines.length, (lineAt, error) => onError(lineAt, error, lines));
  }

  /** Where the block's columns go; undefined: something has to be decided first. */
  private slotsOf(
    block: ColumnsView,
    columns: readonly ExtractedColumn[],
  ): Map<BlockColumn, Slot> | undefined {
    const table = this.tables.schema.tables.get(this.rootTable);
    if (table === undefined || !this.scanner.takesRows) return undefined;
    const state = this.tables.state(this.rootTable);
    const byName = new Map(block.columns.map((column) => [column.name, column]));
    const slots = new Map<BlockColumn, Slot>();
    const names = new Set<string>();
    for (const { name: key, type } of columns) {
      const name = this.rowPath.flattener.keyName(key);
      // two keys of one column, or one of the engine's own
      if (names.has(name) || name.startsWith("_dlt")) return undefined;
      names.add(name);
      const cells = byName.get(key);
      if (cells === undefined) {
        const column = table.columns.get(name);
        const nulls = column && isComplete(column) ? isNullable(column) : this.isNoted(name);
        if (!nulls) return undefined;
        continue;
      }
      const slot = state.slot(table, name);
      if (slot === undefined || slot.type !== (type === "timestamp_ntz" ? "timestamp" : type))
        return undefined;
      if (cells.valid !== null && !slot.nullable) return undefined;
      if (slot.cells.kind !== cells.kind) return undefined;
      slots.set(cells, slot);
    }
    return slots;
  }

  /** Does the report know of a column that has had only nulls? */
  private isNoted(name: string): boolean {
    return this.rowPath.nullOnly.get(this.rootTable)?.has(name) === true;
  }

  /** False: one of the values needs the row path, and nothing was added. */
  private append(block: ColumnsView, from: number, slots: ReadonlyMap<BlockColumn, Slot>): boolean {
    const state = this.tables.state(this.rootTable);
    const { buffer } = state;
    const count = block.rows - from;
    const arenaBefore = buffer.arenaLength;
    const to = buffer.beginRows(count);
    for (const [cells, slot] of slots) {
      if (appendCells(state, slot, to, block, cells, from, count)) continue;
      buffer.truncate(to, arenaBefore);
      return false;
    }
    this.addIds(state, to, count);
    state.rowsTotal += count;
    this.scanner.counts.rows += count;
    return true;
  }

  private addIds(state: TableState, to: number, count: number): void {
    const { buffer } = state;
    const table = this.tables.schema.tables.get(this.rootTable)!;
    buffer.setRowIds(state.slot(table, ROW_ID)!.cells, to, count);
    const loadIds = state.slot(table, LOAD_ID)!.cells;
    buffer.setBytes(loadIds, to, this.loadId, 0, this.loadId.length);
    // all cells look at one place of the arena
    const { u32 } = loadIds;
    for (let at = to * 4 + 4; at < (to + count) * 4; at++) u32[at] = u32[at - 4]!;
    loadIds.setValid(to, null, 0, count);
  }
}

/** False: one of the cells needs the row path. */
function appendCells(
  state: TableState,
  slot: Slot,
  to: number,
  block: ColumnsView,
  cells: BlockColumn,
  from: number,
  count: number,
): boolean {
  const { buffer } = state;
  const target = slot.cells;
  if (slot.type === "json") return appendJson(state, slot, to, block, cells, from, count);
  if (cells.kind === "text" || cells.kind === "bytes") {
    if (slot.type === "text" && hasMarks(cells, from, count)) return false;
    if (slot.type === "decimal" && !areDecimals(block, cells, from, count)) return false;
    appendBytes(buffer, target, to, block, cells, from, count);
  } else {
    if (cells.kind === "time" && !areTimes(cells, from, count)) return false;
    const { width } = target;
    target.bytes.set(cells.data.subarray(from * width, (from + count) * width), to * width);
  }
  target.setValid(to, cells.valid, from, count);
  return true;
}

/** The cells themselves; what is longer than a cell goes to the buffer's arena. */
function appendBytes(
  buffer: TableBuffer,
  target: ColumnBuffer,
  to: number,
  block: ColumnsView,
  cells: BlockColumn,
  from: number,
  count: number,
): void {
  const words = wordsOf(cells);
  const all = cells.valid === null;
  for (let i = 0; i < count; i++) {
    const row = from + i;
    if (!all && !isValidAt(cells.valid, row)) continue;
    const length = words[row * 4]!;
    if (length <= INLINE_BYTES) {
      const source = row * 4;
      const cell = (to + i) * 4;
      target.u32[cell] = length;
      target.u32[cell + 1] = words[source + 1]!;
      target.u32[cell + 2] = words[source + 2]!;
      target.u32[cell + 3] = words[source + 3]!;
    } else {
      const offset = words[row * 4 + 2]! + words[row * 4 + 3]! * TWO_32;
      // refuses a cell that points outside the arena
      if (offset + length > block.arena.length) cellBytes(block, cells, row);
      buffer.setBytes(target, to + i, block.arena, offset, offset + length);
    }
  }
}

function appendJson(
  state: TableState,
  slot: Slot,
  to: number,
  block: ColumnsView,
  cells: BlockColumn,
  from: number,
  count: number,
): boolean {
  for (let i = 0; i < count; i++) {
    if (!isValidAt(cells.valid, from + i)) continue;
    const value = coerce("json", "text", decoder.decode(cellBytes(block, cells, from + i)));
    if (value === undefined) return false;
    putCell(state, slot, to + i, value);
  }
  return true;
}

/** Is there a text that carries one of dlt's type marks? */
function hasMarks(cells: BlockColumn, from: number, count: number): boolean {
  const { data } = cells;
  for (let at = from * 16 + 4; at < (from + count) * 16; at += 16) {
    if (data[at] !== MARK_LEAD || data[at + 1] !== MARK_SECOND) continue;
    if (data[at + 2]! >= MARK_FIRST && data[at + 2]! <= MARK_LAST) return true;
  }
  return false;
}

function areDecimals(block: ColumnsView, cells: BlockColumn, from: number, count: number): boolean {
  const words = wordsOf(cells);
  for (let row = from; row < from + count; row++) {
    if (cells.valid !== null && !isValidAt(cells.valid, row)) continue;
    const length = words[row * 4]!;
    if (length <= INLINE_BYTES) {
      if (!isPlainDecimal(cells.data, row * 16 + 4, row * 16 + 4 + length)) return false;
    } else {
      const digits = cellBytes(block, cells, row);
      if (!isPlainDecimal(digits, 0, digits.length)) return false;
    }
  }
  return true;
}

/** Of a day: `24:00:00` is not one. */
function areTimes(cells: BlockColumn, from: number, count: number): boolean {
  const words = wordsOf(cells);
  for (let row = from; row < from + count; row++) {
    if (words[row * 2]! + words[row * 2 + 1]! * TWO_32 >= DAY_MICROS) return false;
  }
  return true;
}

function wordsOf({ data }: BlockColumn): Uint32Array {
  return new Uint32Array(data.buffer, data.byteOffset, data.byteLength >> 2);
}
