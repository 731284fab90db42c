/** What a load is planned from: the tables that are there, and the jobs that are to be loaded. */

/** Columns of a live table by name: the type as the destination prints it. */
export type LiveCatalogue = ReadonlyMap<string, ReadonlyMap<string, { type: string; nullable: boolean }>>;

/** Rows of one table to load: files in the destination's `jobFormat`. */
export interface TableJobs {
  readonly table: string;
  readonly files: readonly string[];
  readonly rows: number;
}
