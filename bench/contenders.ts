/** Who loads a case: each a process of its own, timed from outside, into a database of its own. */

import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { DuckDBInstance } from "@duckdb/node-api";
import { type Case, checksumSql } from "./cases.ts";
import { DATA_DIR } from "./data.ts";

export type Contender = "loadwright" | "duckdb" | "dlt";

export interface Measured {
  readonly seconds: number;
  /** User and system time of all threads: what a busy machine does not blur. */
  readonly cpuSeconds: number;
  readonly peakMb: number;
  /** Milliseconds of each step, of contenders that tell. */
  readonly steps: Readonly<Record<string, number>>;
  /** Per table: rows, and a sum per column. */
  readonly checksums: readonly Readonly<Record<string, unknown>>[];
}

const folder = join(import.meta.dirname, "contenders");

/** Loads the file once into a fresh database, which is looked at and deleted afterwards. */
export async function measure(contender: Contender, load: Case, file: string): Promise<Measured> {
  mkdirSync(DATA_DIR, { recursive: true });
  const temporary = mkdtempSync(join(DATA_DIR, "run-"));
  const database = join(temporary, "loaded.duckdb");
  try {
    // A newer DuckDB keeps the version of a file that is there, so that this one can read what dlt loaded.
    if (contender === "dlt") (await DuckDBInstance.create(database)).closeSync();
    const started = performance.now();
    const output = await run(...commandOf(contender, load, file, database, join(temporary, "work")));
    const seconds = (performance.now() - started) / 1000;
    const told = JSON.parse(output.trim().split("\n").at(-1) ?? "") as {
      peak_mb: number;
      cpu_seconds: number;
      steps: Record<string, number>;
    };
    const checksums = await checksumsOf(load, database, contender === "duckdb" ? "main" : "bench");
    return { seconds, cpuSeconds: told.cpu_seconds, peakMb: told.peak_mb, steps: told.steps, checksums };
  } finally {
    rmSync(temporary, { recursive: true });
  }
}

function commandOf(
  contender: Contender,
  load: Case,
  file: string,
  database: string,
  workingDir: string,
): [command: string, args: string[]] {
  switch (contender) {
    case "loadwright":
      return [process.execPath, [join(folder, "loadwright.ts"), file, database, workingDir, load.table]];
    case "duckdb":
      return [process.execPath, [join(folder, "native.ts"), file, database, load.name]];
    case "dlt":
      return [process.env.DLT_PYTHON!, [join(folder, "dlt_load.py"), file, database, workingDir, load.table]];
  }
}

async function run(command: string, args: readonly string[]): Promise<string> {
  const child = spawn(command, args, {
    stdio: ["ignore", "pipe", "inherit"],
    env: {
      ...process.env,
      RUNTIME__DLTHUB_TELEMETRY: "false",
      // as the command has it, for whoever runs on Node
      NODE_COMPILE_CACHE: join(DATA_DIR, "compile-cache"),
    },
  });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  const code = await new Promise((done, fail) => child.on("error", fail).on("close", done));
  if (code !== 0) throw new Error(`${command} ${args.join(" ")} ended with ${code}`);
  return output;
}

async function checksumsOf(load: Case, database: string, schema: string): Promise<Record<string, unknown>[]> {
  const instance = await DuckDBInstance.create(database, { access_mode: "READ_ONLY" });
  const connection = await instance.connect();
  try {
    await connection.run("set TimeZone = 'UTC'");
    const sums: Record<string, unknown>[] = [];
    for (const table of load.compared) {
      const result = await connection.runAndReadAll(checksumSql(table, schema));
      sums.push(result.getRowObjectsJson()[0]!);
    }
    return sums;
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

/** What differs between two loads of one file; undefined when nothing does. */
export function difference(load: Case, a: Measured, b: Measured): string | undefined {
  for (const [i, { name, columns }] of load.compared.entries()) {
    for (const column of ["rows", ...Object.keys(columns)]) {
      const [left, right] = [a.checksums[i]?.[column], b.checksums[i]?.[column]];
      if (left !== right) return `${name}.${column}: ${left} and ${right}`;
    }
  }
  return undefined;
}
