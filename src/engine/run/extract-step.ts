/** A source is extracted into packages, on top of what is remembered of it. */

import { extractSource } from "../extract/extract.ts";
import type { Source } from "../extract/resource.ts";
import type { Extracted, ExtractTarget, ExtractWork } from "../extract/work.ts";
import { bumpState, type PipelineState } from "../interop/state.ts";
import type { PendingPackage } from "../package/store.ts";
import { nameSchema } from "../pipeline-state.ts";
import { refreshSource, type TableReset } from "../reset/refresh.ts";
import { checkContract } from "../schema/contract.ts";
import { chooseNaming } from "../schema/naming-change.ts";
import type { Schema } from "../schema/types.ts";
import { currentSchema, currentState, refusePending } from "./current.ts";
import { ExtractedPackages } from "./extracted-packages.ts";
import { namingOf } from "./naming.ts";
import { PackageAhead } from "./package-ahead.ts";
import type { Run } from "./run.ts";
import { neverStored, schemaToExtend } from "./schema-to-extend.ts";
import { applySettings } from "./source-settings.ts";
import { storedBoundaries } from "./stored-boundaries.ts";
import { windowed } from "./windowed.ts";

/**
 * Extracts a source. Each sealed package is handed to `onSealed` while the resources' code is suspended, so
 * that it is normalized and committed before more is fetched; with what was done of it ahead.
 */
export async function extractStep(
  run: Run,
  source: Source,
  onSealed?: (pending: PendingPackage, ahead: PackageAhead | undefined) => Promise<void>,
): Promise<void> {
  const { context, recorder, options, store, pipeline } = run;
  const { schemaName, schema, state, reset, ...chosen } = await prepare(run, source);
  const packages = new ExtractedPackages(run, schemaName, state, reset);
  let ahead: PackageAhead | undefined;
  const begin = async (): Promise<ExtractTarget> => {
    const open = await packages.begin();
    if (onSealed === undefined) return open;
    const begun = new PackageAhead(run, open, () => work.schema);
    ahead = begun;
    // what a reset drops and empties is told to the destination when the package is sealed
    return packages.resets ? open : { jobsDir: open.jobsDir, onFull: (job) => begun.add(job) };
  };
  const seal = async (extracted: Extracted): Promise<void> => {
    const pending = await packages.seal(work.schema, extracted, ahead?.busyMs ?? 0);
    if (pending) {
      await onSealed?.(pending, ahead);
      // what normalizing added is the base of the next package's hints
      work.schema = (await currentSchema(store, schemaName)) ?? work.schema;
    }
    await ahead?.close();
    ahead = undefined;
  };
  const work: ExtractWork = {
    pipelineName: pipeline.name,
    boundaries: await storedBoundaries(run, state, schemaName),
    source: chosen.source.withName(schemaName),
    keepRejected: pipeline.options.keepRejected !== false,
    resources: chosen.resources,
    rowsMax: options.rowsMax,
    whole: reset !== undefined && reset.dropTables.length + reset.truncateTables.length > 0,
    schema,
    naming: namingOf(pipeline, schema),
    sync: run.durable,
    state,
    begin,
    seal,
    warn: (message) => recorder.warn(message),
  };
  try {
    await seal(await extractSource(work, context));
  } catch (error) {
    await packages.abandon(error);
    throw error;
  } finally {
    await ahead?.close();
  }
}

interface Prepared {
  readonly schemaName: string;
  readonly schema: Schema;
  readonly state: PipelineState;
  readonly source: Source;
  /** Only these; undefined: all. */
  readonly resources: readonly string[] | undefined;
  readonly reset: TableReset | undefined;
}

/** The source as this run reads it, with the schema and state that it goes on from. */
async function prepare(run: Run, source: Source): Promise<Prepared> {
  const { options, store, pipeline } = run;
  const { naming, devMode } = pipeline.options;
  const schemaName = namingOf(pipeline).identifier(source.name);
  const contract = options.schemaContract;
  checkContract(contract, "The run");
  const base = await schemaToExtend(run, schemaName);
  chooseNaming(base, naming);
  const state = await currentState(pipeline, store);
  const bounded = windowed(run, source, state, schemaName);
  // a contract of the run is that of each table, and is stored as such
  const chosen = contract
    ? bounded.source.withEach((each) => each.applyHints({ schemaContract: contract }))
    : bounded.source;
  if (!state._version_hash) bumpState(state);
  nameSchema(state, pipeline, schemaName);
  if (devMode) state._local = { ...state._local, _dev_mode: true };
  let reset: TableReset | undefined;
  let schema = base;
  if (options.refresh && base.version > 0) {
    await refusePending(pipeline, store, "refresh");
    reset = refreshSource(options.refresh, {
      schema: base,
      state,
      source: chosen,
      resources: options.resources,
    });
    // another history, which knows where it came from
    if (options.refresh === "drop_sources") {
      schema = { ...neverStored(schemaName), previous_hashes: [base.version_hash] };
      chooseNaming(schema, naming);
    }
  }
  applySettings(schema, chosen, contract);
  return { schemaName, schema, state, source: chosen, resources: bounded.resources, reset };
}
