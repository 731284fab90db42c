/**
 * What loading a package does, decided before any of it is done: schema, jobs and the live catalogue go in,
 * statements and bulk loads come out in the order in which they run, all inside one transaction.
 */

import type { LiveCatalogue, TableJobs } from "../destinations/plan-facts.ts";
import { EngineError } from "../errors.ts";
import { BOUNDARY_TABLE, boundaryTable } from "../schema/boundary-table.ts";
import { rejectedTable } from "../schema/rejected-table.ts";
import { rootTable, tableChain } from "../schema/tables.ts";
import type { Schema, Table, WriteDisposition } from "../schema/types.ts";
import { appendSteps } from "../sql/append.ts";
import { boundarySteps } from "../sql/boundary.ts";
import type { LiveComments } from "../sql/comments.ts";
import { catalogueAfter, type DdlPlan, planDdl, runsAfterRows } from "../sql/ddl.ts";
import { deleteInsertSteps } from "../sql/delete-insert.ts";
import type { Dataset, Dialect } from "../sql/dialect.ts";
import type { MergeInput, MergeTable } from "../sql/merge.ts";
import { insertLoad, insertVersion } from "../sql/metadata.ts";
import { emptySteps } from "../sql/replace.ts";
import { planReset } from "../sql/reset.ts";
import { scd2Steps } from "../sql/scd2.ts";
import { describeStep, loadColumns, type Statement, type Step } from "../sql/statement.ts";
import { insertOnlySteps, upsertSteps } from "../sql/upsert.ts";

export interface PlanInput {
  readonly dialect: Dialect;
  readonly dataset: Dataset;
  readonly loadId: string;
  readonly schema: Schema;
  /** The schema as it is stored in `_dlt_version`. */
  readonly schemaJson: string;
  readonly jobs: readonly TableJobs[];
  readonly replaceTables: readonly string[];
  readonly dropTables?: readonly string[];
  readonly truncateTables?: readonly string[];
  readonly live: LiveCatalogue;
  /** Does the dataset exist? */
  readonly exists: boolean;
  /** The schema as of the last load, if there was one. */
  readonly previousSchema?: Schema | undefined;
  /** The comments that are there; without them none is written. */
  readonly comments?: LiveComments | undefined;
  /** ISO time for `inserted_at`. */
  readonly insertedAt: string;
}

export interface RootPlan {
  readonly root: string;
  readonly disposition: WriteDisposition;
  readonly steps: readonly Step[];
}

export interface LoadPlan {
  readonly loadId: string;
  readonly ddl: DdlPlan;
  /** In the schema's order. */
  readonly roots: readonly RootPlan[];
  /** `_dlt_version` (unless its hash is stored), then the `_dlt_loads` row: the mark of the commit. */
  readonly metadata: readonly Statement[];
}

export function planLoad(given: PlanInput): LoadPlan {
  const { dialect, dataset, loadId, schemaJson, insertedAt } = given;
  const stored = given.schema;
  const reset = planReset({
    dialect,
    dataset,
    schemaName: stored.name,
    dropTables: given.dropTables ?? [],
    truncateTables: given.truncateTables ?? [],
    live: given.live,
  });
  const schema = withOwnTables(stored, given.jobs);
  const input: PlanInput = { ...given, schema, live: reset.live };
  const rootsToWrite = new Set<string>();
  for (const { table } of input.jobs) rootsToWrite.add(rootTable(schema, table).name);
  for (const name of input.replaceTables) {
    // A resource that never had a row has no table yet: nothing to empty.
    if (schema.tables.has(name)) rootsToWrite.add(rootTable(schema, name).name);
  }
  const replaced = new Set(input.replaceTables);
  const ddl = planDdl({
    dialect,
    dataset,
    schema,
    tablesWithJobs: new Set(input.jobs.map((job) => job.table)),
    live: input.live,
    exists: input.exists,
    previous: input.previousSchema,
    comments: input.comments,
  });
  const toFill = { ...input, live: catalogueAfter(dialect, input.live, ddl) };
  const roots: RootPlan[] = [];
  for (const table of schema.tables.values()) {
    if (table.parent !== undefined || !rootsToWrite.has(table.name)) continue;
    const disposition = replaced.has(table.name) ? "replace" : (table.write_disposition ?? "append");
    roots.push({ root: table.name, disposition, steps: rootSteps(toFill, table, disposition) });
  }
  return {
    loadId,
    ddl: {
      ...ddl,
      statements: [
        ...reset.drops,
        ...ddl.statements.filter((statement) => !runsAfterRows(statement)),
        ...reset.truncations,
        ...ddl.statements.filter(runsAfterRows),
      ],
    },
    roots,
    metadata: [
      insertVersion(dialect, dataset, { schema: stored, schemaJson, insertedAt }),
      insertLoad(dialect, dataset, { loadId, schema: stored, insertedAt }),
    ],
  };
}

/** Rejected rows and boundary hashes are loaded like any others, but their tables are none of dlt's schema. */
function withOwnTables(schema: Schema, jobs: readonly TableJobs[]): Schema {
  const own = [rejectedTable(), boundaryTable()].filter(({ name }) => jobs.some((job) => job.table === name));
  if (own.length === 0) return schema;
  return {
    ...schema,
    tables: new Map([...schema.tables, ...own.map((table) => [table.name, table] as const)]),
  };
}

function rootSteps(input: PlanInput, root: Table, disposition: WriteDisposition): Step[] {
  const { dialect, dataset, live } = input;
  const chain = tableChain(input.schema, root.name);
  const jobs = new Map(input.jobs.map((job) => [job.table, job]));
  const liveNames = new Set([...live.keys()].map((name) => dialect.fold(name)));
  const existed = (table: Table): boolean => liveNames.has(dialect.fold(table.name));
  const appends = (): Step[] =>
    chain.flatMap((table) => {
      const job = jobs.get(table.name);
      return job === undefined ? [] : appendSteps(dataset, job, loadColumns(dialect, table, live));
    });
  if (root.name === BOUNDARY_TABLE) {
    const files = jobs.get(BOUNDARY_TABLE)?.files ?? [];
    return boundarySteps(dialect, dataset, files, loadColumns(dialect, root, live));
  }
  switch (disposition) {
    case "append":
      return appends();
    case "replace": {
      const emptied = chain.filter(existed).map((table) => table.name);
      return [...emptySteps(dialect, dataset, emptied), ...appends()];
    }
    case "merge": {
      refuseFilters(root);
      const [first, ...nested] = chain.map(
        (table): MergeTable => ({
          table,
          columns: loadColumns(dialect, table, live),
          files: jobs.get(table.name)?.files ?? [],
          existed: existed(table),
        }),
      );
      return mergeSteps(root, { dialect, dataset, chain: [first!, ...nested] }, input.loadId);
    }
    case "skip":
      throw new EngineError("SCHEMA_INVALID", `Table ${root.name} has rows to load, but is to be skipped.`, {
        hint: "Give the resource another write disposition.",
        details: { table: root.name },
      });
  }
}

function mergeSteps(root: Table, merge: MergeInput, loadId: string): Step[] {
  const strategy = root["x-merge-strategy"] ?? "delete-insert";
  switch (strategy) {
    case "delete-insert":
      return deleteInsertSteps(merge);
    case "upsert":
      return upsertSteps(merge);
    case "insert-only":
      return insertOnlySteps(merge);
    case "scd2":
      return scd2Steps({ ...merge, loadId });
    default:
      throw notSupported(root, `merge strategy ${String(strategy)}`, { strategy });
  }
}

/** Conditions that dlt stores with a merge: left out, the merge would touch other rows than it should. */
function refuseFilters(root: Table): void {
  for (const hint of ["x-merge-source-filter", "x-merge-destination-scope"]) {
    if (root[hint]) throw notSupported(root, `the merge condition ${hint}`, { hint });
  }
}

function notSupported(root: Table, what: string, details: Record<string, unknown>): EngineError {
  return new EngineError("CONFIG_INVALID", `Table ${root.name}: ${what} is not supported.`, {
    hint: "Use the merge strategy delete-insert, upsert, insert-only or scd2, without conditions.",
    details: { table: root.name, ...details },
  });
}

/** The plan as text, one statement after the other. Parameters stay placeholders. */
export function describePlan(dialect: Dialect, plan: LoadPlan): string[] {
  const { statements } = plan.ddl;
  return [
    ...statements.filter((statement) => !runsAfterRows(statement)).map(({ sql }) => sql),
    ...plan.roots.flatMap(({ steps }) => steps.map((step) => describeStep(dialect, step))),
    ...statements.filter(runsAfterRows).map(({ sql }) => sql),
    ...plan.metadata.map((statement) => statement.sql),
  ];
}
