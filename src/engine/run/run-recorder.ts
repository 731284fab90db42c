/** Builds the report of a run as it goes, and keeps trace.json up to date. */

import type { RunContext, StepName } from "../context.ts";
import { toEnvelope } from "../errors.ts";
import { thisProcess } from "../package/process-identity.ts";
import type { RunFolder } from "../package/trace.ts";
import type { PackageReport, RunReport, RunStatus, StepReport } from "../report.ts";

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

export interface RecorderOutput {
  /** Takes secrets out of everything that is written or handed on. */
  readonly mask: <T>(value: T) => T;
  readonly onReport: (report: RunReport) => void;
}

/** What came of a step. */
export interface StepWork {
  readonly rows?: Readonly<Record<string, number>>;
  readonly bytes?: number;
  /** What another step has taken of its time. */
  readonly otherMs?: number;
  /** What it had taken of the time of another step. */
  readonly aheadMs?: number;
}

export class RunRecorder {
  readonly runId: string;
  private readonly report: Mutable<RunReport>;
  private readonly steps: StepReport[] = [];
  private readonly packages = new Map<string, PackageReport>();
  private readonly warnings: string[] = [];
  private readonly folder: RunFolder;
  private readonly context: RunContext;
  private readonly startedAt: number;
  private readonly output: RecorderOutput;

  constructor(
    run: { runId: string; pipeline: string; dataset: string; destination: string },
    folder: RunFolder,
    context: RunContext,
    output: RecorderOutput,
  ) {
    this.runId = run.runId;
    this.folder = folder;
    this.context = context;
    this.output = output;
    this.startedAt = context.now();
    this.report = {
      run_id: run.runId,
      pipeline_name: run.pipeline,
      dataset_name: run.dataset,
      destination: run.destination,
      status: "running",
      ...thisProcess(),
      started_at: new Date(this.startedAt).toISOString(),
      duration_ms: 0,
      steps: this.steps,
      packages: [],
      rows: {},
      warnings: this.warnings,
    };
  }

  warn(message: string): void {
    if (this.warnings.includes(message)) return;
    this.warnings.push(message);
    this.context.log("warn", "warning", { message });
  }

  /** Runs one step and records how long it took and what came of it. */
  async step<T>(
    step: StepName,
    loadId: string | undefined,
    run: (done: (work: StepWork) => void) => Promise<T>,
  ): Promise<T> {
    const startedAt = this.context.now();
    let work: StepWork = {};
    let failure: unknown;
    this.context.log("info", `${step}.started`, loadId ? { load_id: loadId } : {});
    try {
      return await run((done) => {
        work = done;
      });
    } catch (error) {
      failure = error;
      throw error;
    } finally {
      await this.addStep(step, loadId, startedAt, work, failure);
    }
  }

  /** Records a step that ends now. */
  async addStep(
    step: StepName,
    loadId: string | undefined,
    startedAt: number,
    { rows = {}, bytes = 0, otherMs = 0, aheadMs = 0 }: StepWork,
    failure?: unknown,
  ): Promise<void> {
    const duration = Math.max(0, Math.round(this.context.now() - startedAt - otherMs + aheadMs));
    const error = failure === undefined ? undefined : toEnvelope(failure);
    const id = loadId ? { load_id: loadId } : {};
    this.steps.push({
      step,
      ...id,
      started_at: new Date(startedAt).toISOString(),
      duration_ms: duration,
      rows,
      bytes,
      ...(error ? { error } : {}),
    });
    this.context.log(error ? "error" : "info", `${step}.${error ? "failed" : "finished"}`, {
      ...id,
      duration_ms: duration,
      rows,
      ...(error ? { code: error.code } : {}),
    });
    await this.save();
  }

  /** Notes what became of a package; later notes on it are merged over earlier ones. */
  package(report: Partial<PackageReport> & Pick<PackageReport, "load_id">): void {
    const known = this.packages.get(report.load_id) ?? {
      load_id: report.load_id,
      schema_name: "",
      status: "extracted",
      recovered: false,
      rows: {},
      schema_changes: [],
      resources: [],
      warnings: [],
    };
    this.packages.set(report.load_id, { ...known, ...report });
  }

  current(): RunReport {
    const rows: Record<string, number> = {};
    for (const each of this.packages.values()) {
      if (each.status !== "loaded") continue;
      for (const [table, count] of Object.entries(each.rows)) rows[table] = (rows[table] ?? 0) + count;
    }
    const { rejected, nulRemoved } = this.discards();
    return {
      ...this.report,
      ...(Object.keys(rejected).length > 0 ? { rejected } : {}),
      ...(Object.keys(nulRemoved).length > 0 ? { nul_removed: nulRemoved } : {}),
      duration_ms: Math.round(this.context.now() - this.startedAt),
      peak_memory_bytes: process.resourceUsage().maxRSS * 1024,
      packages: [...this.packages.values()],
      rows,
      warnings: [...this.warnings],
      steps: [...this.steps],
    };
  }

  /** What did not arrive as it came, per table. */
  private discards() {
    const rejected: Record<string, { rows: number; values: number }> = {};
    const nulRemoved: Record<string, number> = {};
    for (const each of this.packages.values()) {
      if (each.status !== "loaded") continue;
      for (const [table, { rows, values }] of Object.entries(each.rejected ?? {})) {
        const sum = rejected[table] ?? { rows: 0, values: 0 };
        rejected[table] = { rows: sum.rows + rows, values: sum.values + values };
      }
      for (const [table, columns] of Object.entries(each.nul_removed ?? {})) {
        const cells = Object.values(columns).reduce((sum, count) => sum + count, 0);
        nulRemoved[table] = (nulRemoved[table] ?? 0) + cells;
      }
    }
    return { rejected, nulRemoved };
  }

  async finish(status: Exclude<RunStatus, "running">, error?: unknown): Promise<RunReport> {
    this.report.status = status;
    this.report.finished_at = new Date(this.context.now()).toISOString();
    if (error !== undefined) this.report.error = toEnvelope(error);
    return this.save();
  }

  private async save(): Promise<RunReport> {
    let report = this.output.mask(this.current());
    try {
      await this.folder.writeTrace(report);
    } catch (error) {
      // what the run is told for matters more than its trace: a full disk stops it elsewhere
      const { code, message } = toEnvelope(error);
      const warning = `The run's trace could not be written. ${code}: ${message}`;
      if (!this.warnings.includes(warning)) this.warnings.push(warning);
      report = this.output.mask(this.current());
    }
    this.output.onReport(report);
    return report;
  }

  async begin(): Promise<void> {
    await this.save();
  }
}
