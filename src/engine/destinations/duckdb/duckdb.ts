/** DuckDB as a destination: one file, one dataset a session, one transaction a package. */

import { mkdir, stat } from "node:fs/promises";
import { inflateSync } from "node:zlib";
import type { DuckDBConnection, DuckDBInstance, DuckDBValue, Json } from "@duckdb/node-api";
import type { RunContext } from "../../context.ts";
import { EngineError } from "../../errors.ts";
import { type LoadPlan, planLoad } from "../../load/plan.ts";
import { BOUNDARY_TABLE } from "../../schema/boundary-table.ts";
import { selectBoundary } from "../../sql/boundary.ts";
import { type Dataset, duckdbDialect } from "../../sql/dialect.ts";
import {
  LOADS_TABLE,
  STATE_TABLE,
  selectLoad,
  selectLoads,
  selectState,
  selectVersions,
  VERSION_TABLE,
} from "../../sql/metadata.ts";
import { REPLACE_STRATEGIES, type ReplaceStrategy } from "../../sql/replace.ts";
import type { Count, Statement, Step } from "../../sql/statement.ts";
import type {
  CommitReport,
  Destination,
  DestinationSession,
  LiveCatalogue,
  LoadRow,
  PackageToCommit,
  QueryResult,
  SchemaVersionRow,
  StoredStateRow,
} from "../destination.ts";
import { bulkLoad } from "./bulk-load.ts";
import { duckdbError } from "./errors.ts";
import { DuckdbInstances, type SharedInstance } from "./instances.ts";

export interface DuckdbOptions {
  /** The database file; it and its folder are made where they are missing. */
  readonly path: string;
  /** A name given by the user, kept in dlt's state. */
  readonly name?: string;
  /** Default: the run's `destinationMemoryBytesMax`. */
  readonly memoryLimitBytes?: number;
  /** Default: DuckDB's own, one a core. */
  readonly threads?: number;
  /** Default `truncate-and-insert`. On DuckDB all are the same, atomic one: see ../../sql/replace.ts. */
  readonly replaceStrategy?: ReplaceStrategy;
}

/**
 * Shared by all destinations of the process, because what it guards is the process's too: a file opened
 * twice in one process is damaged, whoever opens it.
 */
const INSTANCES_OF_PROCESS = new DuckdbInstances();

export function duckdb(
  options: DuckdbOptions,
  instances: DuckdbInstances = INSTANCES_OF_PROCESS,
): Destination {
  const { replaceStrategy } = options;
  if (replaceStrategy !== undefined && !REPLACE_STRATEGIES.includes(replaceStrategy)) {
    throw new EngineError("CONFIG_INVALID", `"${replaceStrategy}" is not a replace strategy.`, {
      hint: `Use one of ${REPLACE_STRATEGIES.join(", ")}.`,
      details: { replace_strategy: replaceStrategy },
    });
  }
  return {
    kind: "duckdb",
    type: "dlt.destinations.duckdb",
    name: options.name ?? null,
    capabilities: { identifierLengthMax: 65536 },
    displayName: `duckdb:${options.path}`,
    async open(dataset, context) {
      if (options.path === "" || options.path.startsWith(":memory:")) {
        throw new EngineError(
          "DESTINATION_INVALID",
          "A DuckDB destination needs a file: memory is lost at the end.",
          {
            hint: "Set path to a file, e.g. data.duckdb.",
          },
        );
      }
      const shared = await instances.open(options.path);
      try {
        return await DuckdbSession.start(shared, dataset, options, context);
      } catch (error) {
        shared.release();
        throw duckdbError(error, "open", { path: shared.path });
      }
    },
  };
}

type Row = Record<string, Json>;

class DuckdbSession implements DestinationSession {
  private readonly shared: SharedInstance;
  /** For reading; each package is committed on a connection of its own. */
  private readonly connection: DuckDBConnection;
  private readonly dataset: Dataset & { readonly catalog: string };
  private readonly context: RunContext;
  private closed = false;

  static async start(
    shared: SharedInstance,
    schema: string,
    options: DuckdbOptions,
    context: RunContext,
  ): Promise<DuckdbSession> {
    const connection = await shared.instance.connect();
    try {
      await configure(connection, options, context);
      const [row] = await readRows(connection, { sql: "select current_database() as name" });
      return new DuckdbSession(shared, connection, { catalog: String(row?.name), schema }, context);
    } catch (error) {
      connection.closeSync();
      throw error;
    }
  }

  private constructor(
    shared: SharedInstance,
    connection: DuckDBConnection,
    dataset: Dataset & { readonly catalog: string },
    context: RunContext,
  ) {
    this.shared = shared;
    this.connection = connection;
    this.dataset = dataset;
    this.context = context;
  }

  async exists(): Promise<boolean> {
    return this.read(() => datasetExists(this.connection, this.dataset));
  }

  async isCommitted(loadId: string): Promise<boolean> {
    return this.read(() => isCommitted(this.connection, this.dataset, loadId));
  }

  async readState(pipelineName: string): Promise<StoredStateRow | undefined> {
    if (!(await this.hasTables(STATE_TABLE, LOADS_TABLE))) return undefined;
    const [row] = await this.rows(selectState(duckdbDialect, this.dataset, pipelineName));
    if (row === undefined) return undefined;
    return {
      version: Number(row.version),
      engine_version: Number(row.engine_version),
      version_hash: textOrNull(row.version_hash),
      created_at: String(row.created_at),
      load_id: String(row.load_id),
      state: String(row.state),
    };
  }

  async readSchema(schemaName: string, versionHash?: string): Promise<SchemaVersionRow | undefined> {
    const [version] = await this.versions({ schemaName, versionHash, limit: 1 });
    return version;
  }

  async readSchemaVersions(schemaName?: string): Promise<SchemaVersionRow[]> {
    return this.versions({ schemaName });
  }

  async readLoads(filter: { schemaName?: string; limit: number; before?: string }): Promise<LoadRow[]> {
    if (!(await this.hasTables(LOADS_TABLE))) return [];
    const rows = await this.rows(selectLoads(duckdbDialect, this.dataset, filter));
    return rows.map((row) => ({
      load_id: String(row.load_id),
      schema_name: textOrNull(row.schema_name),
      status: Number(row.status),
      inserted_at: String(row.inserted_at),
      schema_version_hash: textOrNull(row.schema_version_hash),
    }));
  }

  async readBoundary(key: readonly string[]): Promise<{ chunk: number; hashes: string }[]> {
    if (!(await this.hasTables(BOUNDARY_TABLE))) return [];
    const rows = await this.rows(selectBoundary(duckdbDialect, this.dataset, key));
    return rows.map((row) => ({ chunk: Number(row.chunk), hashes: String(row.hashes) }));
  }

  async catalogue(): Promise<LiveCatalogue> {
    return this.read(() => readCatalogue(this.connection, this.dataset));
  }

  async query(sql: string, parameters: readonly unknown[] = []): Promise<QueryResult> {
    return this.read(async () => {
      // Whoever asks knows the values to be DuckDB's: text, numbers, bigint, bool, null.
      const result = await this.connection.runAndReadAll(sql, parameters as DuckDBValue[]);
      const names = result.columnNames();
      const types = result.columnTypes();
      return {
        columns: names.map((name, i) => ({ name, type: String(types[i]) })),
        rows: result.getRowsJson(),
      };
    });
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    this.connection.closeSync();
    this.shared.release();
  }

  async commitPackage(work: PackageToCommit): Promise<CommitReport> {
    return this.shared.exclusive(async () => {
      const connection = await this.shared.instance.connect().catch((error: unknown) => {
        throw duckdbError(error, "load", { load_id: work.loadId });
      });
      const commit = new Commit(this.shared.instance, connection, this.dataset, this.context, work);
      try {
        return await commit.run();
      } finally {
        connection.closeSync();
      }
    });
  }

  private async versions(filter: Parameters<typeof selectVersions>[2]): Promise<SchemaVersionRow[]> {
    if (!(await this.hasTables(VERSION_TABLE))) return [];
    const rows = await this.rows(selectVersions(duckdbDialect, this.dataset, filter));
    return rows.map((row) => ({
      version: Number(row.version),
      engine_version: Number(row.engine_version),
      inserted_at: String(row.inserted_at),
      schema_name: String(row.schema_name),
      version_hash: String(row.version_hash),
      schema: schemaText(String(row.schema)),
    }));
  }

  private async hasTables(...tables: string[]): Promise<boolean> {
    const live = await this.catalogue();
    return tables.every((table) => live.has(table));
  }

  private async rows(statement: Statement): Promise<Row[]> {
    return this.read(() => readRows(this.connection, statement));
  }

  private async read<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw duckdbError(error, "query", { dataset: this.dataset.schema });
    }
  }
}

/**
 * One package in one transaction:
 *
 *     begin -> (load id known: rollback, done) -> DDL -> rows of each root table -> metadata -> commit
 *
 * Whatever fails before the commit leaves nothing behind.
 */
class Commit {
  private readonly instance: DuckDBInstance;
  private readonly connection: DuckDBConnection;
  private readonly dataset: Dataset;
  private readonly context: RunContext;
  private readonly work: PackageToCommit;
  private readonly counts: Record<string, { inserted: number; deleted?: number; deduplicated?: number }> = {};
  /** The table being written, for the error. */
  private table: string | undefined;
  private inTransaction = false;

  constructor(
    instance: DuckDBInstance,
    connection: DuckDBConnection,
    dataset: Dataset,
    context: RunContext,
    work: PackageToCommit,
  ) {
    this.instance = instance;
    this.connection = connection;
    this.dataset = dataset;
    this.context = context;
    this.work = work;
  }

  async run(): Promise<CommitReport> {
    const { signal } = this.context;
    const interrupt = (): void => this.connection.interrupt();
    signal.addEventListener("abort", interrupt);
    try {
      return await this.commit();
    } catch (error) {
      if (this.inTransaction) await this.connection.run("rollback").catch(() => {});
      throw this.explain(error);
    } finally {
      signal.removeEventListener("abort", interrupt);
    }
  }

  private async commit(): Promise<CommitReport> {
    const { connection, dataset, context, work } = this;
    await connection.run("set TimeZone = 'UTC'");
    await useTemporaryDirectory(connection, work.scratchDir);
    this.throwIfCancelled();
    context.boundary("load:begin");
    await connection.run("begin transaction");
    this.inTransaction = true;
    if (await isCommitted(connection, dataset, work.loadId)) {
      await connection.run("rollback");
      this.inTransaction = false;
      return { alreadyCommitted: true, ddl: [], tables: {}, foreign: [], mismatched: [] };
    }
    const plan = await this.plan();
    for (const statement of plan.ddl.statements) {
      this.table = statement.table || undefined;
      await connection.run(statement.sql);
    }
    this.table = undefined;
    context.boundary("load:ddl");
    for (const { root, steps } of plan.roots) {
      for (const step of steps) await this.step(step);
      this.table = undefined;
      context.boundary(`load:table:${root}`);
    }
    for (const statement of plan.metadata) await readRows(connection, statement);
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
    };
  }

  private async plan(): Promise<LoadPlan> {
    const { connection, dataset, context, work } = this;
    return planLoad({
      dialect: duckdbDialect,
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
      exists: await datasetExists(connection, dataset),
      insertedAt: new Date(context.now()).toISOString(),
    });
  }

  private async step(step: Step): Promise<void> {
    this.throwIfCancelled();
    this.table = step.table;
    if (step.kind === "sql") {
      const result = await this.connection.run(step.sql);
      if (step.counts !== undefined) this.count(step.table, step.counts, result.rowsChanged);
      return;
    }
    const startedAt = this.context.now();
    const bytes = await totalBytes(step.files);
    const progress = (rows: number): void =>
      this.context.progress({
        kind: "progress",
        step: "load",
        loadId: this.work.loadId,
        table: step.table,
        rows,
        bytes,
        elapsedMs: this.context.now() - startedAt,
      });
    const { rows } = await bulkLoad(this.connection, step.into, step.columns, step.files, {
      signal: this.context.signal,
      instance: this.instance,
      onProgress: (loaded) => progress(loaded.rows),
    });
    if (step.counts !== undefined) this.count(step.table, step.counts, rows);
  }

  private count(table: string, what: Count, rows: number): void {
    const counts = this.counts[table] ?? { inserted: 0 };
    counts[what] = (counts[what] ?? 0) + rows;
    this.counts[table] = counts;
  }

  private throwIfCancelled(): void {
    if (this.context.signal.aborted) throw new EngineError("CANCELLED", "The load was cancelled.");
  }

  /** A statement that an abort interrupted fails in DuckDB's words; what happened is that it was cancelled. */
  private explain(error: unknown): unknown {
    const where = { load_id: this.work.loadId, ...(this.table === undefined ? {} : { table: this.table }) };
    if (this.context.signal.aborted && !(error instanceof EngineError)) {
      return new EngineError("CANCELLED", "The load was cancelled.", { details: where });
    }
    return isFromDuckdb(error) || error instanceof EngineError ? duckdbError(error, "load", where) : error;
  }
}

/** DuckDB's messages begin with their class; anything else (a test's crash, a bug) passes as it is. */
function isFromDuckdb(error: unknown): boolean {
  return error instanceof Error && /^[A-Z][A-Za-z ]*? Error: /.test(error.message);
}

async function configure(
  connection: DuckDBConnection,
  options: DuckdbOptions,
  context: RunContext,
): Promise<void> {
  const bytes = options.memoryLimitBytes ?? context.limits.destinationMemoryBytesMax;
  await connection.run(`set memory_limit = '${Math.max(1, Math.floor(bytes / 1024))}KiB'`);
  if (options.threads !== undefined) await connection.run(`set threads = ${Math.trunc(options.threads)}`);
  await connection.run("set TimeZone = 'UTC'");
  // Merging lets the last arriving row win; row ids only tell the arrival while this is on.
  await connection.run("set preserve_insertion_order = true");
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

async function readRows(connection: DuckDBConnection, statement: Statement): Promise<Row[]> {
  const result = await connection.run(statement.sql, statement.parameters && [...statement.parameters]);
  return result.getRowObjectsJson();
}

async function datasetExists(connection: DuckDBConnection, dataset: Dataset): Promise<boolean> {
  const rows = await readRows(connection, {
    sql: "select 1 from duckdb_schemas() where database_name = $1 and schema_name = $2",
    parameters: [dataset.catalog ?? "", dataset.schema],
  });
  return rows.length > 0;
}

async function isCommitted(connection: DuckDBConnection, dataset: Dataset, loadId: string): Promise<boolean> {
  const tables = await readRows(connection, {
    sql: "select 1 from duckdb_tables() where database_name = $1 and schema_name = $2 and table_name = $3",
    parameters: [dataset.catalog ?? "", dataset.schema, LOADS_TABLE],
  });
  if (tables.length === 0) return false;
  return (await readRows(connection, selectLoad(duckdbDialect, dataset, loadId))).length > 0;
}

/** Tables only: a view cannot be loaded into, and creating a table of its name says so. */
async function readCatalogue(connection: DuckDBConnection, dataset: Dataset): Promise<LiveCatalogue> {
  const rows = await readRows(connection, {
    sql: `select t.table_name, c.column_name, c.data_type, c.is_nullable
from duckdb_tables() as t
join duckdb_columns() as c on c.database_oid = t.database_oid and c.table_oid = t.table_oid and c.schema_oid = t.schema_oid
where t.database_name = $1 and t.schema_name = $2
order by t.table_name, c.column_index`,
    parameters: [dataset.catalog ?? "", dataset.schema],
  });
  const live = new Map<string, Map<string, { type: string; nullable: boolean }>>();
  for (const row of rows) {
    const table = String(row.table_name);
    const columns = live.get(table) ?? new Map<string, { type: string; nullable: boolean }>();
    columns.set(String(row.column_name), { type: String(row.data_type), nullable: row.is_nullable === true });
    live.set(table, columns);
  }
  return live;
}

async function totalBytes(files: readonly string[]): Promise<number> {
  let bytes = 0;
  for (const file of files) bytes += (await stat(file)).size;
  return bytes;
}

function textOrNull(value: Json | undefined): string | null {
  return value === null || value === undefined ? null : String(value);
}

/** dlt packs a schema that is too long for a text column: base64 of zlib. JSON begins with a brace. */
function schemaText(stored: string): string {
  if (stored.startsWith("{")) return stored;
  try {
    return inflateSync(Buffer.from(stored, "base64")).toString("utf8");
  } catch {
    return stored;
  }
}
