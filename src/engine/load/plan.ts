/**
 * What loading a package does, decided before any of it is done: schema, jobs and the live catalogue go in,
 * statements and bulk loads come out in the order in which they run, all inside one transaction.
 */

import type { LiveCatalogue, TableJobs } from "../destinations/destination.ts";
import { EngineError } from "../errors.ts";
import { REJECTED_TABLE, rejectedTable } from "../schema/rejected-table.ts";
import type { Schema, Table, WriteDisposition } from "../schema/types.ts";
import { appendSteps } from "../sql/append.ts";
import { type DdlPlan, planDdl } from "../sql/ddl.ts";
import { deleteInsertSteps, type MergeTable } from "../sql/delete-insert.ts";
import type { Dataset, Dialect } from "../sql/dialect.ts";
import { insertLoad, insertVersion } from "../sql/metadata.ts";
import { emptySteps } from "../sql/replace.ts";
import { planReset } from "../sql/reset.ts";
import { describeStep, loadColumns, type Statement, type Step } from "../sql/statement.ts";
import { nestedChain, rootOf } from "../sql/table-chain.ts";

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
  for (const { table } of input.jobs) rootsToWrite.add(rootOf(schema, table).name);
  for (const name of input.replaceTables) {
    // A resource that never had a row has no table yet: nothing to empty.
    if (schema.tables.has(name)) rootsToWrite.add(rootOf(schema, name).name);
  }
  const replaced = new Set(input.replaceTables);
  const roots: RootPlan[] = [];
  for (const table of schema.tables.values()) {
    if (table.parent !== undefined || !rootsToWrite.has(table.name)) continue;
    const disposition = replaced.has(table.name) ? "replace" : (table.write_disposition ?? "append");
    roots.push({ root: table.name, disposition, steps: rootSteps(input, table, disposition) });
  }
  const ddl = planDdl({
    dialect,
    dataset,
    schema,
    tablesWithJobs: new Set(input.jobs.map((job) => job.table)),
    live: input.live,
    exists: input.exists,
  });
  return {
    loadId,
    ddl: { ...ddl, statements: [...reset.drops, ...ddl.statements, ...reset.truncations] },
    roots,
    metadata: [
      insertVersion(dialect, dataset, { schema: stored, schemaJson, insertedAt }),
      insertLoad(dialect, dataset, { loadId, schema: stored, insertedAt }),
    ],
  };
}

/** Rejected rows are loaded like any others, but their table is none of dlt's schema. */
function withOwnTables(schema: Schema, jobs: readonly TableJobs[]): Schema {
  if (!jobs.some((job) => job.table === REJECTED_TABLE)) return schema;
  return { ...schema, tables: new Map([...schema.tables, [REJECTED_TABLE, rejectedTable()]]) };
}

function rootSteps(input: PlanInput, root: Table, disposition: WriteDisposition): Step[] {
  const { dialect, dataset, live } = input;
  const chain = nestedChain(input.schema, root.name);
  const jobs = new Map(input.jobs.map((job) => [job.table, job]));
  const liveNames = new Set([...live.keys()].map((name) => dialect.fold(name)));
  const existed = (table: Table): boolean => liveNames.has(dialect.fold(table.name));
  const appends = (): Step[] =>
    chain.flatMap((table) => {
      const job = jobs.get(table.name);
      return job === undefined ? [] : appendSteps(dataset, job, loadColumns(dialect, table, live));
    });
  switch (disposition) {
    case "append":
      return appends();
    case "replace": {
      const emptied = chain.filter(existed).map((table) => table.name);
      return [...emptySteps(dialect, dataset, emptied), ...appends()];
    }
    case "merge": {
      refuseOtherStrategy(root);
      const [first, ...nested] = chain.map(
        (table): MergeTable => ({
          table,
          columns: loadColumns(dialect, table, live),
          files: jobs.get(table.name)?.files ?? [],
          existed: existed(table),
        }),
      );
      return deleteInsertSteps({ dialect, dataset, chain: [first!, ...nested] });
    }
    case "skip":
      throw new EngineError("SCHEMA_INVALID", `Table ${root.name} has rows to load, but is to be skipped.`, {
        hint: "Give the resource another write disposition.",
        details: { table: root.name },
      });
  }
}

/** Other strategies than delete-insert have their own file in ../sql and their own case here. */
function refuseOtherStrategy(root: Table): void {
  const strategy = root["x-merge-strategy"] ?? "delete-insert";
  if (strategy === "delete-insert") return;
  throw new EngineError(
    "CONFIG_INVALID",
    `Table ${root.name}: merge strategy ${String(strategy)} is not supported.`,
    {
      hint: "Use the merge strategy delete-insert.",
      details: { table: root.name, strategy },
    },
  );
}

/** The plan as text, one statement after the other. Parameters stay placeholders. */
export function describePlan(dialect: Dialect, plan: LoadPlan): string[] {
  return [
    ...plan.ddl.statements.map((statement) => statement.sql),
    ...plan.roots.flatMap(({ steps }) => steps.map((step) => describeStep(dialect, step))),
    ...plan.metadata.map((statement) => statement.sql),
  ];
}
