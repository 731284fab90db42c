/**
 * Which objects were loaded, as state of the resource:
 *
 *     files: { "daily/orders-2024-01-31.csv": { etag: "\"9a0…\"", size: 5120, rows: 31, last_modified: "…" } }
 *     newest_day: "2024-01-31"      (listing by date only)
 *
 * It is stored with the rows of the objects it names, so an object is loaded once, whatever fails when.
 */

import type { S3Object } from "../s3/bucket.ts";

export interface LedgerEntry {
  readonly etag: string;
  readonly size: number;
  readonly rows: number;
  readonly last_modified: string;
}

export class Ledger {
  private readonly state: Record<string, unknown>;

  constructor(state: Record<string, unknown>) {
    this.state = state;
    if (typeof state.files !== "object" || state.files === null) state.files = {};
  }

  get newestDay(): string | undefined {
    return typeof this.state.newest_day === "string" ? this.state.newest_day : undefined;
  }

  set newestDay(day: string) {
    this.state.newest_day = day;
  }

  /** What was stored is JSON from an earlier run: what is not an entry counts as not loaded. */
  get(key: string): LedgerEntry | undefined {
    if (!Object.hasOwn(this.files, key)) return undefined;
    const { etag, size, rows } = (this.files[key] ?? {}) as Partial<LedgerEntry>;
    const valid = typeof etag === "string" && typeof size === "number" && typeof rows === "number";
    return valid ? (this.files[key] as LedgerEntry) : undefined;
  }

  has(object: S3Object): boolean {
    const entry = this.get(object.key);
    return entry !== undefined && entry.size === object.size && entry.etag === versionOf(object);
  }

  set(object: S3Object, rows: number): void {
    this.files[object.key] = {
      etag: versionOf(object),
      size: object.size,
      rows,
      last_modified: new Date(object.modified_ms).toISOString(),
    } satisfies LedgerEntry;
  }

  /** Entries of keys that no later run will list. */
  forgetUpTo(prefix: string, lastKey: string): void {
    for (const key of Object.keys(this.files)) {
      if (key.startsWith(prefix) && key <= lastKey) delete this.files[key];
    }
  }

  private get files(): Record<string, unknown> {
    return this.state.files as Record<string, unknown>;
  }
}

/** Where the store lists no ETag the time stands in for it. */
function versionOf(object: S3Object): string {
  return object.etag ?? new Date(object.modified_ms).toISOString();
}
