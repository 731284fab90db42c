/**
 * Which rows are extracted as columns. Most sources yield rows that all can be, or none; so a table whose rows had to
 * be lines is tried again only after one page, then two, four, …: a change from one form to the other also begins
 * another file.
 */

import type { SpareMemory } from "../package/spare-memory.ts";
import { type OnColumns, RowColumns, type ValuesBlock } from "./row-columns.ts";

/** Smaller pages are lines: a block has a price of its own. */
const PAGE_ROWS_MIN = 256;
/** Tables whose memory for columns is kept. */
const TABLES_MAX = 8;

interface Tried {
  columns: RowColumns | undefined;
  /** Pages that are not tried. */
  pause: number;
  nextPause: number;
}

export class RowsAsColumns {
  private readonly tables = new Map<string, Tried>();
  private readonly memories: SpareMemory;

  constructor(memories: SpareMemory) {
    this.memories = memories;
  }

  /** The rows as blocks, up to those that have to be lines. */
  *of(
    table: string,
    rows: readonly unknown[],
    onColumns?: OnColumns,
  ): Generator<ValuesBlock, void, undefined> {
    const tried = this.tried(table);
    if (tried.pause > 0) {
      tried.pause--;
      return;
    }
    if (rows.length < PAGE_ROWS_MIN && tried.columns === undefined) return;
    if (rows.length >= PAGE_ROWS_MIN) tried.columns ??= this.columnsLike(rows[0]);
    for (let from = 0; from < rows.length; ) {
      const block = rows.length < PAGE_ROWS_MIN ? undefined : tried.columns?.encode(rows, from, onColumns);
      if (block === undefined) {
        giveUp(tried);
        return;
      }
      yield block;
      from += block.rows;
    }
  }

  private tried(table: string): Tried {
    let tried = this.tables.get(table);
    if (tried === undefined) {
      tried = { columns: undefined, pause: 0, nextPause: 1 };
      this.tables.set(table, tried);
    }
    return tried;
  }

  private columnsLike(row: unknown): RowColumns | undefined {
    const others = [...this.tables.values()].filter(({ columns }) => columns !== undefined);
    if (others.length >= TABLES_MAX) giveUp(others[0]!);
    return RowColumns.like(row, this.memories);
  }
}

function giveUp(tried: Tried): void {
  tried.columns = undefined;
  tried.pause = tried.nextPause;
  tried.nextPause *= 2;
}
