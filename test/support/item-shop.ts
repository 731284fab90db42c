/** A pipeline in a folder of its own, for tests that run it and look at the database. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DuckDBInstance } from "@duckdb/node-api";
import { duckdb } from "../../src/engine/destinations/duckdb/duckdb.ts";
import type { Row } from "../../src/engine/extract/page.ts";
import { type ResourceHints, resource, Source } from "../../src/engine/extract/resource.ts";
import { Pipeline } from "../../src/engine/pipeline.ts";
import type { PipelineOptions, RunOptions } from "../../src/engine/pipeline-options.ts";
import type { RunReport } from "../../src/engine/report.ts";

export type Cell = string | number | boolean | null;

export class Shop {
  readonly dir = mkdtempSync(join(tmpdir(), "loadwright-shop-"));
  readonly dataset: string;
  readonly database: string;
  private readonly limits: PipelineOptions["limits"];

  constructor(options: { dataset?: string; file?: string; limits?: PipelineOptions["limits"] } = {}) {
    this.dataset = options.dataset ?? "data";
    this.database = join(this.dir, options.file ?? "shop.duckdb");
    this.limits = options.limits;
  }

  remove(): void {
    rmSync(this.dir, { recursive: true, force: true });
  }

  pipeline(options: Partial<Parameters<typeof duckdb>[0]> = {}): Pipeline {
    return new Pipeline({
      name: "shop",
      dataset: this.dataset,
      destination: duckdb({ path: this.database, ...options }),
      dir: join(this.dir, "work"),
      limits: this.limits,
    });
  }

  /** One run with one resource of those rows. */
  run(rows: readonly Row[], hints: ResourceHints = {}, options: RunOptions = {}): Promise<RunReport> {
    return this.pipeline().run(sourceOf(rows, hints), options);
  }

  /** Like `run`, and must succeed. */
  async load(rows: readonly Row[], hints: ResourceHints = {}): Promise<RunReport> {
    return succeeded(await this.run(rows, hints));
  }

  /** Runs statements as somebody else would: `{}` stands for the dataset. Answers with the last one's rows. */
  async sql(...statements: string[]): Promise<Cell[][]> {
    const instance = await DuckDBInstance.create(this.database);
    const connection = await instance.connect();
    try {
      await connection.run("set timezone = 'UTC'");
      const [catalog] = (await connection.runAndReadAll("select current_database()")).getRowsJson();
      let rows: Cell[][] = [];
      for (const statement of statements) {
        const sql = statement.replaceAll("{}", `"${String(catalog![0])}"."${this.dataset}"`);
        rows = (await connection.runAndReadAll(sql)).getRowsJS().map((row) => row.map(plain));
      }
      return rows;
    } finally {
      connection.closeSync();
      instance.closeSync();
    }
  }

  /** Types by column. */
  async types(table: string): Promise<Record<string, string>> {
    const rows = await this.sql(
      `select column_name, data_type from information_schema.columns where table_schema = '${this.dataset}' and table_name = '${table}' order by ordinal_position`,
    );
    return Object.fromEntries(rows) as Record<string, string>;
  }
}

/** Integers as numbers: no test has larger ones. */
function plain(value: unknown): Cell {
  if (typeof value === "bigint") return Number(value);
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") return value;
  return value === null ? null : String(value);
}

export function sourceOf(rows: readonly Row[], hints: ResourceHints = {}): Source {
  return new Source({ name: "shop", resources: [resource({ name: "items", ...hints }, [[...rows]])] });
}

export function succeeded(report: RunReport): RunReport {
  if (report.status === "succeeded") return report;
  throw new Error(`${report.error?.code}: ${report.error?.message} ${report.error?.hint}`);
}
