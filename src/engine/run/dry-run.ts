/**
 * A run that loads nothing: it extracts and normalizes as the real one would, in a folder of its own with
 * copies of state, schemas and pending packages, and plans what the destination would do by reading it. Left
 * behind is the trace of the run.
 *
 * Only while the copies are made does it hold the pipeline's lock.
 */

import { randomBytes } from "node:crypto";
import { access, copyFile, link, mkdir, readdir, rm, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { defaultContext } from "../context.ts";
import type {
  CommitReport,
  Destination,
  DestinationSession,
  PackageToCommit,
  SchemaVersionRow,
  TableJobs,
} from "../destinations/destination.ts";
import { acquireLock } from "../package/lock.ts";
import { hasEnded, thisProcess } from "../package/process-identity.ts";
import { type SampleRow, sampleRows } from "../package/sample.ts";
import { newRunId, RunFolder } from "../package/trace.ts";
import type { PipelineOptions, RunOptions } from "../pipeline-options.ts";
import type { DryRunPlan, RunReport } from "../report.ts";
import type { DdlPlan } from "../sql/ddl.ts";
import { RunRecorder } from "./run-recorder.ts";

const FOLDER = "dry-runs";
/** What a run builds on. */
const COPIED = ["state.json", "schemas", "extracted", "normalized", "loaded"];
const SAMPLE_ROWS = 5;

export interface DryRunParts {
  readonly options: PipelineOptions & { readonly dataset: string };
  /** Runs a pipeline with these options in place of the pipeline's own. */
  readonly run: (pipeline: PipelineOptions, run: RunOptions) => Promise<RunReport>;
}

/** The report has `dry_run`; its packages are `planned`. The trace on disk has no samples. */
export async function dryRun({ options, run }: DryRunParts, given: RunOptions): Promise<RunReport> {
  const runId = given.runId ?? newRunId(Date.now());
  const runs = new RunFolder(options.dir);
  const mask = given.mask ?? ((value) => value);
  const plan = new PlannedLoads();
  const scratch = join(options.dir, FOLDER, `${process.pid}-${randomBytes(4).toString("hex")}`);
  await removeLeftOvers(join(options.dir, FOLDER));
  try {
    await mkdir(scratch, { recursive: true });
    if (!options.devMode) await copyWorkingFolder(options.dir, scratch, runId);
    const { importSchemaPath } = options;
    const files = join(scratch, "schema-files");
    if (importSchemaPath) await copyTree(importSchemaPath, files);
    const destination = planOnly(options.destination, plan);
    const report = await run(
      {
        ...options,
        dir: scratch,
        destination,
        devMode: false,
        importSchemaPath: importSchemaPath && files,
        exportSchemaPath: undefined,
      },
      {
        ...given,
        runId,
        log(level, event, fields = {}) {
          runs.appendLog(runId, mask({ time: new Date().toISOString(), level, event, ...fields }));
          given.log?.(level, event, fields);
        },
        onReport(grown) {
          given.onReport?.(planned(grown, mask(plan.withoutSamples())));
        },
      },
    );
    await runs.writeTrace(planned(report, mask(plan.withoutSamples())));
    return planned(report, mask(plan.whole()));
  } catch (error) {
    const { name, dataset, destination } = options;
    const about = { runId, pipeline: name, dataset, destination: destination.displayName };
    const recorder = new RunRecorder(about, runs, defaultContext(), { mask, onReport: () => {} });
    return planned(await recorder.finish("failed", error), plan.withoutSamples());
  } finally {
    await rm(scratch, { recursive: true, force: true });
    await rmdir(join(options.dir, FOLDER)).catch(() => {});
  }
}

/** The report of the run in its folder as that of a run that committed nothing. */
function planned(report: RunReport, plan: DryRunPlan): RunReport {
  return {
    ...report,
    rows: {},
    packages: report.packages.map((each) =>
      each.status === "loaded" ? { ...each, status: "planned" } : each,
    ),
    dry_run: plan,
  };
}

/** What the packages of the run would do, put together as they come. */
class PlannedLoads {
  private readonly works = new Map<string, PackageToCommit>();
  private readonly plans = new Map<string, DdlPlan>();
  private readonly rows: Record<string, number> = {};
  private readonly samples: Record<string, SampleRow[]> = {};

  /** Plans the package together with those of the same schema before it: none of them has been committed. */
  async add(session: DestinationSession, work: PackageToCommit): Promise<DdlPlan> {
    const { name } = work.schema;
    const before = this.works.get(name);
    const together = before === undefined ? work : joined(before, work);
    const { ddl } = await session.planPackage(together);
    this.works.set(name, together);
    this.plans.set(name, ddl);
    for (const { table, files, rows } of work.jobs) {
      this.rows[table] = (this.rows[table] ?? 0) + rows;
      const samples = this.samples[table] ?? [];
      this.samples[table] = samples;
      if (samples.length < SAMPLE_ROWS) {
        samples.push(...(await sampleRows(files, SAMPLE_ROWS - samples.length)));
      }
    }
    return ddl;
  }

  /** The schema that the destination would have by now. */
  schemaOf(name: string): SchemaVersionRow | undefined {
    const work = this.works.get(name);
    if (work === undefined) return undefined;
    const { version, version_hash, engine_version } = work.schema;
    const row = { version, version_hash, engine_version, schema_name: name, schema: work.schemaJson };
    return { ...row, inserted_at: new Date().toISOString() };
  }

  whole(): DryRunPlan {
    return { ...this.withoutSamples(), samples: this.samples };
  }

  withoutSamples(): DryRunPlan {
    // schemas of one dataset all make dlt's own tables
    const bySql = new Map<string, DryRunPlan["ddl"][number]>();
    for (const { statements } of this.plans.values()) {
      for (const { kind, table, sql } of statements) bySql.set(sql, { kind, table, sql });
    }
    const plans = [...this.plans.values()];
    return {
      ddl: [...bySql.values()],
      rows: { ...this.rows },
      mismatched: plans.flatMap(({ mismatched }) => mismatched),
    };
  }
}

function joined(first: PackageToCommit, second: PackageToCommit): PackageToCommit {
  const jobs = new Map<string, TableJobs>(first.jobs.map((job) => [job.table, job]));
  for (const job of second.jobs) {
    const { files, rows } = jobs.get(job.table) ?? { files: [], rows: 0 };
    jobs.set(job.table, { table: job.table, files: [...files, ...job.files], rows: rows + job.rows });
  }
  return {
    ...second,
    previousSchema: first.previousSchema,
    jobs: [...jobs.values()],
    replaceTables: [...first.replaceTables, ...second.replaceTables],
    dropTables: [...(first.dropTables ?? []), ...(second.dropTables ?? [])],
    truncateTables: [...(first.truncateTables ?? []), ...(second.truncateTables ?? [])],
  };
}

/** The destination, but committing is planning. */
function planOnly(destination: Destination, plan: PlannedLoads): Destination {
  return {
    ...destination,
    async open(dataset, context) {
      const session = await destination.open(dataset, context, { create: false });
      const commitPackage = async (work: PackageToCommit): Promise<CommitReport> => {
        const { foreign, mismatched, widened } = await plan.add(session, work);
        return { alreadyCommitted: false, ddl: [], tables: {}, foreign, mismatched, widened };
      };
      return {
        exists: () => session.exists(),
        isCommitted: (loadId) => session.isCommitted(loadId),
        readState: (name) => session.readState(name),
        readSchema: async (name, hash) => plan.schemaOf(name) ?? session.readSchema(name, hash),
        readSchemaVersions: (name) => session.readSchemaVersions(name),
        readLoads: (filter) => session.readLoads(filter),
        readBoundary: (...wanted) => session.readBoundary(...wanted),
        catalogue: () => session.catalogue(),
        planPackage: (work) => session.planPackage(work),
        query: (sql, parameters) => session.query(sql, parameters),
        close: () => session.close(),
        commitPackage,
      };
    },
  };
}

/** Rows are linked: they are never changed in place. Errors: LOCKED while a run goes on. */
async function copyWorkingFolder(from: string, to: string, runId: string): Promise<void> {
  const lock = acquireLock(from, { run_id: runId, command: "dry run" }, { now: Date.now, log: () => {} });
  try {
    for (const name of COPIED) await copyTree(join(from, name), join(to, name));
  } finally {
    lock.release();
  }
}

async function copyTree(from: string, to: string): Promise<void> {
  const there = await access(from).then(
    () => true,
    () => false,
  );
  if (!there) return;
  const entries = await readdir(from, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOTDIR") return undefined;
    throw error;
  });
  if (entries === undefined) return linkOrCopy(from, to);
  await mkdir(to, { recursive: true });
  for (const entry of entries) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) await copyTree(source, target);
    else await linkOrCopy(source, target);
  }
}

async function linkOrCopy(from: string, to: string): Promise<void> {
  // a file system without links
  await link(from, to).catch(() => copyFile(from, to));
}

/** Folders of dry runs whose process was killed. */
async function removeLeftOvers(folder: string): Promise<void> {
  const { host } = thisProcess();
  for (const name of await readdir(folder).catch(() => [])) {
    const pid = Number(name.split("-")[0]);
    if (hasEnded({ pid, host })) await rm(join(folder, name), { recursive: true, force: true });
  }
}
