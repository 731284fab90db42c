/**
 * Where boundary hashes are between runs: written as a job of the package whose cursor they belong to, read
 * back from the destination, or from packages that are still pending.
 */

import { join } from "node:path";
import type { DestinationSession } from "../destinations/destination.ts";
import type { PipelineState } from "../interop/state.ts";
import { putCell } from "../normalize/put-cell.ts";
import { TableState } from "../normalize/table-state.ts";
import { BlockFileWriter, dumpBlocks } from "../package/block-format.ts";
import { formatJobName, newFileId } from "../package/job-name.ts";
import type { JobInfo } from "../package/types.ts";
import {
  BOUNDARY_KEY,
  BOUNDARY_TABLE,
  type BoundaryRow,
  boundaryTable,
  OWN_HASHES_MARK,
} from "../schema/boundary-table.ts";
import { KnownRows } from "./boundary-hashes.ts";
import type { BoundaryMark, CursorState } from "./cursor-state.ts";
import type { BoundaryChunks } from "./rows-at-last.ts";

/** Whose cursor it is. */
export interface CursorName {
  readonly pipeline: string;
  readonly source: string;
  readonly resource: string;
  readonly path: string;
}

/** What the destination holds, by `boundaryKey`. */
export type StoredBoundaries = ReadonlyMap<string, KnownRows>;

export function boundaryKey(name: Pick<CursorName, "resource" | "path">): string {
  return JSON.stringify([name.resource, name.path]);
}

/** Cursors whose hashes are not in the state. */
export function markedCursors(
  state: PipelineState,
  source: string,
): { resource: string; path: string; mark: BoundaryMark }[] {
  const resources = (state.sources?.[source]?.resources ?? {}) as Record<
    string,
    { incremental?: Record<string, CursorState> }
  >;
  return Object.entries(resources).flatMap(([resource, { incremental }]) =>
    Object.entries(incremental ?? {}).flatMap(([path, { loadwright_boundary: mark }]) =>
      mark === undefined ? [] : [{ resource, path, mark }],
    ),
  );
}

/** Writes the chunks of several cursors as one job, in the form of normalized rows. */
export async function writeBoundaryJob(
  dir: string,
  cursors: readonly { readonly name: CursorName; readonly chunks: BoundaryChunks }[],
): Promise<JobInfo | undefined> {
  const rows = cursors.flatMap(({ name, chunks }) => boundaryRows(name, chunks));
  if (rows.length === 0) return undefined;
  const table = boundaryTable();
  const state = new TableState(BOUNDARY_TABLE);
  const file = formatJobName({ table: BOUNDARY_TABLE, fileId: newFileId(), retry: 0, format: "blocks" });
  const writer = await BlockFileWriter.create(join(dir, file));
  try {
    for (const row of rows) {
      const at = state.buffer.beginRow();
      for (const [name, value] of Object.entries(row)) putCell(state.slot(table, name)!, at, value);
    }
    await writer.append(state.buffer);
    await writer.close({ sync: true });
  } catch (error) {
    await writer.abort().catch(() => {});
    throw error;
  }
  return { file, table: BOUNDARY_TABLE, rows: writer.rows, bytes: writer.bytes };
}

function boundaryRows(name: CursorName, { first, chunks }: BoundaryChunks): BoundaryRow[] {
  return chunks.map(({ form, hashes }, i) => ({
    pipeline_name: name.pipeline,
    source_name: name.source,
    resource_name: name.resource,
    cursor_path: name.path,
    chunk: first + i,
    hashes: (form === "own" ? OWN_HASHES_MARK : "") + Buffer.from(hashes).toString("base64"),
  }));
}

/** The chunks that are committed. */
async function committedChunks(session: DestinationSession, name: CursorName): Promise<BoundaryRow[]> {
  const key = keyOf(name);
  const rows = await session.readBoundary(BOUNDARY_KEY.map((column) => key[column]));
  return rows.map((row) => ({ ...key, ...row }));
}

/**
 * The hashes of all cursors of a source whose state says that they are not in it: what is committed, with what
 * the pending packages add to it.
 */
export async function readBoundaries(
  session: DestinationSession,
  names: { readonly pipeline: string; readonly source: string },
  state: PipelineState,
  pendingFiles: readonly string[],
): Promise<StoredBoundaries> {
  const found = new Map<string, KnownRows>();
  const pending = await pendingChunks(pendingFiles);
  for (const { mark, ...cursor } of markedCursors(state, names.source)) {
    const name = { ...names, ...cursor };
    found.set(
      boundaryKey(name),
      hashesOf([...(await committedChunks(session, name)), ...pending], name, mark),
    );
  }
  return found;
}

/** The rows of boundary jobs, extracted or normalized: both are kept in the same form. */
async function pendingChunks(files: readonly string[]): Promise<BoundaryRow[]> {
  const rows: BoundaryRow[] = [];
  for (const file of files) {
    for await (const row of dumpBlocks(file)) rows.push(row as unknown as BoundaryRow);
  }
  return rows;
}

/** The hashes of one cursor from its chunks, in the order in which they were written. */
function hashesOf(rows: readonly BoundaryRow[], name: CursorName, mark: BoundaryMark): KnownRows {
  const key = keyOf(name);
  let chunks: BoundaryRow[] = [];
  for (const row of rows) {
    if (Object.entries(key).some(([column, value]) => row[column as keyof BoundaryRow] !== value)) continue;
    if (Number(row.chunk) === 0) chunks = [];
    chunks.push(row);
  }
  const known = new KnownRows(mark.bytes);
  for (const { hashes: text } of chunks) {
    if (text.startsWith(OWN_HASHES_MARK)) {
      known.own.addPacked(Buffer.from(text.slice(OWN_HASHES_MARK.length), "base64"));
    } else known.dlt.addPacked(Buffer.from(text, "base64"));
  }
  return known;
}

function keyOf({ pipeline, source, resource, path }: CursorName): Omit<BoundaryRow, "chunk" | "hashes"> {
  return { pipeline_name: pipeline, source_name: source, resource_name: resource, cursor_path: path };
}
