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

import type { RunContext } from "./context.ts";
import type { Destination } from "./destinations/destination.ts";
import { EngineError } from "./errors.ts";
import type { Source } from "./extract/resource.ts";
import { lockHolder } from "./package/lock.ts";
import { PackageStore, type PendingPackage } from "./package/store.ts";
import { RunFolder } from "./package/trace.ts";
import type {
  DropOptions,
  DropPlan,
  PipelineOptions,
  RefreshPlan,
  ResourceDropPlan,
  RunOptions,
} from "./pipeline-options.ts";
import type { RunReport } from "./report.ts";
import { backUpState, changeState } from "./reset/change-state.ts";
import { dropPending, planDrop } from "./reset/drop-pending.ts";
import { dropResources, prepareResourceDrop } from "./reset/drop-resources.ts";
import { planRefresh } from "./reset/plan-refresh.ts";
import type { RefreshMode } from "./reset/refresh.ts";
import { resetState, type StateReset, type StateResetPlan } from "./reset/state-reset.ts";
import { refusePending } from "./run/current.ts";
import { forgetDevMode, timeInName } from "./run/dev-mode.ts";
import { dryRun } from "./run/dry-run.ts";
import { extractStep } from "./run/extract-step.ts";
import { withKnown } from "./run/known.ts";
import { loadPending } from "./run/load-pending.ts";
import { locked, reportError } from "./run/locked.ts";
import { normalizeStep } from "./run/normalize-step.ts";
import { recover } from "./run/recover.ts";
import type { PipelineParts, Run } from "./run/run.ts";
import { type SyncResult, syncStep, takeFromDestination } from "./run/sync.ts";
import { namingByName } from "./schema/naming.ts";

export type { SyncResult } from "./run/sync.ts";

const PIPELINE_NAME = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;

export class Pipeline {
  readonly name: string;
  readonly dataset: string;
  readonly destination: Destination;
  readonly dir: string;
  readonly runs: RunFolder;
  private readonly parts: PipelineParts;
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
    this.runs = new RunFolder(this.dir);
    const { name, destination, dir, runs } = this;
    this.parts = { name, dataset: this.dataset, destination, dir, runs, options };
  }

  /** The packages on disk. `boundary`: see RunContext. */
  store(context?: Pick<RunContext, "boundary">): PackageStore {
    return new PackageStore(this.dir, context ?? { boundary: () => {} });
  }

  /** Extracts, normalizes and loads; pending packages first. Failures are in the report, not thrown. */
  async run(source: Source, options: RunOptions = {}): Promise<RunReport> {
    if (options.dryRun) {
      const { dryRun: _, ...real } = options;
      const own = { ...this.parts.options, dataset: this.dataset };
      return dryRun({ options: own, run: (changed, run) => new Pipeline(changed).run(source, run) }, real);
    }
    return this.locked(options, "run", async (run) => {
      await recover(run);
      await loadPending(run);
      await syncStep(run);
      await extractStep(run, source, async (pending, ahead) => {
        await normalizeStep(run, pending, ahead);
        await loadPending(run, ahead);
      });
    });
  }

  /** Only extracts: the package stays pending. */
  async extract(source: Source, options: RunOptions = {}): Promise<RunReport> {
    return this.locked(options, "extract", async (run) => {
      await run.store.discardUnfinished();
      if ((await run.store.pendingPackages()).length === 0) await syncStep(run);
      await extractStep(run, source);
    });
  }

  /** Only normalizes what is extracted. */
  async normalize(options: RunOptions = {}): Promise<RunReport> {
    return this.locked(options, "normalize", async (run) => {
      await run.store.discardUnfinished();
      for (const each of await run.store.list("extracted")) await normalizeStep(run, each as PendingPackage);
    });
  }

  /** Loads what is pending; normalizes it first where needed. */
  async load(options: RunOptions = {}): Promise<RunReport> {
    return this.locked(options, "load", async (run) => {
      await recover(run);
      await loadPending(run);
    });
  }

  /** Takes state and schemas from the destination, as on a fresh machine. Refused while packages are pending. */
  async sync(options: RunOptions = {}): Promise<SyncResult> {
    let result: SyncResult | undefined;
    const report = await this.locked(options, "sync", async (run) => {
      await recover(run);
      await refusePending(this, run.store, "sync");
      result = await syncStep(run);
    });
    if (!result) throw reportError(report);
    return result;
  }

  /** What `drop` would do. Nothing is changed. */
  async planResourceDrop(options: DropOptions): Promise<ResourceDropPlan> {
    return withKnown(
      this.parts,
      this.store(),
      async (known) => (await prepareResourceDrop(this, known, options)).prepared.plan,
    );
  }

  /**
   * Drops tables of resources and what they remember, or parts of the source's state: an ordinary package in
   * one transaction, so that either all of it is done or none.
   */
  async drop(options: DropOptions, run: RunOptions = {}): Promise<ResourceDropPlan> {
    let plan: ResourceDropPlan | undefined;
    const report = await this.locked(run, "drop", async (run) => {
      await recover(run);
      await refusePending(this, run.store, "drop");
      await syncStep(run);
      await dropResources(run, options, (known) => {
        plan = known;
      });
    });
    if (!plan || report.status !== "succeeded") throw reportError(report);
    return plan;
  }

  /** What `resetState` would change. Nothing is changed. */
  async planStateReset(reset: StateReset): Promise<StateResetPlan> {
    return withKnown(this.parts, this.store(), async ({ state }) => resetState(state, reset).plan);
  }

  /**
   * Changes cursors, or the whole state, in a package of its own, so that the destination has the change too. The
   * state before is kept in `state_backups`; returns its id. Refused while packages are pending, and when the state
   * is another than `plan` was made on.
   */
  async resetState(reset: StateReset, plan: StateResetPlan, run: RunOptions = {}): Promise<string> {
    return this.withBackup(`reset_state ${reset.kind}`, run, {
      before: syncStep,
      work: (run) => changeState(run, reset, plan),
    });
  }

  /**
   * Takes state and schemas of the destination whatever their version is; what was here is kept in
   * `state_backups`. Errors: PIPELINE_NEVER_RAN when the destination has none.
   */
  async restoreFromDestination(options: RunOptions = {}): Promise<string> {
    return this.withBackup("reset_state restore_from_destination", options, { work: takeFromDestination });
  }

  /**
   * Drops as `drop` does, with the state before kept in `state_backups`; returns its id. Of tables only the
   * `expected` ones, those somebody agreed to.
   */
  async dropWithBackup(
    options: DropOptions & { readonly expected: readonly string[] },
    run: RunOptions = {},
  ): Promise<string> {
    return this.withBackup("reset_state drop_resource", run, {
      before: syncStep,
      work: (run) => dropResources(run, options, () => {}),
    });
  }

  /** Makes dropped packages pending again. Errors: PACKAGE_NOT_FOUND, PACKAGE_SUPERSEDED. */
  async restoreDropped(first: string, options: RunOptions = {}): Promise<string[]> {
    let restored: string[] | undefined;
    const report = await this.locked(options, "restore_dropped", async (run) => {
      await run.store.discardUnfinished();
      restored = await run.store.restoreDropped(first);
    });
    if (!restored || report.status !== "succeeded") throw reportError(report);
    return restored;
  }

  /** What a refresh of these resources, or of all, would drop or empty. Nothing is changed. */
  async planRefresh(refresh: RefreshMode, resources?: readonly string[]): Promise<RefreshPlan> {
    return withKnown(this.parts, this.store(), async ({ state, schema }) => {
      const name = state.default_schema_name;
      const stored = { schema: name ? await schema(name) : undefined, state };
      return planRefresh(this.name, stored, refresh, resources);
    });
  }

  /** Who runs this pipeline now, if anybody. */
  lockHolder(): ReturnType<typeof lockHolder> {
    return lockHolder(this.dir);
  }

  /** What `dropPending` would do. NOTHING_PENDING when there is no package. */
  async planDrop(from?: string): Promise<DropPlan> {
    return planDrop(this.name, this.store(), from);
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
      plan = await dropPending(run, from, options.expected);
    });
    if (!plan || report.status !== "succeeded") throw reportError(report);
    return plan;
  }

  /** Keeps the state between the two; returns the id of the backup. */
  private async withBackup(
    reason: string,
    options: RunOptions,
    { before, work }: { before?: (run: Run) => Promise<unknown>; work: (run: Run) => Promise<void> },
  ): Promise<string> {
    let id = "";
    const report = await this.locked(options, reason.split(" ")[0]!, async (run) => {
      await recover(run);
      await refusePending(this, run.store, "reset the state");
      await before?.(run);
      const text = await run.store.committedState();
      if (text !== undefined) id = await backUpState(this.dir, reason, text, run.context.now());
      await work(run);
    });
    if (report.status !== "succeeded") throw reportError(report);
    return id;
  }

  private locked(
    options: RunOptions,
    command: string,
    work: (run: Run) => Promise<void>,
  ): Promise<RunReport> {
    return locked(this.parts, options, command, async (run) => {
      if (!this.begun) {
        this.begun = true;
        await forgetDevMode(run);
      }
      await work(run);
    });
  }
}
