/** What query.ts and the process that runs the query say to each other, each as one JSON document. */

import type { ErrorEnvelope } from "../errors.ts";
import type { JsonValue } from "./query-values.ts";

export interface QueryRequest {
  readonly path: string;
  /** Schema that bare table names mean; absent: the database's own default. */
  readonly dataset?: string;
  readonly sql: string;
  readonly params: QueryParameters;
  readonly rowsMax: number;
  readonly bytesMax: number;
  readonly timeoutMs: number;
  readonly memoryBytesMax: number;
  readonly cellCharsMax: number;
}

export type QueryParameter = string | number | boolean | null;
/** `$1`, `?` by position, or `$name` by name. */
export type QueryParameters = readonly QueryParameter[] | { readonly [name: string]: QueryParameter };

export interface ReadOnlyResult {
  readonly columns: readonly { readonly name: string; readonly type: string }[];
  readonly rows: readonly (readonly JsonValue[])[];
  /** More rows were there: reading stopped at rowsMax or bytesMax. */
  readonly truncated: boolean;
  readonly truncated_by?: "rows" | "bytes";
  /** Cells that were cut to `cellCharsMax`. */
  readonly cells_cut: number;
  readonly duration_ms: number;
}

export type QueryAnswer = { readonly result: ReadOnlyResult } | { readonly error: ErrorEnvelope };
