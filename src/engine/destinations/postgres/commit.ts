/**
 * One package in one transaction:
 *
 *     begin -> (load id known: rollback, done) -> plan -> locks that the plan needs -> plan again
 *           -> DDL -> rows of each root table -> unique constraints of new tables -> metadata -> commit
 *
 * Whatever fails before the commit leaves nothing behind. Locks (see locks.ts) end with the transaction.
 */

import { stat } from "node:fs/promises";
import type { RunContext } from "../../context.ts";
import { EngineError } from "../../errors.ts";
import { type LoadPlan, planLoad } from "../../load/plan.ts";
import { ALREADY_COMMITTED, type LoadStep, PlanExecution } from "../../load/plan-execution.ts";
import { hasDescriptions } from "../../sql/comments.ts";
import type { Dataset, Dialect } from "../../sql/dialect.ts";
import type { CommitReport, PackageToCommit } from "../destination.ts";
import { datasetExists, isCommitted, readCatalogue, readComments } from "./catalogue.ts";
import type { Connection } from "./connection.ts";
import { copyFiles } from "./copy.ts";
import { isFromPostgres, postgresError } from "./errors.ts";
import { covers, type Locks, locksOf, takeLoadLock, takeLocks, takeVersionLock, union } from "./locks.ts";

export interface CommitSettings {
  readonly statementTimeoutMs: number;
  readonly lockTimeoutMs: number;
  readonly removesNuls: boolean;
}

const PROGRESS_MS = 250;
/** A load that waits for another one says so after this time. */
const WAITING_MS = 500;

export class Commit {
  private readonly connection: Connection;
  private readonly dialect: Dialect;
  private readonly dataset: Dataset;
  private readonly settings: CommitSettings;
  private readonly context: RunContext;
  private readonly work: PackageToCommit;
  private readonly execution: PlanExecution;
  private readonly nulsRemoved: Record<string, Record<string, number>> = {};
  private inTransaction = false;

  constructor(
    connection: Connection,
    place: { readonly dialect: Dialect; readonly dataset: Dataset },
    settings: CommitSettings,
    context: RunContext,
    work: PackageToCommit,
  ) {
    this.connection = connection;
    this.dialect = place.dialect;
    this.dataset = place.dataset;
    this.settings = settings;
    this.context = context;
    this.work = work;
    this.execution = new PlanExecution(context, work.loadId);
  }

  /** What `run` would do; the catalogue is only read. */
  async preview(): Promise<LoadPlan> {
    try {
      return await this.plan();
    } catch (error) {
      throw this.explain(error);
    }
  }

  async run(): Promise<CommitReport> {
    const { signal } = this.context;
    const interrupt = (): void => this.connection.interrupt();
    signal.addEventListener("abort", interrupt);
    try {
      return await this.commit();
    } catch (error) {
      if (this.inTransaction) await this.connection.run("rollback").catch(() => this.connection.destroy());
      throw this.explain(error);
    } finally {
      signal.removeEventListener("abort", interrupt);
    }
  }

  private async commit(): Promise<CommitReport> {
    const { connection, dialect, dataset, context, work } = this;
    this.execution.throwIfCancelled();
    context.boundary("load:begin");
    this.inTransaction = true;
    await this.begin();
    if (await isCommitted(connection, dialect, dataset, work.loadId)) {
      await connection.run("rollback");
      this.inTransaction = false;
      return ALREADY_COMMITTED;
    }
    const plan = await this.planLocked();
    let versionsLocked = false;
    const report = await this.execution.run(plan, {
      ddl: (sql) => connection.run(sql),
      sql: (sql) => connection.run(sql),
      load: (step) => this.load(step),
      metadata: async (statement) => {
        if (!versionsLocked) await this.waited(takeVersionLock(dataset.schema));
        versionsLocked = true;
        await connection.rows(statement);
      },
      commit: async () => {
        await connection.run("commit");
        this.inTransaction = false;
      },
    });
    return { ...report, nulsRemoved: this.nulsRemoved };
  }

  /** What a role, a database or another user of a pooled connection may have set does not count here. */
  private async begin(): Promise<void> {
    const { connection, settings } = this;
    await connection.run(`begin isolation level read committed read write;
set local statement_timeout = ${Math.trunc(settings.statementTimeoutMs)};
set local lock_timeout = 0;
set local idle_in_transaction_session_timeout = 0;
set local time zone 'UTC';
set local datestyle = 'ISO, MDY'`);
    // An earlier attempt whose connection was lost may still be at work.
    await this.waited(takeLoadLock(this.dataset.schema, this.work.loadId));
  }

  /** The plan, with the locks that it needs. */
  private async planLocked(): Promise<LoadPlan> {
    const { connection, dataset, settings, work } = this;
    let held: Locks = new Map();
    for (;;) {
      const plan = await this.plan();
      const needed = locksOf(work.schema, plan);
      if (covers(held, needed)) {
        await connection.run(`set local lock_timeout = ${Math.trunc(settings.lockTimeoutMs)}`);
        return plan;
      }
      // Locks that came one after the other, as plans came to need them, could be waited for in a circle.
      if (held.size > 0) {
        await connection.run("rollback");
        await this.begin();
      }
      held = union(held, needed);
      await this.waited(takeLocks(dataset.schema, held));
    }
  }

  private async waited(sql: string): Promise<void> {
    const telling = setTimeout(() => {
      this.context.log("info", "postgres:waiting_for_another_load", { dataset: this.dataset.schema });
    }, WAITING_MS);
    try {
      await this.connection.run(sql);
    } finally {
      clearTimeout(telling);
    }
  }

  private async plan(): Promise<LoadPlan> {
    const { connection, dialect, dataset, context, work } = this;
    return planLoad({
      dialect,
      dataset,
      loadId: work.loadId,
      schema: work.schema,
      schemaJson: work.schemaJson,
      jobs: work.jobs,
      replaceTables: work.replaceTables,
      dropTables: work.dropTables,
      truncateTables: work.truncateTables,
      previousSchema: work.previousSchema,
      live: await readCatalogue(connection, dataset),
      comments: hasDescriptions(work.schema) ? await readComments(connection, dataset) : undefined,
      exists: await datasetExists(connection, dataset),
      insertedAt: new Date(context.now()).toISOString(),
    });
  }

  private async load(step: LoadStep): Promise<number> {
    const { connection, dialect, context, settings } = this;
    const progress = await this.progressOf(step.table, step.files);
    const { rows, nulsRemoved } = await copyFiles(connection, dialect, step.into, step.columns, step.files, {
      removesNuls: settings.removesNuls,
      signal: context.signal,
      onProgress: progress,
    });
    for (const [column, cells] of nulsRemoved) {
      context.log("warn", "postgres:nul_removed", { table: step.table, column, cells });
      const ofTable = this.nulsRemoved[step.table] ?? {};
      this.nulsRemoved[step.table] = { ...ofTable, [column]: (ofTable[column] ?? 0) + cells };
    }
    return rows;
  }

  private async progressOf(table: string, files: readonly string[]): Promise<(rows: number) => void> {
    const { context, work } = this;
    let bytes = 0;
    for (const file of files) bytes += (await stat(file)).size;
    const startedAt = context.now();
    let reportedAt = startedAt;
    return (rows) => {
      const now = context.now();
      if (now - reportedAt < PROGRESS_MS) return;
      reportedAt = now;
      context.progress({
        kind: "progress",
        step: "load",
        loadId: work.loadId,
        table,
        rows,
        bytes,
        elapsedMs: now - startedAt,
      });
    };
  }

  private explain(error: unknown): unknown {
    return this.execution.explain(error, (where) => {
      if (!(error instanceof EngineError) && !isFromPostgres(error)) return error;
      return postgresError(error, { doing: "load", where, login: this.connection.settings });
    });
  }
}
