/** The hints of a resource as a table of the schema, as dlt computes it (dlt/extract/hints.py). */

import { EngineError } from "../errors.ts";
import { checkContract } from "../schema/contract.ts";
import type { NamingConvention } from "../schema/naming.ts";
import type { Column, DataType, Table } from "../schema/types.ts";
import { DATA_TYPES } from "../schema/types.ts";
import { simpleField } from "./json-path.ts";
import type { DeclaredColumns, NestedHints, Resource } from "./resource.ts";
import { applyDisposition, checkDisposition, dispositionOf, strategyOf } from "./write-disposition.ts";

export function namesOf(key: string | readonly string[] | undefined): readonly string[] {
  if (key === undefined) return [];
  return typeof key === "string" ? [key] : key;
}

/** Columns in the order of declaration, then keys; names normalized. `where` names them in errors. */
export function columnsFromHints(
  where: string,
  hints: Pick<NestedHints, "primaryKey" | "mergeKey"> & { readonly columns?: DeclaredColumns },
  naming: NamingConvention,
): Map<string, Column> {
  const columns = new Map<string, Column>();
  const column = (source: string): Column => {
    const name = naming.path(source);
    let known = columns.get(name);
    if (!known) {
      known = { name };
      columns.set(name, known);
    }
    return known;
  };
  for (const [source, declared] of Object.entries(hints.columns ?? {})) {
    checkType(where, source, declared.data_type as DataType | undefined);
    Object.assign(column(source), declared);
  }
  for (const hint of ["primary_key", "merge_key"] as const) {
    const key = namesOf(hint === "primary_key" ? hints.primaryKey : hints.mergeKey);
    for (const name of key) {
      const keyed = column(name);
      keyed[hint] = true;
      keyed.nullable ??= false;
    }
  }
  return columns;
}

/** The table as declared. Columns: declared ones, keys, those of scd2, the cursor. */
export function tableFromHints(resource: Resource, tableName: string, naming: NamingConvention): Table {
  const { hints } = resource;
  const columns = columnsFromHints(resource.name, hints, naming);
  const table: Table = { name: tableName, columns, resource: resource.name };
  applyDisposition(table, hints.writeDisposition, (source) => naming.path(source));
  const cursor = hints.incremental ? simpleField(hints.incremental.cursorPath) : undefined;
  if (cursor) {
    const name = naming.path(cursor);
    columns.set(name, { ...(columns.get(name) ?? { name }), incremental: true });
  }
  if (hints.description) table.description = hints.description;
  if (hints.schemaContract) {
    checkContract(hints.schemaContract, `Resource ${resource.name}`);
    table.schema_contract = hints.schemaContract;
  }
  if (hints.maxTableNesting !== undefined) table["x-normalizer"] = { max_nesting: hints.maxTableNesting };
  return table;
}

function checkType(resource: string, column: string, type: DataType | undefined): void {
  if (type === undefined || DATA_TYPES.includes(type)) return;
  throw new EngineError(
    "SOURCE_INVALID",
    `Resource ${resource}: column ${column} has the unknown data_type "${type}".`,
    {
      hint: `Use one of ${DATA_TYPES.join(", ")}.`,
      details: { resource, column, data_type: type },
    },
  );
}

/** A merge needs to know which rows are the same; found before anything is fetched. */
export function checkKeys(resource: Resource): void {
  const { hints } = resource;
  checkDisposition(resource.name, hints.writeDisposition);
  if (dispositionOf(hints.writeDisposition) !== "merge") return;
  const strategy = strategyOf(hints.writeDisposition) ?? "delete-insert";
  const declared = Object.values(hints.columns ?? {});
  const primary = namesOf(hints.primaryKey).length > 0 || declared.some((column) => column.primary_key);
  const merge = namesOf(hints.mergeKey).length > 0 || declared.some((column) => column.merge_key);
  if (strategy === "scd2" || primary || (merge && strategy === "delete-insert")) return;
  if (strategy === "delete-insert") {
    throw new EngineError(
      "MERGE_WITHOUT_KEY",
      `Resource ${resource.name} merges but has neither a primaryKey nor a mergeKey.`,
      {
        details: { resource: resource.name },
      },
    );
  }
  throw new EngineError(
    "MERGE_WITHOUT_KEY",
    `Resource ${resource.name} merges with strategy ${strategy} but has no primaryKey.`,
    {
      hint: "Give the resource a primaryKey, or use another merge strategy.",
      details: { resource: resource.name, strategy },
    },
  );
}
