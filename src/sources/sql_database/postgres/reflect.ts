/** The tables of a Postgres schema, from the system catalogues. */

import type { TextRow } from "../../../engine/destinations/postgres/connection.ts";
import type { ColumnHints } from "../../../engine/extract/resource.ts";
import type { CellKind, SourceColumn, SourceTable } from "../types.ts";

/**
 * Partitions are read through the table they belong to. A domain is followed to the type below it; `typmod`
 * then comes from the domain, where the column has none.
 */
export const TABLES_SQL = `
with recursive base as (
  select oid as type, oid as base, typtype, typbasetype, typtypmod as typmod from pg_type
  union all
  select base.type, t.oid, t.typtype, t.typbasetype, case when base.typmod >= 0 then base.typmod else t.typtypmod end
  from base join pg_type t on t.oid = base.typbasetype where base.typtype = 'd'
)
select
  c.oid::text as table_id, c.relname as table_name, c.relkind::text as relkind,
  obj_description(c.oid, 'pg_class') as table_comment,
  a.attname as column_name, format_type(a.atttypid, a.atttypmod) as shown_type,
  t.typname as type_name, t.typcategory::text as category, base.typtype::text as typtype,
  element.typname as element_name,
  case when a.atttypmod >= 0 then a.atttypmod else base.typmod end as typmod,
  a.attnotnull::text as not_null, col_description(c.oid, a.attnum) as column_comment,
  array_position(i.indkey::int2[], a.attnum)::text as key_position
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
join base on base.type = a.atttypid and base.typtype <> 'd'
join pg_type t on t.oid = base.base
left join pg_type element on element.oid = t.typelem and t.typcategory = 'A'
left join pg_index i on i.indrelid = c.oid and i.indisprimary
where n.nspname = $1 and c.relkind in ('r', 'p', 'f', 'v', 'm') and not c.relispartition
order by c.relname, a.attnum`;

export function tablesOf(
  rows: readonly TextRow[],
  schema: string,
  quote: (name: string) => string,
): SourceTable[] {
  const tables = new Map<string, TextRow[]>();
  for (const row of rows) {
    const name = row.table_name!;
    const columns = tables.get(name);
    if (columns === undefined) tables.set(name, [row]);
    else columns.push(row);
  }
  return [...tables].map(([name, columns]) => ({
    schema,
    name,
    kind: columns[0]!.relkind === "v" || columns[0]!.relkind === "m" ? "view" : "table",
    ...(columns[0]!.table_comment ? { description: columns[0]!.table_comment } : {}),
    columns: columns.map((row) => columnOf(row, quote)),
    primaryKey: columns
      .filter((row) => row.key_position != null)
      .sort((a, b) => Number(a.key_position) - Number(b.key_position))
      .map((row) => row.column_name!),
  }));
}

interface Mapped {
  readonly kind: CellKind;
  readonly hints: ColumnHints;
  /** A cast or a function around the column. */
  readonly expression?: (column: string) => string;
  /** The same in COPY's binary format: integers of 8 bytes, numbers and all else that has no form of its own as text. */
  readonly binary?: (column: string) => string;
}

function columnOf(row: TextRow, quote: (name: string) => string): SourceColumn {
  const { kind, hints, expression, binary = asText } = mappedType(row);
  const name = row.column_name!;
  const selected = expression?.(quote(name)) ?? quote(name);
  return {
    name,
    sourceType: row.shown_type!,
    kind,
    hints: { ...hints, ...(row.column_comment ? { description: row.column_comment } : {}) },
    nullable: row.not_null !== "true",
    ...(expression === undefined ? {} : { expression: selected }),
    binary: binary(selected),
  };
}

const asText = (column: string): string => `(${column})::text`;
const asItIs = (column: string): string => column;
const asInt8 = (column: string): string => `${column}::int8`;

const BY_NAME: Readonly<Record<string, Mapped>> = {
  int2: { kind: "integer", hints: { data_type: "bigint" }, binary: asInt8 },
  int4: { kind: "integer", hints: { data_type: "bigint" }, binary: asInt8 },
  int8: { kind: "integer", hints: { data_type: "bigint" }, binary: asItIs },
  oid: { kind: "integer", hints: { data_type: "bigint" }, binary: asInt8 },
  // the double that its text says, not the one that its bits are
  float4: {
    kind: "float",
    hints: { data_type: "double" },
    binary: (column) => `${column}::text::float8`,
  },
  float8: { kind: "float", hints: { data_type: "double" }, binary: asItIs },
  // its text depends on the server's locale
  money: { kind: "decimal", hints: { data_type: "decimal" }, expression: (column) => `${column}::numeric` },
  bool: { kind: "bool", hints: { data_type: "bool" }, binary: asItIs },
  bytea: { kind: "binary", hints: { data_type: "binary" }, binary: asItIs },
  json: { kind: "json", hints: { data_type: "json" }, binary: asItIs },
  jsonb: { kind: "json", hints: { data_type: "json" } },
  timestamptz: { kind: "timestamptz", hints: { data_type: "timestamp" }, binary: asItIs },
  timestamp: { kind: "timestamp", hints: { data_type: "timestamp", timezone: false }, binary: asItIs },
  date: { kind: "date", hints: { data_type: "date" }, binary: asItIs },
  time: { kind: "time", hints: { data_type: "time" }, binary: asItIs },
  // a cast would cut the blanks that a char(n) ends with
  text: { kind: "text", hints: { data_type: "text" }, binary: asItIs },
  varchar: { kind: "text", hints: { data_type: "text" }, binary: asItIs },
  bpchar: { kind: "text", hints: { data_type: "text" }, binary: asItIs },
};

/** Everything without a type of its own (enums, uuid, inet, intervals, ranges) is its text. */
function mappedType(row: TextRow): Mapped {
  const type = row.type_name!;
  if (row.category === "A") {
    // JSON's numbers would be read as doubles
    const exact = row.element_name === "numeric" || row.element_name === "money";
    return {
      kind: "json",
      hints: { data_type: "json" },
      expression: (column) => `to_jsonb(${column}${exact ? "::text[]" : ""})`,
    };
  }
  if (row.typtype === "c") {
    return { kind: "json", hints: { data_type: "json" }, expression: (column) => `to_jsonb(${column})` };
  }
  if (type === "numeric") return { kind: "decimal", hints: numericHints(Number(row.typmod)) };
  return BY_NAME[type] ?? { kind: "text", hints: { data_type: "text" } };
}

/** A typmod of numeric is ((precision << 16) | scale) + 4, its scale of 11 bits with a sign (numeric.c). */
function numericHints(typmod: number): ColumnHints {
  if (typmod < 4) return { data_type: "decimal" };
  const precision = ((typmod - 4) >> 16) & 0xffff;
  const scale = (((typmod - 4) & 0x7ff) ^ 1024) - 1024;
  if (scale < 0) return { data_type: "decimal", precision: precision - scale, scale: 0 };
  return { data_type: "decimal", precision: Math.max(precision, scale), scale };
}
