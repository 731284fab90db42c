/** The tables of a MySQL or MariaDB database, from information_schema. */

import type { ColumnHints } from "../../../engine/extract/resource.ts";
import type { CellKind, SourceColumn, SourceTable } from "../types.ts";

export const TABLES_SQL = `
select
  t.table_name as table_name, t.table_type as table_type, t.table_comment as table_comment,
  c.column_name as column_name, c.data_type as data_type, c.column_type as column_type,
  c.numeric_precision as numeric_precision, c.numeric_scale as numeric_scale,
  c.is_nullable as is_nullable, c.column_comment as column_comment,
  k.ordinal_position as key_position
from information_schema.tables t
join information_schema.columns c on c.table_schema = t.table_schema and c.table_name = t.table_name
left join information_schema.key_column_usage k
  on k.table_schema = t.table_schema and k.table_name = t.table_name and k.column_name = c.column_name
  and k.constraint_name = 'PRIMARY'
where t.table_schema = ? and t.table_type in ('BASE TABLE', 'VIEW', 'SYSTEM VERSIONED')
order by t.table_name, c.ordinal_position`;

/** MariaDB has no JSON type: such a column is a text with a check. MySQL has no column TABLE_NAME here. */
export const JSON_CHECKS_SQL = `
select table_name as table_name, constraint_name as column_name
from information_schema.check_constraints
where constraint_schema = ? and check_clause like 'json_valid(%'`;

type CatalogueRow = Readonly<Record<string, unknown>>;

export function tablesOf(
  rows: readonly CatalogueRow[],
  jsonChecks: readonly CatalogueRow[],
  schema: string,
  quote: (name: string) => string,
): SourceTable[] {
  const json = new Set(jsonChecks.map((row) => `${row.table_name}\0${row.column_name}`));
  const tables = new Map<string, CatalogueRow[]>();
  for (const row of rows) {
    const name = String(row.table_name);
    const columns = tables.get(name);
    if (columns === undefined) tables.set(name, [row]);
    else columns.push(row);
  }
  return [...tables].map(([name, columns]) => {
    const [first] = columns;
    const isView = first!.table_type === "VIEW";
    // a view's comment is the word VIEW
    const description = isView ? "" : String(first!.table_comment ?? "");
    return {
      schema,
      name,
      kind: isView ? "view" : "table",
      ...(description === "" ? {} : { description }),
      columns: columns.map((row) => columnOf(row, json.has(`${name}\0${row.column_name}`), quote)),
      primaryKey: columns
        .filter((row) => row.key_position !== null)
        .sort((a, b) => Number(a.key_position) - Number(b.key_position))
        .map((row) => String(row.column_name)),
    };
  });
}

function columnOf(row: CatalogueRow, isJson: boolean, quote: (name: string) => string): SourceColumn {
  const name = String(row.column_name);
  const { kind, hints, expression } = isJson ? JSON_TEXT : mappedType(row);
  const description = String(row.column_comment ?? "");
  return {
    name,
    sourceType: String(row.column_type),
    kind,
    hints: { ...hints, ...(description === "" ? {} : { description }) },
    nullable: row.is_nullable === "YES",
    ...(expression === undefined ? {} : { expression: expression(quote(name)) }),
  };
}

interface Mapped {
  readonly kind: CellKind;
  readonly hints: ColumnHints;
  readonly expression?: (column: string) => string;
}

const INTEGER: Mapped = { kind: "integer", hints: { data_type: "bigint" } };
const UNSIGNED: Mapped = { kind: "decimal", hints: { data_type: "decimal", precision: 20, scale: 0 } };
const JSON_TEXT: Mapped = { kind: "json", hints: { data_type: "json" } };
const BINARY: Mapped = { kind: "binary", hints: { data_type: "binary" } };

function mappedType(row: CatalogueRow): Mapped {
  const shown = String(row.column_type).toLowerCase();
  const unsigned = /unsigned/.test(shown);
  switch (String(row.data_type).toLowerCase()) {
    case "tinyint":
      return /^tinyint\(1\)/.test(shown) ? { kind: "bool", hints: { data_type: "bool" } } : INTEGER;
    case "smallint":
    case "mediumint":
    case "int":
    case "year":
      return INTEGER;
    case "bigint":
      return unsigned ? UNSIGNED : INTEGER;
    case "bit": {
      const mapped =
        shown === "bit(1)"
          ? ({ kind: "bool", hints: { data_type: "bool" } } as const)
          : shown === "bit(64)"
            ? UNSIGNED
            : INTEGER;
      return { ...mapped, expression: (column) => `${column} + 0` };
    }
    case "decimal": {
      const precision = Number(row.numeric_precision);
      return {
        kind: "decimal",
        hints: { data_type: "decimal", precision, scale: Number(row.numeric_scale) },
      };
    }
    case "float":
      // its text is rounded to six digits; as a double it is exact
      return { kind: "float", hints: { data_type: "double" }, expression: (column) => `${column} + 0e0` };
    case "double":
      return { kind: "float", hints: { data_type: "double" } };
    case "json":
      return JSON_TEXT;
    case "binary":
    case "varbinary":
    case "tinyblob":
    case "blob":
    case "mediumblob":
    case "longblob":
      return BINARY;
    case "date":
      return { kind: "date", hints: { data_type: "date" } };
    case "datetime":
      return { kind: "timestamp", hints: { data_type: "timestamp", timezone: false } };
    case "timestamp":
      return { kind: "timestamptz", hints: { data_type: "timestamp" } };
    case "time":
      return { kind: "time", hints: { data_type: "time" } };
    case "geometry":
    case "point":
    case "linestring":
    case "polygon":
    case "multipoint":
    case "multilinestring":
    case "multipolygon":
    case "geometrycollection":
      return { kind: "text", hints: { data_type: "text" }, expression: (column) => `st_astext(${column})` };
    default:
      return { kind: "text", hints: { data_type: "text" } };
  }
}
