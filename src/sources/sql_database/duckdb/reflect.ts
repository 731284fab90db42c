/** The tables of a DuckDB schema, and each row of them as one JSON text. */

import type { ColumnHints } from "../../../engine/extract/resource.ts";
import { sqlString } from "../select.ts";
import type { CellKind, SourceColumn, SourceTable } from "../types.ts";

export const TABLES_SQL = `
with relations as (
  select table_name, 'table' as kind, comment from duckdb_tables() where database_name = current_database() and schema_name = $1 and not internal
  union all
  select view_name, 'view', comment from duckdb_views() where database_name = current_database() and schema_name = $1 and not internal
)
select
  current_database() as catalog, relations.table_name, kind, relations.comment as table_comment, column_name, data_type, is_nullable,
  columns.comment as column_comment,
  list_position(keys.constraint_column_names, column_name) as key_position
from relations
join duckdb_columns() columns 
  on columns.database_name = current_database() and columns.schema_name = $1 and columns.table_name = relations.table_name
left join duckdb_constraints() keys
  on keys.database_name = current_database() and keys.schema_name = $1 and keys.table_name = relations.table_name and keys.constraint_type = 'PRIMARY KEY'
order by relations.table_name, column_index`;

type CatalogueRow = Readonly<Record<string, unknown>>;

export function tablesOf(
  rows: readonly CatalogueRow[],
  schema: string,
  quote: (name: string) => string,
): SourceTable[] {
  const tables = new Map<string, CatalogueRow[]>();
  for (const row of rows) {
    const name = String(row.table_name);
    tables.set(name, [...(tables.get(name) ?? []), row]);
  }
  return [...tables].map(([name, columns]) => ({
    catalog: String(columns[0]!.catalog),
    schema,
    name,
    kind: columns[0]!.kind === "view" ? "view" : "table",
    ...(columns[0]!.table_comment ? { description: String(columns[0]!.table_comment) } : {}),
    columns: columns.map((row) => columnOf(row, quote)),
    primaryKey: columns
      .filter((row) => row.key_position !== null)
      .sort((a, b) => Number(a.key_position) - Number(b.key_position))
      .map((row) => String(row.column_name)),
  }));
}

function columnOf(row: CatalogueRow, quote: (name: string) => string): SourceColumn {
  const name = String(row.column_name);
  const sourceType = String(row.data_type);
  const { kind, hints, expression, binary = expression } = mappedType(sourceType);
  return {
    name,
    sourceType,
    kind,
    hints: { ...hints, ...(row.column_comment ? { description: String(row.column_comment) } : {}) },
    nullable: row.is_nullable === true,
    ...(expression === undefined ? {} : { expression: expression(quote(name)) }),
    binary: binary?.(quote(name)) ?? quote(name),
  };
}

interface Mapped {
  readonly kind: CellKind;
  readonly hints: ColumnHints;
  readonly expression?: (column: string) => string;
  /** As a vector of the engine's cells; absent: the expression, or the column itself. */
  readonly binary?: (column: string) => string;
}

const asText = (column: string): string => `${column}::varchar`;

/** Lists, structs and maps are JSON; what has no type of its own is its text. */
function mappedType(type: string): Mapped {
  const decimal = /^DECIMAL\((\d+),(\d+)\)$/.exec(type);
  if (decimal !== null) {
    const [, precision, scale] = decimal;
    return {
      kind: "decimal",
      hints: { data_type: "decimal", precision: Number(precision), scale: Number(scale) },
      expression: asText,
    };
  }
  if (/[[(]/.test(type) && !type.startsWith("ENUM")) {
    return {
      kind: "json",
      hints: { data_type: "json" },
      expression: (column) => `to_json(${column})::varchar`,
    };
  }
  switch (type) {
    case "TINYINT":
    case "SMALLINT":
    case "INTEGER":
    case "BIGINT":
    case "UTINYINT":
    case "USMALLINT":
    case "UINTEGER":
      return {
        kind: "integer",
        hints: { data_type: "bigint" },
        binary: (column) => `${column}::bigint`,
      };
    case "UBIGINT":
      return {
        kind: "decimal",
        hints: { data_type: "decimal", precision: 20, scale: 0 },
        expression: asText,
      };
    case "HUGEINT":
      return {
        kind: "decimal",
        hints: { data_type: "decimal", precision: 38, scale: 0 },
        expression: asText,
      };
    case "FLOAT":
    case "DOUBLE":
      // JSON has no NaN and no infinity; as texts they are read as the doubles that they are
      return {
        kind: "float",
        hints: { data_type: "double" },
        expression: (column) =>
          `case when isfinite(${column}) then to_json(${column}) else to_json(${column}::varchar) end`,
        binary: (column) => `${column}::double`,
      };
    case "BOOLEAN":
      return { kind: "bool", hints: { data_type: "bool" } };
    case "JSON":
      return { kind: "json", hints: { data_type: "json" }, expression: asText };
    case "BLOB":
      return {
        kind: "binary",
        hints: { data_type: "binary" },
        expression: (column) => `'0x' || hex(${column})`,
        binary: (column) => column,
      };
    case "DATE":
      return {
        kind: "date",
        hints: { data_type: "date" },
        expression: (column) => held(column, asText(column)),
        binary: (column) => held(column, column),
      };
    case "TIME":
      return {
        kind: "time",
        hints: { data_type: "time" },
        expression: asText,
        binary: (column) => column,
      };
    case "TIMESTAMP":
    case "TIMESTAMP_S":
    case "TIMESTAMP_MS":
    case "TIMESTAMP_NS":
      return {
        kind: "timestamp",
        hints: { data_type: "timestamp", timezone: false },
        expression: (column) => held(column, `${column}::timestamp::varchar`),
        binary: (column) => held(column, `${column}::timestamp`),
      };
    case "TIMESTAMP WITH TIME ZONE":
      return {
        kind: "timestamptz",
        hints: { data_type: "timestamp" },
        expression: (column) => held(column, `(${column} at time zone 'UTC')::varchar || '+00:00'`),
        binary: (column) => held(column, column),
      };
    default:
      return { kind: "text", hints: { data_type: "text" }, expression: asText };
  }
}

/** Years 1 to 9999; outside them, and at infinity (which has no year), a moment becomes null. */
function held(column: string, text: string): string {
  return `case when year(${column}) between 1 and 9999 then ${text} end`;
}

/** A condition on the values of a column that become null; undefined: none do. */
export function unheld({ name, kind }: SourceColumn, quote: (name: string) => string): string | undefined {
  if (kind !== "date" && kind !== "timestamp" && kind !== "timestamptz") return undefined;
  const column = quote(name);
  return `(not isfinite(${column}) or year(${column}) not between 1 and 9999)`;
}

/** `to_json({'id': "id", 'price': "price"::varchar})::varchar`; the cursor's values are marked with their type. */
export function lineExpression(
  columns: readonly SourceColumn[],
  quote: (name: string) => string,
  cursor: string | undefined,
): string {
  const members = columns.map((column) => {
    const value = column.expression ?? quote(column.name);
    const mark = column.name === cursor ? MARKS[column.kind] : undefined;
    return `${sqlString(column.name)}: ${mark === undefined ? value : `'${mark}' || (${value})`}`;
  });
  return `to_json({${members.join(", ")}})::varchar`;
}

/** See the engine's typed values: the state of a cursor keeps its type. */
const MARKS: Partial<Record<CellKind, string>> = {
  decimal: "\uf026",
  timestamp: "\uf027",
  timestamptz: "\uf027",
  date: "\uf028",
  time: "\uf02d",
};
