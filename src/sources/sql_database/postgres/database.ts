/**
 * Postgres as a source. Rows come by COPY, which is the fastest way out of the server: in its binary format as
 * columns, and as text where the engine has to look at the rows, because of a cursor. All resources of a run
 * read one snapshot: a connection exports it and keeps it alive, each reader takes it over, so tables agree with
 * each other however long the run lasts.
 */

import { escapeIdentifier, escapeLiteral } from "pg";
import { type CopyToStreamQuery, to as copyTo } from "pg-copy-streams";
import type { Log } from "../../../engine/context.ts";
import { Connection } from "../../../engine/destinations/postgres/connection.ts";
import { postgresError } from "../../../engine/destinations/postgres/errors.ts";
import {
  type ConnectionSettings,
  connectionSettings,
} from "../../../engine/destinations/postgres/settings.ts";
import { EngineError } from "../../../engine/errors.ts";
import type { ColumnsPage } from "../../../engine/extract/page.ts";
import { didYouMean } from "../../../engine/nearest.ts";
import { areBinary, ColumnPages } from "../column-pages.ts";
import { asSourceError } from "../errors.ts";
import { LineWriter, tellNulled } from "../line-writer.ts";
import { qualified, type SelectDialect, selectOf } from "../select.ts";
import type { ServerAddress } from "../server-address.ts";
import type { ReadContext, ReadRequest, SourceColumn, SourceTable, SqlDatabase, SqlRun } from "../types.ts";
import { CopyColumns } from "./copy-columns.ts";
import { CopyLines } from "./copy-lines.ts";
import { merged } from "./merged.ts";
import { TABLES_SQL, tablesOf } from "./reflect.ts";

const NO_LOG: Log = () => {};

const DIALECT: SelectDialect = {
  quote: escapeIdentifier,
  value: (value, { sourceType, kind }) =>
    escapeLiteral(String(value)) + (kind === "text" ? '::text collate "C"' : `::${sourceType}`),
  // the engine compares texts code point by code point, whatever the database's collation
  sortable: (quoted, { kind }) => (kind === "text" ? `${quoted}::text collate "C"` : quoted),
  nullsFirst: " nulls first",
};

export function postgresSource({ url, password, config, rootCert }: ServerAddress): SqlDatabase {
  const settings = settingsOf(url, {
    password,
    ssl: config.ssl_mode,
    sslRootCert: rootCert,
    connectTimeoutMs: config.connect_timeout_s === undefined ? undefined : config.connect_timeout_s * 1000,
  });
  const schema = config.schema ?? "public";
  const where = { database: settings.database, schema };
  const statementTimeoutMs = config.statement_timeout_ms ?? 0;
  return {
    displayName: `schema ${schema} of the Postgres database ${settings.database}`,
    async reflect() {
      const connection = await open(settings, NO_LOG);
      try {
        const rows = await connection.rows({ sql: TABLES_SQL, parameters: [schema] });
        if (rows.length === 0) await checkSchema(connection, schema);
        return tablesOf(rows, schema, escapeIdentifier);
      } catch (error) {
        throw failure(error, settings, where);
      } finally {
        await connection.close();
      }
    },
    async openRun(log) {
      const keeper = await open(settings, log);
      try {
        await begin(keeper, statementTimeoutMs);
        const [row] = await keeper.rows({
          sql: "select pg_export_snapshot() as snapshot, current_setting('server_encoding') as encoding",
        });
        return new PostgresRun(keeper, settings, log, {
          snapshot: row!.snapshot!,
          converts: row!.encoding !== "SQL_ASCII",
          statementTimeoutMs,
          parallelRanges: config.parallel_ranges ?? 1,
        });
      } catch (error) {
        await keeper.close();
        throw failure(error, settings, where);
      }
    },
  };
}

/** What is asked of COPY, and what becomes of its answer. */
interface CopyTaker {
  readonly sql: string;
  readonly format: string;
  readonly nulled: ReadonlyMap<string, number>;
  add(chunk: Buffer): Iterable<Uint8Array | ColumnsPage>;
  last(): Uint8Array | ColumnsPage | undefined;
}

interface RunOptions {
  readonly snapshot: string;
  /** Does the server convert texts to UTF-8, or know that they are? */
  readonly converts: boolean;
  readonly statementTimeoutMs: number;
  readonly parallelRanges: number;
}

class PostgresRun implements SqlRun {
  private readonly keeper: Connection;
  private readonly settings: ConnectionSettings;
  private readonly log: Log;
  private readonly options: RunOptions;

  constructor(keeper: Connection, settings: ConnectionSettings, log: Log, options: RunOptions) {
    this.keeper = keeper;
    this.settings = settings;
    this.log = log;
    this.options = options;
  }

  async *read(request: ReadRequest, context: ReadContext): AsyncGenerator<Uint8Array | ColumnsPage> {
    const { table, range } = request;
    const parts = range === undefined ? await this.parts(table) : [""];
    const takers = parts.map(() => this.taker(request));
    const readers = parts.map((part, index) => this.copy(part, table, takers[index]!, context));
    yield* readers.length === 1 ? readers[0]! : merged(readers);
    const nulled = new Map<string, number>();
    for (const taker of takers) {
      for (const [column, count] of taker.nulled) nulled.set(column, (nulled.get(column) ?? 0) + count);
    }
    tellNulled(table.name, nulled, context.warn);
  }

  private taker(request: ReadRequest): CopyTaker {
    const { table, columns, range } = request;
    // what the server does not convert may not be UTF-8, which the engine sees in lines only
    if (range === undefined && this.options.converts && areBinary(columns)) {
      const pages = new ColumnPages(table.name, columns);
      const rows = new CopyColumns(pages, table.name, columns);
      const list = columns.map((column) => column.binary!).join(", ");
      return {
        sql: selectOf(request, DIALECT, list),
        format: "binary",
        nulled: pages.nulled,
        add: (chunk) => rows.add(chunk),
        last: () => pages.take(true),
      };
    }
    const writer = new LineWriter(table.name, columns, range?.column.name);
    const lines = new CopyLines(writer, columns.length);
    return {
      sql: selectOf(request, DIALECT),
      format: "text, encoding 'UTF8'",
      nulled: writer.nulled,
      add: (chunk) => lines.add(chunk),
      last: () => writer.take(true),
    };
  }

  async hasNull(table: SourceTable, column: SourceColumn): Promise<boolean> {
    const from = qualified(table, escapeIdentifier);
    const sql = `select exists (select from ${from} where ${escapeIdentifier(column.name)} is null) as found`;
    return this.inReader(
      { table: table.name },
      async (reader) => (await reader.rows({ sql }))[0]!.found === "t",
    );
  }

  async close(): Promise<void> {
    await this.keeper.close();
  }

  /** Ranges of a table's pages, as conditions; a view or a partitioned table is one range. */
  private async parts(table: SourceTable): Promise<string[]> {
    if (this.options.parallelRanges === 1 || table.kind === "view") return [""];
    const name = qualified(table, escapeIdentifier);
    const sql = `select pg_relation_size(oid) / current_setting('block_size')::bigint as blocks
      from pg_class where oid = ${escapeLiteral(name)}::regclass and relkind = 'r'`;
    const rows = await this.inReader({ table: table.name }, (reader) => reader.rows({ sql }));
    const blocks = Number(rows[0]?.blocks ?? 0);
    const parts = Math.min(this.options.parallelRanges, Math.max(1, blocks));
    const border = (part: number): string => `'(${Math.floor((blocks * part) / parts)},0)'::tid`;
    return Array.from({ length: parts }, (_, part) => {
      const from = part === 0 ? [] : [`ctid >= ${border(part)}`];
      // pages that were added meanwhile belong to the last range; the snapshot does not show their rows
      const to = part === parts - 1 ? [] : [`ctid < ${border(part + 1)}`];
      const conditions = [...from, ...to];
      return conditions.length === 0 ? "" : ` where ${conditions.join(" and ")}`;
    });
  }

  private async *copy(
    part: string,
    table: SourceTable,
    taker: CopyTaker,
    { signal }: ReadContext,
  ): AsyncGenerator<Uint8Array | ColumnsPage> {
    const reader = await this.reader();
    const stop = (): void => {
      // a server that is busy would not notice that nobody listens
      reader.interrupt();
      reader.destroy();
    };
    signal.addEventListener("abort", stop, { once: true });
    let done = false;
    try {
      const stream: CopyToStreamQuery = reader.client.query(
        copyTo(`copy (${taker.sql}${part}) to stdout (format ${taker.format})`),
      );
      // an error that comes while nobody reads must not end the process
      stream.on("error", () => {});
      reader.client.once("end", () => stream.destroy(new Error("Connection terminated unexpectedly")));
      for await (const chunk of stream) yield* taker.add(chunk as Buffer);
      const last = taker.last();
      if (last !== undefined) yield last;
      done = true;
    } catch (error) {
      signal.throwIfAborted();
      throw failure(error, this.settings, { table: table.name });
    } finally {
      signal.removeEventListener("abort", stop);
      if (done) await reader.close();
      else stop();
    }
  }

  private async inReader<T>(
    where: Readonly<Record<string, unknown>>,
    work: (reader: Connection) => Promise<T>,
  ): Promise<T> {
    const reader = await this.reader();
    try {
      return await work(reader);
    } catch (error) {
      throw failure(error, this.settings, where);
    } finally {
      await reader.close();
    }
  }

  /** A connection that sees what all others of this run see. */
  private async reader(): Promise<Connection> {
    if (this.keeper.lost !== undefined) throw failure(this.keeper.lost, this.settings, {});
    const reader = await open(this.settings, this.log);
    try {
      await begin(reader, this.options.statementTimeoutMs, this.options.snapshot);
      return reader;
    } catch (error) {
      await reader.close();
      throw failure(error, this.settings, {});
    }
  }
}

/**
 * Values in one form whatever the server's and the role's settings are. A run may wait for minutes while a
 * package is loaded, so the server must not end it for being idle.
 */
async function begin(connection: Connection, statementTimeoutMs: number, snapshot?: string): Promise<void> {
  await connection.run(
    `begin isolation level repeatable read, read only;
    ${snapshot === undefined ? "" : `set transaction snapshot ${escapeLiteral(snapshot)};`}
    set local statement_timeout = ${statementTimeoutMs};
    set local idle_in_transaction_session_timeout = 0;
    set local timezone = 'UTC';
    set local client_encoding = 'UTF8';
    set local datestyle = 'ISO';
    set local intervalstyle = 'iso_8601';
    set local bytea_output = 'hex';
    set local extra_float_digits = 1`,
  );
}

async function open(settings: ConnectionSettings, log: Log): Promise<Connection> {
  try {
    return await Connection.open(settings, { log });
  } catch (error) {
    throw error instanceof EngineError ? asSourceError(error) : error;
  }
}

/** A schema that does not exist has no tables either; what is meant has to be said. */
async function checkSchema(connection: Connection, schema: string): Promise<void> {
  const rows = await connection.rows({
    sql: "select nspname as name from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema'",
  });
  const names = rows.map((row) => row.name!);
  if (names.includes(schema)) return;
  throw new EngineError("SOURCE_TABLE_NOT_FOUND", `There is no schema ${JSON.stringify(schema)}.`, {
    hint: didYouMean(schema, names) || `Schemas there are: ${names.join(", ")}.`,
    details: { schema, known_schemas: names },
  });
}

function settingsOf(url: string, more: Parameters<typeof connectionSettings>[0]): ConnectionSettings {
  try {
    return connectionSettings({ ...more, url });
  } catch (error) {
    if (!(error instanceof EngineError) || error.code !== "CONFIG_MISSING") throw error;
    const message = error.message.replace("The Postgres destination", "The URL of the Postgres source");
    throw new EngineError("CONFIG_MISSING", message, { hint: error.hint, details: error.details });
  }
}

function failure(
  error: unknown,
  login: ConnectionSettings,
  where: Readonly<Record<string, unknown>>,
): EngineError {
  if (error instanceof EngineError && /^(SOURCE|VALUE|CONFIG|CURSOR)_/.test(error.code))
    return error.withDetails({ ...where });
  return asSourceError(postgresError(error, { doing: "query", login }), where);
}
