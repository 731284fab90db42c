/** What is remembered, beside the state, of rows at the last value of cursors. */

import { join } from "node:path";
import { markedCursors, readBoundaries, type StoredBoundaries } from "../extract/boundary-store.ts";
import type { PipelineState } from "../interop/state.ts";
import { BOUNDARY_TABLE } from "../schema/boundary-table.ts";
import type { Run } from "./run.ts";
import { withSession } from "./session.ts";

/** Of cursors with too many rows at their last value for the state; from pending packages and the destination. */
export async function storedBoundaries(
  run: Run,
  state: PipelineState,
  source: string,
): Promise<StoredBoundaries> {
  if (markedCursors(state, source).length === 0) return new Map();
  const { store, pipeline } = run;
  const files: string[] = [];
  for (const each of await store.pendingPackages()) {
    const { jobs } = await store.readManifest(each);
    for (const { table, file } of jobs) if (table === BOUNDARY_TABLE) files.push(join(each.jobsDir, file));
  }
  const names = { pipeline: pipeline.name, source };
  return withSession(run, (session) => readBoundaries(session, names, state, files));
}
