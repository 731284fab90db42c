/** The tables that resources fill: declared once, as far as their contracts let them be. */

import { contractViolation } from "../schema/contract.ts";
import { updateTable } from "../schema/merge.ts";
import { hasSeenData, isComplete, isNested } from "../schema/tables.ts";
import { isWidening, typeChangeRefused } from "../schema/type-change.ts";
import type { ContractMode, Table } from "../schema/types.ts";
import { underContract } from "./declare.ts";
import { tableFromHints } from "./hints.ts";
import { nestedTablesFromHints } from "./nested-hints.ts";
import type { Resource } from "./resource.ts";
import type { Running } from "./running.ts";
import type { ExtractWork } from "./work.ts";
import { dispositionOf } from "./write-disposition.ts";

export class SourceTables {
  private readonly work: ExtractWork;
  private readonly declared = new Set<string>();
  private readonly refused = new Map<string, Exclude<ContractMode, "evolve">>();
  /** Tables that nested hints made roots with a disposition of their own. */
  private readonly cutOut = new Set<string>();
  /** Rows that were not even written, by table. */
  private readonly discarded = new Map<string, number>();

  constructor(work: ExtractWork) {
    this.work = work;
  }

  /** Adds a resource's table to the schema, once per run. */
  declareTable(running: Running, tableName: string): string {
    const { schema, naming } = this.work;
    const name = naming.path(tableName);
    if (running.tables.has(name)) return name;
    running.tables.add(name);
    // of several resources that fill one table the first one declares it, as in dlt
    if (this.declared.has(name)) return name;
    this.declared.add(name);
    const table = tableFromHints(running.resource, name, naming);
    refuseTypeChanges(schema.tables.get(name), table);
    if (!this.addDeclaration(table)) return name;
    for (const nested of nestedTablesFromHints(running.resource, name, schema, naming)) {
      if (!this.addDeclaration(nested) || nested.resource === undefined) continue;
      if (nested.write_disposition === "replace") running.tables.add(nested.name);
      else this.cutOut.add(nested.name);
    }
    return name;
  }

  /** Puts a declaration into the schema as far as the table's contract lets it; false: not at all. */
  private addDeclaration(declared: Table): boolean {
    const { schema, warn } = this.work;
    const { table, refused, ignored } = underContract(schema, declared);
    for (const column of ignored) {
      warn(`Table ${declared.name}: the declared column ${column} is left out, as its contract says.`);
    }
    if (refused) {
      this.refused.set(declared.name, refused);
      return false;
    }
    updateTable(schema, table, { declared: true });
    return true;
  }

  /** A new table may be refused by contract; that matters once it gets rows. */
  admits(running: Running, table: string, rows: number): boolean {
    const mode = this.refused.get(table);
    if (mode === undefined || rows === 0) return true;
    if (mode === "freeze") {
      const { name } = running.resource;
      throw contractViolation("tables", table).withDetails({ resource: name, row: 1 });
    }
    // normalizing keeps the rows as rejected ones
    if (this.work.keepRejected) return true;
    this.discarded.set(table, (this.discarded.get(table) ?? 0) + rows);
    return false;
  }

  isRefused(table: string): boolean {
    return this.refused.has(table);
  }

  refusedTables(): Record<string, ContractMode> {
    return Object.fromEntries(this.refused);
  }

  /** Rows that were only counted since the last call, by table. */
  takeDiscarded(): Record<string, number> {
    const discarded = Object.fromEntries(this.discarded);
    this.discarded.clear();
    return discarded;
  }

  /** The resource's tables in a package; of one that replaces, also those that it does not fill this time. */
  inPackage({ resource, tables: filled }: Running): string[] {
    const tables = new Set(filled);
    if (dispositionOf(resource.hints.writeDisposition) === "replace") {
      // tables that a function named in an earlier run are replaced as well
      for (const table of this.work.schema.tables.values()) {
        if (isNested(table) || table.resource !== resource.name || !hasSeenData(table)) continue;
        if (!this.cutOut.has(table.name)) tables.add(table.name);
      }
    }
    return [...tables];
  }
}

/**
 * A declared type that the column's table cannot take, found before anything is fetched. Lengths and precisions
 * mean something else at each destination and are compared when the package is loaded.
 */
function refuseTypeChanges(table: Table | undefined, declared: Table): void {
  if (table === undefined || !hasSeenData(table)) return;
  for (const column of declared.columns.values()) {
    const before = table.columns.get(column.name);
    if (!before || !isComplete(before) || !isComplete(column) || before.data_type === column.data_type)
      continue;
    const after = { ...before, ...column };
    if (!isWidening(before, after)) throw typeChangeRefused(table.name, before, after);
  }
}

/** The table of a resource whose rows do not name theirs. */
export function staticTable(resource: Resource): string {
  const { tableName } = resource.hints;
  return typeof tableName === "string" ? tableName : resource.name;
}
