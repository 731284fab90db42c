/**
 * Hints for the tables below a resource's table. A nested table that is given a primary or merge key is cut
 * out of the chain: it becomes a root table with a disposition of its own, as in dlt.
 */

import { newTable } from "../schema/merge.ts";
import type { NamingConvention } from "../schema/naming.ts";
import type { Schema, Table } from "../schema/types.ts";
import { columnsFromHints, namesOf } from "./hints.ts";
import type { Resource } from "./resource.ts";

/** The tables to declare below `root`, parents before children; levels in between that are unknown included. */
export function nestedTablesFromHints(
  resource: Resource,
  root: string,
  schema: Schema,
  naming: NamingConvention,
): Table[] {
  const hinted = Object.entries(resource.hints.nestedHints ?? {})
    .map(([path, hints]) => ({ path: path.split(".").map((key) => naming.path(key)), hints }))
    .sort((a, b) => a.path.length - b.path.length);
  const tables = new Map<string, Table>();
  for (const { path, hints } of hinted) {
    const levels = [root, ...path];
    for (let level = 2; level < levels.length; level++) {
      const name = naming.join(levels.slice(0, level));
      if (schema.tables.has(name) || tables.has(name)) continue;
      tables.set(name, newTable(name, { parent: naming.join(levels.slice(0, level - 1)) }));
    }
    const name = naming.join(levels);
    const columns = columnsFromHints(`${resource.name}.${path.join(".")}`, hints, naming);
    const keyed =
      namesOf(hints.primaryKey).length + namesOf(hints.mergeKey).length > 0 ||
      [...columns.values()].some((column) => column.primary_key || column.merge_key);
    const table: Table = { name, columns };
    if (keyed) {
      table.write_disposition = hints.writeDisposition ?? "append";
      table.resource = resource.name;
    } else {
      table.parent = naming.join(levels.slice(0, -1));
      if (hints.writeDisposition) table.write_disposition = hints.writeDisposition;
    }
    if (hints.schemaContract) table.schema_contract = hints.schemaContract;
    if (hints.description) table.description = hints.description;
    tables.set(name, table);
  }
  return [...tables.values()];
}
