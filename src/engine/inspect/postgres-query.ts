/**
 * One read-only query on Postgres, for people and agents: parsed and judged before anything is sent, then run
 * on a connection of its own in a read-only transaction, with the extended protocol, which takes one statement.
 * Rows are fetched in portions, and the connection is cut as soon as enough have come.
 */

import pg from "pg";
import type { RunContext } from "../context.ts";
import { Connection } from "../destinations/postgres/connection.ts";
import { isFromPostgres, postgresError } from "../destinations/postgres/errors.ts";
import { connectionSettings, type PostgresOptions } from "../destinations/postgres/settings.ts";
import { EngineError } from "../errors.ts";
import { postgresDialect } from "../sql/dialect.ts";
import {
  type CatalogueFunction,
  judgePostgres,
  refusalOfFunctions,
  type Verdict,
} from "./postgres-query-guard.ts";
import { postgresCell } from "./postgres-query-values.ts";
import type { QueryOptions } from "./query.ts";
import { refusalOfText } from "./query-guard.ts";
import type { QueryParameter, ReadOnlyResult } from "./query-protocol.ts";
import type { JsonValue } from "./query-values.ts";

export interface PostgresTarget {
  readonly options: PostgresOptions;
  /** Schema that bare table names mean. */
  readonly dataset: string;
  /** Further schemas whose tables may be read. */
  readonly datasets?: readonly string[];
}

const FETCH_ROWS = 200;
/** A row larger than this is not waited for. */
const RECEIVED_BYTES_MAX = 64 * 1024 ** 2;

/** Errors: NOT_READ_ONLY, MULTI_STATEMENT, QUERY_FAILED, TABLE_NOT_FOUND, TIMEOUT, CANCELLED, and of connecting. */
export async function queryPostgres(
  target: PostgresTarget,
  sql: string,
  options: QueryOptions,
  context: RunContext,
): Promise<ReadOnlyResult> {
  const startedAt = performance.now();
  const verdict = await judgeText(sql, [target.dataset, ...(target.datasets ?? [])]);
  const params = options.params ?? [];
  if (!Array.isArray(params)) {
    throw new EngineError("ARGUMENTS_INVALID", "Postgres takes params as a list, for $1, $2 and so on.");
  }
  if (context.signal.aborted) throw cancelled();
  const settings = connectionSettings(target.options);
  const connection = await Connection.open(settings, context);
  const timeoutMs = options.timeoutMs ?? 30_000;
  let ended: "timeout" | "cancel" | undefined;
  const end = (why: NonNullable<typeof ended>): void => {
    ended ??= why;
    connection.interrupt();
    connection.destroy();
    // a request that overtook the statement ended nothing
    setTimeout(() => connection.interrupt(), 1000).unref();
  };
  // the server's own limit comes first; this one is for a server that does not answer
  const timer = setTimeout(() => end("timeout"), timeoutMs + 2000);
  const onAbort = (): void => end("cancel");
  context.signal.addEventListener("abort", onAbort, { once: true });
  try {
    await connection.run(`begin read only;
set local time zone 'UTC'; set local datestyle = 'ISO, MDY'; set local intervalstyle = 'iso_8601';
set local standard_conforming_strings = on; set local bytea_output = 'hex'; set local extra_float_digits = 1;
set local statement_timeout = ${Math.ceil(timeoutMs)}; set local lock_timeout = ${Math.min(5000, Math.ceil(timeoutMs))};
set local search_path to ${postgresDialect().quote(target.dataset)}`);
    const refusal = refusalOfFunctions(
      verdict.functions,
      await catalogued(connection, verdict, target.dataset),
    );
    if (refusal !== undefined) throw refused(refusal);
    const read = await fetchRows(connection, sql, params, {
      rowsMax: options.rowsMax ?? 1000,
      bytesMax: options.bytesMax ?? 1024 ** 2,
      cellCharsMax: options.cellCharsMax ?? 2000,
    });
    return { ...read, duration_ms: Math.round(performance.now() - startedAt) };
  } catch (error) {
    if (ended === "cancel") throw cancelled();
    if (ended === "timeout") {
      throw new EngineError("TIMEOUT", `The query did not end within ${timeoutMs} ms and was stopped.`);
    }
    if (error instanceof EngineError || !isFromPostgres(error)) throw error;
    throw postgresError(error, { doing: "query", where: { dataset: target.dataset }, login: settings });
  } finally {
    clearTimeout(timer);
    context.signal.removeEventListener("abort", onAbort);
    if (connection.lost === undefined) await connection.close();
  }
}

/** Errors: MULTI_STATEMENT, NOT_READ_ONLY, QUERY_FAILED when it cannot be parsed. */
export async function judgeText(sql: string, datasets: readonly string[]): Promise<Verdict> {
  const textRefusal = refusalOfText(sql);
  if (textRefusal !== undefined) throw refused(textRefusal);
  // loaded with the first query only: half a megabyte of WebAssembly
  const parser = await import("libpg-query");
  let statements: readonly { readonly stmt?: unknown }[];
  try {
    statements = (await parser.parse(sql)).stmts ?? [];
  } catch (error) {
    if (error instanceof Error && parser.hasSqlDetails(error)) {
      throw new EngineError("QUERY_FAILED", `Postgres: ${error.message}`);
    }
    throw refused("the statement is nested too deeply to be checked");
  }
  if (statements.length === 0) throw refused("there is no statement in the text");
  if (statements.length > 1) {
    throw new EngineError("MULTI_STATEMENT", `The text holds ${statements.length} statements, not one.`);
  }
  const verdict = judgePostgres(statements[0]?.stmt, datasets);
  if (verdict.refusal !== undefined) throw refused(verdict.refusal);
  return verdict;
}

async function catalogued(
  connection: Connection,
  { functions }: Verdict,
  dataset: string,
): Promise<CatalogueFunction[]> {
  if (functions.length === 0) return [];
  const rows = await connection.rows({
    sql: `select p.proname, n.nspname, p.provolatile, p.pronargs
from pg_catalog.pg_proc as p
join pg_catalog.pg_namespace as n on n.oid = p.pronamespace
where n.nspname in ('pg_catalog', $1) 
  and p.proname in (select value from pg_catalog.json_array_elements_text($2::json) as wanted (value))`,
    parameters: [dataset, JSON.stringify(functions.map(({ name }) => name))],
  });
  return rows.map((row) => ({
    name: String(row.proname),
    schema: String(row.nspname),
    volatility: String(row.provolatile),
    arguments: Number(row.pronargs),
  }));
}

interface Caps {
  readonly rowsMax: number;
  readonly bytesMax: number;
  readonly cellCharsMax: number;
}

/** Every value as the text that the server sent. */
const AS_TEXT = { getTypeParser: () => (value: string) => value } as unknown as pg.CustomTypesConfig;

function fetchRows(
  connection: Connection,
  sql: string,
  params: readonly QueryParameter[],
  caps: Caps,
): Promise<Omit<ReadOnlyResult, "duration_ms">> {
  const { promise, resolve, reject } = Promise.withResolvers<Omit<ReadOnlyResult, "duration_ms">>();
  const rows: JsonValue[][] = [];
  let columns: { name: string; type: string }[] = [];
  let types: number[] = [];
  let bytes = 0;
  let cellsCut = 0;
  let done = false;
  const finish = (truncatedBy?: "rows" | "bytes"): void => {
    if (done) return;
    done = true;
    resolve({
      columns,
      rows,
      truncated: truncatedBy !== undefined,
      ...(truncatedBy === undefined ? {} : { truncated_by: truncatedBy }),
      cells_cut: cellsCut,
    });
    // nothing more is wanted of it, and what is on its way is not waited for
    if (truncatedBy !== undefined) connection.destroy();
  };
  // `rows` makes the driver ask for portions; `extended` keeps it from the protocol that takes several statements
  const config = {
    text: sql,
    values: [...params],
    rowMode: "array",
    types: AS_TEXT,
    rows: FETCH_ROWS,
    queryMode: "extended",
  };
  const query = new pg.Query(config as unknown as pg.QueryArrayConfig<unknown[]>);
  const events = query as unknown as NodeJS.EventEmitter & { handleRowDescription(message: unknown): void };
  const describe = events.handleRowDescription.bind(query);
  events.handleRowDescription = (message) => {
    const { fields } = message as { fields: { name: string; dataTypeID: number }[] };
    types = fields.map((field) => field.dataTypeID);
    columns = fields.map((field) => ({ name: field.name, type: typeName(field.dataTypeID) }));
    describe(message);
  };
  events.on("row", (values: readonly (string | null)[]) => {
    if (done) return;
    if (rows.length === caps.rowsMax) return finish("rows");
    const row = values.map((value, i) => {
      const cell = postgresCell(value, types[i] ?? 0, caps.cellCharsMax);
      if (cell.cut) cellsCut += 1;
      return cell.value;
    });
    bytes += Buffer.byteLength(JSON.stringify(row));
    if (bytes > caps.bytesMax && rows.length > 0) return finish("bytes");
    rows.push(row);
  });
  events.on("end", () => finish());
  events.on("error", (error: unknown) => {
    if (!done) reject(error);
  });
  const { stream } = (connection.client as unknown as { connection: { stream: NodeJS.ReadableStream } })
    .connection;
  let received = 0;
  stream.on("data", (chunk: Buffer) => {
    received += chunk.byteLength;
    if (received <= RECEIVED_BYTES_MAX || done) return;
    if (rows.length > 0) return finish("bytes");
    done = true;
    reject(
      new EngineError("QUERY_FAILED", "A single row is too large to answer.", {
        hint: "Select fewer columns, or cut long ones with left(column, n).",
      }),
    );
    connection.destroy();
  });
  connection.client.query(query as unknown as pg.Submittable);
  return promise;
}

const TYPE_NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(pg.types.builtins).map(([name, oid]) => [oid as number, name.toLowerCase()]),
);

function typeName(oid: number): string {
  return TYPE_NAMES.get(oid) ?? ARRAY_TYPES.get(oid) ?? `type ${oid}`;
}

/** Of pg_type.dat, for the types that loads make. */
const ARRAY_TYPES: ReadonlyMap<number, string> = new Map([
  [1000, "bool[]"],
  [1005, "int2[]"],
  [1007, "int4[]"],
  [1016, "int8[]"],
  [1009, "text[]"],
  [1015, "varchar[]"],
  [1021, "float4[]"],
  [1022, "float8[]"],
  [1115, "timestamp[]"],
  [1182, "date[]"],
  [1185, "timestamptz[]"],
  [1231, "numeric[]"],
  [3807, "jsonb[]"],
  [19, "name"],
]);

function cancelled(): EngineError {
  return new EngineError("CANCELLED", "The query was cancelled.");
}

function refused(reason: string): EngineError {
  return new EngineError("NOT_READ_ONLY", `Refused: ${reason}.`);
}
