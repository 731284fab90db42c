import { z } from "zod";
import { counted } from "../engine/counted.ts";
import { findSchema, type SchemaView, type TableView, tableOf, viewOf } from "../engine/inspect/schema.ts";
import type { HistoryDestination } from "../engine/inspect/schema-history.ts";
import { isSystemTable } from "../engine/schema/tables.ts";
import type { Schema } from "../engine/schema/types.ts";
import { CURSOR, defineTool, FORMAT, limitOf, PIPELINE, READS } from "./define-tool.ts";
import { inspectionOf } from "./inspection.ts";
import { pageOf } from "./paging.ts";
import { SCHEMA_FORMATS, type SchemaFormat, schemaDocument } from "./schema-documents.ts";

const COLUMN = z.object({
  name: z.string(),
  data_type: z.string(),
  nullable: z.boolean(),
  hints: z.record(z.string(), z.unknown()).optional(),
});

const TABLE = z.object({
  name: z.string(),
  parent: z.string().optional(),
  resource: z.string().optional(),
  write_disposition: z.string().optional(),
  description: z.string().optional(),
  column_count: z.number(),
  columns: z.array(COLUMN).optional(),
});

export const getSchema = defineTool({
  name: "get_schema",
  title: "Tables and columns",
  description:
    "Lists the tables of a pipeline's dataset, or the columns of one table with types, keys and nesting. " +
    "Useful before query_data, for the exact names. A version, a load_id or as_of gives the schema as it was then, " +
    "diff_schema how it came to be. format gives a document besides: dlt's json or yaml, ddl, mermaid, dbml. " +
    "Nested tables name their parent; they join on _dlt_parent_id = parent._dlt_id.",
  mode: "read",
  annotations: READS,
  input: z.strictObject({
    pipeline: PIPELINE,
    table: z.string().min(1).optional().describe("Columns of this table; without it, all tables"),
    schema_name: z.string().min(1).optional().describe("Only where a pipeline has several schemas"),
    version: z.int().min(1).optional().describe("As of this schema version"),
    load_id: z
      .string()
      .regex(/^\d+\.\d+$/)
      .optional()
      .describe("As of this load; query_loads lists them"),
    as_of: z
      .string()
      .min(1)
      .max(100)
      .optional()
      .describe("As stored at this ISO time, or of this version hash"),
    format: z
      .enum(["tables", ...SCHEMA_FORMATS])
      .default("tables")
      .describe("A document of the tables on this page; a json or yaml document of all is importable"),
    system_tables: z.boolean().default(false).describe("Include the _dlt tables"),
    limit: limitOf(100, 1000),
    cursor: CURSOR,
    response_format: FORMAT,
  }),
  output: z.object({
    schema_name: z.string(),
    version: z.number(),
    version_hash: z.string(),
    dataset: z.string(),
    read_from: z.enum(["disk", "package", "destination"]),
    document: z.string().optional(),
    tables: z.array(TABLE),
  }),
  list: "tables",
  async execute(input, { workspace, signal }) {
    const { store, destination, dataset } = inspectionOf(workspace, input.pipeline, signal);
    const found = await findSchema(store, destination, input);
    const view = viewOf(found);
    const tables =
      input.table === undefined
        ? view.tables.filter((table) => input.system_tables || !isSystemTable(table.name))
        : [tableOf(view, input.table)];
    const { shown: paged, page } = pageOf("get_schema", input, tables, (table) => table.name);
    const written =
      input.format === "tables"
        ? undefined
        : documentOf(found.schema, paged, {
            format: input.format,
            place: destination,
            whole: paged.length === view.tables.length,
            chars: DOCUMENT_CHARS[input.response_format],
          });
    const shown = written?.tables ?? paged;
    const withColumns =
      written === undefined && (input.table !== undefined || input.response_format === "detailed");
    const first = tables.find((table) => !isSystemTable(table.name));
    return {
      summary: summaryOf(view, tables, input.table),
      data: {
        schema_name: view.schema_name,
        version: view.version,
        version_hash: view.version_hash,
        dataset,
        read_from: view.read_from,
        ...(written === undefined ? {} : { document: written.text }),
        tables: shown.map((table) => shapeOf(table, withColumns)),
      },
      next_steps:
        first === undefined
          ? []
          : input.table === undefined
            ? [
                {
                  tool: "get_schema",
                  arguments: { pipeline: input.pipeline, table: first.name },
                  why: "see the columns of a table",
                },
              ]
            : [
                {
                  tool: "query_data",
                  arguments: {
                    pipeline: input.pipeline,
                    sql: `select * from ${quoted(first.name)} limit 10`,
                  },
                  why: "look at some rows",
                },
              ],
      page,
    };
  },
});

/** What a document may take of an answer; the rest is for the list of its tables. */
const DOCUMENT_CHARS: Readonly<Record<"concise" | "detailed", number>> = {
  concise: 12_000,
  detailed: 40_000,
};

/** A document of as many of the tables as fit; the first always, however long. */
function documentOf(
  schema: Schema,
  tables: readonly TableView[],
  wanted: { format: SchemaFormat; place: HistoryDestination; whole: boolean; chars: number },
): { readonly text: string; readonly tables: readonly TableView[] } {
  for (let count = tables.length; ; count = Math.max(1, Math.floor(count / 2))) {
    const shown = tables.slice(0, count);
    const names = new Set(shown.map(({ name }) => name));
    const part = { ...schema, tables: new Map([...schema.tables].filter(([name]) => names.has(name))) };
    const text = schemaDocument(
      wanted.whole && count === tables.length ? schema : part,
      wanted.format,
      wanted.place,
    );
    if (text.length <= wanted.chars || count <= 1) return { text, tables: shown };
  }
}

function summaryOf(view: SchemaView, tables: readonly TableView[], table?: string): string {
  const version = `schema ${view.schema_name}, version ${view.version}`;
  return table === undefined
    ? `${counted(tables.length, "table")} in ${version}.`
    : `Table ${table} has ${counted(tables[0]?.columns.length ?? 0, "column")} in ${version}.`;
}

function shapeOf({ columns, ...table }: TableView, withColumns: boolean): z.input<typeof TABLE> {
  return {
    ...table,
    column_count: columns.length,
    ...(withColumns
      ? {
          columns: columns.map(({ hints, ...column }) => ({
            ...column,
            ...(Object.keys(hints).length === 0 ? {} : { hints: { ...hints } }),
          })),
        }
      : {}),
  };
}

function quoted(name: string): string {
  return /^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`;
}
