/** Jobs of a package counted, and put together by table. */

import { join } from "node:path";
import type { TableJobs } from "../destinations/destination.ts";
import type { JobInfo } from "../package/types.ts";
import { BOUNDARY_TABLE } from "../schema/boundary-table.ts";

export function rowsPerTable(jobs: readonly JobInfo[]): Record<string, number> {
  const rows: Record<string, number> = {};
  for (const job of jobs)
    if (job.table !== BOUNDARY_TABLE) rows[job.table] = (rows[job.table] ?? 0) + job.rows;
  return rows;
}

export function rowsOf(jobs: readonly JobInfo[]): number {
  return jobs.reduce((sum, job) => sum + job.rows, 0);
}

export function bytesOf(jobs: readonly JobInfo[]): number {
  return jobs.reduce((sum, job) => sum + job.bytes, 0);
}

export function jobsByTable(jobs: readonly JobInfo[], dir: string): TableJobs[] {
  const byTable = new Map<string, { table: string; files: string[]; rows: number }>();
  for (const job of jobs) {
    const known = byTable.get(job.table) ?? { table: job.table, files: [], rows: 0 };
    known.files.push(join(dir, job.file));
    known.rows += job.rows;
    byTable.set(job.table, known);
  }
  return [...byTable.values()];
}
