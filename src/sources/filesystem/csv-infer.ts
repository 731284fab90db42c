/** The first pass over a CSV file: the narrowest type of each column that all its cells fit. */

import type { DataType } from "../../engine/schema/types.ts";
import type { ByteSource } from "./byte-source.ts";
import { type CellOptions, type CsvCells, csvCells } from "./csv-cells.ts";
import { ANY, BIGINT, BOOL, classify, DATE, DOUBLE, TIMESTAMP } from "./csv-types.ts";

export interface CsvColumns {
  /** Of the columns that have a cell. */
  readonly guesses: Readonly<Record<string, DataType>>;
  readonly rows: number;
}

/** Undefined when the file has no rows. */
export async function inferCsv(
  source: ByteSource,
  options: CellOptions = {},
): Promise<CsvColumns | undefined> {
  let columns: FoundTypes | undefined;
  for await (const cells of csvCells(source, options)) {
    while (cells.next()) {
      columns ??= new FoundTypes(cells.names);
      columns.narrow(cells);
    }
  }
  return columns;
}

class FoundTypes implements CsvColumns {
  rows = 0;
  private readonly names: readonly string[];
  /** Of each column the types that all its cells fit. */
  private readonly masks: Uint8Array;
  private readonly seen: Uint8Array;

  constructor(names: readonly string[]) {
    this.names = names;
    this.masks = new Uint8Array(names.length).fill(ANY);
    this.seen = new Uint8Array(names.length);
  }

  get guesses(): Record<string, DataType> {
    const guesses: Record<string, DataType> = {};
    for (const [i, name] of this.names.entries())
      if (this.seen[i] === 1) guesses[name] = typeOf(this.masks[i]!);
    return guesses;
  }

  narrow(cells: CsvCells): void {
    const { buffer, starts, ends, doubled, someDoubled, rows } = cells;
    const width = this.names.length;
    const last = rows * width;
    this.rows += rows;
    for (let i = 0; i < width; i++) {
      let mask = this.masks[i]!;
      // text, whatever follows
      if (mask === 0) continue;
      for (let cell = i; cell < last && mask !== 0; cell += width) {
        const start = starts[cell]!;
        const end = ends[cell]!;
        if (start === end) continue;
        this.seen[i] = 1;
        mask &= someDoubled && doubled[cell] === 1 ? 0 : classify(buffer, start, end);
      }
      this.masks[i] = mask;
    }
  }
}

function typeOf(mask: number): DataType {
  if (mask & BIGINT) return "bigint";
  if (mask & DOUBLE) return "double";
  if (mask & BOOL) return "bool";
  if (mask & DATE) return "date";
  if (mask & TIMESTAMP) return "timestamp";
  return "text";
}
