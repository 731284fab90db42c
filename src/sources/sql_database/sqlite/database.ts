/**
 * An SQLite file as a source, read by node:sqlite. All resources of a run share one connection with one read
 * transaction, so they see one state of the file. A cell has whatever type it was stored with: the declared type
 * of its column says how it is read, and the engine converts what differs, or keeps it in a variant column.
 */

import { existsSync } from "node:fs";
import { DatabaseSync, type SQLOutputValue } from "node:sqlite";
import { EngineError } from "../../../engine/errors.ts";
import type { ColumnHints } from "../../../engine/extract/resource.ts";
import type { SqlDatabaseConfig } from "../config.ts";
import { qualified, quoted, type SelectDialect, selectOf, sqlString } from "../select.ts";
import type {
  CellKind,
  ReadContext,
  ReadRequest,
  SourceColumn,
  SourceTable,
  SqlDatabase,
  SqlRun,
} from "../types.ts";
import { lineOf } from "./line.ts";

const PAGE_CHARACTERS = 1 << 20;
const BUSY_TIMEOUT_MS = 10_000;

const quote = quoted('"');

const DIALECT: SelectDialect = {
  quote,
  value: (value) => (typeof value === "string" ? sqlString(value) : String(value)),
  sortable: (name, { kind }) => (kind === "text" ? `${name} collate binary` : name),
  // nulls come first by themselves
  nullsFirst: "",
};

export function sqliteSource(path: string, config: SqlDatabaseConfig): SqlDatabase {
  const schema = config.schema ?? "main";
  return {
    displayName: `the SQLite file ${path}`,
    async reflect() {
      const database = open(path);
      try {
        return tablesOf(database, schema);
      } catch (error) {
        throw failure(error, { path });
      } finally {
        database.close();
      }
    },
    async openRun() {
      const database = open(path);
      try {
        database.exec("begin");
        // the transaction sees the state at its first read
        database.prepare("select count(*) from sqlite_schema").get();
      } catch (error) {
        database.close();
        throw failure(error, { path });
      }
      return new SqliteRun(database);
    },
  };
}

class SqliteRun implements SqlRun {
  private readonly database: DatabaseSync;

  constructor(database: DatabaseSync) {
    this.database = database;
  }

  async *read(request: ReadRequest, { signal }: ReadContext): AsyncGenerator<Uint8Array> {
    const { table, columns } = request;
    try {
      const statement = this.database.prepare(selectOf(request, DIALECT));
      statement.setReadBigInts(true);
      statement.setReturnArrays(true);
      let text = "";
      for (const row of statement.iterate()) {
        text += lineOf(table.name, columns, row as unknown as SQLOutputValue[]);
        if (text.length < PAGE_CHARACTERS) continue;
        signal.throwIfAborted();
        yield Buffer.from(text);
        text = "";
      }
      if (text !== "") yield Buffer.from(text);
    } catch (error) {
      signal.throwIfAborted();
      throw failure(error, { table: table.name });
    }
  }

  async hasNull(table: SourceTable, column: SourceColumn): Promise<boolean> {
    const sql = `select 1 from ${qualified(table, quote)} where ${quote(column.name)} is null limit 1`;
    return this.database.prepare(sql).get() !== undefined;
  }

  async close(): Promise<void> {
    this.database.close();
  }
}

function open(path: string): DatabaseSync {
  if (!existsSync(path)) {
    throw new EngineError("FILE_NOT_FOUND", `There is no SQLite file ${path}.`, { details: { path } });
  }
  try {
    return new DatabaseSync(path, { readOnly: true, timeout: BUSY_TIMEOUT_MS });
  } catch (error) {
    throw failure(error, { path });
  }
}

function tablesOf(database: DatabaseSync, schema: string): SourceTable[] {
  const listed = database
    .prepare(
      `select name, type from ${quote(schema)}.sqlite_schema
       where type in ('table', 'view') and name not like 'sqlite\\_%' escape '\\' order by name`,
    )
    .all() as { name: string; type: "table" | "view" }[];
  const columns = database.prepare(
    'select name, type, pk, "notnull" as required, hidden from pragma_table_xinfo(?, ?)',
  );
  return listed.map(({ name, type }) => {
    const known = columns.all(name, schema) as {
      name: string;
      type: string;
      pk: number;
      required: number;
      hidden: number;
    }[];
    // 1: a hidden column of a virtual table; 2 and 3 are generated columns
    const shown = known.filter(({ hidden }) => hidden !== 1);
    return {
      schema,
      name,
      kind: type,
      columns: shown.map(
        (column): SourceColumn => ({
          name: column.name,
          sourceType: column.type,
          nullable: column.required === 0 && column.pk === 0,
          ...mappedType(column.type),
        }),
      ),
      primaryKey: shown
        .filter(({ pk }) => pk > 0)
        .sort((a, b) => a.pk - b.pk)
        .map((column) => column.name),
    };
  });
}

/** By the words that SQLAlchemy's dialect and SQLite's own affinity rules look for. */
function mappedType(declared: string): { kind: CellKind; hints: ColumnHints } {
  const type = declared.toLowerCase();
  const [, precision, scale = "0"] = /\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)/.exec(type) ?? [];
  if (/bool/.test(type)) return { kind: "bool", hints: { data_type: "bool" } };
  if (/int/.test(type)) return { kind: "integer", hints: { data_type: "bigint" } };
  if (/json/.test(type)) return { kind: "json", hints: { data_type: "json" } };
  if (/datetime|timestamp/.test(type)) return { kind: "text", hints: { data_type: "timestamp" } };
  if (/date/.test(type)) return { kind: "text", hints: { data_type: "date" } };
  if (/^time/.test(type)) return { kind: "text", hints: { data_type: "time" } };
  if (/char|clob|text|uuid/.test(type)) return { kind: "text", hints: { data_type: "text" } };
  if (/blob|binary/.test(type)) return { kind: "binary", hints: { data_type: "binary" } };
  if (/real|floa|doub/.test(type)) return { kind: "float", hints: { data_type: "double" } };
  if (/decimal|numeric/.test(type)) {
    const size = precision === undefined ? {} : { precision: Number(precision), scale: Number(scale) };
    return { kind: "decimal", hints: { data_type: "decimal", ...size } };
  }
  // no declared type: the values say what they are
  return { kind: "text", hints: {} };
}

function failure(error: unknown, where: Readonly<Record<string, unknown>>): EngineError {
  if (error instanceof EngineError) return error.withDetails({ ...where });
  const { errcode, message } = error as Error & { errcode?: number };
  switch (errcode === undefined ? undefined : errcode & 0xff) {
    case 5:
    case 6:
      return new EngineError(
        "SOURCE_UNREACHABLE",
        "The SQLite file is locked by a program that writes to it.",
        {
          hint: "Run again when it is done, or let it use WAL mode.",
          details: where,
        },
      );
    case 26:
    case 11:
      return new EngineError("FILE_FORMAT", `The file is no SQLite database, or it is damaged: ${message}.`, {
        details: where,
      });
    case 14:
    case 23:
      return new EngineError("SOURCE_ACCESS_DENIED", `The SQLite file cannot be opened: ${message}.`, {
        hint: "Give this user the right to read the file and its folder.",
        details: where,
      });
  }
  if (/^no such table|unknown database/.test(message))
    return new EngineError("SOURCE_TABLE_NOT_FOUND", `SQLite: ${message}.`, { details: where });
  if (/^no such column/.test(message))
    return new EngineError("SOURCE_COLUMN_NOT_FOUND", `SQLite: ${message}.`, { details: where });
  return new EngineError("EXTRACT_FAILED", `SQLite: ${message}.`, { details: where, cause: error });
}
