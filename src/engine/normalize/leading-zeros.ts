import type { DataType } from "../schema/types.ts";

/** In a file that calls the column text, `007` is an identifier; the number column of an earlier file would make it 7. */
export function losesZeros(type: DataType, value: unknown): boolean {
  const number = type === "bigint" || type === "double" || type === "decimal";
  return number && typeof value === "string" && /^\s*-?0\d/.test(value);
}
