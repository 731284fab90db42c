/**
 * Which loads of one dataset wait for each other. Each load takes advisory locks that end with its transaction,
 * so they hold through a pooler too:
 *
 * - its load id, alone: a load whose process was killed may still be committing at the server;
 * - the dataset: shared, and alone when the dataset or a table of its bookkeeping is created or altered;
 * - each table it writes: shared when rows are only appended, alone for all else (merge, replace, DDL);
 * - for the moment before its commit the dataset's schema versions, so that none is written twice.
 *
 * So loads of different tables run side by side, and two merges of one table do not. They cannot wait in a
 * circle: a load takes the locks of dataset and tables in one order and before it changes anything. What it
 * needs is read from its plan; a plan that turns out to need more, because the catalogue has changed meanwhile,
 * is given up with its locks, and the load begins again (see package-load.ts). A load that began while its package
 * was being made takes more locks only where it need not wait for them.
 */

import { createHash } from "node:crypto";
import type { LoadPlan } from "../../load/plan.ts";
import { tableChain } from "../../schema/tables.ts";
import type { Schema } from "../../schema/types.ts";

/** `alone`: nobody else may hold it, in either mode. */
type LockMode = "shared" | "alone";

/** By table; the dataset's own under the empty name. Whoever has the dataset alone needs no other. */
export type Locks = ReadonlyMap<string, LockMode>;

const DATASET = "";

/**
 * More tables than this are not locked one by one, because the server keeps locks in memory of a fixed size:
 * the load has the whole dataset alone.
 */
const TABLES_MAX = 500;

export function locksOf(schema: Schema, { ddl, roots }: LoadPlan): Locks {
  const locks = new Map<string, LockMode>([[DATASET, "shared"]]);
  for (const { root, disposition } of roots) {
    // Rows of the bookkeeping are each pipeline's own.
    if (isBookkeeping(root)) continue;
    const mode = disposition === "append" ? "shared" : "alone";
    for (const { name } of tableChain(schema, root)) locks.set(name, mode);
  }
  for (const { table } of ddl.statements) locks.set(isBookkeeping(table) ? DATASET : table, "alone");
  if (locks.get(DATASET) === "alone" || locks.size > TABLES_MAX) return new Map([[DATASET, "alone"]]);
  return locks;
}

/** Whether whoever has `held` may do what needs `needed`. */
export function covers(held: Locks, needed: Locks): boolean {
  if (held.get(DATASET) === "alone") return true;
  return [...needed].every(([name, mode]) => held.get(name) === "alone" || held.get(name) === mode);
}

/** What of `needed` is not in `held`. */
export function missing(held: Locks, needed: Locks): Locks {
  return new Map([...needed].filter(([name, mode]) => !covers(held, new Map([[name, mode]]))));
}

export function union(a: Locks, b: Locks): Locks {
  const all = new Map(a);
  for (const [name, mode] of b) if (all.get(name) !== "alone") all.set(name, mode);
  return all;
}

/** One statement a lock, so that they are taken one after the other. */
export function takeLocks(dataset: string, locks: Locks): string {
  return [...locks]
    .map(([name, mode]) => ({ key: keyOf("table", dataset, name), mode }))
    .sort((a, b) => (a.key < b.key ? -1 : 1))
    .map(({ key, mode }) => takeLock(key, mode))
    .join(";\n");
}

/** One row with `got`: all of them, without waiting for any. */
export function tryLocks(dataset: string, locks: Locks): string {
  const tried = [...locks].map(([name, mode]) => {
    const shared = mode === "shared" ? "_shared" : "";
    return `pg_catalog.pg_try_advisory_xact_lock${shared}(${keyOf("table", dataset, name)})`;
  });
  return `select ${tried.join(" and ")} as got`;
}

export function takeLoadLock(dataset: string, loadId: string): string {
  return takeLock(keyOf("load", dataset, loadId), "alone");
}

export function takeVersionLock(dataset: string): string {
  return takeLock(keyOf("versions", dataset), "alone");
}

function takeLock(key: bigint, mode: LockMode): string {
  return `select pg_catalog.pg_advisory_xact_lock${mode === "shared" ? "_shared" : ""}(${key})`;
}

/** dlt's tables and ours; what concerns the dataset itself has no table. */
function isBookkeeping(table: string): boolean {
  return table === "" || table.startsWith("_dlt") || table.startsWith("_loadwright");
}

/** 64 bits of a name. Two names that share them would only wait for each other. */
function keyOf(...name: readonly string[]): bigint {
  return createHash("sha256")
    .update(JSON.stringify(["loadwright", ...name]))
    .digest()
    .readBigInt64BE(0);
}
