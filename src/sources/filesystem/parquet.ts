/**
 * Parquet through an in-memory DuckDB, which renders each row as one JSON text. Values that JSON has no form
 * for carry dlt's marks: a private-use character before the text that says what it is. Nulls are left out.
 *
 *   select '{' || substr(concat(case when "id" is null then '' else ',"id":' || "id" end, …), 2) || '}' …
 */

import { type DuckDBConnection, DuckDBInstance, type DuckDBResult } from "@duckdb/node-api";
import { EngineError } from "../../engine/errors.ts";
import { JsonlPage } from "../../engine/extract/page.ts";
import type { ByteSource } from "./byte-source.ts";
import { PAGE_BYTES } from "./jsonl.ts";
import { localCopy } from "./local-copy.ts";

export interface ParquetOptions {
  pageBytes?: number;
  /** Memory that DuckDB may use. */
  memoryBytesMax?: number;
  warn?: (message: string) => void;
}

const MEMORY_BYTES_MAX = 256 * 1024 * 1024;

const LF = 10;

const MARK = {
  decimal: "\uf026",
  datetime: "\uf027",
  date: "\uf028",
  bytes: "\uf02b",
  time: "\uf02d",
} as const;

/** The origin's line is the row's number: Parquet has no lines. */
export async function* readParquet(
  source: ByteSource,
  options: ParquetOptions = {},
): AsyncGenerator<JsonlPage> {
  const { pageBytes = PAGE_BYTES, memoryBytesMax = MEMORY_BYTES_MAX, warn = () => {} } = options;
  // Parquet is read from its end: what is not on this machine is copied to a temporary file.
  await using local = await localCopy(source);
  const instance = await DuckDBInstance.create(":memory:", {
    memory_limit: `${Math.round(memoryBytesMax / 1e6)}MB`,
    threads: "1",
  });
  try {
    const connection = await instance.connect();
    try {
      const { sql, columns, nestedFloats } = await plan(connection, source, local.path);
      if (columns === 0) return;
      const result = await guard(source, () => connection.stream(sql));
      yield* pages(result, source, nestedFloats, pageBytes, warn);
    } finally {
      connection.closeSync();
    }
  } finally {
    instance.closeSync();
  }
}

async function* pages(
  result: DuckDBResult,
  source: ByteSource,
  nestedFloats: boolean,
  pageBytes: number,
  warn: (message: string) => void,
): AsyncGenerator<JsonlPage> {
  // written as they come: strings that live as long as a page would grow the heap's young generation
  let out = Buffer.allocUnsafeSlow(Math.ceil(pageBytes * 1.25));
  let length = 0;
  let rows = 0;
  let firstRow = 1;
  let lost = false;
  const page = () =>
    new JsonlPage(Buffer.from(out.subarray(0, length)), { origin: { file: source.name, line: firstRow } });
  const fetch = () => guard(source, () => result.fetchChunk());
  // DuckDB renders the next chunk on its thread while this one is made into text.
  let pending = fetch();
  try {
    while (true) {
      const chunk = await pending;
      if (!chunk || chunk.rowCount === 0) break;
      pending = fetch();
      pending.catch(() => {});
      const nowLost = lost;
      if (!lost) lost = chunk.getColumnValues(1).includes(true);
      for (const value of chunk.getColumnValues(0)) {
        let text = value as string;
        if (nestedFloats && /NaN|Infinity/.test(text)) {
          const finite = withoutNonFinite(text);
          lost ||= finite !== text;
          text = finite;
        }
        // UTF-8 takes at most three bytes for a code unit
        const needed = length + text.length * 3 + 1;
        if (needed > out.length) {
          const larger = Buffer.allocUnsafeSlow(needed * 2);
          out.copy(larger, 0, 0, length);
          out = larger;
        }
        length += out.write(text, length);
        out[length++] = LF;
      }
      if (lost && !nowLost) {
        warn(
          `${source.name} has NaN or infinite values; they are read as null, because JSON has no form for them.`,
        );
      }
      rows += chunk.rowCount;
      if (length < pageBytes) continue;
      yield page();
      length = 0;
      firstRow = rows + 1;
    }
    if (length > 0) yield page();
  } finally {
    // The connection must not be closed under a fetch that is under way.
    await pending.catch(() => {});
  }
}

/** DuckDB writes NaN and Infinity into nested JSON as bare words; outside of strings they become null. */
function withoutNonFinite(json: string): string {
  return json.replace(/"(?:[^"\\]|\\.)*"|NaN|-?Infinity/g, (found) =>
    found.startsWith('"') ? found : "null",
  );
}

async function plan(
  connection: DuckDBConnection,
  source: ByteSource,
  path: string,
): Promise<{ sql: string; columns: number; nestedFloats: boolean }> {
  // The path is a pattern to read_parquet: its own brackets and stars must not match anything else.
  const from = `read_parquet(${literal(path.replace(/[*?[]/g, "[$&]"))})`;
  const described = await guard(source, () => connection.runAndReadAll(`describe select * from ${from}`));
  const columns = described.getRows().map(([name, type]) => ({ name: String(name), type: String(type) }));
  const nestedFloats = columns.some(({ type }) => !hasInfinity(type) && /FLOAT|DOUBLE/.test(type));
  return { sql: selectJson(columns, from), columns: columns.length, nestedFloats };
}

/** Two columns: the row as JSON, and whether it has a value that JSON cannot hold. */
export function selectJson(columns: readonly { name: string; type: string }[], from: string): string {
  const parts = columns.map(({ name, type }) => {
    const cell = identifier(name);
    const finite = hasInfinity(type) ? ` or not isfinite(${cell})` : "";
    return `case when ${cell} is null${finite} then '' else ${literal(`,${JSON.stringify(name)}:`)} || ${render(cell, type)} end`;
  });
  const lost = columns
    .filter(({ type }) => hasInfinity(type))
    .map(({ name }) => `coalesce(not isfinite(${identifier(name)}), false)`);
  return [
    `select '{' || substr(concat(${parts.join(",\n  ")}), 2) || '}' as row,`,
    `  ${lost.length === 0 ? "false" : lost.join(" or ")} as lost`,
    `from ${from}`,
  ].join("\n");
}

function hasInfinity(type: string): boolean {
  return type === "FLOAT" || type === "DOUBLE" || type === "DATE" || type.startsWith("TIMESTAMP");
}

/** The SQL that renders a cell that is not null as JSON. */
function render(cell: string, type: string): string {
  if (type.endsWith("]")) return `to_json(${cell})::varchar`;
  switch (type) {
    case "BOOLEAN":
    case "TINYINT":
    case "SMALLINT":
    case "INTEGER":
    case "BIGINT":
    case "UTINYINT":
    case "USMALLINT":
    case "UINTEGER":
      return `${cell}::varchar`;
    case "UBIGINT":
      return `case when ${cell} <= 9223372036854775807 then ${cell}::varchar else ${marked(MARK.decimal, `${cell}::varchar`)} end`;
    case "HUGEINT":
    case "UHUGEINT":
      return marked(MARK.decimal, `${cell}::varchar`);
    case "FLOAT":
    case "DOUBLE":
      // DuckDB prints `1.0` and `1e+20`, never a bare integer.
      return `${cell}::double::varchar`;
    case "DATE":
      return marked(MARK.date, `${cell}::varchar`);
    case "TIME":
    case "TIME_NS":
    case "TIME WITH TIME ZONE":
      return marked(MARK.time, `${cell}::time::varchar`);
    case "BLOB":
      return marked(MARK.bytes, `to_base64(${cell})`);
    case "JSON":
      return `json(${cell})::varchar`;
  }
  if (type.startsWith("DECIMAL")) return marked(MARK.decimal, `${cell}::varchar`);
  if (type.startsWith("TIMESTAMP")) {
    // Through microseconds, so that the session's time zone has no say.
    return marked(MARK.datetime, `replace(make_timestamp(epoch_us(${cell}))::varchar, ' ', 'T') || '+00:00'`);
  }
  if (type.startsWith("STRUCT") || type.startsWith("MAP") || type.startsWith("UNION"))
    return `to_json(${cell})::varchar`;
  return `to_json(${cell}::varchar)::varchar`;
}

function marked(mark: string, text: string): string {
  return `'"${mark}' || ${text} || '"'`;
}

function identifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** DuckDB's errors about the file, as errors of the file. */
async function guard<T>(source: ByteSource, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    const missing = /No files found|No such file/i.test(message);
    throw new EngineError(
      missing ? "FILE_NOT_FOUND" : "FILE_FORMAT",
      missing
        ? `${source.name} does not exist (any more).`
        : `${source.name} cannot be read as Parquet: ${firstLine(message)}`,
      { details: { file: source.name }, cause },
    );
  }
}

function firstLine(text: string): string {
  return text.split("\n", 1)[0]!.trim();
}
