/**
 * The table of the rows at a cursor's last value, when they are too many for the state. It is ours: it stands
 * in no dlt schema and has no `_dlt_` columns. Per cursor it holds the hashes of those rows in chunks:
 *
 *     chunk    0, 1, 2, …; chunk 0 replaces all chunks that were there, the others add to them
 *     hashes   base64 of hashes of equal length, one behind the other; empty when nothing has to be remembered.
 *              With `fields:` before it they are those of extract/row-hash.ts, else dlt's
 */

import type { Table } from "./types.ts";

export const BOUNDARY_TABLE = "_loadwright_boundary";

export const OWN_HASHES_MARK = "fields:";

/** Whose hashes they are: the state's path to the cursor. */
export const BOUNDARY_KEY = ["pipeline_name", "source_name", "resource_name", "cursor_path"] as const;

export interface BoundaryRow {
  readonly pipeline_name: string;
  readonly source_name: string;
  readonly resource_name: string;
  readonly cursor_path: string;
  readonly chunk: number;
  readonly hashes: string;
}

export function boundaryTable(): Table {
  const columns = [
    ...BOUNDARY_KEY.map((name) => ({ name, data_type: "text" as const, nullable: false })),
    { name: "chunk", data_type: "bigint" as const, nullable: false },
    { name: "hashes", data_type: "text" as const, nullable: false },
  ];
  return {
    name: BOUNDARY_TABLE,
    columns: new Map(columns.map((column) => [column.name, column])),
    write_disposition: "append",
    resource: BOUNDARY_TABLE,
  };
}
