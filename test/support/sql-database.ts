/** Pipelines that copy a database's tables, and what is in the database that they fill. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DuckDBInstance } from "@duckdb/node-api";
import {
  duckdb,
  type EngineError,
  type ErrorEnvelope,
  type PipelineOptions,
  pipeline,
  type RunOptions,
} from "../../src/engine/index.ts";
import type { RunReport } from "../../src/engine/report.ts";
import { createSource } from "../../src/sources/registry.ts";

export class Copy {
  readonly folder = mkdtempSync(join(tmpdir(), "loadwright-sql-"));
  readonly url: string;
  private readonly name: string;
  private readonly options: Partial<PipelineOptions>;

  constructor(url: string, options: Partial<PipelineOptions> = {}, name = "copy") {
    this.url = url;
    this.options = options;
    this.name = name;
  }

  get file(): string {
    return join(this.folder, "target.duckdb");
  }

  /** Runs the pipeline with the source made anew, as each run of a workspace makes it. */
  async run(config: Record<string, unknown> = {}, options: RunOptions = {}): Promise<RunReport> {
    const source = await createSource("sql_database", {
      config,
      secrets: { credentials: this.url },
      workspaceDir: this.folder,
    });
    const made = pipeline({
      name: this.name,
      destination: duckdb({ path: this.file }),
      dataset: "target",
      dir: join(this.folder, "pipeline"),
      ...this.options,
    });
    return made.run(source, options);
  }

  /** Rows of the DuckDB file, values as JSON. */
  async rows(sql: string): Promise<unknown[][]> {
    const instance = await DuckDBInstance.create(this.file, { access_mode: "READ_ONLY" });
    const connection = await instance.connect();
    try {
      await connection.run("set timezone = 'UTC'");
      await connection.run("set search_path = 'target'");
      return (await connection.runAndReadAll(sql)).getRowsJson() as unknown[][];
    } finally {
      connection.closeSync();
      instance.closeSync();
    }
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Rows that a run loaded, by table. */
export function loaded(report: RunReport): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { rows } of report.packages) {
    for (const [table, count] of Object.entries(rows ?? {})) {
      if (!table.startsWith("_")) counts[table] = (counts[table] ?? 0) + count;
    }
  }
  return counts;
}

/** The error of a run that fails, or of other work that does. */
export async function refusal(work: Promise<unknown>): Promise<EngineError | ErrorEnvelope> {
  const done = await work.catch((error: EngineError) => ({ error }));
  const { error } = done as { error?: EngineError | ErrorEnvelope };
  if (error === undefined) throw new Error("it was not refused");
  return error;
}
