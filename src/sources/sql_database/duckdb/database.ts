/**
 * A DuckDB file as a source. Its vectors are copied as columns; where the engine has to look at the rows, because of
 * a cursor, DuckDB itself makes lines of JSON. The file is opened for reading, so nobody can write to it during a
 * run: all resources see one state.
 */

import { existsSync } from "node:fs";
import { type DuckDBConnection, type DuckDBDataChunk, DuckDBInstance } from "@duckdb/node-api";
import { duckdbError } from "../../../engine/destinations/duckdb/errors.ts";
import { EngineError } from "../../../engine/errors.ts";
import type { ColumnsPage } from "../../../engine/extract/page.ts";
import { areBinary, ColumnPages } from "../column-pages.ts";
import type { SqlDatabaseConfig } from "../config.ts";
import { asSourceError } from "../errors.ts";
import { tellNulled } from "../line-writer.ts";
import { qualified, quoted, type SelectDialect, selectOf, sqlString } from "../select.ts";
import type {
  CursorRange,
  ReadContext,
  ReadRequest,
  SourceColumn,
  SourceTable,
  SqlDatabase,
  SqlRun,
} from "../types.ts";
import { addChunk } from "./read-columns.ts";
import { lineExpression, TABLES_SQL, tablesOf, unheld } from "./reflect.ts";
import { textBytes } from "./text-bytes.ts";

const PAGE_BYTES = 1 << 20;

const quote = quoted('"');

const DIALECT: SelectDialect = {
  quote,
  value: (value, { sourceType }) => `${sqlString(String(value))}::${sourceType}`,
  sortable: (name) => name,
  nullsFirst: " nulls first",
};

export function duckdbSource(path: string, config: SqlDatabaseConfig): SqlDatabase {
  const schema = config.schema ?? "main";
  return {
    displayName: `schema ${schema} of the DuckDB file ${path}`,
    async reflect() {
      const { instance, connection } = await open(path);
      try {
        const read = await connection.runAndReadAll(TABLES_SQL, [schema]);
        return tablesOf(read.getRowObjectsJson(), schema, quote);
      } catch (error) {
        throw failure(error, { path });
      } finally {
        connection.closeSync();
        instance.closeSync();
      }
    },
    async openRun() {
      const { instance, connection } = await open(path);
      connection.closeSync();
      return new DuckdbRun(instance);
    },
  };
}

class DuckdbRun implements SqlRun {
  private readonly instance: DuckDBInstance;

  constructor(instance: DuckDBInstance) {
    this.instance = instance;
  }

  async *read(request: ReadRequest, { signal, warn }: ReadContext): AsyncGenerator<Uint8Array | ColumnsPage> {
    const { table } = request;
    const connection = await this.instance.connect();
    const stop = (): void => connection.interrupt();
    signal.addEventListener("abort", stop, { once: true });
    try {
      await connection.run("set timezone = 'UTC'");
      tellNulled(table.name, await unheldCounts(connection, request), warn);
      const { range, columns } = request;
      if (range === undefined && areBinary(columns)) yield* columnPages(connection, request);
      else yield* linePages(connection, request);
    } catch (error) {
      signal.throwIfAborted();
      throw failure(error, { table: table.name });
    } finally {
      signal.removeEventListener("abort", stop);
      connection.closeSync();
    }
  }

  async hasNull(table: SourceTable, column: SourceColumn): Promise<boolean> {
    const connection = await this.instance.connect();
    try {
      const from = qualified(table, quote);
      const result = await connection.runAndReadAll(
        `select 1 from ${from} where ${quote(column.name)} is null limit 1`,
      );
      return result.currentRowCount > 0;
    } finally {
      connection.closeSync();
    }
  }

  async close(): Promise<void> {
    this.instance.closeSync();
  }
}

/** Lines gathered to pages. */
class Pages {
  private out = Buffer.allocUnsafe(PAGE_BYTES * 2);
  private at = 0;

  add(bytes: Uint8Array): Uint8Array | undefined {
    if (this.at + bytes.length + 1 > this.out.length) {
      const larger = Buffer.allocUnsafe(this.at + bytes.length + PAGE_BYTES);
      this.out.copy(larger, 0, 0, this.at);
      this.out = larger;
    }
    this.out.set(bytes, this.at);
    this.at += bytes.length;
    this.out[this.at++] = 0x0a;
    return this.at >= PAGE_BYTES ? this.take() : undefined;
  }

  take(): Uint8Array | undefined {
    if (this.at === 0) return undefined;
    const page = this.out.subarray(0, this.at);
    this.out = Buffer.allocUnsafe(PAGE_BYTES * 2);
    this.at = 0;
    return page;
  }
}

async function* columnPages(connection: DuckDBConnection, request: ReadRequest): AsyncGenerator<ColumnsPage> {
  const { table, columns } = request;
  const pages = new ColumnPages(table.name, columns);
  const list = columns.map((column) => column.binary!).join(", ");
  for await (const chunk of chunks(connection, selectOf(request, DIALECT, list))) {
    addChunk(pages, chunk);
    const page = pages.take();
    if (page !== undefined) yield page;
  }
  const last = pages.take(true);
  if (last !== undefined) yield last;
}

async function* linePages(connection: DuckDBConnection, request: ReadRequest): AsyncGenerator<Uint8Array> {
  const { columns, range } = request;
  const line = lineExpression(columns, quote, range?.column.name);
  const pages = new Pages();
  for await (const chunk of chunks(connection, selectOf(request, DIALECT, line))) {
    for (const bytes of textBytes(chunk.getColumnVector(0), chunk.rowCount)) {
      const page = pages.add(bytes);
      if (page !== undefined) yield page;
    }
  }
  const last = pages.take();
  if (last !== undefined) yield last;
}

async function* chunks(connection: DuckDBConnection, sql: string): AsyncGenerator<DuckDBDataChunk> {
  const result = await connection.stream(sql);
  const fetch = () => {
    const chunk = result.fetchChunk();
    chunk.catch(() => {});
    return chunk;
  };
  // DuckDB makes the next one while this one is copied
  let pending = fetch();
  try {
    for (let chunk = await pending; chunk && chunk.rowCount > 0; chunk = await pending) {
      pending = fetch();
      yield chunk;
    }
  } finally {
    // the connection must not be closed under a fetch that is under way
    await pending.catch(() => {});
  }
}

/** How many values will become null, by column. */
async function unheldCounts(
  connection: DuckDBConnection,
  request: ReadRequest,
): Promise<Map<string, number>> {
  const conditions = request.columns.flatMap((column) => {
    const condition = unheld(column, quote);
    return condition === undefined ? [] : [{ name: column.name, condition }];
  });
  if (conditions.length === 0) return new Map();
  const { table, columns, range } = request;
  const counts = conditions.map(({ condition }) => `count(*) filter (where ${condition})::bigint`).join(", ");
  const inner = selectOf({ table, columns, ...rangeWithoutOrder(range) }, DIALECT, "*");
  const read = await connection.runAndReadAll(`select ${counts} from (${inner})`);
  const [row = []] = read.getRowsJson();
  return new Map(
    conditions.map(({ name }, index) => [name, Number(row[index])] as const).filter(([, count]) => count > 0),
  );
}

function rangeWithoutOrder(range: CursorRange | undefined): { range?: CursorRange } {
  return range === undefined ? {} : { range };
}

async function open(path: string): Promise<{ instance: DuckDBInstance; connection: DuckDBConnection }> {
  if (!existsSync(path)) {
    throw new EngineError("FILE_NOT_FOUND", `There is no DuckDB file ${path}.`, { details: { path } });
  }
  try {
    const instance = await DuckDBInstance.create(path, { access_mode: "READ_ONLY" });
    return { instance, connection: await instance.connect() };
  } catch (error) {
    throw failure(duckdbError(error, "open", { path }), { path });
  }
}

function failure(error: unknown, where: Readonly<Record<string, unknown>>): EngineError {
  const known = duckdbError(error, "query", where);
  const { message } = error as Error;
  if (/Table with name .* does not exist/.test(message)) {
    return new EngineError("SOURCE_TABLE_NOT_FOUND", known.message, { details: known.details });
  }
  if (/Referenced column .* not found/.test(message)) {
    return new EngineError("SOURCE_COLUMN_NOT_FOUND", known.message, { details: known.details });
  }
  return /^(SOURCE|FILE)_/.test(known.code) ? known : asSourceError(known, where);
}
