/** Which resources allow that a package is sealed while they still have rows to come. */

import { namesOf } from "./hints.ts";
import type { Incremental } from "./incremental.ts";
import type { Resource } from "./resource.ts";
import { dispositionOf, strategyOf } from "./write-disposition.ts";

/**
 * May a package be sealed while this resource still has rows to come? Then the package must hold all rows up
 * to its cursor, and committing two parts must leave the same tables as committing the whole.
 */
export function canSplit(resource: Resource): boolean {
  const { hints } = resource;
  if (resource.parent || dispositionOf(hints.writeDisposition) === "replace") return false;
  // what a load lacks is retired, so a part of it would retire the rest
  if (strategyOf(hints.writeDisposition) === "scd2") return false;
  if (hints.checkpoints) return true;
  if (hints.incremental === undefined || !goesOnFromCursor(hints.incremental)) return false;
  // a window from outside is read from its start again: only rows with a key may be loaded twice
  if (hints.incremental.endValue !== undefined) {
    if (dispositionOf(hints.writeDisposition) !== "merge" || namesOf(hints.primaryKey).length === 0)
      return false;
  }
  // deleting by merge key, or choosing by dedup_sort, looks at a package as a whole
  return (
    namesOf(hints.mergeKey).length === 0 &&
    !Object.values(hints.columns ?? {}).some((column) => column.merge_key || column.dedup_sort)
  );
}

/** Rows come in the order in which the cursor moves, so that behind any page the cursor says what is there. */
export function goesOnFromCursor({ rowOrder, lastValueFunc }: Incremental): boolean {
  return rowOrder === "asc" && (lastValueFunc ?? "max") === "max";
}
