/**
 * MySQL and MariaDB as a source. Rows are streamed by the text protocol, whose cells are bytes already. Each
 * table is read in a transaction with a consistent snapshot. The server has no snapshot that several connections
 * could share, so those of tables read at the same time are made one right after the other, at the run's start.
 */

import type { Socket } from "node:net";
import type { Readable } from "node:stream";
import mysql, { type Connection, type RowDataPacket } from "mysql2";
import { LineWriter, tellNulled } from "../line-writer.ts";
import { qualified, quoted, type SelectDialect, selectOf } from "../select.ts";
import type { ServerAddress } from "../server-address.ts";
import type { ReadContext, ReadRequest, SourceColumn, SourceTable, SqlDatabase, SqlRun } from "../types.ts";
import { connect, type MysqlSettings, mysqlSettings } from "./connection.ts";
import { mysqlError } from "./errors.ts";
import { JSON_CHECKS_SQL, TABLES_SQL, tablesOf } from "./reflect.ts";

/** Connections that take their snapshot at the start of a run; the engine reads so many tables at once. */
const SNAPSHOTS = 4;
/** A run waits while a package is loaded: for so long the server keeps a connection that reads nothing. */
const PATIENCE_S = 86_400;

const quote = quoted("`");

const DIALECT: SelectDialect = {
  quote,
  value: (value, { kind }) => {
    if (kind === "integer" || kind === "float" || kind === "decimal") return plainNumber(value);
    // the session is in UTC
    const text = /^time|^date/.test(kind)
      ? String(value)
          .replace("T", " ")
          .replace(/(\+00:00|Z)$/, "")
      : String(value);
    return kind === "text" ? `${mysql.escape(text)} collate utf8mb4_bin` : mysql.escape(text);
  },
  sortable: (name, { kind }) =>
    kind === "text" ? `convert(${name} using utf8mb4) collate utf8mb4_bin` : name,
  // nulls come first by themselves
  nullsFirst: "",
};

/** Values come from the state and the configuration: nothing but a number may get into the statement as it is. */
function plainNumber(value: unknown): string {
  const text = String(value);
  return /^[+-]?\d+(\.\d+)?(e[+-]?\d+)?$/i.test(text) ? text : mysql.escape(text);
}

export function mysqlSource(address: ServerAddress): SqlDatabase {
  const settings = mysqlSettings(address);
  const schema = address.config.schema ?? settings.database;
  return {
    displayName: `the MySQL database ${schema}`,
    async reflect() {
      const connection = await connect(settings);
      try {
        const rows = await rowsOf(connection, TABLES_SQL, [schema]);
        const checks = await rowsOf(connection, JSON_CHECKS_SQL, [schema]).catch(() => []);
        return tablesOf(rows, checks, schema, quote);
      } catch (error) {
        throw mysqlError(error, settings, { schema });
      } finally {
        connection.destroy();
      }
    },
    async openRun() {
      return new MysqlRun(settings, await snapshots(settings, address.config.statement_timeout_ms ?? 0));
    },
  };
}

class MysqlRun implements SqlRun {
  private readonly settings: MysqlSettings;
  private readonly free: Connection[];
  private readonly open: () => Promise<Connection>;

  constructor(settings: MysqlSettings, { connections, open }: Snapshots) {
    this.settings = settings;
    this.free = connections;
    this.open = open;
  }

  async *read(request: ReadRequest, { signal, warn }: ReadContext): AsyncGenerator<Uint8Array> {
    const { table, columns, range } = request;
    const connection = this.free.pop() ?? (await this.open());
    const stop = (): void => connection.destroy();
    signal.addEventListener("abort", stop, { once: true });
    let done = false;
    let ended = (): void => {};
    try {
      const writer = new LineWriter(table.name, columns, range?.column.name);
      const query = connection.query({
        sql: selectOf(request, DIALECT),
        rowsAsArray: true,
        // cells as the bytes that came
        typeCast: false,
      } as mysql.QueryOptions);
      const rows: Readable = query.stream({ highWaterMark: 1000 });
      // a connection that ends between two rows does not tell the query
      ended = () => rows.destroy(lost());
      socketOf(connection).once("close", ended);
      for await (const row of rows as AsyncIterable<(Buffer | null)[]>) {
        writeRow(writer, row);
        const page = writer.take();
        if (page !== undefined) yield page;
      }
      const last = writer.take(true);
      if (last !== undefined) yield last;
      tellNulled(table.name, writer.nulled, warn);
      done = true;
    } catch (error) {
      signal.throwIfAborted();
      throw mysqlError(error, this.settings, { table: table.name });
    } finally {
      signal.removeEventListener("abort", stop);
      socketOf(connection).off("close", ended);
      if (done) this.free.push(connection);
      else connection.destroy();
    }
  }

  async hasNull(table: SourceTable, column: SourceColumn): Promise<boolean> {
    const connection = this.free.pop() ?? (await this.open());
    try {
      const sql = `select 1 from ${qualified(table, quote)} where ${quote(column.name)} is null limit 1`;
      return (await rowsOf(connection, sql, [])).length > 0;
    } catch (error) {
      throw mysqlError(error, this.settings, { table: table.name });
    } finally {
      this.free.push(connection);
    }
  }

  async close(): Promise<void> {
    for (const connection of this.free) connection.destroy();
  }
}

function socketOf(connection: Connection): Socket {
  return (connection as unknown as { stream: Socket }).stream;
}

function lost(): Error {
  return Object.assign(new Error("The connection was cut."), { code: "PROTOCOL_CONNECTION_LOST" });
}

function writeRow(writer: LineWriter, row: readonly (Buffer | null)[]): void {
  let bytes = 0;
  for (const cell of row) bytes += cell === null ? 0 : cell.length;
  writer.beginRow(bytes);
  for (let column = 0; column < row.length; column++) {
    const cell = row[column]!;
    if (cell === null) writer.nullCell(column);
    else writer.cell(column, cell, 0, cell.length, false);
  }
  writer.endRow();
}

interface Snapshots {
  readonly connections: Connection[];
  readonly open: () => Promise<Connection>;
}

async function snapshots(settings: MysqlSettings, statementTimeoutMs: number): Promise<Snapshots> {
  const open = async (): Promise<Connection> => {
    const connection = await connect(settings);
    // a connection that the server ends while idle must not end the process
    connection.on("error", () => {});
    await prepare(connection, statementTimeoutMs);
    return connection;
  };
  const begin = (connection: Connection) =>
    rowsOf(connection, "start transaction with consistent snapshot, read only", []);
  const opened: Connection[] = [];
  try {
    for (let i = 0; i < SNAPSHOTS; i++) opened.push(await open());
    await Promise.all(opened.map(begin));
  } catch (error) {
    for (const connection of opened) connection.destroy();
    throw mysqlError(error, settings, {});
  }
  return {
    connections: opened,
    open: async () => {
      const connection = await open();
      await begin(connection);
      return connection;
    },
  };
}

/** Moments in UTC, zero dates as they are, no limit but the configured one. */
async function prepare(connection: Connection, statementTimeoutMs: number): Promise<void> {
  await rowsOf(connection, "set session transaction isolation level repeatable read", []);
  await rowsOf(
    connection,
    `set session time_zone = '+00:00', net_write_timeout = ${PATIENCE_S}, wait_timeout = ${PATIENCE_S}`,
    [],
  );
  const [server] = await rowsOf(connection, "select version() as version", []);
  const isMariadb = /mariadb/i.test(String(server!.version));
  await rowsOf(
    connection,
    isMariadb
      ? `set session max_statement_time = ${statementTimeoutMs / 1000}`
      : `set session max_execution_time = ${statementTimeoutMs}`,
    [],
  );
}

function rowsOf(connection: Connection, sql: string, values: readonly unknown[]): Promise<RowDataPacket[]> {
  return new Promise((resolve, reject) => {
    connection.query<RowDataPacket[]>(sql, [...values], (error, rows) =>
      error ? reject(error) : resolve(Array.isArray(rows) ? rows : []),
    );
  });
}
