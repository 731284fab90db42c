/** DuckDB as a destination: one file, one dataset a session, one transaction a package. */

import { existsSync } from "node:fs";
import type { DuckDBConnection, DuckDBValue, Json } from "@duckdb/node-api";
import type { RunContext } from "../../context.ts";
import { EngineError } from "../../errors.ts";
import type { LoadPlan } from "../../load/plan.ts";
import { BOUNDARY_TABLE } from "../../schema/boundary-table.ts";
import { LOADS_TABLE, STATE_TABLE, VERSION_TABLE } from "../../schema/tables.ts";
import { selectBoundary } from "../../sql/boundary.ts";
import { type Dataset, duckdbDialect } from "../../sql/dialect.ts";
import { selectLoads, selectState, selectVersions, storedSchemaText } from "../../sql/metadata.ts";
import { REPLACE_STRATEGIES, type ReplaceStrategy } from "../../sql/replace.ts";
import type { Statement } from "../../sql/statement.ts";
import type {
  Capabilities,
  CommitReport,
  Destination,
  DestinationSession,
  LiveCatalogue,
  LoadRow,
  PackageLoad,
  PackageStart,
  PackageToCommit,
  QueryResult,
  SchemaVersionRow,
  StoredStateRow,
} from "../destination.ts";
import { AbsentDatabase } from "./absent-database.ts";
import { datasetExists, isCommitted, type Row, readCatalogue, readLive, readRows } from "./catalogue.ts";
import { duckdbError } from "./errors.ts";
import { DuckdbInstances, type SharedInstance } from "./instances.ts";
import { type MemoryShare, setMemory } from "./memory.ts";
import { DuckdbPackageLoad, planFor } from "./package-load.ts";

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

const CAPABILITIES: Capabilities = {
  identifierLengthMax: 65536,
  jobFormat: "parquet",
  // Nobody else can open the file meanwhile. Reading as fast as files are copied keeps both cores busy, and is over soon.
  ahead: { pauseMs: 1000, bytesPerSecondMax: 400e6 },
};

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
    capabilities: CAPABILITIES,
    displayName: `duckdb:${options.path}`,
    async open(dataset, context, { create = true } = {}) {
      if (options.path === "" || options.path.startsWith(":memory:")) {
        throw new EngineError(
          "DESTINATION_INVALID",
          "A DuckDB destination needs a file: memory is lost at the end.",
          {
            hint: "Set path to a file, e.g. data.duckdb.",
          },
        );
      }
      if (!create && !existsSync(options.path)) return new AbsentDatabase(options.path, dataset);
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

class DuckdbSession implements DestinationSession {
  private readonly shared: SharedInstance;
  /** For reading; each package is committed on a connection of its own. */
  private readonly connection: DuckDBConnection;
  private readonly dataset: Dataset & { readonly catalog: string };
  private readonly context: RunContext;
  private readonly memory: MemoryShare;
  private closed = false;

  static async start(
    shared: SharedInstance,
    schema: string,
    options: DuckdbOptions,
    context: RunContext,
  ): Promise<DuckdbSession> {
    const connection = await shared.instance.connect();
    try {
      const [row] = await readRows(connection, {
        sql: "select current_database() as name, current_setting('threads') as threads",
      });
      const memory: MemoryShare = {
        bytes: options.memoryLimitBytes ?? context.limits.destinationMemoryBytesMax,
        threads: options.threads ?? Number(row?.threads),
      };
      await configure(connection, memory);
      return new DuckdbSession(shared, connection, { catalog: String(row?.name), schema }, context, memory);
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
    memory: MemoryShare,
  ) {
    this.shared = shared;
    this.connection = connection;
    this.dataset = dataset;
    this.context = context;
    this.memory = memory;
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

  async planPackage(work: PackageToCommit): Promise<LoadPlan> {
    const { connection, dataset, context } = this;
    return this.read(async () => planFor(work, await readLive(connection, dataset), dataset, context));
  }

  async commitPackage(work: PackageToCommit): Promise<CommitReport> {
    return this.beginPackage(work).commit(work);
  }

  beginPackage(start: PackageStart): PackageLoad {
    const connect = (): Promise<DuckDBConnection> =>
      this.shared.instance.connect().catch((error: unknown) => {
        throw duckdbError(error, "load", { load_id: start.loadId });
      });
    return new DuckdbPackageLoad(connect, this.shared.turn(), this.dataset, this.context, this.memory, start);
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
      schema: storedSchemaText(String(row.schema)),
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

async function configure(connection: DuckDBConnection, memory: MemoryShare): Promise<void> {
  await setMemory(connection, memory);
  await connection.run("set TimeZone = 'UTC'");
  // Merging lets the last arriving row win; row ids only tell the arrival while this is on.
  await connection.run("set preserve_insertion_order = true");
}

function textOrNull(value: Json | undefined): string | null {
  return value === null || value === undefined ? null : String(value);
}
