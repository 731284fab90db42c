/** A pipeline into a dataset of its own, for tests that look at what one or two runs leave behind. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { defaultContext } from "../../src/engine/context.ts";
import {
  type Destination,
  Pipeline,
  type PipelineOptions,
  type ResourceOptions,
  type Row,
  type RunOptions,
  type RunReport,
  resource,
  Source,
  type SourceOptions,
} from "../../src/engine/index.ts";
import { DUCKDB, type TestStore } from "./stores.ts";

export class Shop {
  readonly folder = mkdtempSync(join(tmpdir(), "loadwright-shop-"));
  readonly dataset = "shop_data";
  readonly store: TestStore;
  readonly destination: Destination;
  readonly options: Partial<PipelineOptions>;

  constructor({
    store = DUCKDB,
    ...options
  }: Partial<PipelineOptions> & { readonly store?: TestStore } = {}) {
    this.store = store;
    this.destination = store.destination(join(this.folder, "shop.duckdb"));
    this.options = options;
  }

  pipeline(options: Partial<PipelineOptions> = {}): Pipeline {
    return new Pipeline({
      name: "shop",
      dataset: this.dataset,
      destination: this.destination,
      dir: join(this.folder, "work"),
      ...this.options,
      ...options,
    });
  }

  source(hints: ResourceOptions, rows: readonly Row[], source: Partial<SourceOptions> = {}): Source {
    return new Source({ name: "shop", ...source, resources: [resource(hints, [rows])] });
  }

  /** One run of one resource. */
  async run(
    hints: ResourceOptions,
    rows: readonly Row[],
    options: RunOptions & { readonly source?: Partial<SourceOptions> } = {},
  ): Promise<RunReport> {
    return this.pipeline().run(this.source(hints, rows, options.source), options);
  }

  async query(sql: string): Promise<unknown[][]> {
    const session = await this.destination.open(this.dataset, defaultContext());
    try {
      return (await session.query(sql.replaceAll("shop.", `"${this.dataset}".`))).rows.map((row) => [...row]);
    } finally {
      await session.close();
    }
  }

  async tables(): Promise<string[]> {
    const rows = await this.query(
      `select table_name from information_schema.tables where table_schema = '${this.dataset}' order by table_name`,
    );
    return rows.map(([name]) => String(name)).filter((name) => !name.startsWith("_dlt"));
  }

  async remove(): Promise<void> {
    rmSync(this.folder, { recursive: true, force: true });
    await this.store.forget(this.dataset);
  }
}
