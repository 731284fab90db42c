/** The first rows of normalized jobs, cut to what a person looks at. */

import { dumpBlocks } from "./block-format.ts";

export type SampleRow = Readonly<Record<string, string | number | boolean | null>>;

const TEXT_CHARS_MAX = 200;

/** At most `rowsMax` rows, without the columns of the engine; long text is cut, bytes are counted. */
export async function sampleRows(files: readonly string[], rowsMax: number): Promise<SampleRow[]> {
  const rows: SampleRow[] = [];
  for (const file of files) {
    for await (const row of dumpBlocks(file)) {
      if (rows.length >= rowsMax) return rows;
      const cells = Object.entries(row).filter(([name]) => !/^_(dlt|loadwright)_/.test(name));
      rows.push(Object.fromEntries(cells.map(([name, value]) => [name, shown(value)])));
    }
  }
  return rows;
}

function shown(value: unknown): string | number | boolean | null {
  if (value === null || value === undefined) return null;
  if (typeof value === "boolean") return value;
  if (typeof value === "number" && Number.isFinite(value)) return value;
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  const text = String(value);
  return text.length > TEXT_CHARS_MAX ? `${text.slice(0, TEXT_CHARS_MAX - 1)}…` : text;
}
