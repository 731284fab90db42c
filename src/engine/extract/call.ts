/** Code of a source is run so that what it throws says which resource it was. */

import { EngineError, machineError } from "../errors.ts";
import type { Resource } from "./resource.ts";

/** Errors: those of the engine and the machine with the resource named, anything else as EXTRACT_FAILED. */
export function call<T>(resource: Resource, run: () => T): T {
  try {
    const result = run();
    if (result instanceof Promise) return result.catch((error) => fail(resource, error)) as T;
    return result;
  } catch (error) {
    return fail(resource, error);
  }
}

function fail(resource: Resource, error: unknown): never {
  const details = { resource: resource.name };
  if (error instanceof EngineError) throw error.withDetails(details);
  if (error instanceof Error && error.name === "AbortError") throw error;
  const machine = machineError(error);
  if (machine !== undefined) throw machine.withDetails(details);
  const message = error instanceof Error ? error.message : String(error);
  throw new EngineError("EXTRACT_FAILED", `Resource ${resource.name} failed: ${message}`, {
    details,
    cause: error,
  });
}
