/** Which of the listed objects are to be loaded now. */

import type { S3Object } from "../s3/bucket.ts";
import type { Ledger } from "./ledger.ts";

export interface Choice {
  readonly prefix: string;
  readonly matches: (pathBelowPrefix: string) => boolean;
  readonly successMarker: string | undefined;
  /** Objects modified after this time (ms) are too young. */
  readonly modifiedMax: number;
}

/** Takes a listing page by page; only what may be loaded is kept. */
export class Plan {
  readonly due: S3Object[] = [];
  /** Matching objects that wait: too young, or their folder is not marked as complete. */
  readonly waiting: S3Object[] = [];
  listed = 0;
  unchanged = 0;
  /** Objects that are not asked for: another ending, or a name that begins with `_` or `.`. */
  ignored = 0;
  private readonly choice: Choice;
  private readonly ledger: Ledger;
  private readonly complete = new Set<string>();

  constructor(choice: Choice, ledger: Ledger) {
    this.choice = choice;
    this.ledger = ledger;
  }

  add(objects: readonly S3Object[]): void {
    const { prefix, matches, successMarker } = this.choice;
    for (const object of objects) {
      this.listed++;
      const { folder, name } = parts(object.key);
      if (name === successMarker) this.complete.add(folder);
      // Hadoop, Spark and Hive write their own files under such names
      if (name.startsWith("_") || name.startsWith(".") || !matches(object.key.slice(prefix.length))) {
        this.ignored++;
      } else if (this.ledger.has(object)) this.unchanged++;
      else this.due.push(object);
    }
  }

  /** To be called behind the last page: a marker may come behind the files of its folder. */
  settle(): void {
    const { successMarker, modifiedMax } = this.choice;
    const candidates = this.due.splice(0);
    for (const object of candidates) {
      const ready = successMarker === undefined || this.complete.has(parts(object.key).folder);
      (ready && object.modified_ms <= modifiedMax ? this.due : this.waiting).push(object);
    }
    // some stores list in no order
    this.due.sort((a, b) => (a.key < b.key ? -1 : 1));
  }
}

function parts(key: string): { folder: string; name: string } {
  const slash = key.lastIndexOf("/") + 1;
  return { folder: key.slice(0, slash), name: key.slice(slash) };
}
