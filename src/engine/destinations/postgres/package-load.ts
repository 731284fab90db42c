/**
 * One package in one transaction:
 *
 *     begin -> (load id known: rollback, done) -> plan -> locks that the plan needs -> plan again
 *           -> DDL -> rows of each root table -> unique constraints of new tables -> metadata -> commit
 *
 * Whatever fails before the commit leaves nothing behind. Locks (see locks.ts) end with the transaction.
 *
 * Jobs may be handed over while later ones are still being made: then the transaction begins with what the
 * schema says so far, and rows are copied at once, of merged tables into their staging tables. If the finished
 * package needs anything else than was done by then, the transaction is rolled back and everything is done again.
 */

import { stat } from "node:fs/promises";
import { isDeepStrictEqual } from "node:util";
import pRetry from "p-retry";
import type { RunContext } from "../../context.ts";
import { EngineError, toEnvelope } from "../../errors.ts";
import { DoneAhead } from "../../load/done-ahead.ts";
import { type LoadPlan, type PlanInput, planLoad } from "../../load/plan.ts";
import { ALREADY_COMMITTED, beforeRows, type LoadStep, PlanExecution } from "../../load/plan-execution.ts";
import { SpareMemory } from "../../package/spare-memory.ts";
import type { Schema } from "../../schema/types.ts";
import { hasDescriptions } from "../../sql/comments.ts";
import type { Dataset, Dialect } from "../../sql/dialect.ts";
import type { CommitReport, PackageLoad, PackageStart, PackageToCommit, TableJobs } from "../destination.ts";
import { datasetExists, isCommitted, readCatalogue, readComments } from "./catalogue.ts";
import type { Connection } from "./connection.ts";
import { copyFiles } from "./copy.ts";
import { isFromPostgres, isTransient, postgresError } from "./errors.ts";
import {
  covers,
  type Locks,
  locksOf,
  missing,
  takeLoadLock,
  takeLocks,
  takeVersionLock,
  tryLocks,
  union,
} from "./locks.ts";
import type { ConnectionSettings } from "./settings.ts";

export interface LoadSettings {
  readonly statementTimeoutMs: number;
  readonly lockTimeoutMs: number;
  readonly removesNuls: boolean;
}

export interface Place {
  readonly dialect: Dialect;
  readonly dataset: Dataset;
  readonly settings: ConnectionSettings;
}

/** The turn on the session's connection: others wait until it is over. */
export interface Turn {
  /** A new one if the last was lost. */
  connection(): Promise<Connection>;
  end(): void;
}

type Before = Pick<PlanInput, "live" | "comments" | "exists">;

const PROGRESS_MS = 250;
/** A load that waits for another one says so after this time. */
const WAITING_MS = 500;
/** Attempts after the first to commit a package: about eight seconds in all. */
const COMMIT_RETRIES = 4;

export class PostgresPackageLoad implements PackageLoad {
  private readonly turn: Turn;
  private readonly place: Place;
  private readonly settings: LoadSettings;
  private readonly context: RunContext;
  private readonly start: PackageStart;
  private execution: PlanExecution;
  private connection!: Connection;
  private connected = false;
  private inTransaction = false;
  /** What the dataset had at the beginning of the transaction. */
  private before: Before | undefined;
  private held: Locks = new Map();
  private readonly memories = new SpareMemory();
  private nulsRemoved: Record<string, Record<string, number>> = {};

  private readonly jobsAhead = new Map<string, TableJobs>();
  private readonly done = new DoneAhead();
  private readonly givenUp = new AbortController();
  private working: Promise<void> = Promise.resolve();

  constructor(turn: Turn, place: Place, settings: LoadSettings, context: RunContext, start: PackageStart) {
    this.turn = turn;
    this.place = place;
    this.settings = settings;
    this.context = context;
    this.start = start;
    this.execution = new PlanExecution(context, start.loadId);
  }

  /** What `commit` would do, ends the turn too; the catalogue is only read. */
  async preview(work: PackageToCommit): Promise<LoadPlan> {
    try {
      this.before = await readBefore(await this.turn.connection(), this.place.dataset);
      return this.plan(work);
    } catch (error) {
      throw this.explain(error);
    } finally {
      this.turn.end();
    }
  }

  add(schema: Schema, job: TableJobs): void {
    this.working = this.working.then(async () => {
      if (this.givenUp.signal.aborted || this.context.signal.aborted) return;
      try {
        await this.loadAhead(schema, job);
      } catch (error) {
        // whatever it was, the package as a whole will meet it again and report it
        this.givenUp.abort();
        this.context.log("debug", "load.ahead_given_up", {
          load_id: this.start.loadId,
          cause: String(error),
        });
      }
    });
  }

  idle(): Promise<void> {
    return this.working;
  }

  async abandon(): Promise<void> {
    this.givenUp.abort();
    if (this.connected) this.connection.interrupt();
    await this.working;
    await this.rollback();
    this.turn.end();
  }

  async commit(work: PackageToCommit): Promise<CommitReport> {
    const { signal } = this.context;
    const interrupt = (): void => {
      if (this.connected) this.connection.interrupt();
    };
    signal.addEventListener("abort", interrupt);
    try {
      await this.working;
      // Tried again where the server undid it or the connection was lost: no load id is committed twice.
      return await pRetry(() => this.attempt(work), {
        retries: COMMIT_RETRIES,
        minTimeout: 500,
        factor: 2,
        randomize: true,
        signal,
        shouldRetry: ({ error }) => isTransient(error),
        onFailedAttempt: ({ error, retriesLeft }) => {
          if (!isTransient(error) || retriesLeft === 0) return;
          const fields = { load_id: work.loadId, ...toEnvelope(error) };
          this.context.log("warn", "postgres:load_is_repeated", fields);
        },
      });
    } finally {
      signal.removeEventListener("abort", interrupt);
      this.turn.end();
    }
  }

  private async attempt(work: PackageToCommit): Promise<CommitReport> {
    try {
      return await this.commitAll(work);
    } catch (error) {
      await this.rollback();
      throw this.explain(error);
    }
  }

  private async commitAll(work: PackageToCommit): Promise<CommitReport> {
    const { context } = this;
    let plan: LoadPlan | undefined;
    if (this.inTransaction && !this.givenUp.signal.aborted) {
      plan = this.plan(work);
      if (!this.done.isPartOf(plan) || !(await this.lockMore(locksOf(work.schema, plan)))) plan = undefined;
      context.log("debug", "load.ahead", { load_id: work.loadId, used: plan !== undefined });
    }
    if (plan === undefined) {
      await this.rollback();
      if (!(await this.begin())) {
        await this.rollback();
        return ALREADY_COMMITTED;
      }
      plan = await this.planLocked(work);
    }
    return this.carryOut(plan);
  }

  private async carryOut(plan: LoadPlan): Promise<CommitReport> {
    const { connection, context, done } = this;
    this.execution = new PlanExecution(context, this.start.loadId);
    let versionsLocked = false;
    const report = await this.execution.run(plan, {
      ddl: (sql) => this.ddl(sql),
      sql: async (sql) => (done.hasRun(sql) ? 0 : connection.run(sql)),
      load: async (step) => {
        const { files, rows } = done.restOf(step);
        return files.length === 0 ? rows : rows + (await this.copy({ ...step, files }, rows, context.signal));
      },
      metadata: async (statement) => {
        if (!versionsLocked) await this.waited(takeVersionLock(this.place.dataset.schema));
        versionsLocked = true;
        await connection.rows(statement);
      },
      commit: async () => {
        await connection.run("commit");
        this.inTransaction = false;
      },
    });
    for (const [table, columns] of Object.entries(this.nulsRemoved)) {
      for (const [column, cells] of Object.entries(columns)) {
        context.log("warn", "postgres:nul_removed", { table, column, cells });
      }
    }
    return { ...report, nulsRemoved: this.nulsRemoved };
  }

  private async loadAhead(schema: Schema, job: TableJobs): Promise<void> {
    if (!this.inTransaction && !(await this.begin())) throw new Error("the package is committed already");
    this.jobsAhead.set(job.table, job);
    const known = { ...this.start, schema, schemaJson: "", jobs: [...this.jobsAhead.values()] };
    const plan = this.held.size === 0 ? await this.planLocked(known) : this.plan(known);
    if (!(await this.lockMore(locksOf(schema, plan)))) throw new Error("another load is at work");
    await this.execution.runDdl(beforeRows(plan), { ddl: (sql) => this.ddl(sql) });
    const steps = this.done.stepsFor(plan, job);
    if (steps === undefined) return;
    for (const sql of steps.staging) await this.ddl(sql);
    const signal = AbortSignal.any([this.context.signal, this.givenUp.signal]);
    const { rows } = this.done.restOf(steps.load);
    this.done.loaded(steps.load, await this.copy(steps.load, rows, signal));
  }

  /** Statements that were run ahead are not run again. */
  private async ddl(sql: string): Promise<void> {
    if (this.done.hasRun(sql)) return;
    await this.connection.run(sql);
    this.done.ran(sql);
  }

  /** False: the package is at the destination already. */
  private async begin(): Promise<boolean> {
    const { place, context, start } = this;
    this.execution.throwIfCancelled();
    this.connection = await this.turn.connection();
    this.connected = true;
    context.boundary("load:begin");
    this.inTransaction = true;
    await this.beginTransaction();
    if (await isCommitted(this.connection, place.dialect, place.dataset, start.loadId)) return false;
    this.before = await readBefore(this.connection, place.dataset);
    return true;
  }

  private async rollback(): Promise<void> {
    if (this.inTransaction) await this.connection.run("rollback").catch(() => this.connection.destroy());
    this.inTransaction = false;
    this.held = new Map();
    this.done.clear();
    this.nulsRemoved = {};
  }

  /** What a role, a database or another user of a pooled connection may have set does not count here. */
  private async beginTransaction(): Promise<void> {
    const { connection, settings } = this;
    await connection.run(`begin isolation level read committed read write;
set local statement_timeout = ${Math.trunc(settings.statementTimeoutMs)};
set local lock_timeout = 0;
set local idle_in_transaction_session_timeout = 0;
set local time zone 'UTC';
set local datestyle = 'ISO, MDY'`);
    // An earlier attempt whose connection was lost may still be at work.
    await this.waited(takeLoadLock(this.place.dataset.schema, this.start.loadId));
  }

  /** The plan, with the locks that it needs; of a transaction that has just begun. */
  private async planLocked(work: PackageToCommit): Promise<LoadPlan> {
    const { place, settings } = this;
    for (;;) {
      const plan = this.plan(work);
      const needed = locksOf(work.schema, plan);
      if (covers(this.held, needed)) {
        await this.connection.run(`set local lock_timeout = ${Math.trunc(settings.lockTimeoutMs)}`);
        return plan;
      }
      const wanted = union(this.held, needed);
      // Locks that came one after the other, as plans came to need them, could be waited for in a circle.
      if (this.held.size > 0) {
        await this.rollback();
        this.inTransaction = true;
        await this.beginTransaction();
      }
      await this.waited(takeLocks(place.dataset.schema, wanted));
      this.held = wanted;
      this.before = await readBefore(this.connection, place.dataset);
    }
  }

  /**
   * Takes what is still needed of locks while others are held and tables are written: without waiting, which could
   * be in a circle, and only if what they guard is as it was when the plan was made.
   */
  private async lockMore(needed: Locks): Promise<boolean> {
    const { connection, place } = this;
    const more = missing(this.held, needed);
    if (more.size === 0) return true;
    const [row] = await connection.rows({ sql: tryLocks(place.dataset.schema, more) });
    if (row?.got !== "t") return false;
    this.held = union(this.held, more);
    const live = await readCatalogue(connection, place.dataset);
    return [...more.keys()].every(
      (table) => table !== "" && isDeepStrictEqual(live.get(table), this.before!.live.get(table)),
    );
  }

  private async waited(sql: string): Promise<void> {
    const telling = setTimeout(() => {
      this.context.log("info", "postgres:waiting_for_another_load", { dataset: this.place.dataset.schema });
    }, WAITING_MS);
    try {
      await this.connection.run(sql);
    } finally {
      clearTimeout(telling);
    }
  }

  private plan(work: PackageToCommit): LoadPlan {
    const { live, comments, exists } = this.before!;
    const { dialect, dataset } = this.place;
    return planLoad({
      dialect,
      dataset,
      ...work,
      live,
      comments: hasDescriptions(work.schema) ? comments : undefined,
      exists,
      insertedAt: new Date(this.context.now()).toISOString(),
    });
  }

  /** Returns the rows that were copied; `before`: those that were there, for the progress. */
  private async copy(step: LoadStep, before: number, signal: AbortSignal): Promise<number> {
    const progress = await this.progressOf(step.table, step.files);
    const { rows, nulsRemoved } = await copyFiles(
      this.connection,
      this.place.dialect,
      step.into,
      step.columns,
      step.files,
      {
        removesNuls: this.settings.removesNuls,
        signal,
        memories: this.memories,
        onProgress: (copied) => progress(before + copied),
      },
    );
    for (const [column, cells] of nulsRemoved) {
      const ofTable = this.nulsRemoved[step.table] ?? {};
      this.nulsRemoved[step.table] = { ...ofTable, [column]: (ofTable[column] ?? 0) + cells };
    }
    return rows;
  }

  private async progressOf(table: string, files: readonly string[]): Promise<(rows: number) => void> {
    const { context, start } = this;
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
        loadId: start.loadId,
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
      return postgresError(error, { doing: "load", where, login: this.place.settings });
    });
  }
}

async function readBefore(connection: Connection, dataset: Dataset): Promise<Before> {
  return {
    live: await readCatalogue(connection, dataset),
    comments: await readComments(connection, dataset),
    exists: await datasetExists(connection, dataset),
  };
}
