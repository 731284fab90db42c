/** One test body on DuckDB and on Postgres: a database of its own for each test file, emptied before each case. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, inject } from "vitest";
import { defaultContext } from "../../src/engine/context.ts";
import {
  Pipeline,
  type PipelineOptions,
  type ResourceHints,
  type Row,
  type RunOptions,
  type RunReport,
  resource,
  Source,
  type SourceOptions,
} from "../../src/engine/index.ts";
import { duckdbStore, type GoldenStore, postgresStore } from "./golden-stores.ts";
import { succeeded } from "./item-shop.ts";
import { createDatabase } from "./postgres-server.ts";

export class Database {
  readonly kind: "duckdb" | "postgres";
  readonly dataset = "shop_data";
  readonly folder = mkdtempSync(join(tmpdir(), "loadwright-both-"));
  store!: GoldenStore;
  private cases = 0;

  constructor(kind: "duckdb" | "postgres") {
    this.kind = kind;
  }

  /** `name`: of the Postgres database. */
  async start(name: string): Promise<void> {
    this.store =
      this.kind === "duckdb"
        ? duckdbStore(this.file)
        : postgresStore(await createDatabase(inject("postgresUrl"), name));
  }

  async clear(): Promise<void> {
    this.cases += 1;
    await this.store.clear(this.dataset);
  }

  /** Of DuckDB. */
  get file(): string {
    return join(this.folder, "shop.duckdb");
  }

  /** The working folder of this case. */
  get dir(): string {
    return join(this.folder, `work${this.cases}`);
  }

  pipeline(options: Partial<PipelineOptions> = {}): Pipeline {
    const { dataset, dir } = this;
    return new Pipeline({ name: "shop", dataset, destination: this.store.destination, dir, ...options });
  }

  source(rows: readonly Row[], hints: ResourceHints = {}, options: Partial<SourceOptions> = {}): Source {
    return new Source({
      name: "shop",
      ...options,
      resources: [resource({ name: "items", ...hints }, [rows])],
    });
  }

  run(rows: readonly Row[], hints: ResourceHints = {}, options: RunOptions = {}): Promise<RunReport> {
    return this.pipeline().run(this.source(rows, hints), options);
  }

  /** A run that must succeed. */
  async load(rows: readonly Row[], hints: ResourceHints = {}): Promise<RunReport> {
    return succeeded(await this.run(rows, hints));
  }

  /** Rows of a query, cells as text; `{}` stands for the dataset. */
  async read(sql: string): Promise<(string | null)[][]> {
    const opened = await this.store.open();
    try {
      return await opened.rows(sql.replaceAll("{}", `"${this.dataset}"`));
    } finally {
      await opened.close();
    }
  }

  /** A statement of somebody else's; `{}` stands for the dataset. */
  async change(sql: string): Promise<void> {
    const session = await this.store.destination.open(this.dataset, defaultContext());
    try {
      await session.query(sql.replaceAll("{}", `"${this.dataset}"`));
    } finally {
      await session.close();
    }
  }

  /** Types by column. */
  async types(table: string): Promise<Record<string, string | null>> {
    const rows = await this.read(
      `select column_name, data_type from information_schema.columns
       where table_schema = '${this.dataset}' and table_name = '${table}' order by ordinal_position`,
    );
    return Object.fromEntries(rows) as Record<string, string | null>;
  }

  /** Tables that are not dlt's. */
  async tables(): Promise<string[]> {
    const rows = await this.read(
      `select table_name from information_schema.tables where table_schema = '${this.dataset}' order by 1`,
    );
    return rows.map(([name]) => String(name)).filter((name) => !name.startsWith("_dlt"));
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** `name` makes the Postgres database; use one of its own for each test file. */
export function onBothDatabases(name: string, body: (database: Database) => void): void {
  describe.each(["duckdb", "postgres"] as const)("%s", (kind) => {
    const database = new Database(kind);
    beforeAll(() => database.start(name));
    beforeEach(() => database.clear());
    afterAll(() => database.remove());
    body(database);
  });
}
