/**
 * What of a package was done before the package was complete, inside the transaction that will commit it: DDL,
 * staging tables, and the rows of jobs that were full. The plan of the whole package goes on from there, if
 * that is a part of it; else everything has to be done again.
 */

import { basename } from "node:path";
import type { TableJobs } from "../destinations/destination.ts";
import type { LoadColumn, Step } from "../sql/statement.ts";
import type { LoadPlan } from "./plan.ts";
import { beforeRows, type LoadStep } from "./plan-execution.ts";

/** Files by their names, because they move. */
interface LoadedTable {
  readonly files: Set<string>;
  step: LoadStep;
  rows: number;
}

export class DoneAhead {
  /** DDL and statements that make staging tables; their texts. */
  private readonly statements = new Set<string>();
  private readonly tables = new Map<string, LoadedTable>();
  /** Tables of which a job could not be loaded ahead: later ones may not come before it. */
  private readonly passedOver = new Set<string>();

  clear(): void {
    this.statements.clear();
    this.tables.clear();
    this.passedOver.clear();
  }

  hasRun(sql: string): boolean {
    return this.statements.has(sql);
  }

  ran(sql: string): void {
    this.statements.add(sql);
  }

  /** What can be done for a job by a plan of what is known so far; undefined: nothing before the rest is known. */
  stepsFor(plan: LoadPlan, job: TableJobs): { staging: readonly string[]; load: LoadStep } | undefined {
    const steps = stepsWith(plan, job.table);
    const place = steps.findIndex((step) => step.kind === "load" && step.table === job.table);
    const load = steps[place];
    const before = steps.slice(0, Math.max(place, 0)).filter((step) => step.kind === "sql");
    // the place of a row is known when all files are
    if (
      load?.kind !== "load" ||
      load.placed !== undefined ||
      this.passedOver.has(job.table) ||
      before.some((step) => !step.staging)
    ) {
      this.passedOver.add(job.table);
      return undefined;
    }
    const staging = before.map(({ sql }) => sql).filter((sql) => !this.statements.has(sql));
    return { staging, load: { ...load, files: job.files } };
  }

  loaded(step: LoadStep, rows: number): void {
    const known = this.tables.get(step.table) ?? { files: new Set(), step, rows: 0 };
    for (const file of step.files) known.files.add(basename(file));
    known.step = step;
    known.rows += rows;
    this.tables.set(step.table, known);
  }

  /** What of a load is left to do, and how many rows are there. */
  restOf(step: LoadStep): { readonly files: readonly string[]; readonly rows: number } {
    const known = this.tables.get(step.table);
    if (known === undefined) return { files: step.files, rows: 0 };
    return { files: step.files.filter((file) => !known.files.has(basename(file))), rows: known.rows };
  }

  /** Is all of it in the plan, in the same form? */
  isPartOf(plan: LoadPlan): boolean {
    const planned = new Set(plan.ddl.statements.map(({ sql }) => sql));
    for (const { steps } of plan.roots)
      for (const step of steps) if (step.kind === "sql") planned.add(step.sql);
    for (const sql of this.statements) if (!planned.has(sql)) return false;
    // what a table needed before its rows, it needs too late
    if (beforeRows(plan).some(({ sql, table }) => this.tables.has(table) && !this.statements.has(sql))) {
      return false;
    }
    return [...this.tables].every(([table, known]) => isLoadedBy(stepsWith(plan, table), table, known));
  }
}

function stepsWith(plan: LoadPlan, table: string): readonly Step[] {
  return plan.roots.find(({ steps }) => steps.some((step) => step.table === table))?.steps ?? [];
}

function isLoadedBy(steps: readonly Step[], table: string, { files, step: done }: LoadedTable): boolean {
  const place = steps.findIndex((step) => step.kind === "load" && step.table === table);
  const step = steps[place];
  if (step?.kind !== "load" || !sameTable(step, done)) return false;
  if (steps.slice(0, place).some((before) => before.kind === "sql" && !before.staging)) return false;
  const names = new Set(step.files.map((file) => basename(file)));
  if ([...files].some((file) => !names.has(file))) return false;
  return haveTypes(done.columns, step.columns);
}

function sameTable({ into }: LoadStep, { into: other }: LoadStep): boolean {
  return into.catalog === other.catalog && into.schema === other.schema && into.table === other.table;
}

/** Rows that were loaded without a column have null in it. */
function haveTypes(loaded: readonly LoadColumn[], planned: readonly LoadColumn[]): boolean {
  const types = new Map(planned.map(({ name, sqlType }) => [name, sqlType]));
  return loaded.every(({ name, sqlType }) => types.get(name) === sqlType);
}
