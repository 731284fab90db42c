/**
 * Copies of a pipeline's state, made before somebody changes it by hand: `<dir>/state_backups/<id>.json`. Each says
 * why it was made; the newest fifty are kept.
 */

import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { EngineError } from "../errors.ts";
import { writeFileAtomic } from "./write-file.ts";

export const STATE_BACKUPS_DIR = "state_backups";
const KEPT = 50;

export interface StateBackup {
  /** Sorts by time: `20240131T093000123-4f`. */
  readonly id: string;
  readonly created_at: string;
  /** What was about to be done. */
  readonly reason: string;
  readonly state_version: number;
  /** The state as committed then: typed JSON. */
  readonly state: string;
}

export class StateBackups {
  readonly dir: string;

  constructor(pipelineDir: string) {
    this.dir = join(pipelineDir, STATE_BACKUPS_DIR);
  }

  async write(now: number, backup: Omit<StateBackup, "id" | "created_at">): Promise<string> {
    const created_at = new Date(now).toISOString();
    await mkdir(this.dir, { recursive: true });
    const taken = new Set(await this.ids());
    const stem = created_at.replace(/[-:.Z]/g, "");
    let count = 0;
    while (taken.has(`${stem}-${count}`)) count += 1;
    const id = `${stem}-${count}`;
    await writeFileAtomic(
      join(this.dir, `${id}.json`),
      `${JSON.stringify({ id, created_at, ...backup }, null, 2)}\n`,
    );
    for (const old of (await this.ids()).slice(0, -KEPT))
      await rm(join(this.dir, `${old}.json`), { force: true });
    return id;
  }

  /** Oldest first. */
  async ids(): Promise<string[]> {
    const names = await readdir(this.dir).catch(() => []);
    return names.flatMap((name) => /^(\d{8}T\d{9}-\d+)\.json$/.exec(name)?.[1] ?? []).sort();
  }

  async newest(count: number): Promise<StateBackup[]> {
    const ids = (await this.ids()).slice(-count).reverse();
    return Promise.all(ids.map((id) => this.read(id)));
  }

  /** Errors: PACKAGE_NOT_FOUND, PACKAGE_CORRUPT. */
  async read(id: string): Promise<StateBackup> {
    const ids = await this.ids();
    if (!ids.includes(id)) {
      throw new EngineError("PACKAGE_NOT_FOUND", `There is no backup ${id} of the state.`, {
        hint: ids.length === 0 ? "No backup has been made yet." : "Use one of the backups in the details.",
        details: { backups: ids.slice(-20) },
      });
    }
    try {
      return JSON.parse(await readFile(join(this.dir, `${id}.json`), "utf8")) as StateBackup;
    } catch (cause) {
      throw new EngineError("PACKAGE_CORRUPT", `The backup ${id} of the state cannot be read.`, {
        hint: "Use another backup.",
        cause,
      });
    }
  }
}
