/**
 * Boundary hashes of a package (schema/boundary-table.ts): a cursor whose first chunk is in the package starts
 * anew, so what it had goes; other chunks add to what is there.
 */

import { BOUNDARY_KEY, BOUNDARY_TABLE } from "../schema/boundary-table.ts";
import { type Dataset, type Dialect, qualified, quoteAll } from "./dialect.ts";
import { createStaging } from "./staging.ts";
import type { LoadColumn, Statement, Step } from "./statement.ts";

export function boundarySteps(
  dialect: Dialect,
  dataset: Dataset,
  files: readonly string[],
  columns: readonly LoadColumn[],
): Step[] {
  const table = BOUNDARY_TABLE;
  const target = qualified(dialect, { ...dataset, table });
  const staging = { ...dialect.temporary, table };
  const staged = qualified(dialect, staging);
  const names = quoteAll(
    dialect,
    columns.map(({ name }) => name),
  );
  const key = quoteAll(dialect, BOUNDARY_KEY);
  const run = (sql: string): Step => ({ kind: "sql", table, sql });
  return [
    run(createStaging(dialect, staged, columns, false)),
    { kind: "load", table, into: staging, columns, files },
    run(`delete from ${target} where (${key}) in (select ${key} from ${staged} where "chunk" = 0)`),
    run(`insert into ${target} (${names}) select ${names} from ${staged} where "hashes" <> ''`),
    run(`drop table ${staged}`),
  ];
}

export function selectBoundary(dialect: Dialect, dataset: Dataset, key: readonly string[]): Statement {
  const conditions = BOUNDARY_KEY.map((name, i) => `${dialect.quote(name)} = $${i + 1}`).join(" and ");
  return {
    sql: `select "chunk", "hashes" from ${qualified(dialect, { ...dataset, table: BOUNDARY_TABLE })} where ${conditions} order by "chunk"`,
    parameters: key,
  };
}
