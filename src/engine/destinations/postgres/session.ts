/** A session at a Postgres server: one connection, on which one thing is done at a time. */

import type { RunContext } from "../../context.ts";
import type { LoadPlan } from "../../load/plan.ts";
import { BOUNDARY_TABLE } from "../../schema/boundary-table.ts";
import { LOADS_TABLE, STATE_TABLE, VERSION_TABLE } from "../../schema/tables.ts";
import { selectBoundary } from "../../sql/boundary.ts";
import type { Dataset, Dialect } from "../../sql/dialect.ts";
import { selectLoads, selectState, selectVersions, storedSchemaText } from "../../sql/metadata.ts";
import type { Statement } from "../../sql/statement.ts";
import type {
  CommitReport,
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
import { datasetExists, isCommitted, readCatalogue, tablesExist } from "./catalogue.ts";
import { Connection, type TextRow } from "./connection.ts";
import { postgresError } from "./errors.ts";
import { type LoadSettings, PostgresPackageLoad, type Turn } from "./package-load.ts";
import type { ConnectionSettings } from "./settings.ts";

export interface SessionParts {
  readonly settings: ConnectionSettings;
  readonly dialect: Dialect;
  readonly dataset: Dataset;
  readonly load: LoadSettings;
  readonly context: RunContext;
}

/** A result column's type id and modifier, for `format_type`. */
interface FieldType {
  readonly dataTypeID: number;
  readonly dataTypeModifier: number;
}

export class PostgresSession implements DestinationSession {
  private connection: Connection;
  private readonly parts: SessionParts;
  /** One connection does one thing at a time; what comes meanwhile waits for this. */
  private last: Promise<unknown> = Promise.resolve();
  private closed = false;

  /** Errors: DESTINATION_UNREACHABLE, DESTINATION_INVALID, CONFIG_MISSING. */
  static async open(parts: SessionParts): Promise<PostgresSession> {
    return new PostgresSession(await Connection.open(parts.settings, parts.context), parts);
  }

  private constructor(connection: Connection, parts: SessionParts) {
    this.connection = connection;
    this.parts = parts;
  }

  async exists(): Promise<boolean> {
    return this.read((connection) => datasetExists(connection, this.parts.dataset));
  }

  async isCommitted(loadId: string): Promise<boolean> {
    const { dialect, dataset } = this.parts;
    return this.read((connection) => isCommitted(connection, dialect, dataset, loadId));
  }

  async readState(pipelineName: string): Promise<StoredStateRow | undefined> {
    const { dialect, dataset } = this.parts;
    const statement = selectState(dialect, dataset, pipelineName);
    const [row] = await this.rowsOf([STATE_TABLE, LOADS_TABLE], statement);
    if (row === undefined) return undefined;
    return {
      version: Number(row.version),
      engine_version: Number(row.engine_version),
      version_hash: row.version_hash ?? null,
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
    const { dialect, dataset } = this.parts;
    const rows = await this.rowsOf([LOADS_TABLE], selectLoads(dialect, dataset, filter));
    return rows.map((row) => ({
      load_id: String(row.load_id),
      schema_name: row.schema_name ?? null,
      status: Number(row.status),
      inserted_at: String(row.inserted_at),
      schema_version_hash: row.schema_version_hash ?? null,
    }));
  }

  async catalogue(): Promise<LiveCatalogue> {
    return this.read((connection) => readCatalogue(connection, this.parts.dataset));
  }

  async readBoundary(key: readonly string[]): Promise<{ chunk: number; hashes: string }[]> {
    const { dialect, dataset } = this.parts;
    const rows = await this.rowsOf([BOUNDARY_TABLE], selectBoundary(dialect, dataset, key));
    return rows.map((row) => ({ chunk: Number(row.chunk), hashes: String(row.hashes) }));
  }

  async query(sql: string, parameters: readonly unknown[] = []): Promise<QueryResult> {
    return this.read(async (connection) => {
      await connection.run("begin; set local time zone 'UTC'; set local datestyle = 'ISO, MDY'");
      try {
        const result = await connection.table(sql, parameters);
        const types = await typeNames(connection, result.fields);
        await connection.run("commit");
        return {
          columns: result.fields.map(({ name }, i) => ({ name, type: types[i]! })),
          rows: result.rows.map((row) => row.map((value, i) => jsonValue(value, types[i]!))),
        };
      } catch (error) {
        await connection.run("rollback").catch(() => connection.destroy());
        throw error;
      }
    });
  }

  async planPackage(work: PackageToCommit): Promise<LoadPlan> {
    return this.packageLoad(work).preview(work);
  }

  async commitPackage(work: PackageToCommit): Promise<CommitReport> {
    return this.beginPackage(work).commit(work);
  }

  beginPackage(start: PackageStart): PackageLoad {
    return this.packageLoad(start);
  }

  private packageLoad(start: PackageStart): PostgresPackageLoad {
    const { load, context } = this.parts;
    return new PostgresPackageLoad(this.turn(), this.parts, load, context, start);
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    await this.last;
    await this.connection.close();
  }

  private async versions(filter: Parameters<typeof selectVersions>[2]): Promise<SchemaVersionRow[]> {
    const { dialect, dataset } = this.parts;
    const rows = await this.rowsOf([VERSION_TABLE], selectVersions(dialect, dataset, filter));
    return rows.map((row) => ({
      version: Number(row.version),
      engine_version: Number(row.engine_version),
      inserted_at: String(row.inserted_at),
      schema_name: String(row.schema_name),
      version_hash: String(row.version_hash),
      schema: storedSchemaText(String(row.schema)),
    }));
  }

  /** No rows where one of the tables is not there yet. */
  private async rowsOf(tables: readonly string[], statement: Statement): Promise<TextRow[]> {
    return this.read(async (connection) => {
      if (!(await tablesExist(connection, this.parts.dataset, tables))) return [];
      return connection.rows(statement);
    });
  }

  private async read<T>(work: (connection: Connection) => Promise<T>): Promise<T> {
    const { dataset, settings } = this.parts;
    return this.exclusive(async (connection) => {
      try {
        return await work(connection);
      } catch (error) {
        throw postgresError(error, { doing: "query", where: { dataset: dataset.schema }, login: settings });
      }
    });
  }

  private async exclusive<T>(work: (connection: Connection) => Promise<T>): Promise<T> {
    const turn = this.turn();
    try {
      return await work(await turn.connection());
    } finally {
      turn.end();
    }
  }

  private turn(): Turn {
    const before = this.last;
    let end = (): void => {};
    this.last = new Promise<void>((resolve) => {
      end = resolve;
    });
    return { connection: () => before.then(() => this.connected()), end };
  }

  /** A connection that was lost in between is opened again: nothing was kept in it. */
  private async connected(): Promise<Connection> {
    if (this.connection.lost !== undefined) {
      this.connection = await Connection.open(this.parts.settings, this.parts.context);
    }
    return this.connection;
  }
}

async function typeNames(connection: Connection, fields: readonly FieldType[]): Promise<string[]> {
  if (fields.length === 0) return [];
  const { rows } = await connection.table(
    `select pg_catalog.format_type(t.id, t.modifier)
from unnest($1::oid[], $2::integer[]) with ordinality as t (id, modifier, place)
order by t.place`,
    [fields.map(({ dataTypeID }) => dataTypeID), fields.map(({ dataTypeModifier }) => dataTypeModifier)],
  );
  return rows.map(([name]) => String(name));
}

/** Numbers that a double holds exactly, and booleans; all else stays the server's text. */
function jsonValue(value: string | null, type: string): unknown {
  if (value === null) return null;
  switch (type) {
    case "boolean":
      return value === "t";
    case "smallint":
    case "integer":
      return Number(value);
    case "real":
    case "double precision":
      return Number.isFinite(Number(value)) ? Number(value) : value;
    default:
      return value;
  }
}
