/**
 * A pipeline: runs sources into one dataset of one destination.
 *
 *   run = lock -> recover -> sync -> load what is pending -> (extract -> normalize -> load) per package
 *
 * Pending packages are loaded first and the new data follows in the same run. A package whose data is bad is
 * set aside with its cursor taken back, so that it never blocks a later run; one that failed for a reason
 * outside its data stays pending. The destination is opened for each use and closed again: a DuckDB file can
 * be read by others while a source is being fetched.
 */

import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import pRetry from "p-retry";
import { DEFAULT_LIMITS, type RunContext } from "./context.ts";
import type {
  CommitReport,
  Destination,
  DestinationSession,
  PackageStart,
  PackageToCommit,
  TableJobs,
} from "./destinations/destination.ts";
import { EngineError, type ErrorCode, toEnvelope } from "./errors.ts";
import { markedCursors, readBoundaries, type StoredBoundaries } from "./extract/boundary-store.ts";
import { extractSource } from "./extract/extract.ts";
import { JobWriter } from "./extract/job-writer.ts";
import type { Source } from "./extract/resource.ts";
import { backfilled, type StoredCursor, scheduled } from "./extract/window.ts";
import type { Extracted, ExtractWork } from "./extract/work.ts";
import { bumpState, decodeStateBlob, type PipelineState, stateHash } from "./interop/state.ts";
import { LoadAhead } from "./load/ahead.ts";
import { normalizePackage } from "./normalize/normalize-package.ts";
import { parseJobName } from "./package/job-name.ts";
import { nextLoadId } from "./package/load-id.ts";
import { acquireLock, lockHolder } from "./package/lock.ts";
import { StateBackups } from "./package/state-backups.ts";
import { type OpenPackage, PackageStore, type PendingPackage } from "./package/store.ts";
import { newRunId, RunFolder } from "./package/trace.ts";
import type { JobInfo, Manifest, SchemaChange } from "./package/types.ts";
import { permissionFor } from "./permission.ts";
import type {
  DropOptions,
  DropPlan,
  PipelineOptions,
  RefreshPlan,
  ResourceDropPlan,
  RunOptions,
} from "./pipeline-options.ts";
import { initialState, nameSchema, stateFromText, stateRow, stateToText } from "./pipeline-state.ts";
import type { PackageReport, RunReport } from "./report.ts";
import { type PreparedDrop, prepareDrop } from "./reset/prepare-drop.ts";
import {
  forgetResources,
  matchingNames,
  type RefreshMode,
  refreshSource,
  type TableReset,
  tablesOfResources,
} from "./reset/refresh.ts";
import { resetState, type StateReset, type StateResetPlan } from "./reset/state-reset.ts";
import { dryRun } from "./run/dry-run.ts";
import { RunRecorder } from "./run/run-recorder.ts";
import { applySettings } from "./run/source-settings.ts";
import { BOUNDARY_TABLE } from "./schema/boundary-table.ts";
import { checkContract } from "./schema/contract.ts";
import { schemaFromText, schemaToText } from "./schema/documents.ts";
import { updateTable } from "./schema/merge.ts";
import { type NamingConvention, namingByName } from "./schema/naming.ts";
import { chooseNaming } from "./schema/naming-change.ts";
import { completeColumns, hasSeenData, STATE_TABLE } from "./schema/tables.ts";
import type { Schema } from "./schema/types.ts";
import { bumpSchema, newSchema, pipelineStateTable } from "./schema/version.ts";
import { importSchema, writeImportFile, writeSchemaFile } from "./schema-files.ts";

const PIPELINE_NAME = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;
const RUNS_KEPT = 200;
/** Attempts to open a destination that is busy: about ten seconds in all. */
const OPEN_RETRIES = 5;

/** Errors that say something about the package's data: no later attempt can load it as it is. */
const BAD_DATA = new Set<string>([
  "CONTRACT_VIOLATION",
  "FILE_ENCODING",
  "FILE_FORMAT",
  "IDENTIFIER_INVALID",
  "LOAD_VALUE",
  "MERGE_WITHOUT_KEY",
  "NAME_COLLISION",
  "NULL_IN_REQUIRED",
  "PACKAGE_CORRUPT",
  "SCHEMA_INVALID",
  "TYPE_CHANGE_REFUSED",
  "VALUE_UNSUPPORTED",
]);

export interface SyncResult {
  /** True when state or schemas were taken from the destination. */
  readonly restored: boolean;
  readonly state_version: number;
  readonly schemas: readonly string[];
}

interface ResourceState {
  readonly incremental?: Readonly<Record<string, { readonly last_value?: unknown } | undefined>>;
}

/** What one run passes along. */
interface Run {
  readonly context: RunContext;
  readonly recorder: RunRecorder;
  readonly options: RunOptions;
  /** The packages made are to stay for a later call, so their rows must be on the disk when they are sealed. */
  readonly durable: boolean;
}

export class Pipeline {
  readonly name: string;
  readonly dataset: string;
  readonly destination: Destination;
  readonly dir: string;
  readonly runs: RunFolder;
  private readonly options: PipelineOptions;
  /** In dev mode: has this object begun anew already? */
  private begun = false;

  constructor(options: PipelineOptions) {
    if (!PIPELINE_NAME.test(options.name)) {
      throw new EngineError("CONFIG_INVALID", `"${options.name}" is not a pipeline name.`, {
        hint: "Use letters, digits and underscores, and start with a letter.",
      });
    }
    if (options.exportSchemaPath && options.exportSchemaPath === options.importSchemaPath) {
      throw new EngineError(
        "CONFIG_INVALID",
        "Schemas are exported to the folder that they are imported from.",
        {
          hint: "Choose two folders: an export would take the place of what somebody edits.",
          details: { pipeline: options.name },
        },
      );
    }
    this.name = options.name;
    this.destination = options.destination;
    const dataset = options.dataset ?? `${options.name}_dataset`;
    const suffix = options.devMode ? `_${timeInName(new Date())}` : "";
    const naming = namingByName(
      options.naming ?? "snake_case",
      options.destination.capabilities.identifierLengthMax,
    );
    this.dataset = naming.path(dataset.replace(suffix === "" ? "" : /_$/, "") + suffix);
    this.dir = options.dir;
    this.options = options;
    this.runs = new RunFolder(this.dir);
  }

  /** The packages on disk. `boundary`: see RunContext. */
  store(context?: Pick<RunContext, "boundary">): PackageStore {
    return new PackageStore(this.dir, context ?? { boundary: () => {} });
  }

  /** Extracts, normalizes and loads; pending packages first. Failures are in the report, not thrown. */
  async run(source: Source, options: RunOptions = {}): Promise<RunReport> {
    if (options.dryRun) {
      const { dryRun: _, ...real } = options;
      const own = { ...this.options, dataset: this.dataset };
      return dryRun({ options: own, run: (changed, run) => new Pipeline(changed).run(source, run) }, real);
    }
    return this.locked(options, "run", async (run) => {
      await this.recover(run);
      await this.loadPending(run);
      await this.syncStep(run);
      await this.extractAll(run, source, async (pending) => {
        const ahead = new LoadAhead(() => this.openSession(run.context));
        try {
          await this.normalizeOne(run, pending, ahead);
          await this.loadPending(run, ahead);
        } finally {
          await ahead.close();
        }
      });
    });
  }

  /** Only extracts: the package stays pending. */
  async extract(source: Source, options: RunOptions = {}): Promise<RunReport> {
    return this.locked(options, "extract", async (run) => {
      await this.store(run.context).discardUnfinished();
      if ((await this.store().pendingPackages()).length === 0) await this.syncStep(run);
      await this.extractAll(run, source, async () => {});
    });
  }

  /** Only normalizes what is extracted. */
  async normalize(options: RunOptions = {}): Promise<RunReport> {
    return this.locked(options, "normalize", async (run) => {
      const store = this.store(run.context);
      await store.discardUnfinished();
      for (const each of await store.list("extracted")) await this.normalizeOne(run, each as PendingPackage);
    });
  }

  /** Loads what is pending; normalizes it first where needed. */
  async load(options: RunOptions = {}): Promise<RunReport> {
    return this.locked(options, "load", async (run) => {
      await this.recover(run);
      await this.loadPending(run);
    });
  }

  /** Takes state and schemas from the destination, as on a fresh machine. Refused while packages are pending. */
  async sync(options: RunOptions = {}): Promise<SyncResult> {
    let result: SyncResult | undefined;
    const report = await this.locked(options, "sync", async (run) => {
      await this.recover(run);
      await this.refusePending("sync");
      result = await this.syncStep(run);
    });
    if (!result) throw reportError(report);
    return result;
  }

  /** What `drop` would do, by what is known here. Nothing is changed. */
  async planResourceDrop(options: DropOptions): Promise<ResourceDropPlan> {
    return (await this.prepareDrop(options)).prepared.plan;
  }

  /**
   * Drops tables of resources and what they remember, or parts of the source's state: an ordinary package in
   * one transaction, so that either all of it is done or none.
   */
  async drop(options: DropOptions, run: RunOptions = {}): Promise<ResourceDropPlan> {
    let plan: ResourceDropPlan | undefined;
    const report = await this.locked(run, "drop", async (run) => {
      await this.recover(run);
      await this.refusePending("drop");
      await this.syncStep(run);
      const { prepared, schema, state } = await this.prepareDrop(options);
      plan = prepared.plan;
      const { tables, resource_states, state_paths } = plan;
      if (tables.length + resource_states.length + state_paths.length === 0) return;
      await this.normalizeOne(run, await this.sealDrop(run, schema, state, prepared.dropTables));
      await this.loadPending(run);
    });
    if (!plan || report.status !== "succeeded") throw reportError(report);
    return plan;
  }

  /** What `resetState` would change, by the state that is here. Nothing is changed. */
  async planStateReset(reset: StateReset): Promise<StateResetPlan> {
    return resetState(await this.currentState(), reset).plan;
  }

  /**
   * Changes cursors, or the whole state, in a package of its own, so that the destination has the change too. The
   * state before is kept in `state_backups`; returns its id. Refused while packages are pending, and when the state
   * is another than `plan` was made on.
   */
  async resetState(reset: StateReset, plan: StateResetPlan, run: RunOptions = {}): Promise<string> {
    return this.withBackup(`reset_state ${reset.kind}`, run, async (run) => {
      await this.syncStep(run);
      const state = await this.currentState();
      if ((state._version_hash ?? null) !== plan.version_hash) throw this.stateMoved();
      const changed = resetState(state, reset).state;
      const schema = state.default_schema_name
        ? await this.currentSchema(state.default_schema_name)
        : undefined;
      if (!schema) {
        throw new EngineError("PIPELINE_NEVER_RAN", `Pipeline ${this.name} has no state to reset.`);
      }
      await this.normalizeOne(run, await this.sealDrop(run, schema, changed, []));
      await this.loadPending(run);
    });
  }

  /**
   * Takes state and schemas of the destination whatever their version is; what was here is kept in
   * `state_backups`. Errors: PIPELINE_NEVER_RAN when the destination has none.
   */
  async restoreFromDestination(options: RunOptions = {}): Promise<string> {
    return this.withBackup("reset_state restore_from_destination", options, async (run) => {
      await this.withSession(run.context, async (session) => {
        const row = (await session.exists()) ? await session.readState(this.name) : undefined;
        if (!row) {
          throw new EngineError(
            "PIPELINE_NEVER_RAN",
            `The destination has no state of pipeline ${this.name}: there is nothing to restore from.`,
          );
        }
        const store = this.store(run.context);
        const remote = decodeStateBlob(row.state);
        const local = await store.committedState();
        const kept = local === undefined ? undefined : stateFromText(local)._local;
        if (kept) remote._local = kept;
        await store.writeCommittedState(stateToText(remote));
        for (const name of remote.schema_names ?? []) {
          const newest = await session.readSchema(name);
          if (newest) await store.writeCommittedSchema(name, newest.schema);
        }
      });
    });
  }

  /** Drops as `drop` does, with the state before kept in `state_backups`. */
  async dropWithBackup(options: DropOptions, run: RunOptions = {}): Promise<string> {
    const text = await this.store().committedState();
    const id = text === undefined ? "" : await this.backUp("reset_state drop_resource", text, Date.now());
    await this.drop(options, run);
    return id;
  }

  /** Makes dropped packages pending again. Errors: PACKAGE_NOT_FOUND, PACKAGE_SUPERSEDED. */
  async restoreDropped(first: string, options: RunOptions = {}): Promise<string[]> {
    let restored: string[] | undefined;
    const report = await this.locked(options, "restore_dropped", async (run) => {
      const store = this.store(run.context);
      await store.discardUnfinished();
      restored = await store.restoreDropped(first);
    });
    if (!restored || report.status !== "succeeded") throw reportError(report);
    return restored;
  }

  private async withBackup(
    reason: string,
    options: RunOptions,
    work: (run: Run) => Promise<void>,
  ): Promise<string> {
    let id = "";
    const report = await this.locked(options, reason.split(" ")[0]!, async (run) => {
      await this.recover(run);
      await this.refusePending("reset the state");
      const text = await this.store().committedState();
      if (text !== undefined) id = await this.backUp(reason, text, run.context.now());
      await work(run);
    });
    if (report.status !== "succeeded") throw reportError(report);
    return id;
  }

  private async backUp(reason: string, text: string, now: number): Promise<string> {
    const { _state_version } = stateFromText(text);
    return new StateBackups(this.dir).write(now, { reason, state_version: _state_version, state: text });
  }

  private stateMoved(): EngineError {
    return new EngineError("CONFIRM_EXPIRED", `The state of ${this.name} moved since the plan was made.`, {
      details: { pipeline: this.name },
    });
  }

  private async prepareDrop(
    options: DropOptions,
  ): Promise<{ prepared: PreparedDrop; schema: Schema; state: PipelineState }> {
    const state = await this.currentState();
    const name = options.schema ?? state.default_schema_name;
    const schema = name ? await this.currentSchema(name) : undefined;
    if (!schema) {
      throw new EngineError("PIPELINE_NEVER_RAN", `Pipeline ${this.name} has loaded nothing to drop.`, {
        details: { pipeline: this.name, ...(name ? { schema: name } : {}) },
      });
    }
    return { prepared: prepareDrop(this.name, schema, state, options), schema, state };
  }

  private async sealDrop(
    run: Run,
    schema: Schema,
    state: PipelineState,
    dropTables: readonly string[],
  ): Promise<PendingPackage> {
    const { context, recorder } = run;
    const store = this.store(context);
    const open = await store.beginExtract(nextLoadId(context.now(), await store.newestLoadId()));
    const stateChanged = bumpState(state);
    const jobs = await this.extractState(run, schema, state, open);
    bumpSchema(schema);
    const manifest: Manifest = {
      format: 1,
      load_id: open.load_id,
      pipeline_name: this.name,
      schema_name: schema.name,
      run_id: recorder.runId,
      created_at: new Date(context.now()).toISOString(),
      resources: [],
      jobs,
      state_changed: stateChanged,
      drop_tables: dropTables,
    };
    const content = { manifest, schema: schemaToText(schema), state: stateToText(state) };
    return store.sealExtracted(open, content);
  }

  /** What a refresh of these resources, or of all, would drop or empty. Nothing is changed. */
  async planRefresh(refresh: RefreshMode, resources?: readonly string[]): Promise<RefreshPlan> {
    const state = await this.currentState();
    const name = state.default_schema_name;
    const schema = name ? await this.currentSchema(name) : undefined;
    const named = resources && refresh !== "drop_sources" ? matchingNames(resources) : () => true;
    const tables = schema ? tablesOfResources(schema, named) : [];
    return {
      pipeline_name: this.name,
      refresh,
      tables: tables.filter((table) => hasSeenData(schema!.tables.get(table)!)),
      resource_states: schema ? forgetResources(state, schema.name, named) : [],
    };
  }

  /** Some calls build on the committed state only. */
  private async refusePending(what: string): Promise<void> {
    const pending = await this.store().pendingPackages();
    if (pending.length === 0) return;
    throw new EngineError(
      "PACKAGE_SUPERSEDED",
      `${pending.length} pending packages build on the local state.`,
      {
        hint: `Load them with a run, or drop them, then ${what}.`,
        details: { pipeline: this.name, load_ids: pending.map((each) => each.load_id) },
      },
    );
  }

  /** Who runs this pipeline now, if anybody. */
  lockHolder(): ReturnType<typeof lockHolder> {
    return lockHolder(this.dir);
  }

  /** What `dropPending` would do. NOTHING_PENDING when there is no package. */
  async planDrop(from?: string): Promise<DropPlan> {
    const store = this.store();
    const packages = await store.wouldDrop(from);
    const described: DropPlan["packages"][number][] = [];
    for (const each of packages) {
      let manifest: Manifest | undefined;
      try {
        manifest = await store.readManifest(each);
      } catch (error) {
        // a corrupt package can still be dropped
        if (!(error instanceof EngineError) || error.code !== "PACKAGE_CORRUPT") throw error;
      }
      described.push({
        load_id: each.load_id,
        stage: each.stage,
        rows: manifest?.jobs.reduce((sum, job) => sum + job.rows, 0) ?? 0,
        bytes: manifest?.jobs.reduce((sum, job) => sum + job.bytes, 0) ?? 0,
        cursors: (manifest?.resources ?? []).flatMap(({ name, cursor }) =>
          cursor ? [{ resource: name, path: cursor.path, from: cursor.after, to: cursor.before }] : [],
        ),
      });
    }
    return { pipeline_name: this.name, packages: described, backup: `dropped/${packages[0]!.load_id}` };
  }

  /**
   * Drops a pending package and all later ones, or all of them. Their cursors go with them, so their rows are
   * fetched again; a backup is kept. A package that turns out to be committed already is finished instead.
   * With `expected`, the load ids somebody agreed to, nothing is dropped when others would be.
   */
  async dropPending(
    from?: string,
    options: RunOptions & { readonly expected?: readonly string[] } = {},
  ): Promise<DropPlan> {
    let plan: DropPlan | undefined;
    const report = await this.locked(options, "drop_pending_packages", async (run) => {
      const store = this.store(run.context);
      await store.discardUnfinished();
      await this.finishCommitted(run);
      const found = await this.planDrop(from);
      const ids = found.packages.map((each) => each.load_id);
      if (options.expected && ids.join() !== options.expected.join()) {
        throw new EngineError(
          "CONFIRM_EXPIRED",
          `The pending packages of ${this.name} are others than when the drop was planned.`,
          {
            details: { pipeline: this.name, planned: options.expected, load_ids: ids },
          },
        );
      }
      await store.dropPending(from);
      plan = found;
    });
    if (!plan || report.status !== "succeeded") throw reportError(report);
    return plan;
  }

  // ---- a run and its context ----

  private async locked(
    options: RunOptions,
    command: string,
    work: (run: Run) => Promise<void>,
  ): Promise<RunReport> {
    this.options.permit?.(permissionFor(command, options.refresh), `${command} on pipeline ${this.name}`);
    if (options.dryRun) {
      throw new EngineError("CONFIG_INVALID", `There is no dry run of ${command}: only whole runs have one.`);
    }
    const started = Date.now();
    const runId = options.runId ?? newRunId(started);
    const mask = options.mask ?? ((value) => value);
    const log: RunContext["log"] = (level, event, fields = {}) => {
      this.runs.appendLog(runId, mask({ time: new Date().toISOString(), level, event, ...fields }));
      options.log?.(level, event, fields);
    };
    const context: RunContext = {
      now: Date.now,
      log,
      signal: options.signal ?? new AbortController().signal,
      limits: { ...DEFAULT_LIMITS, ...this.options.limits },
      progress: options.onProgress ?? (() => {}),
      boundary: options.boundary ?? (() => {}),
    };
    await mkdir(this.dir, { recursive: true });
    const recorder = new RunRecorder(
      { runId, pipeline: this.name, dataset: this.dataset, destination: this.destination.displayName },
      this.runs,
      context,
      { mask, onReport: options.onReport ?? (() => {}) },
    );
    let lock: ReturnType<typeof acquireLock>;
    try {
      lock = acquireLock(this.dir, { run_id: runId, command }, context);
    } catch (error) {
      return recorder.finish("failed", error);
    }
    try {
      context.boundary("run:locked");
      await recorder.begin();
      await this.beginAnew(context);
      await work({ context, recorder, options, durable: command === "extract" || command === "normalize" });
      return await recorder.finish("succeeded");
    } catch (error) {
      if (context.signal.aborted) {
        const cancelled = new EngineError("CANCELLED", `The run of ${this.name} was cancelled.`, {
          cause: error,
        });
        return await recorder.finish("cancelled", cancelled);
      }
      const known = error instanceof EngineError ? error.withDetails({ pipeline: this.name }) : error;
      return await recorder.finish("failed", known);
    } finally {
      context.boundary("run:finished");
      lock.release();
      await this.runs.pruneRuns(RUNS_KEPT);
    }
  }

  /** In dev mode, and after it, what is here belongs to a dataset that nobody goes on with. */
  private async beginAnew(context: RunContext): Promise<void> {
    if (this.begun) return;
    this.begun = true;
    const store = this.store(context);
    const text = await store.committedState();
    const wasDev = text !== undefined && stateFromText(text)._local?._dev_mode === true;
    if (this.options.devMode || wasDev) await store.forgetAll();
  }

  private async withSession<T>(
    context: RunContext,
    use: (session: DestinationSession) => Promise<T>,
  ): Promise<T> {
    return this.using(context, await this.openSession(context), use);
  }

  private openSession(context: RunContext): Promise<DestinationSession> {
    return pRetry(() => this.destination.open(this.dataset, context), {
      retries: OPEN_RETRIES,
      minTimeout: 200,
      factor: 2,
      randomize: true,
      signal: context.signal,
      shouldRetry: ({ error }) => error instanceof EngineError && error.retry === "yes",
    });
  }

  private async using<T>(
    context: RunContext,
    session: DestinationSession,
    use: (session: DestinationSession) => Promise<T>,
  ): Promise<T> {
    try {
      return await use(session);
    } finally {
      await session.close();
      context.boundary("session:closed");
    }
  }

  private naming(schema?: Schema): NamingConvention {
    const { names, use_break_path_on_normalize } = (schema?.normalizers ?? {}) as {
      names?: string;
      use_break_path_on_normalize?: boolean;
    };
    return namingByName(names ?? "snake_case", this.destination.capabilities.identifierLengthMax, {
      breakPath: use_break_path_on_normalize !== false,
    });
  }

  // ---- recovery and state ----

  /** Brings every package into one place and finishes commits whose end was not seen. */
  private async recover(run: Run): Promise<void> {
    const store = this.store(run.context);
    const discarded = await store.discardUnfinished();
    // what a killed load had spilled to disk
    await rm(join(this.dir, "scratch"), { recursive: true, force: true });
    run.context.boundary("recover:discarded");
    for (const loadId of [...discarded.extracting, ...discarded.normalizing]) {
      run.context.log("info", "package.unfinished_discarded", { load_id: loadId });
    }
    await this.finishCommitted(run);
  }

  /** The load id in `_dlt_loads` is what says that a package was committed; the folder may lag behind. */
  private async finishCommitted(run: Run): Promise<void> {
    const store = this.store(run.context);
    if ((await store.pendingPackages()).length === 0) return;
    const normalized = await store.list("normalized");
    await this.withSession(run.context, async (session) => {
      if (await this.isVoid(session)) {
        const { packages } = await store.dropPending();
        run.recorder.warn(
          `${packages.length} pending packages were dropped: they build on rows that went with dataset ${this.dataset}.`,
        );
        return;
      }
      for (const each of normalized) {
        if (!(await session.isCommitted(each.load_id))) continue;
        run.context.boundary("recover:committed");
        const manifest = await store.readManifest(each);
        await store.markLoaded(each.load_id, new Date(run.context.now()));
        run.recorder.package({
          load_id: each.load_id,
          schema_name: manifest.schema_name,
          status: "loaded",
          recovered: true,
          rows: {},
          warnings: ["The package had been committed by an earlier run that ended before it could note it."],
        });
      }
    });
  }

  private async syncStep(run: Run): Promise<SyncResult> {
    return run.recorder.step("sync", undefined, async () =>
      this.withSession(run.context, (session) => this.syncWith(run, session)),
    );
  }

  /** Was the dataset loaded from here, and then dropped by somebody? */
  private async isVoid(session: DestinationSession): Promise<boolean> {
    const store = this.store();
    if ((await store.committedState()) === undefined || (await store.list("loaded")).length === 0)
      return false;
    return !(await session.exists());
  }

  /** The destination is the authority: what it has that is not older than what is here is taken. */
  private async syncWith(run: Run, session: DestinationSession): Promise<SyncResult> {
    const store = this.store(run.context);
    const localText = await store.committedState();
    const local = localText === undefined ? undefined : stateFromText(localText);
    if (!(await session.exists())) {
      if (await this.isVoid(session)) {
        run.recorder.warn(
          `Dataset ${this.dataset} is not at the destination any more: state and schemas kept here are void, and everything is fetched anew.`,
        );
        // the state last: while it is there, this is done again after a crash
        await rm(join(this.dir, "schemas"), { recursive: true, force: true });
        run.context.boundary("void:schemas");
        await rm(join(this.dir, "state.json"), { force: true });
        run.context.boundary("void:state");
      }
      return { restored: false, state_version: 0, schemas: [] };
    }
    const row = await session.readState(this.name);
    let restored = false;
    let state = local;
    if (row && (!local || row.version >= local._state_version)) {
      const remote = decodeStateBlob(row.state);
      if (!local || stateHash(remote) !== local._version_hash) {
        if (local?._local) remote._local = local._local;
        await store.writeCommittedState(stateToText(remote));
        state = remote;
        restored = true;
      }
    }
    const schemas: string[] = [];
    for (const name of state?.schema_names ?? []) {
      const newest = await session.readSchema(name);
      if (!newest) continue;
      schemas.push(name);
      const here = await store.committedSchema(name);
      if (here !== undefined && schemaFromText(here).version_hash === newest.version_hash) continue;
      await store.writeCommittedSchema(name, newest.schema);
      restored = true;
    }
    if (restored)
      run.context.log("info", "state.restored", { state_version: state?._state_version ?? 0, schemas });
    return { restored, state_version: state?._state_version ?? 0, schemas };
  }

  /** State as of the newest pending package, else as last committed. */
  private async currentState(): Promise<PipelineState> {
    const text = await this.store().currentState();
    return text === undefined
      ? initialState({ name: this.name, dataset: this.dataset, destination: this.destination })
      : stateFromText(text);
  }

  /** Schema as of the newest pending package of that name, else as last committed, else at the destination, else new. */
  private async currentSchema(name: string): Promise<Schema | undefined> {
    const store = this.store();
    for (const each of (await store.pendingPackages()).reverse()) {
      const manifest = await store.readManifest(each);
      if (manifest.schema_name === name) return schemaFromText(await store.readSchema(each));
    }
    const text = await store.committedSchema(name);
    return text === undefined ? undefined : schemaFromText(text);
  }

  // ---- the steps ----

  /**
   * Extracts a source. Each sealed package is handed to `onSealed` while the resources' code is suspended, so
   * that it is normalized and committed before more is fetched.
   */
  private async extractAll(
    run: Run,
    source: Source,
    onSealed: (pending: PendingPackage) => Promise<void>,
  ): Promise<void> {
    const { context, recorder, options } = run;
    const store = this.store(context);
    const schemaName = this.naming().identifier(source.name);
    const contract = options.schemaContract;
    checkContract(contract, "The run");
    const base = await this.withImport(run, await this.schemaToExtend(run, schemaName));
    chooseNaming(base, this.options.naming);
    const state = await this.currentState();
    const windowed = this.windowed(run, source, state, schemaName);
    // a contract of the run is that of each table, and is stored as such
    const chosen = contract
      ? windowed.source.withEach((each) => each.applyHints({ schemaContract: contract }))
      : windowed.source;
    if (!state._version_hash) bumpState(state);
    nameSchema(state, this, schemaName);
    if (this.options.devMode) state._local = { ...state._local, _dev_mode: true };
    let reset: TableReset | undefined;
    let schema = base;
    if (options.refresh && base.version > 0) {
      await this.refusePending("refresh");
      reset = refreshSource(options.refresh, {
        schema: base,
        state,
        source: chosen,
        resources: options.resources,
      });
      // another history, which knows where it came from
      if (options.refresh === "drop_sources") {
        schema = { ...neverStored(schemaName), previous_hashes: [base.version_hash] };
        chooseNaming(schema, this.options.naming);
      }
    }
    applySettings(schema, chosen, contract);

    let open: OpenPackage | undefined;
    let openedAt = 0;
    let sealedHash = state._version_hash;
    const seal = async (extracted: Extracted): Promise<void> => {
      const sealed = withoutEmptyStates(state);
      bumpState(sealed);
      state._state_version = sealed._state_version;
      state._version_hash = sealed._version_hash;
      const drops = (reset?.dropTables.length ?? 0) > 0;
      const resets = drops || (reset?.truncateTables.length ?? 0) > 0;
      const stateChanged = sealed._version_hash !== sealedHash || drops;
      const newTables = this.options.createEmptyTables ? emptyTablesOf(work.schema, extracted) : [];
      for (const [table, count] of Object.entries(extracted.discarded)) {
        recorder.warn(`Table ${table} is new, so its contract discarded ${count} rows.`);
      }
      const rows = extracted.jobs.reduce((sum, job) => sum + job.rows, 0);
      const hasWork = resets || newTables.length > 0 || replacesData(work.schema, extracted);
      if (rows === 0 && !stateChanged && !hasWork) {
        await store.abandon(open!);
        open = undefined;
        return;
      }
      const jobs = [...extracted.jobs];
      if (stateChanged) jobs.push(...(await this.extractState(run, work.schema, sealed, open!)));
      if (this.options.importSchemaPath) await writeImportFile(this.options.importSchemaPath, work.schema);
      bumpSchema(work.schema);
      const manifest: Manifest = {
        format: 1,
        load_id: open!.load_id,
        pipeline_name: this.name,
        schema_name: schemaName,
        run_id: recorder.runId,
        created_at: new Date(context.now()).toISOString(),
        resources: extracted.resources,
        jobs,
        state_changed: stateChanged,
        ...(drops ? { drop_tables: reset?.dropTables } : {}),
        ...(resets && !drops ? { truncate_tables: reset?.truncateTables } : {}),
        ...(Object.keys(extracted.refusedTables).length > 0
          ? { refused_tables: extracted.refusedTables }
          : {}),
        ...(Object.keys(extracted.discarded).length > 0 ? { rejected: discardedRows(extracted) } : {}),
      };
      reset = undefined;
      const content = { manifest, schema: schemaToText(work.schema), state: stateToText(sealed) };
      const pending = await store.sealExtracted(open!, content, { sync: run.durable });
      open = undefined;
      sealedHash = sealed._version_hash;
      recorder.package({
        load_id: pending.load_id,
        schema_name: schemaName,
        status: "extracted",
        resources: extracted.resources,
      });
      await recorder.addStep(
        "extract",
        pending.load_id,
        openedAt,
        rowsPerTable(extracted.jobs),
        bytesOf(extracted.jobs),
      );
      await onSealed(pending);
      // what normalizing added is the base of the next package's hints
      work.schema = (await this.currentSchema(schemaName)) ?? work.schema;
    };
    const work: ExtractWork = {
      pipelineName: this.name,
      boundaries: await this.boundaries(run, state, schemaName),
      source: chosen.withName(schemaName),
      keepRejected: this.options.keepRejected !== false,
      resources: windowed.resources,
      rowsMax: options.rowsMax,
      schema,
      naming: this.naming(schema),
      sync: run.durable,
      state,
      begin: async () => {
        open = await store.beginExtract(nextLoadId(context.now(), await store.newestLoadId()));
        openedAt = context.now();
        return open;
      },
      seal,
      warn: (message) => recorder.warn(message),
    };
    try {
      await seal(await extractSource(work, context));
    } catch (error) {
      if (open) {
        await recorder.addStep("extract", open.load_id, openedAt, {}, 0, error);
        await store.abandon(open);
      }
      throw error;
    }
  }

  /** The source with the bounds that the run was given for its cursors. */
  private windowed(
    { options, recorder }: Run,
    source: Source,
    state: PipelineState,
    name: string,
  ): { source: Source; resources: readonly string[] | undefined } {
    const { backfill, interval, refresh, resources } = options;
    const stored: StoredCursor = (resource, path) => {
      const all = state.sources?.[name]?.resources as Record<string, ResourceState> | undefined;
      return all?.[resource]?.incremental?.[path]?.last_value;
    };
    if (!backfill) return { source: interval ? scheduled(source, interval, stored) : source, resources };
    if (refresh) {
      throw new EngineError("CONFIG_INVALID", "A run either loads a window or begins anew, not both.", {
        hint: "Give backfill or refresh.",
      });
    }
    const windowed = backfilled(source, backfill, resources, stored);
    for (const warning of windowed.warnings) recorder.warn(warning);
    return windowed;
  }

  /** Of cursors with too many rows at their last value for the state. */
  private async boundaries(run: Run, state: PipelineState, source: string): Promise<StoredBoundaries> {
    if (markedCursors(state, source).length === 0) return new Map();
    const store = this.store(run.context);
    const files: string[] = [];
    for (const each of await store.pendingPackages()) {
      const { jobs } = await store.readManifest(each);
      for (const { table, file } of jobs) if (table === BOUNDARY_TABLE) files.push(join(each.jobsDir, file));
    }
    const names = { pipeline: this.name, source };
    return this.withSession(run.context, (session) => readBoundaries(session, names, state, files));
  }

  /** The schema that a source's declarations are added to. */
  private async schemaToExtend(run: Run, name: string): Promise<Schema> {
    return (
      (await this.currentSchema(name)) ?? (await this.schemaAtDestination(run, name)) ?? neverStored(name)
    );
  }

  /** An edited schema file wins over what is stored. */
  private async withImport(run: Run, stored: Schema): Promise<Schema> {
    const { importSchemaPath } = this.options;
    const imported = importSchemaPath && (await importSchema(importSchemaPath, stored));
    if (!imported) return stored;
    if (imported.replaced.length > 0) {
      run.recorder.warn(
        `The schema file in ${importSchemaPath} was edited and replaces the stored schema; these tables have data: ${imported.replaced.join(", ")}.`,
      );
    }
    return imported.schema;
  }

  /** The state travels as a row of an ordinary table, in the package whose rows it belongs to. */
  private async extractState(
    { context, durable }: Run,
    schema: Schema,
    state: PipelineState,
    open: OpenPackage,
  ): Promise<readonly JobInfo[]> {
    if (!schema.tables.has(STATE_TABLE)) updateTable(schema, pipelineStateTable());
    const writer = new JobWriter(open.jobsDir, context.limits.jobBytesMax, durable);
    await writer.writeRows(STATE_TABLE, [stateRow(state, context.now())]);
    return writer.finish();
  }

  private async normalizeOne(run: Run, pending: PendingPackage, ahead?: LoadAhead): Promise<void> {
    const { context, recorder } = run;
    const store = this.store(context);
    const loadId = pending.load_id;
    await recorder.step("normalize", loadId, async (done) => {
      const manifest = await store.readManifest(pending);
      await this.orSetAside(run, manifest, async () => {
        await store.readVerified(pending, { content: manifest.run_id !== recorder.runId });
        const schema = await this.schemaToNormalize(
          manifest,
          schemaFromText(await store.readSchema(pending)),
        );
        const open = await store.beginNormalize(loadId);
        const start = await this.packageStart(run, manifest);
        const result = await normalizePackage(
          {
            loadId,
            schema,
            naming: this.naming(schema),
            jobs: manifest.jobs,
            from: pending.jobsDir,
            to: open.jobsDir,
            jobFormat: this.destination.capabilities.jobFormat,
            sync: run.durable,
            onFull: ahead && ((job) => ahead.add(start, schema, jobsByTable([job], open.jobsDir)[0]!)),
            keepRejected: this.options.keepRejected !== false,
            keepNullColumns: this.options.keepNullColumns === true,
            refusedTables: manifest.refused_tables,
            emptyTables: this.options.createEmptyTables
              ? manifest.resources.flatMap((resource) => resource.tables)
              : [],
          },
          context,
        );
        // sealing moves the files
        await ahead?.idle();
        bumpSchema(schema);
        const rejected = { ...manifest.rejected, ...result.rejected };
        const discards = Object.keys(rejected).length > 0 ? { rejected } : {};
        await store.sealNormalized(
          open,
          {
            manifest: {
              ...manifest,
              ...discards,
              jobs: result.jobs,
              rows: result.rows,
              schema_changes: result.changes,
            },
            schema: schemaToText(schema),
            state: await store.readState(pending),
          },
          { sync: run.durable },
        );
        for (const warning of result.warnings) recorder.warn(warning);
        recorder.package({
          load_id: loadId,
          schema_name: manifest.schema_name,
          status: "normalized",
          rows: result.rows,
          ...discards,
          resources: manifest.resources,
          schema_changes: result.changes,
          warnings: result.warnings,
        });
        done(result.rows, bytesOf(manifest.jobs));
      });
    });
  }

  /**
   * The schema as the package declared it; on top of what earlier packages have added since it was extracted,
   * which happens when several were extracted before the first was normalized.
   */
  private async schemaToNormalize(manifest: Manifest, declared: Schema): Promise<Schema> {
    const store = this.store();
    let newest: Schema | undefined;
    for (const each of (await store.list("normalized")).reverse()) {
      if ((await store.readManifest(each)).schema_name !== manifest.schema_name) continue;
      newest = schemaFromText(await store.readSchema(each));
      break;
    }
    if (!newest) {
      const text = await store.committedSchema(manifest.schema_name);
      newest = text === undefined ? undefined : schemaFromText(text);
    }
    if (
      !newest ||
      declared.version_hash === newest.version_hash ||
      declared.previous_hashes.includes(newest.version_hash)
    ) {
      return declared;
    }
    for (const table of declared.tables.values()) updateTable(newest, table);
    // a contract holds for the package whose run gave it
    newest.settings = declared.settings;
    return newest;
  }

  /** Loads every pending package, oldest first. */
  private async loadPending(run: Run, ahead?: LoadAhead): Promise<void> {
    const store = this.store(run.context);
    for (;;) {
      run.context.signal.throwIfAborted();
      const next = (await store.pendingPackages())[0];
      if (!next) return;
      const manifest = await store.readManifest(next);
      const recovered = manifest.run_id !== run.recorder.runId;
      if (recovered)
        run.recorder.package({
          load_id: next.load_id,
          schema_name: manifest.schema_name,
          recovered,
          resources: manifest.resources,
        });
      if (next.stage === "extracted") await this.normalizeOne(run, next);
      else await this.loadOne(run, next, ahead);
    }
  }

  private async loadOne(run: Run, pending: PendingPackage, ahead?: LoadAhead): Promise<void> {
    const { context, recorder } = run;
    const store = this.store(context);
    const loadId = pending.load_id;
    await recorder.step("load", loadId, async (done) => {
      const manifest = await store.readManifest(pending);
      await this.orSetAside(run, manifest, async () => {
        await store.readVerified(pending, { content: manifest.run_id !== recorder.runId });
        this.checkJobFormat(manifest);
        const schemaJson = await store.readSchema(pending);
        const work: PackageToCommit = {
          ...(await this.packageStart(run, manifest)),
          schema: schemaFromText(schemaJson),
          schemaJson,
          jobs: jobsByTable(manifest.jobs, pending.jobsDir),
        };
        const begun = await ahead?.take();
        const report = await (begun
          ? this.using(context, begun.session, () => begun.load.commit(work))
          : this.withSession(context, (session) => session.commitPackage(work)));
        await store.markLoaded(loadId, new Date(context.now()));
        const { exportSchemaPath } = this.options;
        if (exportSchemaPath) await writeSchemaFile(exportSchemaPath, schemaFromText(schemaJson));
        for (const { table, column, live, schema } of report.mismatched) {
          recorder.warn(
            `Column ${column} of table ${table} is ${live} at the destination, not ${schema}: its values were cast.`,
          );
        }
        recorder.package({
          load_id: loadId,
          schema_name: manifest.schema_name,
          status: "loaded",
          rows: manifest.rows ?? {},
          merged: mergedOf(report),
          ...(manifest.rejected ? { rejected: manifest.rejected } : {}),
          ...(Object.keys(report.nulsRemoved ?? {}).length > 0 ? { nul_removed: report.nulsRemoved } : {}),
          schema_changes: [...(manifest.schema_changes ?? []), ...typeChangesOf(report)],
          resources: manifest.resources,
        });
        done(manifest.rows ?? {}, bytesOf(manifest.jobs));
      }).finally(() => rm(this.scratchDir(loadId), { recursive: true, force: true }));
    });
  }

  private scratchDir(loadId: string): string {
    return join(this.dir, "scratch", loadId);
  }

  private async packageStart({ context }: Run, manifest: Manifest): Promise<PackageStart> {
    const scratchDir = this.scratchDir(manifest.load_id);
    await mkdir(scratchDir, { recursive: true });
    const previous = await this.store().committedSchema(manifest.schema_name);
    return {
      loadId: manifest.load_id,
      startedAt: context.now(),
      previousSchema: previous === undefined ? undefined : schemaFromText(previous),
      replaceTables: manifest.resources
        .filter(({ write_disposition }) => write_disposition === "replace")
        .flatMap(({ tables }) => tables),
      dropTables: manifest.drop_tables,
      truncateTables: manifest.truncate_tables,
      scratchDir,
    };
  }

  /** Jobs are made for one kind of destination; the pipeline may have been given another one since. */
  private checkJobFormat({ load_id, jobs }: Manifest): void {
    const { jobFormat } = this.destination.capabilities;
    const data = jobs.filter(({ table }) => table !== BOUNDARY_TABLE);
    if (data.every(({ file }) => parseJobName(file)?.format === jobFormat)) return;
    throw new EngineError(
      "DESTINATION_CHANGED",
      `Package ${load_id} was normalized for another kind of destination than ${this.destination.kind}.`,
      { details: { pipeline: this.name, load_id } },
    );
  }

  /** Sets a package aside when the error says that its data cannot be loaded; other errors leave it pending. */
  private async orSetAside(run: Run, manifest: Manifest, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const loadId = manifest.load_id;
      const badData = error instanceof EngineError && BAD_DATA.has(error.code);
      const known =
        error instanceof EngineError ? error.withDetails({ pipeline: this.name, load_id: loadId }) : error;
      if (badData && !run.context.signal.aborted) {
        const { dropped } = await this.store(run.context).setAside(loadId, toEnvelope(known));
        for (const each of dropped) {
          run.recorder.warn(
            `Package ${each} was dropped with ${loadId}, on which it builds; its rows are fetched again.`,
          );
        }
        run.recorder.package({
          load_id: loadId,
          schema_name: manifest.schema_name,
          status: "failed",
          error: toEnvelope(known),
        });
      } else {
        run.recorder.package({
          load_id: loadId,
          schema_name: manifest.schema_name,
          error: toEnvelope(known),
        });
      }
      throw known;
    }
  }

  private async schemaAtDestination(run: Run, name: string): Promise<Schema | undefined> {
    return this.withSession(run.context, async (session) => {
      if (!(await session.exists())) return undefined;
      const row = await session.readSchema(name);
      return row && schemaFromText(row.schema);
    });
  }
}

/** Declared tables that no row has ever come for. */
function emptyTablesOf(schema: Schema, extracted: Extracted): string[] {
  return extracted.resources
    .flatMap(({ tables }) => tables)
    .filter((name) => {
      const table = schema.tables.get(name);
      return table !== undefined && !hasSeenData(table) && completeColumns(table).length > 0;
    });
}

function discardedRows({ discarded }: Extracted): Manifest["rejected"] {
  return Object.fromEntries(Object.entries(discarded).map(([table, rows]) => [table, { rows, values: 0 }]));
}

/** `20240131093000`, in UTC. */
function timeInName(time: Date): string {
  return time.toISOString().replace(/\D/g, "").slice(0, 14);
}

/** A schema that no destination has: it becomes version 1 when it is extracted for the first time. */
function neverStored(name: string): Schema {
  return { ...newSchema(name), version: 0 };
}

/** Looking at a resource's state makes it; one that stayed empty is left out. The live state keeps it. */
function withoutEmptyStates(state: PipelineState): PipelineState {
  if (!state.sources) return state;
  const sources: NonNullable<PipelineState["sources"]> = {};
  for (const [source, content] of Object.entries(state.sources)) {
    if (!content.resources) {
      sources[source] = content;
      continue;
    }
    const filled = Object.entries(content.resources as Record<string, object>).filter(
      ([, resource]) => Object.keys(resource).length > 0,
    );
    sources[source] = { ...content, resources: Object.fromEntries(filled) };
  }
  return { ...state, sources };
}

function replacesData(schema: Schema, extracted: Extracted): boolean {
  return extracted.resources.some(
    ({ write_disposition, tables }) =>
      write_disposition === "replace" &&
      tables.some((name) => {
        const table = schema.tables.get(name);
        return table !== undefined && hasSeenData(table);
      }),
  );
}

function rowsPerTable(jobs: readonly JobInfo[]): Record<string, number> {
  const rows: Record<string, number> = {};
  for (const job of jobs)
    if (job.table !== BOUNDARY_TABLE) rows[job.table] = (rows[job.table] ?? 0) + job.rows;
  return rows;
}

function bytesOf(jobs: readonly JobInfo[]): number {
  return jobs.reduce((sum, job) => sum + job.bytes, 0);
}

function jobsByTable(jobs: readonly JobInfo[], dir: string): TableJobs[] {
  const byTable = new Map<string, { table: string; files: string[]; rows: number }>();
  for (const job of jobs) {
    const known = byTable.get(job.table) ?? { table: job.table, files: [], rows: 0 };
    known.files.push(join(dir, job.file));
    known.rows += job.rows;
    byTable.set(job.table, known);
  }
  return [...byTable.values()];
}

function mergedOf(report: CommitReport): PackageReport["merged"] {
  const merged: Record<string, { deleted: number; deduplicated: number }> = {};
  for (const [table, { deleted, deduplicated }] of Object.entries(report.tables)) {
    if (deleted || deduplicated) merged[table] = { deleted: deleted ?? 0, deduplicated: deduplicated ?? 0 };
  }
  return Object.keys(merged).length > 0 ? merged : undefined;
}

/** Types as the destination names them. */
function typeChangesOf(report: CommitReport): SchemaChange[] {
  return (report.widened ?? []).map(({ table, column, live, schema }) => ({
    kind: "column_changed",
    table,
    column,
    hint: "type",
    before: live,
    after: schema,
  }));
}

/** The error of a report, thrown by calls that answer with something else than a report. */
function reportError(report: RunReport): EngineError {
  const { error } = report;
  if (!error) return new EngineError("INTERNAL", "The call ended without a result.");
  return new EngineError(error.code as ErrorCode, error.message, {
    hint: error.hint,
    retry: error.retry,
    details: error.details,
  });
}
