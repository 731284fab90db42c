/** How inspection reads a Postgres destination: one statement in a read-only transaction of its own. */

import type { RunContext } from "../../context.ts";
import type { JsonValue } from "../../inspect/query-values.ts";
import type { ReadQuery } from "../../inspect/reader.ts";
import { postgresDialect } from "../../sql/dialect.ts";
import { Connection } from "./connection.ts";
import { isFromPostgres, postgresError } from "./errors.ts";
import { connectionSettings, type PostgresOptions } from "./settings.ts";

const TIMEOUT_MS = 15_000;
const INTEGER_TYPES = new Set([20, 21, 23]);
const BOOLEAN_TYPE = 16;

/** For statements of ours only. Their names are unqualified, so the dataset is the transaction's search path. */
export function postgresReader(
  options: () => PostgresOptions,
  dataset: string,
  context: RunContext,
): ReadQuery {
  return async (sql, params = []) => {
    const settings = connectionSettings(options());
    const connection = await Connection.open(settings, context);
    try {
      await connection.run(`begin read only; set local time zone 'UTC'; set local datestyle = 'ISO, MDY';
set local statement_timeout = ${TIMEOUT_MS}; set local search_path to ${postgresDialect().quote(dataset)}`);
      const { fields, rows } = await connection.table(sql, Array.isArray(params) ? params : []);
      await connection.run("rollback");
      return rows.map((row) =>
        Object.fromEntries(
          fields.map((field, i) => [field.name, readable(row[i] ?? null, field.dataTypeID)] as const),
        ),
      );
    } catch (error) {
      if (!isFromPostgres(error)) throw error;
      throw postgresError(error, { doing: "query", where: { dataset }, login: settings });
    } finally {
      await connection.close();
    }
  };
}

function readable(value: string | null, type: number): JsonValue {
  if (value === null) return null;
  if (type === BOOLEAN_TYPE) return value === "t";
  return INTEGER_TYPES.has(type) && Number.isSafeInteger(Number(value)) ? Number(value) : value;
}
