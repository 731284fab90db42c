/** A schema as the statements that would make its tables in an empty database. */

import type { Schema } from "../schema/types.ts";
import { planDdl } from "./ddl.ts";
import type { Dataset, Dialect } from "./dialect.ts";

export function schemaDdl(dialect: Dialect, dataset: Dataset, schema: Schema): string[] {
  const plan = planDdl({
    dialect,
    dataset,
    schema,
    tablesWithJobs: new Set(schema.tables.keys()),
    live: new Map(),
    comments: new Map(),
    exists: false,
  });
  return plan.statements.map(({ sql }) => `${sql};`);
}
