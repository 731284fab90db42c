/** A row of SQLite as a line of JSON. */

import type { SQLOutputValue } from "node:sqlite";
import { EngineError } from "../../../engine/errors.ts";
import type { SourceColumn } from "../types.ts";

export function lineOf(
  table: string,
  columns: readonly SourceColumn[],
  row: readonly SQLOutputValue[],
): string {
  let line = "{";
  for (let i = 0; i < columns.length; i++) {
    const column = columns[i]!;
    line += `${i === 0 ? "" : ","}${JSON.stringify(column.name)}:${cell(table, column, row[i]!)}`;
  }
  return line + "}\n";
}

function cell(table: string, column: SourceColumn, value: SQLOutputValue): string {
  if (value === null) return "null";
  if (typeof value === "bigint") {
    if (column.kind === "bool") return flag(table, column, value);
    return column.kind === "decimal" ? `"${value}"` : value.toString();
  }
  if (typeof value === "number") {
    const text = floatText(value);
    return column.kind === "decimal" || !Number.isFinite(value) ? `"${text}"` : text;
  }
  if (typeof value === "string") return JSON.stringify(value.isWellFormed() ? value : value.toWellFormed());
  // bytes keep their kind in columns that declare none
  return column.kind === "binary" ? `"0x${hex(value)}"` : `"\uf02b${base64(value)}"`;
}

function flag(table: string, column: SourceColumn, value: bigint): string {
  if (value === 0n || value === 1n) return value === 1n ? "true" : "false";
  throw new EngineError(
    "VALUE_UNSUPPORTED",
    `Column ${column.name} of table ${table} is a boolean, but holds a number that is neither 0 nor 1.`,
    {
      hint: `Read it as a number: columns = { ${column.name} = { data_type = "bigint" } }.`,
      details: { table, column: column.name },
    },
  );
}

/** A whole number of a float stays a float: 2.0, not 2. */
function floatText(value: number): string {
  const text = Object.is(value, -0) ? "-0" : String(value);
  return /^-?\d+$/.test(text) ? `${text}.0` : text;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
}
