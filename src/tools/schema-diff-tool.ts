import { z } from "zod";
import { counted } from "../engine/counted.ts";
import { type ExampleWanted, exampleValues } from "../engine/inspect/example-values.ts";
import { readLiveColumns } from "../engine/inspect/live-columns.ts";
import { type HistoricChange, type SchemaHistory, schemaHistory } from "../engine/inspect/schema-history.ts";
import { didYouMean } from "../engine/nearest.ts";
import type { PackageStore } from "../engine/package/store.ts";
import { CHANGE_KINDS } from "../engine/schema/diff.ts";
import { CURSOR, defineTool, FORMAT, limitOf, type NextStep, PIPELINE, READS } from "./define-tool.ts";
import { type Inspection, inspectionOf } from "./inspection.ts";
import { maskedCell } from "./masked-cell.ts";
import { offsetOf } from "./paging.ts";

const CHANGE = z.object({
  kind: z.enum(CHANGE_KINDS),
  table: z.string(),
  column: z.string().optional(),
  hint: z.string().optional(),
  before: z.unknown().optional(),
  after: z.unknown().optional(),
  breaking: z.boolean().describe("A query or writer that worked before may fail"),
  version: z.number().nullable().describe("Schema version that has the change; null: done by hand"),
  load_id: z.string().nullable().describe("First load made with that version"),
  run_id: z.string().optional(),
  at: z.string().nullable(),
  resource: z.string().optional(),
  why: z.string().optional(),
  ddl: z.array(z.string()).optional(),
  example: z.int().optional().describe("Place in `examples` of the column's first value in that load"),
});
type Shape = z.infer<typeof CHANGE>;

const POINT = z.string().min(1).max(100);

export const diffSchemaTool = defineTool({
  name: "diff_schema",
  title: "How the schema changed",
  description:
    "Lists what changed in a pipeline's schema, oldest first: tables and columns added or removed, types widened, " +
    "variants, keys, hints and descriptions, each with the load that brought it, when, why, the DDL, whether it " +
    "breaks readers, and an example value of a new column. With table and column it answers in one call when and " +
    "why a column appeared. from and to take a version number, a load id, a version hash or an ISO time; to may " +
    "be live, to compare the database as it is. get_schema shows the schema itself, query_loads the loads.",
  mode: "read",
  annotations: READS,
  untrusted: true,
  input: z.strictObject({
    pipeline: PIPELINE,
    table: z.string().min(1).optional().describe("Only changes of this table"),
    column: z
      .string()
      .min(1)
      .optional()
      .describe("Only changes of this column, its first appearance included"),
    from: POINT.optional().describe("Changes after this point; default the beginning"),
    to: POINT.optional().describe("Changes up to this point, included; default the newest version"),
    load_id: z
      .string()
      .regex(/^\d+\.\d+$/)
      .optional()
      .describe("Only what this load brought"),
    schema_name: z.string().min(1).optional().describe("Only where a pipeline has several schemas"),
    examples: z.boolean().default(true).describe("Read an example value of each new column"),
    system_tables: z.boolean().default(false).describe("Include the _dlt tables"),
    limit: limitOf(50, 200),
    cursor: CURSOR,
    response_format: FORMAT,
  }),
  output: z.object({
    schema_name: z.string(),
    from_version: z.number().nullable(),
    to_version: z.union([z.number(), z.literal("live")]),
    changes_total: z.number(),
    breaking_total: z.number(),
    changes: z.array(CHANGE),
    examples: z.array(z.string()).optional(),
  }),
  list: "changes",
  view: "schema-diff",
  async execute(input, { workspace, signal }) {
    const inspection = inspectionOf(workspace, input.pipeline, signal);
    const { store, destination } = inspection;
    const { system_tables: system, ...wanted } = input;
    const history = await schemaHistory(destination, { ...wanted, system });
    const offset = offsetOf("diff_schema", input);
    const page = history.changes.slice(offset, offset + input.limit);
    const examples = input.examples ? await examplesOf(inspection, history, page) : new Map<number, string>();
    const values: string[] = [];
    const runs = await runIds(store);
    const changes = page.map((change, index): Shape => {
      const { version_hash: _, ddl, ...facts } = change;
      const example = examples.get(index);
      const runId = runs.get(change.load_id ?? "");
      const why = reasonOf(change, example !== undefined, input.examples);
      return {
        ...facts,
        ...(runId === undefined ? {} : { run_id: runId }),
        ...(why === undefined ? {} : { why }),
        ...(ddl === undefined ? {} : { ddl: [...ddl] }),
        ...(example === undefined
          ? {}
          : { example: values.push(maskedCell(change.column ?? "", example)) - 1 }),
      };
    });
    return {
      summary: summaryOf(input, history),
      data: {
        schema_name: history.schema_name,
        from_version: history.from?.version ?? null,
        to_version: history.to === "live" ? history.to : history.to.version,
        changes_total: history.changes.length,
        breaking_total: history.changes.filter(({ breaking }) => breaking).length,
        changes,
        ...(values.length === 0 ? {} : { examples: values }),
      },
      next_steps: nextSteps(input.pipeline, page),
      page: { offset, more: offset + page.length < history.changes.length },
    };
  },
});

/** By the change's place on the page. */
async function examplesOf(
  { destination }: Inspection,
  history: SchemaHistory,
  page: readonly HistoricChange[],
): Promise<Map<number, string>> {
  const places: number[] = [];
  const wanted: ExampleWanted[] = [];
  for (const [index, { kind, table, column, load_id }] of page.entries()) {
    if ((kind !== "column_added" && kind !== "variant_added") || !column || load_id === null) continue;
    places.push(index);
    wanted.push({ table, column, load_id });
  }
  if (wanted.length === 0) return new Map();
  const live = history.live ?? (await readLiveColumns(destination));
  const found = await exampleValues(destination, history.schema, live, wanted);
  return new Map(places.flatMap((place, i) => (found[i] == null ? [] : [[place, found[i]] as const])));
}

/** Runs by the load they made, of the packages that are still known here. */
async function runIds(store: PackageStore): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const ref of await store.list("loaded")) {
    const manifest = await store.readManifest(ref).catch(() => undefined);
    if (manifest !== undefined) found.set(ref.load_id, manifest.run_id);
  }
  return found;
}

function reasonOf(change: HistoricChange, hasExample: boolean, asked: boolean): string | undefined {
  if (change.version === null) return "Somebody changed the database by hand; no load did this.";
  const from = change.resource === undefined ? "" : ` of resource ${change.resource}`;
  switch (change.kind) {
    case "variant_added": {
      const base = change.column?.replace(/__v_\w+$/, "") ?? "";
      return `Values of ${base} in rows${from} did not fit its type; they go to this column.`;
    }
    case "column_added":
      if (!asked) return undefined;
      return hasExample
        ? `Rows${from} in this load had the field for the first time.`
        : `The source declared it, or the rows that had it${from} were replaced since: no row of this load has a value.`;
    case "table_added":
      return `First rows${from}.`;
    case "type_widened":
    case "key_changed":
    case "hint_changed":
    case "nullability_changed":
    case "description_changed":
      return `The declaration${from} was changed.`;
    default:
      return undefined;
  }
}

interface Asked {
  readonly table?: string;
  readonly column?: string;
}

function summaryOf({ table, column }: Asked, { changes, schema, schema_name }: SchemaHistory): string {
  const what = [table, column].filter((part) => part !== undefined).join(".");
  const appeared = changes.find(({ kind }) => kind === "column_added" || kind === "variant_added");
  if (column !== undefined && appeared !== undefined) {
    const by = appeared.load_id === null ? "by hand" : `by load ${appeared.load_id} at ${appeared.at}`;
    return `Column ${appeared.table}.${appeared.column} (${String(appeared.after)}) appeared ${by}; ${counted(changes.length, "change")} in all.`;
  }
  if (changes.length === 0) {
    const names = [...schema.tables.keys()];
    const guess = table !== undefined && !schema.tables.has(table) ? ` ${didYouMean(table, names)}` : "";
    return `No change${what === "" ? "" : ` of ${what}`} in schema ${schema_name}.${guess}`.trim();
  }
  const breaking = changes.filter((change) => change.breaking).length;
  return `${counted(changes.length, "change")}${what === "" ? "" : ` of ${what}`} in schema ${schema_name}, ${breaking} of them breaking.`;
}

function nextSteps(pipeline: string, page: readonly HistoricChange[]): NextStep[] {
  const change = page.find(({ load_id }) => load_id !== null);
  if (change === undefined) return [];
  return [
    {
      tool: "query_loads",
      arguments: { pipeline, load_id: change.load_id },
      why: "see the load that brought the change",
    },
  ];
}
