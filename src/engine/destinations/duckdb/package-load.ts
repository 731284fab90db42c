/**
 * One package in one transaction:
 *
 *     begin -> (load id known: rollback, done) -> DDL -> rows of each root table -> metadata -> commit
 *
 * Whatever fails before the commit leaves nothing behind.
 *
 * Jobs may be handed over while later ones are still being made: then the transaction begins with what the
 * schema says so far, and rows are loaded at once, of merged tables into their staging tables. If the finished
 * package needs anything else than was done by then, the transaction is rolled back and everything is done again.
 */

import { mkdir, stat } from "node:fs/promises";
import type { DuckDBConnection, DuckDBValue } from "@duckdb/node-api";
import type { RunContext } from "../../context.ts";
import { EngineError } from "../../errors.ts";
import { DoneAhead } from "../../load/done-ahead.ts";
import { type LoadPlan, planLoad } from "../../load/plan.ts";
import { ALREADY_COMMITTED, beforeRows, type LoadStep, PlanExecution } from "../../load/plan-execution.ts";
import { dumpBlocks } from "../../package/block-format.ts";
import { BOUNDARY_TABLE } from "../../schema/boundary-table.ts";
import type { Schema } from "../../schema/types.ts";
import { type Dataset, duckdbDialect, qualified, quoteAll } from "../../sql/dialect.ts";
import type { Count } from "../../sql/statement.ts";
import type { CommitReport, PackageLoad, PackageStart, PackageToCommit, TableJobs } from "../destination.ts";
import { bulkLoad, withOrder } from "./bulk-load.ts";
import { isCommitted, type Live, readLive, readRows } from "./catalogue.ts";
import { duckdbError } from "./errors.ts";
import { appendShare, type MemoryShare, setMemory, transactionShare } from "./memory.ts";

/**
 * From so many rows on a table is filled by all threads side by side. In the order of the rows they would wait for
 * each other: two threads then take longer than one.
 */
const ANY_ORDER_ROWS_MIN = 245_760;

/** The turn on the file: other packages wait until it is over. */
export interface Turn {
  readonly begun: Promise<void>;
  end(): void;
}

export class DuckdbPackageLoad implements PackageLoad {
  private readonly connect: () => Promise<DuckDBConnection>;
  private readonly turn: Turn;
  private readonly dataset: Dataset;
  private readonly context: RunContext;
  /** All that DuckDB may use; appending gets a part of it. */
  private readonly memory: MemoryShare;
  /** The same for this transaction, whose tables may need more. */
  private share: MemoryShare;
  /** Columns that the transaction has filled. */
  private filled = 0;
  private readonly start: PackageStart;
  private connection!: DuckDBConnection;
  private connected = false;
  private readonly execution: PlanExecution;
  private inTransaction = false;
  private committed = false;
  /** The package may have deleted rows. */
  private deleted = false;
  /** As of the beginning of the transaction. */
  private live: Live | undefined;

  private readonly jobsAhead = new Map<string, TableJobs>();
  private readonly done = new DoneAhead();
  /** Of the jobs that were loaded ahead, by table. */
  private readonly bytesAhead = new Map<string, number>();
  private aheadFailed = false;
  /** Jobs handed over and not begun; what is left of them at the end is loaded with all threads. */
  private readonly queue: { readonly schema: Schema; readonly job: TableJobs }[] = [];
  private queueClosed = false;
  private working: Promise<void> | undefined;

  constructor(
    connect: () => Promise<DuckDBConnection>,
    turn: Turn,
    dataset: Dataset,
    context: RunContext,
    memory: MemoryShare,
    start: PackageStart,
  ) {
    this.connect = connect;
    this.turn = turn;
    this.dataset = dataset;
    this.context = context;
    this.memory = memory;
    this.share = memory;
    this.start = start;
    this.execution = new PlanExecution(context, start.loadId);
  }

  add(schema: Schema, job: TableJobs): void {
    this.queue.push({ schema, job });
    this.working ??= this.loadQueue();
  }

  async idle(): Promise<void> {
    this.queueClosed = true;
    await this.working;
  }

  private async loadQueue(): Promise<void> {
    for (;;) {
      const next = this.queue.shift();
      if (next === undefined || this.queueClosed || this.context.signal.aborted) break;
      try {
        await this.loadAhead(next.schema, next.job);
      } catch (error) {
        // whatever it was, the package as a whole will meet it again and report it
        this.aheadFailed = true;
        this.queueClosed = true;
        const fields = { load_id: this.start.loadId, cause: String(error) };
        this.context.log("debug", "load.ahead_given_up", fields);
      }
    }
    this.working = undefined;
  }

  async commit(work: PackageToCommit): Promise<CommitReport> {
    const { signal } = this.context;
    const interrupt = (): void => {
      if (this.connected) this.connection.interrupt();
    };
    signal.addEventListener("abort", interrupt);
    try {
      await this.idle();
      return await this.commitAll(work);
    } catch (error) {
      await this.rollback();
      throw this.explain(error);
    } finally {
      signal.removeEventListener("abort", interrupt);
      await this.end();
    }
  }

  async abandon(): Promise<void> {
    this.aheadFailed = true;
    if (this.connected) this.connection.interrupt();
    await this.idle();
    await this.rollback();
    await this.end();
  }

  private async end(): Promise<void> {
    if (this.connected) {
      // else it is done when the file is closed, and fills up whatever memory there is by then
      if (this.committed) await this.checkpoint();
      // the setting is the database's, for all who use it
      await setMemory(this.connection, this.memory).catch(() => {});
      this.connection.closeSync();
    }
    this.connected = false;
    this.turn.end();
  }

  /**
   * DuckDB joins row groups that are not full where that makes one less, and writes three others anew for it: up to
   * a third of a load. Worth it where rows were deleted, else not.
   */
  private async checkpoint(): Promise<void> {
    const { connection, deleted } = this;
    if (!deleted) await connection.run("set max_vacuum_tasks = 0").catch(() => {});
    await connection.run("checkpoint").catch(() => {});
    if (!deleted) await connection.run("reset max_vacuum_tasks").catch(() => {});
  }

  /** False: the package is at the destination already. */
  private async begin(): Promise<boolean> {
    const { dataset, context, start } = this;
    await this.turn.begun;
    this.execution.throwIfCancelled();
    if (!this.connected) {
      this.connection = await this.connect();
      this.connected = true;
    }
    const { connection } = this;
    await connection.run("set TimeZone = 'UTC'");
    await useTemporaryDirectory(connection, start.scratchDir);
    context.boundary("load:begin");
    await connection.run("begin transaction");
    this.inTransaction = true;
    if (await isCommitted(connection, dataset, start.loadId)) return false;
    this.live = await readLive(connection, dataset);
    return true;
  }

  private async rollback(): Promise<void> {
    if (this.inTransaction) await this.connection.run("rollback").catch(() => {});
    this.inTransaction = false;
    this.done.clear();
    this.bytesAhead.clear();
    this.filled = 0;
  }

  private async loadAhead(schema: Schema, job: TableJobs): Promise<void> {
    if (!this.inTransaction && !(await this.begin())) throw new Error("the package is committed already");
    this.jobsAhead.set(job.table, job);
    const plan = this.plan({ ...this.start, schema, schemaJson: "", jobs: [...this.jobsAhead.values()] });
    await this.execution.runDdl(beforeRows(plan), { ddl: (sql) => this.ddl(sql) });
    const steps = this.done.stepsFor(plan, job);
    if (steps === undefined) return;
    for (const sql of steps.staging) await this.ddl(sql);
    const { into, columns, files } = steps.load;
    // the other threads are left to those who make the next jobs
    const share = appendShare(columns.length, { ...this.share, threads: 1 }, this.filled);
    await setMemory(this.connection, share);
    const before = this.done.restOf(steps.load).rows;
    const { rows } = await bulkLoad(this.connection, into, columns, files, this.context);
    this.filled += columns.length;
    this.done.loaded(steps.load, rows);
    const bytes = (this.bytesAhead.get(job.table) ?? 0) + (await totalBytes(files));
    this.bytesAhead.set(job.table, bytes);
    this.report(job.table, before + rows, bytes);
  }

  private async commitAll(work: PackageToCommit): Promise<CommitReport> {
    const { context } = this;
    let plan: LoadPlan | undefined;
    if (this.inTransaction && !this.aheadFailed) {
      plan = this.plan(work);
      if (!this.done.isPartOf(plan)) plan = undefined;
      context.log("debug", "load.ahead", { load_id: work.loadId, used: plan !== undefined });
    }
    if (plan === undefined) {
      await this.rollback();
      if (!(await this.begin())) {
        await this.rollback();
        return ALREADY_COMMITTED;
      }
      plan = this.plan(work);
    }
    const loads = plan.roots.flatMap(({ steps }) => steps.filter((step) => step.kind === "load"));
    this.deleted = plan.roots.some(({ steps }) => steps.some((step) => step.kind === "sql"));
    this.share = transactionShare(
      loads.map(({ columns }) => columns.length),
      this.memory,
    );
    return this.execution.run(plan, {
      ddl: (sql) => this.ddl(sql),
      sql: (sql, counts) => this.sql(sql, counts),
      load: (step) => this.load(step, work),
      metadata: (statement) => readRows(this.connection, statement),
      commit: async () => {
        // else what appending was given is enough, and more would only fill up
        if (this.share.bytes > this.memory.bytes) await setMemory(this.connection, this.share);
        await this.endTransaction();
      },
    });
  }

  private async endTransaction(): Promise<void> {
    await this.connection.run("commit");
    this.inTransaction = false;
    this.committed = true;
  }

  private plan(work: PackageToCommit): LoadPlan {
    return planFor(work, this.live!, this.dataset, this.context);
  }

  /** Statements that were run ahead are not run again. */
  private async ddl(sql: string): Promise<void> {
    if (this.done.hasRun(sql)) return;
    await this.connection.run(sql);
    this.done.ran(sql);
  }

  /** Rows that are in their final place need no order, and side by side they get there sooner. */
  private async sql(sql: string, counts: Count | undefined): Promise<number> {
    if (this.done.hasRun(sql)) return 0;
    await setMemory(this.connection, this.share);
    return withOrder(this.connection, counts !== "inserted", async () => {
      return (await this.connection.run(sql)).rowsChanged;
    });
  }

  private async load(step: LoadStep, work: PackageToCommit): Promise<number> {
    if (step.table === BOUNDARY_TABLE) {
      let rows = 0;
      for (const file of step.files) rows += await this.insertBlocks(step, file);
      return rows;
    }
    const { files, rows: before } = this.done.restOf(step);
    const bytes = (this.bytesAhead.get(step.table) ?? 0) + (await totalBytes(files));
    const toCome = (work.jobs.find(({ table }) => table === step.table)?.rows ?? 0) - before;
    let rows = before;
    if (files.length > 0) {
      // a condition is a join, which takes what there is
      const share = appendShare(step.columns.length, this.share, this.filled);
      await setMemory(this.connection, step.where === undefined ? share : this.share);
      this.filled += step.columns.length;
      const loaded = await bulkLoad(this.connection, step.into, step.columns, files, {
        signal: this.context.signal,
        placed: step.placed,
        where: step.where,
        // rows of a staging table are told apart by their order
        anyOrder: step.counts === "inserted" && toCome >= ANY_ORDER_ROWS_MIN,
        onProgress: (part) => this.report(step.table, before + Math.floor(part * toCome), bytes),
      });
      rows += loaded.rows;
    }
    this.report(step.table, rows, bytes);
    return rows;
  }

  /** Boundary hashes are written while rows are extracted, in blocks for any destination; they are few rows. */
  private async insertBlocks(step: LoadStep, file: string): Promise<number> {
    const names = step.columns.map(({ name }) => name);
    const places = names.map((_, i) => `$${i + 1}`).join(", ");
    const target = qualified(duckdbDialect, step.into);
    const sql = `insert into ${target} (${quoteAll(duckdbDialect, names)}) values (${places})`;
    let rows = 0;
    for await (const row of dumpBlocks(file)) {
      this.execution.throwIfCancelled();
      await this.connection.run(
        sql,
        names.map((name) => row[name] as DuckDBValue),
      );
      rows++;
    }
    return rows;
  }

  private report(table: string, rows: number, bytes: number): void {
    const { loadId, startedAt } = this.start;
    const elapsedMs = this.context.now() - startedAt;
    this.context.progress({ kind: "progress", step: "load", loadId, table, rows, bytes, elapsedMs });
  }

  private explain(error: unknown): unknown {
    return this.execution.explain(error, (where) =>
      isFromDuckdb(error) || error instanceof EngineError ? duckdbError(error, "load", where) : error,
    );
  }
}

export function planFor(work: PackageToCommit, live: Live, dataset: Dataset, context: RunContext): LoadPlan {
  return planLoad({
    dialect: duckdbDialect,
    dataset,
    ...work,
    live: live.catalogue,
    comments: live.comments,
    exists: live.exists,
    insertedAt: new Date(context.now()).toISOString(),
  });
}

/** DuckDB's messages begin with their class; anything else (a test's crash, a bug) passes as it is. */
function isFromDuckdb(error: unknown): boolean {
  return error instanceof Error && /^[A-Z][A-Za-z ]*? Error: /.test(error.message);
}

/** DuckDB keeps to the first folder that it has spilled to; that one must then exist again. */
async function useTemporaryDirectory(connection: DuckDBConnection, folder: string): Promise<void> {
  try {
    await connection.run(`set temp_directory = '${folder.replaceAll("'", "''")}'`);
  } catch {
    const [row] = await readRows(connection, { sql: "select current_setting('temp_directory') as folder" });
    if (typeof row?.folder === "string" && row.folder !== "") await mkdir(row.folder, { recursive: true });
  }
}

async function totalBytes(files: readonly string[]): Promise<number> {
  let bytes = 0;
  for (const file of files) bytes += (await stat(file)).size;
  return bytes;
}
