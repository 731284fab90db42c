/** The first rows of normalized jobs, cut to what a person looks at. */

import { dumpBlocks } from "./block-format.ts";
import { parseJobName } from "./job-name.ts";

export type SampleRow = Readonly<Record<string, string | number | boolean | null>>;

const TEXT_CHARS_MAX = 200;

/** At most `rowsMax` rows, without the columns of the engine; long text is cut, bytes are counted. */
export async function sampleRows(files: readonly string[], rowsMax: number): Promise<SampleRow[]> {
  const rows: SampleRow[] = [];
  for (const file of files) {
    if (rows.length >= rowsMax) return rows;
    const parquet = parseJobName(file.slice(file.lastIndexOf("/") + 1))?.format === "parquet";
    const found = parquet ? parquetRows(file, rowsMax - rows.length) : dumpBlocks(file);
    for await (const row of found) {
      if (rows.length >= rowsMax) return rows;
      const cells = Object.entries(row).filter(([name]) => !/^_(dlt|loadwright)_/.test(name));
      rows.push(Object.fromEntries(cells.map(([name, value]) => [name, shown(value)])));
    }
  }
  return rows;
}

/** The rows as `dumpBlocks` shows those of blocks; bytes as their number. */
async function* parquetRows(file: string, rowsMax: number): AsyncGenerator<Record<string, unknown>> {
  // loaded only when asked for: most processes need no samples
  const { DuckDBInstance } = await import("@duckdb/node-api");
  const instance = await DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  try {
    await connection.run("set TimeZone = 'UTC'");
    // a pattern of one character stands for itself
    const source = `read_parquet('${file.replace(/[*?[]/g, "[$&]").replaceAll("'", "''")}')`;
    const result = await connection.runAndReadAll(`select * from ${source} limit ${rowsMax}`);
    const names = result.columnNames();
    const types = result.columnTypes().map(String);
    for (const row of result.getRowsJson()) {
      yield Object.fromEntries(names.map((name, i) => [name, ofType(row[i], types[i]!)]));
    }
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

/** A cell as the client prints it: bytes are escaped text there, long integers text. */
function ofType(printed: unknown, type: string): unknown {
  if (typeof printed !== "string") return printed;
  if (type === "BLOB") return `${printed.replace(/\\x[0-9A-F]{2}/g, ".").length} bytes`;
  if (type === "TIMESTAMP WITH TIME ZONE") return printed.replace(" ", "T").replace(/\+00$/, "Z");
  const number = Number(printed);
  return type === "BIGINT" && Number.isSafeInteger(number) ? number : printed;
}

function shown(value: unknown): string | number | boolean | null {
  if (value === null || value === undefined) return null;
  if (typeof value === "boolean") return value;
  if (typeof value === "number" && Number.isFinite(value)) return value;
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  const text = String(value);
  return text.length > TEXT_CHARS_MAX ? `${text.slice(0, TEXT_CHARS_MAX - 1)}…` : text;
}
