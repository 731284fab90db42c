/**
 * A load plan carried out within one transaction, as every database does it:
 *
 *     DDL -> rows of each root table -> unique constraints of new tables -> metadata -> commit
 *
 * How a statement is run and how rows get in is the destination's.
 */

import type { RunContext } from "../context.ts";
import type { CommitReport } from "../destinations/destination.ts";
import { EngineError } from "../errors.ts";
import { type DdlStatement, runsAfterRows } from "../sql/ddl.ts";
import type { Count, Statement, Step } from "../sql/statement.ts";
import type { LoadPlan } from "./plan.ts";

export type LoadStep = Extract<Step, { kind: "load" }>;

/** What the plan asks of a transaction that has begun. Each throws in the destination's words. */
export interface PlanTransaction {
  ddl(sql: string): Promise<unknown>;
  /** Returns how many rows the statement touched; `counts`: what they are reported as. */
  sql(sql: string, counts: Count | undefined): Promise<number>;
  /** Loads the files of a step; returns how many rows they had. */
  load(step: LoadStep): Promise<number>;
  metadata(statement: Statement): Promise<unknown>;
  commit(): Promise<void>;
}

/** The DDL that the rows need. */
export function beforeRows({ ddl }: LoadPlan): DdlStatement[] {
  return ddl.statements.filter((statement) => !runsAfterRows(statement));
}

/** Of a package whose load id the destination has. */
export const ALREADY_COMMITTED: CommitReport = {
  alreadyCommitted: true,
  ddl: [],
  tables: {},
  foreign: [],
  mismatched: [],
};

export class PlanExecution {
  private readonly context: RunContext;
  private readonly loadId: string;
  private readonly counts: Record<string, { inserted: number; deleted?: number; deduplicated?: number }> = {};
  /** The table being written, for the error. */
  private table: string | undefined;

  constructor(context: RunContext, loadId: string) {
    this.context = context;
    this.loadId = loadId;
  }

  /** Errors: CANCELLED, and what the destination throws; nothing is rolled back here. */
  async run(plan: LoadPlan, transaction: PlanTransaction): Promise<CommitReport> {
    const { context } = this;
    await this.runDdl(beforeRows(plan), transaction);
    context.boundary("load:ddl");
    for (const { root, steps } of plan.roots) {
      for (const step of steps) await this.step(step, transaction);
      this.table = undefined;
      context.boundary(`load:table:${root}`);
    }
    this.throwIfCancelled();
    await this.runDdl(plan.ddl.statements.filter(runsAfterRows), transaction);
    for (const statement of plan.metadata) await transaction.metadata(statement);
    this.throwIfCancelled();
    context.boundary("load:commit");
    await transaction.commit();
    context.boundary("load:committed");
    return {
      alreadyCommitted: false,
      ddl: plan.ddl.statements.map((statement) => statement.sql),
      tables: this.counts,
      foreign: plan.ddl.foreign,
      mismatched: plan.ddl.mismatched,
      widened: plan.ddl.widened,
    };
  }

  async runDdl(statements: readonly DdlStatement[], { ddl }: Pick<PlanTransaction, "ddl">): Promise<void> {
    for (const { sql, table } of statements) {
      this.table = table || undefined;
      await ddl(sql);
    }
    this.table = undefined;
  }

  private async step(step: Step, transaction: PlanTransaction): Promise<void> {
    this.throwIfCancelled();
    this.table = step.table;
    const rows =
      step.kind === "sql" ? await transaction.sql(step.sql, step.counts) : await transaction.load(step);
    if (step.counts === undefined) return;
    const counts = this.counts[step.table] ?? { inserted: 0 };
    counts[step.counts] = (counts[step.counts] ?? 0) + rows;
    this.counts[step.table] = counts;
  }

  throwIfCancelled(): void {
    if (this.context.signal.aborted) throw new EngineError("CANCELLED", "The load was cancelled.");
  }

  /**
   * An error with the load and the table it belongs to. A statement that an abort interrupted fails in the
   * database's words; what happened is that it was cancelled.
   */
  explain(error: unknown, inWords: (where: Readonly<Record<string, string>>) => unknown): unknown {
    const where = { load_id: this.loadId, ...(this.table === undefined ? {} : { table: this.table }) };
    if (this.context.signal.aborted && !(error instanceof EngineError)) {
      return new EngineError("CANCELLED", "The load was cancelled.", { details: where });
    }
    return inWords(where);
  }
}
