/** A pipeline in a folder of its own, for tests that run it and look at the database. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Destination } from "../../src/engine/destinations/destination.ts";
import type { Row } from "../../src/engine/extract/page.ts";
import { type ResourceHints, resource, Source } from "../../src/engine/extract/resource.ts";
import { Pipeline } from "../../src/engine/pipeline.ts";
import type { PipelineOptions, RunOptions } from "../../src/engine/pipeline-options.ts";
import type { RunReport } from "../../src/engine/report.ts";
import { type Cell, DUCKDB, type TestStore } from "./stores.ts";

export interface ShopOptions {
  readonly store?: TestStore;
  readonly dataset?: string;
  /** Of the DuckDB database. */
  readonly file?: string;
  readonly limits?: PipelineOptions["limits"];
}

export class Shop {
  readonly dir = mkdtempSync(join(tmpdir(), "loadwright-shop-"));
  readonly store: TestStore;
  readonly dataset: string;
  readonly database: string;
  readonly destination: Destination;
  private readonly limits: PipelineOptions["limits"];

  constructor(options: ShopOptions = {}) {
    this.store = options.store ?? DUCKDB;
    this.dataset = options.dataset ?? "data";
    this.database = join(this.dir, options.file ?? "shop.duckdb");
    this.destination = this.store.destination(this.database);
    this.limits = options.limits;
  }

  async remove(): Promise<void> {
    rmSync(this.dir, { recursive: true, force: true });
    await this.store.forget(this.dataset);
  }

  /** `options`: another working folder is another machine. */
  pipeline(options: Partial<PipelineOptions> = {}): Pipeline {
    return new Pipeline({
      name: "shop",
      dataset: this.dataset,
      destination: this.destination,
      dir: join(this.dir, "work"),
      limits: this.limits,
      ...options,
    });
  }

  /** One run with one resource of those rows. */
  run(rows: readonly Row[], hints: ResourceHints = {}, options: RunOptions = {}): Promise<RunReport> {
    return this.pipeline().run(sourceOf(rows, hints), options);
  }

  /** Like `run`, and must succeed. */
  async load(rows: readonly Row[], hints: ResourceHints = {}, options: RunOptions = {}): Promise<RunReport> {
    return succeeded(await this.run(rows, hints, options));
  }

  /** Runs statements as somebody else would: `{}` stands for the dataset. Answers with the last one's rows. */
  sql(...statements: string[]): Promise<Cell[][]> {
    return this.store.sql(this.database, this.dataset, statements);
  }

  /** Types by column. */
  async types(table: string): Promise<Record<string, string>> {
    const rows = await this.sql(
      `select column_name, data_type from information_schema.columns where table_schema = '${this.dataset}' and table_name = '${table}' order by ordinal_position`,
    );
    return Object.fromEntries(rows) as Record<string, string>;
  }
}

export function sourceOf(rows: readonly Row[], hints: ResourceHints = {}): Source {
  return new Source({ name: "shop", resources: [resource({ name: "items", ...hints }, [[...rows]])] });
}

export function succeeded(report: RunReport): RunReport {
  if (report.status === "succeeded") return report;
  throw new Error(`${report.error?.code}: ${report.error?.message} ${report.error?.hint}`);
}
