/**
 * One package in one transaction:
 *
 *     begin -> lock of the dataset -> (load id known: rollback, done) -> DDL -> rows of each root table
 *           -> unique constraints of new tables -> metadata -> commit
 *
 * Whatever fails before the commit leaves nothing behind. The lock ends with the transaction: two first loads
 * of one dataset would else both create its tables, and one would fail.
 */

import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import type { RunContext } from "../../context.ts";
import { EngineError } from "../../errors.ts";
import { type LoadPlan, planLoad } from "../../load/plan.ts";
import { hasDescriptions } from "../../sql/comments.ts";
import { type DdlStatement, runsAfterRows } from "../../sql/ddl.ts";
import type { Dataset, Dialect } from "../../sql/dialect.ts";
import type { Count, Step } from "../../sql/statement.ts";
import type { CommitReport, PackageToCommit } from "../destination.ts";
import { datasetExists, isCommitted, readCatalogue, readComments } from "./catalogue.ts";
import type { Connection } from "./connection.ts";
import { copyFiles } from "./copy.ts";
import { isFromPostgres, postgresError } from "./errors.ts";

export interface CommitSettings {
  readonly statementTimeoutMs: number;
  readonly lockTimeoutMs: number;
  readonly removesNuls: boolean;
}

const PROGRESS_MS = 250;

export class Commit {
  private readonly connection: Connection;
  private readonly dialect: Dialect;
  private readonly dataset: Dataset;
  private readonly settings: CommitSettings;
  private readonly context: RunContext;
  private readonly work: PackageToCommit;
  private readonly counts: Record<string, { inserted: number; deleted?: number; deduplicated?: number }> = {};
  private readonly nulsRemoved: Record<string, Record<string, number>> = {};
  /** The table being written, for the error. */
  private table: string | undefined;
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
    this.throwIfCancelled();
    context.boundary("load:begin");
    this.inTransaction = true;
    await this.begin();
    if (await isCommitted(connection, dialect, dataset, work.loadId)) {
      await connection.run("rollback");
      this.inTransaction = false;
      return { alreadyCommitted: true, ddl: [], tables: {}, foreign: [], mismatched: [] };
    }
    const plan = await this.plan();
    await this.runDdl(plan.ddl.statements.filter((statement) => !runsAfterRows(statement)));
    context.boundary("load:ddl");
    for (const { root, steps } of plan.roots) {
      for (const step of steps) await this.step(step);
      this.table = undefined;
      context.boundary(`load:table:${root}`);
    }
    this.throwIfCancelled();
    await this.runDdl(plan.ddl.statements.filter(runsAfterRows));
    for (const statement of plan.metadata) await connection.rows(statement);
    this.throwIfCancelled();
    context.boundary("load:commit");
    await connection.run("commit");
    this.inTransaction = false;
    context.boundary("load:committed");
    return {
      alreadyCommitted: false,
      ddl: plan.ddl.statements.map((statement) => statement.sql),
      tables: this.counts,
      foreign: plan.ddl.foreign,
      mismatched: plan.ddl.mismatched,
      widened: plan.ddl.widened,
      nulsRemoved: this.nulsRemoved,
    };
  }

  private async runDdl(statements: readonly DdlStatement[]): Promise<void> {
    for (const { table, sql } of statements) {
      this.table = table || undefined;
      await this.connection.run(sql);
    }
    this.table = undefined;
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
    const parameters = [datasetLockKey(this.dataset.schema)];
    const [tried] = await connection.rows({
      sql: "select pg_catalog.pg_try_advisory_xact_lock($1::bigint) as got",
      parameters,
    });
    if (tried?.got !== "t") {
      this.context.log("info", "postgres:waiting_for_another_load", { dataset: this.dataset.schema });
      await connection.rows({ sql: "select pg_catalog.pg_advisory_xact_lock($1::bigint)", parameters });
    }
    await connection.run(`set local lock_timeout = ${Math.trunc(settings.lockTimeoutMs)}`);
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

  private async step(step: Step): Promise<void> {
    this.throwIfCancelled();
    this.table = step.table;
    if (step.kind === "sql") {
      const rows = await this.connection.run(step.sql);
      if (step.counts !== undefined) this.count(step.table, step.counts, rows);
      return;
    }
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
    if (step.counts !== undefined) this.count(step.table, step.counts, rows);
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

  private count(table: string, what: Count, rows: number): void {
    const counts = this.counts[table] ?? { inserted: 0 };
    counts[what] = (counts[what] ?? 0) + rows;
    this.counts[table] = counts;
  }

  private throwIfCancelled(): void {
    if (this.context.signal.aborted) throw new EngineError("CANCELLED", "The load was cancelled.");
  }

  /** A statement that an abort interrupted fails in Postgres's words; what happened is that it was cancelled. */
  private explain(error: unknown): unknown {
    const where = { load_id: this.work.loadId, ...(this.table === undefined ? {} : { table: this.table }) };
    if (this.context.signal.aborted && !(error instanceof EngineError)) {
      return new EngineError("CANCELLED", "The load was cancelled.", { details: where });
    }
    if (!(error instanceof EngineError) && !isFromPostgres(error)) return error;
    return postgresError(error, { doing: "load", where, login: this.connection.settings });
  }
}

/** 64 bits of the dataset's name as text. Two datasets that share them would only wait for each other. */
function datasetLockKey(schema: string): string {
  return createHash("sha256").update(`loadwright:dataset:${schema}`).digest().readBigInt64BE(0).toString();
}
