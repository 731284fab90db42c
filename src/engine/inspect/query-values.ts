/** Values of a query as JSON that loses nothing: what JavaScript numbers cannot hold comes as text. */

import {
  DuckDBArrayValue,
  DuckDBBlobValue,
  DuckDBListValue,
  DuckDBMapValue,
  DuckDBStructValue,
  DuckDBTimestampMillisecondsValue,
  DuckDBTimestampNanosecondsValue,
  DuckDBTimestampSecondsValue,
  DuckDBTimestampTZValue,
  DuckDBTimestampValue,
  DuckDBUnionValue,
  type DuckDBValue,
} from "@duckdb/node-api";

export type JsonValue =
  | string
  | number
  | boolean
  | null
  | readonly JsonValue[]
  | { readonly [key: string]: JsonValue };

export interface CellLimits {
  readonly textCharsMax: number;
  readonly blobBytesMax: number;
}

export interface Rendered {
  readonly value: JsonValue;
  /** A text or blob inside was cut. */
  readonly cut: boolean;
}

export function renderCell(value: DuckDBValue, limits: CellLimits): Rendered {
  let cut = false;

  const text = (full: string): string => {
    if (full.length <= limits.textCharsMax) return full;
    cut = true;
    return `${full.slice(0, limits.textCharsMax)}… (${full.length} characters)`;
  };

  const blob = (bytes: Uint8Array): string => {
    const head = bytes.subarray(0, limits.blobBytesMax);
    const encoded = Buffer.from(head.buffer, head.byteOffset, head.byteLength).toString("base64");
    if (head.byteLength === bytes.byteLength) return encoded;
    cut = true;
    return `${encoded}… (${bytes.byteLength} bytes)`;
  };

  const render = (cell: DuckDBValue): JsonValue => {
    if (cell === null || cell === undefined) return null;
    if (typeof cell === "boolean") return cell;
    if (typeof cell === "string") return text(cell);
    if (typeof cell === "number") return Number.isFinite(cell) ? cell : String(cell);
    if (typeof cell === "bigint") {
      return cell >= Number.MIN_SAFE_INTEGER && cell <= Number.MAX_SAFE_INTEGER ? Number(cell) : String(cell);
    }
    if (cell instanceof DuckDBBlobValue) return blob(cell.bytes);
    if (cell instanceof DuckDBListValue || cell instanceof DuckDBArrayValue) return cell.items.map(render);
    if (cell instanceof DuckDBStructValue) {
      return Object.fromEntries(Object.entries(cell.entries).map(([key, entry]) => [key, render(entry)]));
    }
    if (cell instanceof DuckDBMapValue) {
      return cell.entries.map(({ key, value }) => ({ key: render(key), value: render(value) }));
    }
    if (cell instanceof DuckDBUnionValue) return { [cell.tag]: render(cell.value) };
    if (isTimestamp(cell)) return isoTimestamp(String(cell));
    return text(String(cell));
  };

  return { value: render(value), cut };
}

function isTimestamp(cell: DuckDBValue): boolean {
  return (
    cell instanceof DuckDBTimestampValue ||
    cell instanceof DuckDBTimestampTZValue ||
    cell instanceof DuckDBTimestampSecondsValue ||
    cell instanceof DuckDBTimestampMillisecondsValue ||
    cell instanceof DuckDBTimestampNanosecondsValue
  );
}

/** DuckDB prints `2024-01-02 03:04:05.6+00`; ISO wants T and Z. `infinity` stays as it is. */
function isoTimestamp(printed: string): string {
  return printed.replace(/^(\S+-\d\d-\d\d) /, "$1T").replace(/\+00(:00)?$/, "Z");
}
