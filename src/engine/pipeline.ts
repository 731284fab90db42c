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
import type { CommitReport, Destination, DestinationSession, TableJobs } from "./destinations/destination.ts";
import { EngineError, type ErrorCode, toEnvelope } from "./errors.ts";
import { type Extracted, type ExtractWork, extractSource } from "./extract/extract.ts";
import { JobWriter } from "./extract/job-writer.ts";
import type { Source } from "./extract/resource.ts";
import { parseJsonDocument, plainJson } from "./interop/json.ts";
import { bumpState, decodeStateBlob, type PipelineState, stateHash } from "./interop/state.ts";
import { normalizePackage } from "./normalize/normalize-package.ts";
import { nextLoadId } from "./package/load-id.ts";
import { acquireLock, lockHolder } from "./package/lock.ts";
import { type OpenPackage, PackageStore, type PendingPackage } from "./package/store.ts";
import { newRunId, RunFolder } from "./package/trace.ts";
import type { JobInfo, Manifest, SchemaChange } from "./package/types.ts";
import type { DropPlan, PipelineOptions, RunOptions } from "./pipeline-options.ts";
import { initialState, nameSchema, stateFromText, stateRow, stateToText } from "./pipeline-state.ts";
import type { PackageReport, RunReport } from "./report.ts";
import { RunRecorder } from "./run-recorder.ts";
import { updateTable } from "./schema/merge.ts";
import { type NamingConvention, namingByName } from "./schema/naming.ts";
import { hasSeenData, STATE_TABLE } from "./schema/tables.ts";
import type { Schema } from "./schema/types.ts";
import {
  bumpSchema,
  newSchema,
  pipelineStateTable,
  schemaToStored,
  storedToSchema,
} from "./schema/version.ts";

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

/** What one run passes along. */
interface Run {
  readonly context: RunContext;
  readonly recorder: RunRecorder;
  readonly options: RunOptions;
}

export class Pipeline {
  readonly name: string;
  readonly dataset: string;
  readonly destination: Destination;
  readonly dir: string;
  readonly runs: RunFolder;
  private readonly limits: PipelineOptions["limits"];

  constructor(options: PipelineOptions) {
    if (!PIPELINE_NAME.test(options.name)) {
      throw new EngineError("CONFIG_INVALID", `"${options.name}" is not a pipeline name.`, {
        hint: "Use letters, digits and underscores, and start with a letter.",
      });
    }
    this.name = options.name;
    this.destination = options.destination;
    this.dataset = this.naming().path(options.dataset ?? `${options.name}_dataset`);
    this.dir = options.dir;
    this.limits = options.limits;
    this.runs = new RunFolder(this.dir);
  }

  /** The packages on disk. `boundary`: see RunContext. */
  store(context?: Pick<RunContext, "boundary">): PackageStore {
    return new PackageStore(this.dir, context ?? { boundary: () => {} });
  }

  /** Extracts, normalizes and loads; pending packages first. Failures are in the report, not thrown. */
  async run(source: Source, options: RunOptions = {}): Promise<RunReport> {
    return this.locked(options, "run", async (run) => {
      await this.recover(run);
      await this.loadPending(run);
      await this.syncStep(run);
      await this.extractAll(run, source, async (pending) => {
        await this.normalizeOne(run, pending);
        await this.loadPending(run);
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
      const pending = await this.store().pendingPackages();
      if (pending.length > 0) {
        throw new EngineError(
          "PACKAGE_SUPERSEDED",
          `${pending.length} pending packages build on the local state.`,
          {
            hint: "Load them with a run, or drop them, then sync.",
            details: { pipeline: this.name, load_ids: pending.map((each) => each.load_id) },
          },
        );
      }
      result = await this.syncStep(run);
    });
    if (!result) throw reportError(report);
    return result;
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
      limits: { ...DEFAULT_LIMITS, ...this.limits },
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
      await work({ context, recorder, options });
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

  private async withSession<T>(
    context: RunContext,
    use: (session: DestinationSession) => Promise<T>,
  ): Promise<T> {
    const session = await pRetry(() => this.destination.open(this.dataset, context), {
      retries: OPEN_RETRIES,
      minTimeout: 200,
      factor: 2,
      randomize: true,
      signal: context.signal,
      shouldRetry: ({ error }) => error instanceof EngineError && error.retry === "yes",
    });
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
    const schema = await this.schemaToExtend(run, source, schemaName);
    const state = await this.currentState();
    if (!state._version_hash) bumpState(state);
    nameSchema(state, this, schemaName);

    let open: OpenPackage | undefined;
    let openedAt = 0;
    let sealedHash = state._version_hash;
    const seal = async (extracted: Extracted): Promise<void> => {
      const sealed = withoutEmptyStates(state);
      bumpState(sealed);
      state._state_version = sealed._state_version;
      state._version_hash = sealed._version_hash;
      const stateChanged = sealed._version_hash !== sealedHash;
      const rows = extracted.jobs.reduce((sum, job) => sum + job.rows, 0);
      if (rows === 0 && !stateChanged && !replacesData(work.schema, extracted)) {
        await store.abandon(open!);
        open = undefined;
        return;
      }
      const jobs = [...extracted.jobs];
      if (stateChanged) jobs.push(...(await this.extractState(work.schema, sealed, open!, context)));
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
      };
      const content = { manifest, schema: schemaToText(work.schema), state: stateToText(sealed) };
      const pending = await store.sealExtracted(open!, content);
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
      source: source.withName(schemaName),
      resources: options.resources,
      rowsMax: options.rowsMax,
      schema,
      naming: this.naming(schema),
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

  /** The schema that a source's declarations are added to. */
  private async schemaToExtend(run: Run, source: Source, name: string): Promise<Schema> {
    const schema =
      (await this.currentSchema(name)) ?? (await this.schemaAtDestination(run, name)) ?? neverStored(name);
    if (source.description) schema.description = source.description;
    if (source.maxTableNesting !== undefined) {
      const json = schema.normalizers.json as { config?: Record<string, unknown> };
      json.config = { ...json.config, max_nesting: source.maxTableNesting };
    }
    return schema;
  }

  /** The state travels as a row of an ordinary table, in the package whose rows it belongs to. */
  private async extractState(
    schema: Schema,
    state: PipelineState,
    open: OpenPackage,
    context: RunContext,
  ): Promise<readonly JobInfo[]> {
    if (!schema.tables.has(STATE_TABLE)) updateTable(schema, pipelineStateTable());
    const writer = new JobWriter(open.jobsDir, context.limits.jobBytesMax);
    await writer.writeRows(STATE_TABLE, [stateRow(state, context.now())]);
    return writer.finish();
  }

  private async normalizeOne(run: Run, pending: PendingPackage): Promise<void> {
    const { context, recorder } = run;
    const store = this.store(context);
    const loadId = pending.load_id;
    await recorder.step("normalize", loadId, async (done) => {
      const manifest = await store.readVerified(pending);
      await this.orSetAside(run, manifest, async () => {
        const schema = await this.schemaToNormalize(
          manifest,
          schemaFromText(await store.readSchema(pending)),
        );
        const open = await store.beginNormalize(loadId);
        const result = await normalizePackage(
          {
            loadId,
            schema,
            naming: this.naming(schema),
            jobs: manifest.jobs,
            from: pending.jobsDir,
            to: open.jobsDir,
          },
          context,
        );
        bumpSchema(schema);
        await store.sealNormalized(open, {
          manifest: { ...manifest, jobs: result.jobs, rows: result.rows, schema_changes: result.changes },
          schema: schemaToText(schema),
          state: await store.readState(pending),
        });
        for (const warning of result.warnings) recorder.warn(warning);
        recorder.package({
          load_id: loadId,
          schema_name: manifest.schema_name,
          status: "normalized",
          rows: result.rows,
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
    return newest;
  }

  /** Loads every pending package, oldest first. */
  private async loadPending(run: Run): Promise<void> {
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
      else await this.loadOne(run, next);
    }
  }

  private async loadOne(run: Run, pending: PendingPackage): Promise<void> {
    const { context, recorder } = run;
    const store = this.store(context);
    const loadId = pending.load_id;
    await recorder.step("load", loadId, async (done) => {
      const manifest = await store.readVerified(pending);
      const scratchDir = join(this.dir, "scratch", loadId);
      await this.orSetAside(run, manifest, async () => {
        await mkdir(scratchDir, { recursive: true });
        const schemaJson = await store.readSchema(pending);
        const previous = await store.committedSchema(manifest.schema_name);
        const report = await this.withSession(context, (session) =>
          session.commitPackage({
            loadId,
            schema: schemaFromText(schemaJson),
            previousSchema: previous === undefined ? undefined : schemaFromText(previous),
            schemaJson,
            jobs: jobsByTable(manifest.jobs, pending.jobsDir),
            replaceTables: manifest.resources
              .filter(({ write_disposition }) => write_disposition === "replace")
              .flatMap(({ tables }) => tables),
            scratchDir,
          }),
        );
        await store.markLoaded(loadId, new Date(context.now()));
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
          schema_changes: [...(manifest.schema_changes ?? []), ...typeChangesOf(report)],
          resources: manifest.resources,
        });
        done(manifest.rows ?? {}, bytesOf(manifest.jobs));
      }).finally(() => rm(scratchDir, { recursive: true, force: true }));
    });
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
  for (const job of jobs) rows[job.table] = (rows[job.table] ?? 0) + job.rows;
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

export function schemaFromText(text: string): Schema {
  return storedToSchema(parseJsonDocument(Buffer.from(text)));
}

export function schemaToText(schema: Schema): string {
  return plainJson(schemaToStored(schema));
}
