/** The first value that a new column got in the load that brought it: one bounded query for all of them. */

import { completeColumnWith, LOAD_ID, PARENT_KEY, ROW_KEY } from "../schema/tables.ts";
import type { Schema, Table } from "../schema/types.ts";
import { type Dialect, quoteAll } from "../sql/dialect.ts";
import type { LiveColumns } from "./live-columns.ts";
import type { ReadQuery } from "./reader.ts";

export interface ExampleWanted {
  readonly table: string;
  readonly column: string;
  readonly load_id: string;
}

const CHARS_MAX = 200;

/** In the order of what is wanted; null where the load left no value, or its rows were replaced since. */
export async function exampleValues(
  from: { readonly read: ReadQuery; readonly dialect: Dialect },
  schema: Schema,
  live: LiveColumns,
  wanted: readonly ExampleWanted[],
): Promise<(string | null)[]> {
  const found: (string | null)[] = wanted.map(() => null);
  const queries: string[] = [];
  const loads: string[] = [];
  for (const [index, { table, column, load_id }] of wanted.entries()) {
    const chain = chainToRoot(schema, table);
    if (chain === undefined || !live.get(table)?.has(column)) continue;
    if (!chain.every(({ name }) => live.has(name))) continue;
    const parameter = loads.push(load_id);
    queries.push(exampleQuery(from.dialect, chain, { index, column, parameter }));
  }
  if (queries.length === 0) return found;
  const rows = await from.read(queries.map((sql) => `(${sql})`).join("\nunion all\n"), loads);
  for (const row of rows) found[Number(row.place)] = row.example === null ? null : String(row.example);
  return found;
}

/** The table and what it is nested in, up to the root, which knows the load. */
function chainToRoot(schema: Schema, name: string): Table[] | undefined {
  const chain: Table[] = [];
  for (let table = schema.tables.get(name); table !== undefined; table = schema.tables.get(table.parent)) {
    chain.push(table);
    if (!table.parent) return table.columns.has(LOAD_ID) ? chain : undefined;
    if (completeColumnWith(table, PARENT_KEY) === undefined) return undefined;
  }
  return undefined;
}

function exampleQuery(
  dialect: Dialect,
  chain: readonly Table[],
  wanted: { index: number; column: string; parameter: number },
): string {
  const column = `t0.${dialect.quote(wanted.column)}`;
  const joins = chain.slice(1).map((parent, i) => {
    const child = chain[i]!;
    const on = [
      `t${i}.${quoteAll(dialect, [completeColumnWith(child, PARENT_KEY) ?? ""])}`,
      `t${i + 1}.${quoteAll(dialect, [completeColumnWith(parent, ROW_KEY) ?? ""])}`,
    ];
    return `join ${dialect.quote(parent.name)} as t${i + 1} on ${on.join(" = ")}`;
  });
  return [
    `select ${wanted.index} as place, left(cast(${column} as varchar), ${CHARS_MAX}) as example`,
    `from ${dialect.quote(chain[0]!.name)} as t0`,
    ...joins,
    `where t${chain.length - 1}.${dialect.quote(LOAD_ID)} = $${wanted.parameter} and ${column} is not null limit 1`,
  ].join(" ");
}
