/**
 * How fast job files are written and loaded: 1M rows, flat (10 columns) or wide (25 columns, nested-like),
 * beside DuckDB's own speed for the same data.
 *
 *     node bench/micro/bulk-load.ts [flat|wide] [rows] [memory limit]
 *
 * Every load goes to a database file and is timed with commit and checkpoint, in a process of its own.
 */

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { DuckDBInstance } from "@duckdb/node-api";
import { type BulkColumn, bulkLoad } from "../../src/engine/destinations/duckdb/bulk-load.ts";
import { type Kind, TableBuffer } from "../../src/engine/normalize/column-buffer.ts";
import { BlockFileWriter } from "../../src/engine/package/block-format.ts";

const BLOCK_BYTES = 8 << 20;
const SQL_TYPE: Record<Kind, string> = {
  bool: "BOOLEAN",
  int64: "BIGINT",
  float64: "DOUBLE",
  text: "VARCHAR",
  bytes: "BLOB",
  timestamp: "TIMESTAMP WITH TIME ZONE",
  date: "DATE",
  time: "TIME",
};

const FLAT: readonly [string, Kind][] = [
  ["id", "int64"],
  ["account", "int64"],
  ["quantity", "int64"],
  ["big", "int64"],
  ["price", "float64"],
  ["rate", "float64"],
  ["created_at", "timestamp"],
  ["active", "bool"],
  ["code", "text"],
  ["note", "text"],
];
const WIDE: readonly [string, Kind][] = [
  ...FLAT,
  ...Array.from({ length: 9 }, (_, i): [string, Kind] => [`user__url_${i}`, "text"]),
  ...Array.from({ length: 4 }, (_, i): [string, Kind] => [`count_${i}`, "int64"]),
  ["_dlt_load_id", "text"],
  ["_dlt_id", "text"],
];

const [shape = "flat", rowsText = "1000000", memoryLimit = "512MB", step = "all", folder = ""] =
  process.argv.slice(2);
const rows = Number(rowsText);
const layout = shape === "wide" ? WIDE : FLAT;
const columns: BulkColumn[] = layout.map(([name, kind]) => ({ name, kind, sqlType: SQL_TYPE[kind] }));

const ALPHABET = new TextEncoder().encode("abcdefghijklmnopqrstuvwxyz0123456789 ABCDEFGHIJKLMNOPQRSTUVWXYZ_");
const scratch = new Uint8Array(128);
let state = 1;
function random(below: number): number {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 4294967296) * below);
}

function setText(table: TableBuffer, index: number, row: number, length: number): void {
  for (let i = 0; i < length; i++) scratch[i] = ALPHABET[random(64)]!;
  table.setBytes(table.columns[index]!, row, scratch, 0, length);
}

async function write(path: string): Promise<void> {
  const table = new TableBuffer(shape);
  for (const [name, kind] of layout) table.addColumn(name, kind);
  const writer = await BlockFileWriter.create(path);
  let appending = 0;
  const started = performance.now();
  const append = async (): Promise<void> => {
    const before = performance.now();
    await writer.append(table);
    appending += performance.now() - before;
  };
  for (let i = 0; i < rows; i++) {
    const row = table.beginRow();
    for (let c = 0; c < layout.length; c++) {
      const [name, kind] = layout[c]!;
      const column = table.columns[c]!;
      if (kind === "int64") {
        if (name === "id") column.setInt(row, i);
        else if (name === "big") column.setInt(row, random(4294967296) * 1000000);
        else column.setInt(row, random(100000));
      } else if (kind === "float64") column.setFloat(row, random(10000000) / 100);
      else if (kind === "timestamp") column.setInt(row, 1.7e15 + i * 1000003);
      else if (kind === "bool") column.setBool(row, random(2) === 0);
      else if (name === "_dlt_load_id") {
        for (let k = 0; k < 18; k++) scratch[k] = 0x30 + (k % 10);
        table.setBytes(column, row, scratch, 0, 18);
      } else if (name === "_dlt_id") setText(table, c, row, 14);
      else if (name === "code") setText(table, c, row, 8 + random(5));
      else if (random(10) !== 0) setText(table, c, row, 35 + random(10));
    }
    if ((i & 2047) === 2047 && table.byteLength() >= BLOCK_BYTES) await append();
  }
  await append();
  const filled = performance.now() - started - appending;
  const before = performance.now();
  await writer.close();
  const closing = performance.now() - before;
  report("write", appending + closing, `filling ${seconds(filled)}, file ${megabytes(statSync(path).size)}`);
}

async function load(path: string): Promise<void> {
  await inDatabase("load", async (connection) => {
    await connection.run(`create table t (${columns.map((c) => `"${c.name}" ${c.sqlType}`).join(", ")})`);
    await connection.run("begin");
    const loaded = await bulkLoad(connection, { schema: "main", table: "t" }, columns, [path]);
    if (loaded.rows !== rows) throw new Error(`${loaded.rows} rows loaded`);
    await connection.run("commit");
  });
}

type Work = (connection: Awaited<ReturnType<DuckDBInstance["connect"]>>) => Promise<void>;

async function inDatabase(name: string, work: Work): Promise<void> {
  const database = join(folder, `${name}.duckdb`);
  const instance = await DuckDBInstance.create(database, { memory_limit: memoryLimit, threads: "2" });
  const connection = await instance.connect();
  await connection.run("set timezone = 'UTC'");
  const delay = monitorEventLoopDelay({ resolution: 5 });
  delay.enable();
  const started = performance.now();
  const cpu = process.cpuUsage();
  await work(connection);
  await connection.run("checkpoint");
  const took = performance.now() - started;
  const used = process.cpuUsage(cpu);
  delay.disable();
  connection.closeSync();
  instance.closeSync();
  report(
    name,
    took,
    `cpu ${seconds((used.user + used.system) / 1000)}, longest block ${Math.round(delay.max / 1e6)} ms, ` +
      `database ${megabytes(statSync(database).size)}`,
  );
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`;
const megabytes = (bytes: number): string => `${Math.round(bytes / 1048576)} MB`;

function report(name: string, ms: number, more: string): void {
  const rss = process.resourceUsage().maxRSS * 1024;
  const rate = Math.round(rows / ms);
  console.log(
    `${name.padEnd(16)} ${seconds(ms).padStart(8)} ${rate} krows/s, peak ${megabytes(rss)}, ${more}`,
  );
}

const NATIVE: Record<string, string> = {
  "native parquet": "read_parquet('$.parquet')",
  "native json": "read_json('$.json', format = 'newline_delimited')",
};

if (step === "all") {
  const temporary = mkdtempSync(join(tmpdir(), "bulk-load-"));
  try {
    for (const name of ["write", "load", "export", ...Object.keys(NATIVE)]) {
      const { status } = spawnSync(
        process.execPath,
        [import.meta.filename, shape, String(rows), memoryLimit, name, temporary],
        { stdio: "inherit" },
      );
      if (status !== 0) process.exit(status ?? 1);
    }
  } finally {
    rmSync(temporary, { recursive: true });
  }
} else if (step === "write") await write(join(folder, "job.lwb"));
else if (step === "load") await load(join(folder, "job.lwb"));
else if (step === "export") {
  const instance = await DuckDBInstance.create(join(folder, "load.duckdb"));
  const connection = await instance.connect();
  await connection.run(`copy t to '${join(folder, "data.parquet")}'`);
  await connection.run(`copy t to '${join(folder, "data.json")}' (format json)`);
  instance.closeSync();
} else {
  const source = NATIVE[step]!.replace("$", join(folder, "data"));
  await inDatabase(step, async (connection) => {
    await connection.run(`create table t as select * from ${source}`);
  });
}
