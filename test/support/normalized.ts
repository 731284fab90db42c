/** What the ways of normalizing leave in the buffers, cell by cell, for comparing one with the other. */

import { expect } from "vitest";
import type { ColumnBuffer } from "../../src/engine/normalize/column-buffer.ts";
import { RowPath } from "../../src/engine/normalize/row-path.ts";
import { NormalizeTables } from "../../src/engine/normalize/table-state.ts";
import { updateTable } from "../../src/engine/schema/merge.ts";
import { namingByName } from "../../src/engine/schema/naming.ts";
import type { Column, DataType, WriteDisposition } from "../../src/engine/schema/types.ts";
import { newSchema } from "../../src/engine/schema/version.ts";

export const ROOT = "rows";

export interface Declared {
  readonly disposition: WriteDisposition;
  readonly nesting?: number;
  readonly columns: Readonly<Record<string, Partial<Column>>>;
  readonly guesses?: Readonly<Record<string, DataType>>;
}

export const PLAIN: Declared = { disposition: "append", columns: {} };

export type Cells = Record<string, string | number | bigint | null>;

export function setUp(declared: Declared): { tables: NormalizeTables; rowPath: RowPath } {
  const schema = newSchema("fuzz");
  const columns = new Map(
    Object.entries(declared.columns).map(([name, column]) => [name, { ...column, name } as Column]),
  );
  updateTable(
    schema,
    {
      name: ROOT,
      columns,
      write_disposition: declared.disposition,
      resource: ROOT,
      ...(declared.nesting === undefined ? {} : { "x-normalizer": { max_nesting: declared.nesting } }),
    },
    { declared: true },
  );
  const tables = new NormalizeTables(schema, namingByName("snake_case", 65536), "1700000000.123");
  const rowPath = new RowPath(tables);
  rowPath.setGuesses(declared.guesses);
  return { tables, rowPath };
}

function cellOf(cells: ColumnBuffer, row: number): string | number | bigint | null {
  if (!cells.isValid(row)) {
    const bytes = cells.bytes.subarray(row * cells.width, (row + 1) * cells.width);
    return bytes.every((byte) => byte === 0) ? null : "null with bytes";
  }
  switch (cells.kind) {
    case "bool":
      return cells.bytes[row]!;
    case "date":
      return cells.i32[row]!;
    case "float64":
      // 0 and -0 differ
      return Object.is(cells.f64[row], -0) ? "-0" : cells.f64[row]!;
    case "text":
    case "bytes": {
      let at = 0;
      for (let before = 0; before < row; before++)
        if (cells.isValid(before)) at += 4 + cells.text.readUInt32LE(at);
      return cells.text.toString("latin1", at + 4, at + 4 + cells.text.readUInt32LE(at));
    }
    default:
      return (BigInt(cells.i32[row * 2 + 1]!) << 32n) | BigInt(cells.u32[row * 2]!);
  }
}

/** Takes the rows out of the buffers, as writing a block does. */
export function take(tables: NormalizeTables, into: Record<string, Cells[]>): void {
  for (const state of tables.states.values()) {
    const { buffer } = state;
    into[state.name] ??= [];
    for (let row = 0; row < buffer.rows; row++) {
      const cells: Cells = {};
      for (const name of [...state.slots.keys()].sort()) {
        const value = cellOf(state.slots.get(name)!.cells, row);
        if (value !== null) cells[name] = value;
      }
      into[state.name]!.push(cells);
    }
    buffer.clear();
    // not a row may be missing in the count
    expect(state.rowsTotal).toBe(into[state.name]!.length);
  }
}
