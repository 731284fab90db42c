/**
 * Columns as SQL types, and the kind of cell a column has in job files. The types are exactly the ones that
 * dlt creates, spelled as `duckdb_columns()` and Postgres's `format_type` print them, so that comparing is
 * comparing text.
 */

import { EngineError } from "../errors.ts";
import type { Column } from "../schema/types.ts";

const DECIMAL_PRECISION = 38;
const DECIMAL_SCALE = 9;
const TIMESTAMP_PRECISION = 6;

export function duckdbType(column: Column): string {
  const { data_type, precision, scale } = column;
  switch (data_type) {
    case "text":
      return "VARCHAR"; // VARCHAR(n) is VARCHAR in DuckDB
    case "bigint":
      return duckdbInteger(column);
    case "double":
      return "DOUBLE";
    case "bool":
      return "BOOLEAN";
    case "timestamp":
      return duckdbTimestamp(column);
    case "date":
      return "DATE";
    case "time":
      return "TIME";
    case "decimal":
      return `DECIMAL(${precision ?? DECIMAL_PRECISION},${scale ?? DECIMAL_SCALE})`;
    case "wei":
      return `DECIMAL(${precision ?? DECIMAL_PRECISION},${scale ?? 0})`;
    case "json":
      return "JSON";
    case "binary":
      return "BLOB";
    case undefined:
      throw new EngineError("INTERNAL", `Column ${column.name} has no type yet and cannot be created.`);
  }
}

/** A bigint's precision counts bits. */
function duckdbInteger(column: Column): string {
  const bits = column.precision ?? 64;
  if (bits <= 8) return "TINYINT";
  if (bits <= 16) return "SMALLINT";
  if (bits <= 32) return "INTEGER";
  if (bits <= 64) return "BIGINT";
  if (bits <= 128) return "HUGEINT";
  throw precisionRefused(column, "bigint", 128);
}

/** With a time zone DuckDB has one precision; without one it has a type for each. */
function duckdbTimestamp(column: Column): string {
  if (column.timezone !== false) return "TIMESTAMP WITH TIME ZONE";
  const digits = column.precision ?? TIMESTAMP_PRECISION;
  if (digits === 0) return "TIMESTAMP_S";
  if (digits <= 3) return "TIMESTAMP_MS";
  if (digits <= 6) return "TIMESTAMP";
  if (digits <= 9) return "TIMESTAMP_NS";
  throw precisionRefused(column, "timestamp", 9);
}

/** dlt's wei on Postgres: room for two EVM words before and after the point. */
const POSTGRES_WEI = "156,78";

export function postgresType(column: Column): string {
  const { data_type, precision, scale } = column;
  switch (data_type) {
    case "text":
      return `character varying${modifier(precision)}`;
    case "bigint":
      return postgresInteger(column);
    case "double":
      return "double precision";
    case "bool":
      return "boolean";
    case "timestamp": {
      const zone = column.timezone === false ? "without" : "with";
      return `timestamp${postgresFraction(column)} ${zone} time zone`;
    }
    case "date":
      return "date";
    case "time":
      return `time${postgresFraction(column)} without time zone`;
    case "decimal":
      return `numeric(${precision ?? DECIMAL_PRECISION},${scale ?? DECIMAL_SCALE})`;
    case "wei":
      return precision === undefined || precision === null
        ? `numeric(${POSTGRES_WEI})`
        : `numeric(${precision},${scale ?? 0})`;
    case "json":
      return "jsonb";
    case "binary":
      return "bytea";
    case undefined:
      throw new EngineError("INTERNAL", `Column ${column.name} has no type yet and cannot be created.`);
  }
}

function modifier(precision: number | null | undefined): string {
  return precision === undefined || precision === null ? "" : `(${precision})`;
}

/** A bigint's precision counts bits. */
function postgresInteger(column: Column): string {
  const bits = column.precision ?? 64;
  if (bits <= 16) return "smallint";
  if (bits <= 32) return "integer";
  if (bits <= 64) return "bigint";
  throw precisionRefused(column, "bigint", 64, "Postgres");
}

function postgresFraction(column: Column): string {
  const digits = column.precision;
  if (digits !== undefined && digits !== null && digits > TIMESTAMP_PRECISION) {
    throw precisionRefused(column, String(column.data_type), TIMESTAMP_PRECISION, "Postgres");
  }
  return modifier(digits);
}

function precisionRefused(
  column: Column,
  type: string,
  precisionMax: number,
  database = "DuckDB",
): EngineError {
  return new EngineError(
    "SCHEMA_INVALID",
    `Column ${column.name}: ${database} has no ${type} with precision ${column.precision}; the most is ${precisionMax}.`,
    { hint: `Set the column's precision to at most ${precisionMax}.`, details: { column: column.name } },
  );
}
