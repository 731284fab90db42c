/** The state travels as a row of an ordinary table, in the package whose rows it belongs to or in one of its own. */

import { JobWriter } from "../extract/job-writer.ts";
import { bumpState, type PipelineState } from "../interop/state.ts";
import { nextLoadId } from "../package/load-id.ts";
import type { OpenPackage, PendingPackage } from "../package/store.ts";
import type { JobInfo, Manifest } from "../package/types.ts";
import { stateRow, stateToText } from "../pipeline-state.ts";
import { schemaToText } from "../schema/documents.ts";
import { updateTable } from "../schema/merge.ts";
import { STATE_TABLE } from "../schema/tables.ts";
import type { Schema } from "../schema/types.ts";
import { bumpSchema, pipelineStateTable } from "../schema/version.ts";
import type { Run } from "./run.ts";

/** Writes the state's row; its table is added to the schema. */
export async function writeStateJob(
  { context, durable }: Run,
  schema: Schema,
  state: PipelineState,
  open: OpenPackage,
): Promise<readonly JobInfo[]> {
  if (!schema.tables.has(STATE_TABLE)) updateTable(schema, pipelineStateTable());
  const writer = new JobWriter({
    dir: open.jobsDir,
    jobBytesMax: context.limits.jobBytesMax,
    sync: durable,
  });
  await writer.writeRows(STATE_TABLE, [stateRow(state, context.now())]);
  return writer.finish();
}

/** A package without rows of a source: it changes the state and may drop tables. */
export async function sealStatePackage(
  run: Run,
  schema: Schema,
  state: PipelineState,
  dropTables: readonly string[],
): Promise<PendingPackage> {
  const { context, recorder, store, pipeline } = run;
  const open = await store.beginExtract(nextLoadId(context.now(), await store.newestLoadId()));
  const stateChanged = bumpState(state);
  const jobs = await writeStateJob(run, schema, state, open);
  bumpSchema(schema);
  const manifest: Manifest = {
    format: 1,
    load_id: open.load_id,
    pipeline_name: pipeline.name,
    schema_name: schema.name,
    run_id: recorder.runId,
    created_at: new Date(context.now()).toISOString(),
    resources: [],
    jobs,
    state_changed: stateChanged,
    drop_tables: dropTables,
  };
  return store.sealExtracted(open, { manifest, schema: schemaToText(schema), state: stateToText(state) });
}
