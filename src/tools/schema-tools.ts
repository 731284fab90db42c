import { z } from "zod";
import { inspectSchema, type SchemaView, type TableView, tableOf } from "../engine/inspect/schema.ts";
import { isSystemTable } from "../engine/schema/tables.ts";
import { CURSOR, defineTool, FORMAT, limitOf, PIPELINE, READS } from "./define-tool.ts";
import { inspectionOf } from "./inspection.ts";
import { pageOf } from "./paging.ts";

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
    "Useful before query_data, for the exact names. A version or a load_id gives the schema as it was then. " +
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
    tables: z.array(TABLE),
  }),
  list: "tables",
  async execute(input, { workspace, signal }) {
    const { store, read, dataset } = inspectionOf(workspace, input.pipeline, signal);
    const view = await inspectSchema(store, read, input);
    const tables =
      input.table === undefined
        ? view.tables.filter((table) => input.system_tables || !isSystemTable(table.name))
        : [tableOf(view, input.table)];
    const { shown, page } = pageOf("get_schema", input, tables, (table) => table.name);
    const withColumns = input.table !== undefined || input.response_format === "detailed";
    const first = tables.find((table) => !isSystemTable(table.name));
    return {
      summary: summaryOf(view, tables, input.table),
      data: {
        schema_name: view.schema_name,
        version: view.version,
        version_hash: view.version_hash,
        dataset,
        read_from: view.read_from,
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

function summaryOf(view: SchemaView, tables: readonly TableView[], table?: string): string {
  const version = `schema ${view.schema_name}, version ${view.version}`;
  return table === undefined
    ? `${tables.length} tables in ${version}.`
    : `Table ${table} has ${tables[0]?.columns.length ?? 0} columns in ${version}.`;
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
