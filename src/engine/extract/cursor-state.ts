/**
 * What the state keeps of a cursor, per resource under `incremental.<cursor path>`: initial_value, last_value (the
 * farthest value seen), unique_hashes (of the rows that have it), start_value (last_value of the run before).
 */

/** What is stored; keys as dlt's, but for ours. */
export interface CursorState {
  initial_value: unknown;
  last_value: unknown;
  unique_hashes: string[];
  start_value: unknown;
  /** Present when the rows at the last value are too many for `unique_hashes`; see schema/boundary-table.ts. */
  loadwright_boundary?: BoundaryMark;
}

/** Says which hashes the destination must hold. dlt keeps this key, and moves on without it. */
export interface BoundaryMark {
  readonly rows: number;
  readonly chunks: number;
  /** Of each hash in dlt's form. */
  readonly bytes: number;
  /** See KnownRows.digest. */
  readonly digest: string;
  /** The value that the rows have: when dlt has moved the cursor on, these hashes are no concern any more. */
  readonly last_value: unknown;
}
