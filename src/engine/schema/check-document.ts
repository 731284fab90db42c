/**
 * What somebody wrote into a schema file by hand: a slip is told with its place, instead of being kept as a hint
 * that does nothing. Keys are dlt's; those of one's own begin with `x-`, as there.
 */

import { EngineError } from "../errors.ts";
import { didYouMean } from "../nearest.ts";
import { checkContract } from "./contract.ts";
import { namingByName } from "./naming.ts";
import { type Column, type Contract, DATA_TYPES, type Schema, type Table } from "./types.ts";

const SCHEMA_KEYS = new Set([
  ...["version", "version_hash", "engine_version", "name", "tables", "settings", "normalizers"],
  ...["previous_hashes", "imported_version_hash", "description"],
]);
const TABLE_KEYS = new Set([
  ...["name", "columns", "write_disposition", "resource", "parent", "description", "schema_contract"],
  ...["filters", "table_format", "file_format", "references", "variant_name"],
]);
const COLUMN_FLAGS = [
  ...[
    "nullable",
    "timezone",
    "variant",
    "partition",
    "cluster",
    "primary_key",
    "merge_key",
    "sort",
    "unique",
  ],
  ...["row_key", "parent_key", "root_key", "hard_delete", "incremental"],
];
const COLUMN_KEYS = new Set([
  "name",
  "data_type",
  "precision",
  "scale",
  "dedup_sort",
  "description",
  ...COLUMN_FLAGS,
]);
const DISPOSITIONS = ["append", "replace", "merge", "skip"];

/** Errors: SCHEMA_INVALID. `file` is for the message. */
export function checkDocument(schema: Schema, file: string): void {
  const refuse = (problem: string): never => {
    throw new EngineError("SCHEMA_INVALID", `${file} cannot be used: ${problem}.`, {
      hint: "Correct the file, or export the schema anew.",
      details: { file },
    });
  };
  checkKeys(schema, SCHEMA_KEYS, "the schema", refuse);
  try {
    checkContract(schema.settings.schema_contract as Contract | undefined, "settings");
    namingByName(String(schema.normalizers.names));
  } catch (error) {
    refuse(messageOf(error));
  }
  if (typeof schema.normalizers.json !== "object")
    refuse("normalizers has no json, which says how rows are nested");
  for (const detection of (schema.settings.detections ?? []) as unknown[])
    checkWord(detection, ["iso_timestamp"], "a detection of settings", refuse);
  for (const table of schema.tables.values()) checkTable(schema, table, refuse);
}

type Refuse = (problem: string) => never;

function checkTable(schema: Schema, table: Table, refuse: Refuse): void {
  const where = `table ${table.name}`;
  checkKeys(table, TABLE_KEYS, where, refuse);
  const { write_disposition, parent, schema_contract, columns } = table;
  if (write_disposition !== undefined)
    checkWord(write_disposition, DISPOSITIONS, `write_disposition of ${where}`, refuse);
  if (parent !== undefined && !schema.tables.has(parent))
    refuse(`the parent of ${where}, ${parent}, is no table of it`);
  try {
    checkContract(schema_contract, where);
  } catch (error) {
    refuse(messageOf(error));
  }
  for (const column of columns.values()) checkColumn(column, `column ${table.name}.${column.name}`, refuse);
}

function checkColumn(column: Column, where: string, refuse: Refuse): void {
  checkKeys(column, COLUMN_KEYS, where, refuse);
  const { data_type, precision, scale, dedup_sort } = column;
  if (data_type !== undefined) checkWord(data_type, DATA_TYPES, `data_type of ${where}`, refuse);
  for (const flag of COLUMN_FLAGS) {
    const value = column[flag];
    if (value !== undefined && value !== null && typeof value !== "boolean")
      refuse(`${flag} of ${where} is neither true nor false`);
  }
  for (const [key, size] of Object.entries({ precision, scale })) {
    if (size !== undefined && size !== null && !(Number.isInteger(size) && size >= 0))
      refuse(`${key} of ${where} is not a whole number`);
  }
  if (dedup_sort !== undefined && dedup_sort !== null)
    checkWord(dedup_sort, ["asc", "desc"], `dedup_sort of ${where}`, refuse);
}

function checkKeys(value: object, known: ReadonlySet<string>, where: string, refuse: Refuse): void {
  for (const key of Object.keys(value)) {
    if (known.has(key) || key.startsWith("x-")) continue;
    refuse(`${where} has an unknown key "${key}". ${didYouMean(key, known)}`.trimEnd().replace(/[.]$/, ""));
  }
}

function checkWord(word: unknown, known: readonly string[], where: string, refuse: Refuse): void {
  if (typeof word === "string" && known.includes(word)) return;
  refuse(`${where} is ${JSON.stringify(word)}, not one of ${known.join(", ")}`);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message.replace(/\.$/, "") : String(error);
}
