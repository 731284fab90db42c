/** Writes a coerced value into its cell. */

import type { CoercedValue } from "../schema/coerce.ts";
import type { Slot } from "./table-state.ts";

export function putCell(slot: Slot, row: number, value: CoercedValue): void {
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
    case "bytes": {
      const bytes = value as Uint8Array;
      cells.setBytes(row, Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), 0, bytes.length);
      return;
    }
    case "text": {
      const bytes = Buffer.from(value as string);
      cells.setBytes(row, bytes, 0, bytes.length);
    }
  }
}
