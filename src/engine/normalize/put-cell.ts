/** Writes a coerced value into its cell. */

import type { CoercedValue } from "../schema/coerce.ts";
import type { Slot, TableState } from "./table-state.ts";

const encoder = new TextEncoder();

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
