/** A database file that is not there, for who only reads: it has nothing, and is not made. */

import { basename } from "node:path";
import { EngineError } from "../../errors.ts";
import { type LoadPlan, planLoad } from "../../load/plan.ts";
import { type Dataset, duckdbDialect } from "../../sql/dialect.ts";
import type {
  CommitReport,
  DestinationSession,
  LiveCatalogue,
  LoadRow,
  PackageToCommit,
  QueryResult,
  SchemaVersionRow,
  StoredStateRow,
} from "../destination.ts";

export class AbsentDatabase implements DestinationSession {
  private readonly dataset: Dataset;

  constructor(path: string, schema: string) {
    // DuckDB names the catalogue for the file
    this.dataset = { catalog: basename(path).replace(/\..*$/, ""), schema };
  }

  async exists(): Promise<boolean> {
    return false;
  }
  async isCommitted(): Promise<boolean> {
    return false;
  }
  async readState(): Promise<StoredStateRow | undefined> {
    return undefined;
  }
  async readSchema(): Promise<SchemaVersionRow | undefined> {
    return undefined;
  }
  async readSchemaVersions(): Promise<SchemaVersionRow[]> {
    return [];
  }
  async readLoads(): Promise<LoadRow[]> {
    return [];
  }
  async readBoundary(): ReturnType<DestinationSession["readBoundary"]> {
    return [];
  }
  async catalogue(): Promise<LiveCatalogue> {
    return new Map();
  }
  async close(): Promise<void> {}

  async planPackage(work: PackageToCommit): Promise<LoadPlan> {
    const insertedAt = new Date(0).toISOString();
    const there = { live: new Map(), comments: new Map(), exists: false };
    return planLoad({ dialect: duckdbDialect, dataset: this.dataset, ...work, ...there, insertedAt });
  }

  async commitPackage(): Promise<CommitReport> {
    throw absent();
  }
  async query(): Promise<QueryResult> {
    throw absent();
  }
}

function absent(): EngineError {
  return new EngineError("PIPELINE_NEVER_RAN", "There is no database yet: nothing has been loaded.");
}
