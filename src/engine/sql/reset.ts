/**
 * Dropping and emptying tables before a package loads its rows, in its transaction. With dropped tables the
 * stored versions of the schema go as well, as in dlt: they would tell of tables that are not there.
 */

import type { LiveCatalogue } from "../destinations/plan-facts.ts";
import { VERSION_TABLE } from "../schema/tables.ts";
import type { DdlStatement } from "./ddl.ts";
import { type Dataset, type Dialect, qualified } from "./dialect.ts";

export interface ResetInput {
  readonly dialect: Dialect;
  readonly dataset: Dataset;
  readonly schemaName: string;
  readonly dropTables: readonly string[];
  readonly truncateTables: readonly string[];
  readonly live: LiveCatalogue;
}

export interface ResetPlan {
  /** Come before the DDL. */
  readonly drops: readonly DdlStatement[];
  /** Come after it: a database may refuse to alter a table whose rows have just been deleted. */
  readonly truncations: readonly DdlStatement[];
  /** The catalogue once the drops are done. */
  readonly live: LiveCatalogue;
}

export function planReset(input: ResetInput): ResetPlan {
  const { dialect, dataset } = input;
  const there = new Map([...input.live.keys()].map((name) => [dialect.fold(name), name]));
  const liveName = (table: string): string[] => {
    const name = there.get(dialect.fold(table));
    return name === undefined ? [] : [name];
  };
  const inDataset = (table: string): string => qualified(dialect, { ...dataset, table });
  const dropped = new Set(input.dropTables.flatMap(liveName));
  const drops: DdlStatement[] = [...dropped].map((table) => ({
    kind: "drop_table",
    table,
    sql: `drop table ${inDataset(table)}`,
  }));
  if (input.dropTables.length > 0 && there.has(VERSION_TABLE)) {
    const name = `'${input.schemaName.replaceAll("'", "''")}'`;
    const sql = `delete from ${inDataset(VERSION_TABLE)} where ${dialect.quote("schema_name")} = ${name}`;
    drops.push({ kind: "delete_versions", table: VERSION_TABLE, sql });
  }
  return {
    drops,
    truncations: input.truncateTables.flatMap(liveName).map((table) => ({
      kind: "empty_table",
      table,
      sql: dialect.emptyTable(inDataset(table)),
    })),
    live: new Map([...input.live].filter(([name]) => !dropped.has(name))),
  };
}
