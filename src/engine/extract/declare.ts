/** A declared table and what its contract leaves of it. */

import {
  allEvolve,
  type ContractEntity,
  columnRule,
  contractOf,
  contractViolation,
  isNewTable,
} from "../schema/contract.ts";
import type { ContractMode, Schema, Table } from "../schema/types.ts";

export interface AllowedDeclaration {
  /** The declaration without what may not be added. */
  readonly table: Table;
  /** Set when the table itself may not be added; it matters once rows come for it. */
  readonly refused?: Exclude<ContractMode, "evolve">;
  /** Columns whose declaration was left out. */
  readonly ignored: readonly string[];
}

/**
 * Checks a declaration against the contract that it brings itself, or else the source's. A new table takes any
 * column in its first package. Throws CONTRACT_VIOLATION where a declared column or type is frozen.
 */
export function underContract(schema: Schema, declared: Table): AllowedDeclaration {
  const contract = contractOf(schema, declared.name, declared);
  if (allEvolve(contract)) return { table: declared, ignored: [] };
  if (isNewTable(schema, declared.name)) {
    if (contract.tables !== "evolve") return { table: declared, refused: contract.tables, ignored: [] };
    if (contract.columns === "evolve") return { table: declared, ignored: [] };
    const marks = { ...declared["x-normalizer"], "evolve-columns-once": true };
    return { table: { ...declared, "x-normalizer": marks }, ignored: [] };
  }
  const known = schema.tables.get(declared.name)!;
  const columns = new Map(declared.columns);
  const ignored: string[] = [];
  for (const column of declared.columns.values()) {
    const rule = columnRule(schema, known, column, contract);
    if (!rule) continue;
    const entity: ContractEntity = rule.entity;
    if (rule.mode === "freeze") {
      const { data_type } = column;
      throw contractViolation(entity, declared.name, {
        name: column.name,
        ...(data_type ? { value_type: data_type } : {}),
      });
    }
    columns.delete(column.name);
    ignored.push(column.name);
  }
  return { table: ignored.length === 0 ? declared : { ...declared, columns }, ignored };
}
