/**
 * The fast path from columns to columns: a block of an extracted job becomes rows of its table without a look at
 * most values. Like the scanner it decides nothing: where a column is not known yet, or a value needs the row
 * path, the rows are written as the lines that they stand for, and the scanner gets those.
 */

import { type BlockColumn, isValidAt, textReader } from "../package/block-format.ts";
import { type ColumnsView, linesOfColumns } from "../package/column-lines.ts";
import type { ExtractedColumn } from "../package/types.ts";
import { coerce } from "../schema/coerce.ts";
import { isComplete, isNullable, LOAD_ID, ROW_ID } from "../schema/tables.ts";
import { putCell } from "./put-cell.ts";
import { isPlainDecimal } from "./put-text.ts";
import type { RowPath } from "./row-path.ts";
import type { Scanner } from "./scanner.ts";
import type { NormalizeTables, Slot, TableState } from "./table-state.ts";
import { always, isUnmarked, textsEnd } from "./text-cells.ts";

type OnError = (lineAt: number, error: unknown, lines: Uint8Array) => never;

const DAY_MICROS = 86_400_000_000;
const TWO_32 = 4294967296;

const decoder = new TextDecoder("utf-8");

/** Takes the blocks of one root table. */
export class ColumnsScan {
  private readonly tables: NormalizeTables;
  private readonly rowPath: RowPath;
  private readonly scanner: Scanner;
  private readonly rootTable: string;
  private readonly loadId: Buffer;
  private readonly marks: number[] = [];

  /** `scanner`: of the same table. */
  constructor(tables: NormalizeTables, rowPath: RowPath, scanner: Scanner, rootTable: string) {
    this.tables = tables;
    this.rowPath = rowPath;
    this.scanner = scanner;
    this.rootTable = rootTable;
    this.loadId = Buffer.from(tables.loadId);
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
    buffer.mark(this.marks, 0);
    const to = buffer.beginRows(count);
    for (const [cells, slot] of slots) {
      if (appendCells(slot, to, block, cells, from, count)) continue;
      buffer.takeBack(this.marks, 0);
      return false;
    }
    this.addIds(state, to, count);
    state.rowsTotal += count;
    this.scanner.counts.rows += count;
    return true;
  }

  private addIds(state: TableState, to: number, count: number): void {
    const table = this.tables.schema.tables.get(this.rootTable)!;
    state.slot(table, ROW_ID)!.cells.fillRowIds(to, count);
    state.slot(table, LOAD_ID)!.cells.fillText(to, count, this.loadId);
  }
}

/** False: one of the cells needs the row path. */
function appendCells(
  slot: Slot,
  to: number,
  block: ColumnsView,
  cells: BlockColumn,
  from: number,
  count: number,
): boolean {
  const target = slot.cells;
  if (slot.type === "json") return appendJson(slot, to, block, cells, from, count);
  if (cells.kind === "text" || cells.kind === "bytes") {
    const start = textsEnd(block, cells, 0, from, 0, always);
    const allowed = slot.type === "text" ? isUnmarked : slot.type === "decimal" ? isPlainDecimal : always;
    const end = textsEnd(block, cells, from, from + count, start, allowed);
    if (end < 0) return false;
    target.addTexts(cells.data.subarray(start, end));
  } else {
    if (cells.kind === "time" && !areTimes(cells, from, count)) return false;
    const { width } = target;
    target.bytes.set(cells.data.subarray(from * width, (from + count) * width), to * width);
  }
  target.setValid(to, cells.valid, from, count);
  return true;
}

function appendJson(
  slot: Slot,
  to: number,
  block: ColumnsView,
  cells: BlockColumn,
  from: number,
  count: number,
): boolean {
  const read = textReader(block, cells);
  for (let i = 0; i < count; i++) {
    if (!isValidAt(cells.valid, from + i)) continue;
    const value = coerce("json", "text", decoder.decode(read(from + i)));
    if (value === undefined) return false;
    putCell(slot, to + i, value);
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
