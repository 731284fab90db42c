/**
 * How a resource's rows are written, as users say it and as dlt stores it: a word, or an object that chooses
 * the strategy of a merge. The stored hints are dlt's (`x-merge-strategy`, `x-boundary-timestamp`, …).
 */

import { EngineError } from "../errors.ts";
import { parseIso } from "../schema/iso-time.ts";
import { type MergeStrategy, ROW_ID } from "../schema/tables.ts";
import type { Column, Table, WriteDisposition } from "../schema/types.ts";

/** An instant: a Date, or ISO text, which is UTC unless it says otherwise. */
export type Timestamp = string | Date;

export interface DeleteInsert {
  readonly disposition: "merge";
  readonly strategy?: "delete-insert";
  /** True: the source promises that no key comes twice in a load; duplicates are then not looked for. */
  readonly deduplicated?: boolean;
}

/**
 * Updates the row with the same primary key, or inserts it. Of rows with one key in a load the one that
 * `dedup_sort` puts first is taken, else the last; its nested rows replace those of the old row.
 */
export interface Upsert {
  readonly disposition: "merge";
  readonly strategy: "upsert";
}

/** Inserts rows whose primary key is new and never changes one that is there; in one load the first wins. */
export interface InsertOnly {
  readonly disposition: "merge";
  readonly strategy: "insert-only";
}

/**
 * Keeps every version of a row with the time from which and to which it was valid. A load is the whole of what
 * is valid now, or with a `mergeKey` the whole of each group that comes in it: what is absent is retired.
 */
export interface Scd2 {
  readonly disposition: "merge";
  readonly strategy: "scd2";
  /** Default `_dlt_valid_from`, `_dlt_valid_to`. */
  readonly validityColumnNames?: readonly [from: string, to: string];
  /** What is put into the second validity column of rows that are valid now; default null. */
  readonly activeRecordTimestamp?: Timestamp | null;
  /** When this load's changes took place; default the time of the load. Null goes back to the default. */
  readonly boundaryTimestamp?: Timestamp | null;
  /** A column that changes whenever its row does; default `_dlt_id`, which is then a hash of the row. */
  readonly rowVersionColumnName?: string;
}

/** `append` (default), `replace`, `merge` with a key, or an object that chooses the strategy of the merge. */
export type WriteDispositionHint =
  | WriteDisposition
  | { readonly disposition: Exclude<WriteDisposition, "merge"> }
  | DeleteInsert
  | Upsert
  | InsertOnly
  | Scd2;

export const MERGE_STRATEGIES: readonly MergeStrategy[] = ["delete-insert", "upsert", "insert-only", "scd2"];

const VALID_FROM = "_dlt_valid_from";
const VALID_TO = "_dlt_valid_to";

/** Which strategy takes which option. */
const OPTIONS: Readonly<Record<string, MergeStrategy>> = {
  deduplicated: "delete-insert",
  validityColumnNames: "scd2",
  activeRecordTimestamp: "scd2",
  boundaryTimestamp: "scd2",
  rowVersionColumnName: "scd2",
};

export function dispositionOf(hint: WriteDispositionHint | undefined): WriteDisposition {
  if (hint === undefined) return "append";
  return typeof hint === "string" ? hint : hint.disposition;
}

/** The strategy that the resource itself names; a word names none. */
export function strategyOf(hint: WriteDispositionHint | undefined): MergeStrategy | undefined {
  if (hint === undefined || typeof hint === "string" || hint.disposition !== "merge") return undefined;
  return hint.strategy;
}

/** Finds what a type checker finds, for sources that are not checked, and times that cannot be read. */
export function checkDisposition(resource: string, hint: WriteDispositionHint | undefined): void {
  if (hint === undefined || typeof hint === "string" || hint.disposition !== "merge") return;
  const strategy = hint.strategy ?? "delete-insert";
  if (!MERGE_STRATEGIES.includes(strategy)) {
    throw refused(
      resource,
      `${strategy} is not a merge strategy.`,
      `Use one of ${MERGE_STRATEGIES.join(", ")}.`,
    );
  }
  for (const [option, value] of Object.entries(hint)) {
    if (option === "disposition" || option === "strategy" || value === undefined) continue;
    const owner = OPTIONS[option];
    if (owner === undefined) throw refused(resource, `${option} is not an option of a merge.`);
    if (owner !== strategy) {
      throw refused(
        resource,
        `${option} belongs to strategy ${owner}, not ${strategy}.`,
        `Remove ${option}, or use strategy "${owner}".`,
      );
    }
  }
  if (hint.strategy !== "scd2") return;
  for (const option of ["activeRecordTimestamp", "boundaryTimestamp"] as const) {
    const value = hint[option];
    if (value === undefined || value === null) continue;
    const readable = value instanceof Date ? !Number.isNaN(value.getTime()) : isInstant(value);
    if (!readable) throw refused(resource, `${option} is not a time.`, "Give a Date, or ISO text.");
  }
}

function isInstant(text: string): boolean {
  const parts = parseIso(text);
  return parts !== undefined && parts.kind !== "time";
}

function refused(resource: string, problem: string, hint?: string): EngineError {
  return new EngineError("SOURCE_INVALID", `Resource ${resource}: writeDisposition: ${problem}`, {
    ...(hint === undefined ? {} : { hint }),
    details: { resource },
  });
}

/**
 * Adds a merge's hints to the declared table. The columns of scd2 come after declared columns and keys, and a
 * row version that is `_dlt_id` is no longer unique: a version that went away may come again.
 */
export function applyDisposition(
  table: Table,
  hint: WriteDispositionHint | undefined,
  columnName: (source: string) => string,
): void {
  table.write_disposition = dispositionOf(hint);
  if (hint === undefined || typeof hint === "string" || hint.disposition !== "merge") return;
  if (hint.strategy !== undefined) table["x-merge-strategy"] = hint.strategy;
  if (hint.strategy !== "scd2") {
    if ("deduplicated" in hint && hint.deduplicated) table["x-stage-data-deduplicated"] = true;
    return;
  }
  if (hint.boundaryTimestamp !== undefined) table["x-boundary-timestamp"] = stored(hint.boundaryTimestamp);
  const [from, to] = hint.validityColumnNames ?? [VALID_FROM, VALID_TO];
  const validity: Partial<Column> = { data_type: "timestamp", nullable: true };
  setColumn(table, columnName(from), { ...validity, "x-valid-from": true });
  setColumn(table, columnName(to), {
    ...validity,
    "x-valid-to": true,
    "x-active-record-timestamp": stored(hint.activeRecordTimestamp ?? null),
  });
  setColumn(table, columnName(hint.rowVersionColumnName ?? ROW_ID), {
    nullable: false,
    "x-row-version": true,
    unique: false,
    row_key: false,
  });
}

/** What the disposition says about a column replaces what was declared for it, as in dlt. */
function setColumn(table: Table, name: string, hints: Partial<Column>): void {
  table.columns.set(name, { name, ...hints });
}

function stored(time: Timestamp | null): string | null {
  return time instanceof Date ? time.toISOString() : time;
}
