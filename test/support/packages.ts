/** Small schemas and packages for tests, written as rows. */

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { PackageToCommit, TableJobs } from "../../src/engine/destinations/destination.ts";
import { kindOf, TableBuffer } from "../../src/engine/normalize/column-buffer.ts";
import { createJobFile, type JobFormat } from "../../src/engine/package/job-file.ts";
import type { Column, DataType, Schema, Table, WriteDisposition } from "../../src/engine/schema/types.ts";

export type Value = string | number | boolean | null;

/** `"bigint"`, or a column with hints. */
export type ColumnShort = DataType | Partial<Column>;

export function table(
  name: string,
  columns: Record<string, ColumnShort>,
  more: Partial<Table> & { write_disposition?: WriteDisposition } = {},
): Table {
  const complete = new Map<string, Column>();
  for (const [column, short] of Object.entries(columns)) {
    complete.set(
      column,
      typeof short === "string" ? { name: column, data_type: short } : { name: column, ...short },
    );
  }
  return { name, columns: complete, ...more };
}

export const LOAD_ID: Partial<Column> = { data_type: "text", nullable: false };
export const ROW_ID: Partial<Column> = { data_type: "text", nullable: false, unique: true, row_key: true };
export const PARENT_ID: Partial<Column> = { data_type: "text", nullable: false, parent_key: true };
export const ROOT_ID: Partial<Column> = { data_type: "text", nullable: false, root_key: true };

export function schemaOf(tables: readonly Table[], hash = "hash-1"): Schema {
  return {
    version: 1,
    version_hash: hash,
    engine_version: 11,
    name: "shop",
    tables: new Map(tables.map((t) => [t.name, t])),
    settings: {},
    normalizers: {},
    previous_hashes: [],
  };
}

/** A job file of those rows. Timestamps are microseconds, dates days. */
export async function writeJob(
  folder: string,
  definition: Table,
  rows: readonly Record<string, Value>[],
  fileId: string,
  format: JobFormat,
): Promise<TableJobs> {
  await mkdir(folder, { recursive: true });
  const buffer = new TableBuffer(definition.name);
  for (const column of definition.columns.values()) {
    if (column.data_type !== undefined) buffer.addColumn(column.name, kindOf(column.data_type));
  }
  for (const values of rows) {
    const row = buffer.beginRow();
    for (const [name, value] of Object.entries(values)) {
      const column = buffer.byName.get(name);
      if (column === undefined) throw new Error(`no column ${name} in ${definition.name}`);
      if (value === null) continue;
      if (typeof value === "boolean") column.setBool(row, value);
      else if (typeof value === "string") {
        const bytes = Buffer.from(value);
        column.setBytes(row, bytes, 0, bytes.length);
      } else if (column.kind === "float64") column.setFloat(row, value);
      else if (column.kind === "date") column.setDays(row, value);
      else column.setInt(row, value);
    }
  }
  const path = join(folder, `${definition.name}.${fileId}.0.${format}`);
  const writer = await createJobFile(path, format);
  await writer.append(buffer);
  await writer.close({ sync: false });
  return { table: definition.name, files: [path], rows: rows.length };
}

export async function packageOf(
  format: JobFormat,
  folder: string,
  loadId: string,
  schema: Schema,
  rows: Record<string, readonly Record<string, Value>[]>,
  replaceTables: readonly string[] = [],
): Promise<PackageToCommit> {
  const jobs: TableJobs[] = [];
  for (const [name, values] of Object.entries(rows)) {
    const definition = schema.tables.get(name);
    if (definition === undefined) throw new Error(`no table ${name}`);
    jobs.push(await writeJob(join(folder, loadId), definition, values, "0000000000", format));
  }
  const scratchDir = join(folder, `${loadId}-scratch`);
  await mkdir(scratchDir, { recursive: true });
  return {
    loadId,
    startedAt: Date.now(),
    schema,
    schemaJson: JSON.stringify({ name: schema.name }),
    jobs,
    replaceTables,
    scratchDir,
  };
}
