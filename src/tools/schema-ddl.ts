/** A stored schema as the statements that would make it in an empty DuckDB database. */

import { storedToSchema } from "../engine/schema/version.ts";
import { planDdl } from "../engine/sql/ddl.ts";
import { duckdbDialect } from "../engine/sql/dialect.ts";

export function schemasAsDdl(schemas: readonly string[], dataset: string): string {
  const statements = new Set<string>();
  for (const text of schemas) {
    const schema = storedToSchema(JSON.parse(text));
    const plan = planDdl({
      dialect: duckdbDialect,
      dataset: { schema: dataset },
      schema,
      tablesWithJobs: new Set(schema.tables.keys()),
      live: new Map(),
      exists: false,
    });
    for (const { sql } of plan.statements) statements.add(`${sql};`);
  }
  return [...statements].join("\n\n");
}
