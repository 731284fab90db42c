/**
 * What was checked and found right is not checked again while every file that the compiler read is as it was. What it
 * found wrong is: the remedy may be a file that was not there.
 */

import { statSync } from "node:fs";

/** Programs remembered, the oldest of which goes first. */
const PROGRAMS_MAX = 50;
/** The clock of file systems goes in steps. */
const CLOCK_STEP_MS = 20;

type Stamps = ReadonlyMap<string, string>;

export class PassedChecks {
  readonly #passed = new Map<string, Stamps>();

  /** `program` names what was checked and with what. */
  holds(program: string): boolean {
    const stamps = this.#passed.get(program);
    if (stamps === undefined) return false;
    for (const [path, stamp] of stamps) {
      if (stampOf(path) === stamp) continue;
      this.#passed.delete(program);
      return false;
    }
    return true;
  }

  /** `before`: when the check began; a file that changed since then was perhaps read as it was before. */
  remember(program: string, files: readonly string[], before: number): void {
    const stamps = new Map<string, string>();
    for (const path of files) {
      const stat = statSync(path, { throwIfNoEntry: false });
      if (stat !== undefined && stat.ctimeMs >= before - CLOCK_STEP_MS) return;
      stamps.set(path, stampOf(path));
    }
    this.#passed.delete(program);
    this.#passed.set(program, stamps);
    for (const oldest of this.#passed.keys()) {
      if (this.#passed.size <= PROGRAMS_MAX) break;
      this.#passed.delete(oldest);
    }
  }
}

function stampOf(path: string): string {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat === undefined ? "absent" : `${stat.ino} ${stat.size} ${stat.mtimeMs} ${stat.ctimeMs}`;
}
