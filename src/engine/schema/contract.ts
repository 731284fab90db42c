/**
 * What a source may do to the schema (dlt's schema contracts): new tables, new columns, new types of a column,
 * each evolve, freeze, discard_row or discard_value. Pure questions; who writes rows acts on the answers.
 */

import { EngineError } from "../errors.ts";
import { isComplete, isSystemTable } from "./tables.ts";
import type { Column, Contract, ContractMode, Schema, Table } from "./types.ts";

export type ContractEntity = "tables" | "columns" | "data_type";
export type FullContract = Readonly<Record<ContractEntity, ContractMode>>;

const ENTITIES: readonly ContractEntity[] = ["tables", "columns", "data_type"];
export const CONTRACT_MODES = [
  "evolve",
  "freeze",
  "discard_row",
  "discard_value",
] as const satisfies readonly ContractMode[];
const EVOLVE: FullContract = { tables: "evolve", columns: "evolve", data_type: "evolve" };

/** The hints of a column that make up its type. */
const TYPE_HINTS = ["data_type", "nullable", "precision", "scale", "timezone"] as const;

/** One word stands for all three; what is not named evolves. */
export function expandContract(contract: Contract | ContractMode | undefined): FullContract {
  if (contract === undefined || contract === null) return EVOLVE;
  if (typeof contract === "string") return { tables: contract, columns: contract, data_type: contract };
  return { ...EVOLVE, ...contract };
}

/**
 * The contract of a table: its own, else that of the nearest table above it, else that of the source, else
 * everything evolves. `declared` stands for the table while it is not in the schema yet, or is declared anew.
 */
export function contractOf(schema: Schema, tableName: string, declared?: Table): FullContract {
  if (isSystemTable(tableName)) return EVOLVE;
  let table = declared ?? schema.tables.get(tableName);
  for (; table !== undefined; table = table.parent ? schema.tables.get(table.parent) : undefined) {
    if (table.schema_contract) return expandContract(table.schema_contract);
  }
  return expandContract(schema.settings.schema_contract as Contract | ContractMode | undefined);
}

export function allEvolve(contract: FullContract): boolean {
  return ENTITIES.every((entity) => contract[entity] === "evolve");
}

/** A table of which nothing but hints is known. */
export function isNewTable(schema: Schema, name: string): boolean {
  const table = schema.tables.get(name);
  return table === undefined || ![...table.columns.values()].some(isComplete);
}

/** The part of the contract that a new column touches; undefined: it may be added. */
export function columnRule(
  schema: Schema,
  table: Table,
  column: Column,
  contract: FullContract,
): { readonly entity: ContractEntity; readonly mode: ContractMode } | undefined {
  if (isSystemTable(column.name)) return undefined;
  const existing = table.columns.get(column.name);
  const isNew = existing === undefined || !isComplete(existing);
  let entity: ContractEntity | undefined;
  if (column.variant === true) entity = "data_type";
  else if (!isNew) {
    const changed = TYPE_HINTS.some((hint) => hint in column && column[hint] !== existing[hint]);
    entity = changed ? "data_type" : undefined;
  } else if (!isNewTable(schema, table.name) && !table["x-normalizer"]?.["evolve-columns-once"]) {
    entity = "columns";
  }
  if (entity === undefined || contract[entity] === "evolve") return undefined;
  return { entity, mode: contract[entity] };
}

/** Refuses a contract that names no known part or mode. `where` says whose it is. */
export function checkContract(contract: unknown, where: string): void {
  if (contract === undefined || contract === null) return;
  const parts: [string, unknown][] =
    typeof contract === "object" ? Object.entries(contract) : [["tables", contract]];
  for (const [entity, mode] of parts) {
    if (
      ENTITIES.includes(entity as ContractEntity) &&
      (CONTRACT_MODES as readonly string[]).includes(mode as ContractMode)
    )
      continue;
    throw new EngineError(
      "SOURCE_INVALID",
      `${where}: the schema contract ${JSON.stringify(contract)} is unknown.`,
      {
        hint: `Use one of ${CONTRACT_MODES.join(", ")}, or an object of it for ${ENTITIES.join(", ")}.`,
        details: { contract },
      },
    );
  }
}

/** What a frozen part of the schema answers. The row is added by whoever knows it. */
export function contractViolation(
  entity: ContractEntity,
  table: string,
  column?: { readonly name: string; readonly value_type?: string },
): EngineError {
  const what =
    entity === "tables"
      ? `Table ${table} is new, but tables are frozen`
      : entity === "columns"
        ? `Column ${column?.name} of table ${table} is new, but columns are frozen`
        : `Column ${column?.name} of table ${table} would change its type, but types are frozen`;
  const type = column?.value_type === undefined ? "" : ` (the value is ${column.value_type})`;
  return new EngineError("CONTRACT_VIOLATION", `${what}${type}.`, {
    details: {
      table,
      ...(column ? { column: column.name } : {}),
      ...(column?.value_type === undefined ? {} : { value_type: column.value_type }),
      contract: entity,
    },
  });
}
