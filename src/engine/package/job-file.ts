/** The file of a normalized job: in the form that the destination loads best. */

import type { TableBuffer } from "../normalize/column-buffer.ts";
import { BlockFileWriter } from "./block-format.ts";
import { ParquetFileWriter } from "./parquet-writer.ts";
import type { SpareMemory } from "./spare-memory.ts";

/** `parquet`: read by the destination itself; `blocks`: column blocks that the engine encodes while it loads. */
export type JobFormat = "parquet" | "blocks";

/**
 * A job that goes on while the next ones are made: small, so that whoever takes it begins early and never ends late.
 * DuckDB compresses row groups, and wants more rows at a time than COPY.
 */
export const AHEAD_JOB_BYTES: Readonly<Record<JobFormat | "extracted", number>> = {
  extracted: 4 << 20,
  blocks: 4 << 20,
  parquet: 16 << 20,
};

export interface JobFileWriter {
  readonly rows: number;
  readonly bytes: number;
  /** Of what was written so far, where the form has no checksums inside. */
  readonly crc32?: number;
  /** False: the table has got a column that this file cannot take; begin another. */
  fits(buffer: TableBuffer): boolean;
  /** Writes the buffer's rows and empties it. A failed write is thrown by the next call. */
  append(buffer: TableBuffer): Promise<void>;
  /** After this the file is whole, and on the disk if `sync`; or an error was thrown. */
  close(options: { readonly sync: boolean }): Promise<void>;
  /** Gives the file up unfinished. */
  abort(): Promise<void>;
}

/** Fails when the file exists. */
export function createJobFile(path: string, format: JobFormat, memory?: SpareMemory): Promise<JobFileWriter> {
  return format === "parquet" ? ParquetFileWriter.create(path, memory) : BlockFileWriter.create(path, memory);
}
