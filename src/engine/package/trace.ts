/** What runs leave: `<dir>/runs/<run_id>/trace.json` (the report, always whole) and `log.jsonl`. */

import { randomBytes } from "node:crypto";
import { appendFileSync, mkdirSync } from "node:fs";
import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { LogLevel } from "../context.ts";
import { EngineError } from "../errors.ts";
import type { RunReport } from "../report.ts";
import { hasEnded } from "./process-identity.ts";
import { writeFileAtomic } from "./write-file.ts";

const RUN_ID = /^\d{8}T\d{6}-[0-9a-f]{6}$/;

/**
 * `20261122T160245-1e7a3c`: UTC to the second, then the millisecond (three hex digits) and chance (three), so
 * that run ids sort by time.
 */
export function newRunId(now: number, random: (size: number) => Uint8Array = randomBytes): string {
  const time = new Date(now).toISOString().slice(0, 19).replace(/[-:]/g, "");
  const millisecond = (Math.trunc(now) % 1000).toString(16).padStart(3, "0");
  return `${time}-${millisecond}${Buffer.from(random(2)).toString("hex").slice(0, 3)}`;
}

export function isRunId(text: string): boolean {
  return RUN_ID.test(text);
}

export interface LogLine {
  readonly time: string;
  readonly level: LogLevel;
  readonly event: string;
  readonly [field: string]: unknown;
}

export interface RunList {
  /** Newest first. */
  readonly runs: readonly RunReport[];
  /** Runs whose trace is missing or cannot be read. */
  readonly unreadable: readonly string[];
  /** Pass as `before` for the next page; absent at the end. */
  readonly next?: string;
}

export class RunFolder {
  readonly dir: string;

  /** `pipelineDir`: the folder of the pipeline. */
  constructor(pipelineDir: string) {
    this.dir = join(pipelineDir, "runs");
  }

  async writeTrace(report: RunReport): Promise<void> {
    const dir = this.#runDir(report.run_id);
    await mkdir(dir, { recursive: true });
    await writeFileAtomic(join(dir, "trace.json"), `${JSON.stringify(report, null, 2)}\n`);
  }

  /** At once and in order, so that the log of a run that is killed is complete. */
  appendLog(runId: string, line: LogLine): void {
    const dir = this.#runDir(runId);
    mkdirSync(dir, { recursive: true });
    appendFileSync(join(dir, "log.jsonl"), `${JSON.stringify(line)}\n`);
  }

  /** The report of a run. One that says "running" although its process has ended is reported as failed. */
  async readTrace(runId: string): Promise<RunReport> {
    const path = join(this.#runDir(runId), "trace.json");
    let report: RunReport;
    try {
      report = JSON.parse(await readFile(path, "utf8")) as RunReport;
    } catch (cause) {
      const missing = (cause as NodeJS.ErrnoException).code === "ENOENT";
      const message = missing ? `There is no trace of run ${runId}.` : `${path} cannot be read.`;
      throw new EngineError("RUN_NOT_FOUND", message, { details: { run_id: runId, path }, cause });
    }
    return report.status === "running" && hasEnded(report) ? asEnded(report) : report;
  }

  /** Runs, newest first; reads only the traces that it answers. */
  async listRuns(options: { readonly limit: number; readonly before?: string }): Promise<RunList> {
    const { limit, before } = options;
    const older = (await this.runIds()).reverse().filter((id) => before === undefined || id < before);
    const runs: RunReport[] = [];
    const unreadable: string[] = [];
    for (const id of older.slice(0, limit)) {
      try {
        runs.push(await this.readTrace(id));
      } catch {
        unreadable.push(id);
      }
    }
    const last = older[limit - 1];
    return { runs, unreadable, ...(older.length > limit && last !== undefined ? { next: last } : {}) };
  }

  /** Keeps the newest runs and answers which were removed. A run that is alive stays. */
  async pruneRuns(keep: number): Promise<string[]> {
    const removed: string[] = [];
    for (const id of (await this.runIds()).reverse().slice(keep)) {
      const alive = await this.readTrace(id).then(
        (report) => report.status === "running",
        () => false,
      );
      if (alive) continue;
      await rm(this.#runDir(id), { recursive: true, force: true });
      removed.push(id);
    }
    return removed;
  }

  /** All run ids, oldest first. */
  async runIds(): Promise<string[]> {
    try {
      return (await readdir(this.dir)).filter(isRunId).sort();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
      throw error;
    }
  }

  #runDir(runId: string): string {
    if (!isRunId(runId)) throw new EngineError("RUN_NOT_FOUND", `"${runId}" is not a run id.`);
    return join(this.dir, runId);
  }
}

function asEnded(report: RunReport): RunReport {
  const ended = new EngineError("PROCESS_ENDED", `The process ${report.pid} ended before the run did.`);
  const { code, message, hint, retry } = ended;
  return { ...report, status: "failed", error: { code, message, hint, retry } };
}
