/**
 * The naming convention of a schema is chosen before its first rows and stays: under another one the same
 * fields would land in other columns beside the old ones. dlt refuses the change too (`TableIdentifiersFrozen`).
 */

import { EngineError } from "../errors.ts";
import { namingByName } from "./naming.ts";
import { hasSeenData, isSystemTable } from "./tables.ts";
import type { Schema } from "./types.ts";

/** Errors: NAMING_CHANGED, CONFIG_INVALID for an unknown convention. */
export function chooseNaming(schema: Schema, wanted: string | undefined): void {
  if (wanted === undefined) return;
  const { name } = namingByName(wanted);
  const current = namingByName(String(schema.normalizers.names ?? "snake_case")).name;
  if (name === current) return;
  const data = [...schema.tables.values()].filter((table) => !isSystemTable(table.name));
  const filled = data.filter(hasSeenData).map((table) => table.name);
  if (filled.length > 0) {
    throw new EngineError(
      "NAMING_CHANGED",
      `Schema ${schema.name} names its tables by ${current}, and ${filled.length} of them have data; they cannot go on with ${name}.`,
      { details: { schema: schema.name, naming: current, wanted: name, tables: filled.slice(0, 20) } },
    );
  }
  // declared only: the source declares them again
  for (const table of data) schema.tables.delete(table.name);
  schema.normalizers = { ...schema.normalizers, names: name };
}
