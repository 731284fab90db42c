/**
 * What whoever drives a pipeline may do with it. The pipeline itself asks before it locks its folder, so that
 * no way through the layers above leads around the question. A program of its own is permitted everything.
 */

export type Permission = "run" | "write" | "destructive";

/** Returns, or throws NOT_ALLOWED. `what` is told: "Dropping pending packages". */
export type Permit = (permission: Permission, what: string) => void;

const RUNS = new Set(["run", "extract", "normalize", "load", "sync"]);

/** What a command of a pipeline needs. One that is not known is taken for the worst. */
export function permissionFor(command: string, refresh: unknown): Permission {
  return RUNS.has(command) && refresh === undefined ? "run" : "destructive";
}
