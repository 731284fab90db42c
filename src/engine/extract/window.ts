/**
 * Bounds of cursors that a run is given from outside: a window to load again, or the interval of a scheduler
 * (dlt's external schedulers). A cursor with an end is stateless: what is stored does not move.
 */

import { EngineError } from "../errors.ts";
import { boundLike, compareCursorValues, storable } from "./cursor-value.ts";
import type { Incremental } from "./incremental.ts";
import type { Resource, Source } from "./resource.ts";
import { dispositionOf, strategyOf } from "./write-disposition.ts";

/** Cursor values from `from` to before `to`. Text is read as the type that the cursor has. */
export interface Window {
  readonly from: unknown;
  readonly to: unknown;
}

export interface Windowed {
  readonly source: Source;
  /** The resources to run. */
  readonly resources: readonly string[] | undefined;
  readonly warnings: readonly string[];
}

/** The last value that is stored for a cursor: tells the type that a bound must have. */
export type StoredCursor = (resource: string, path: string) => unknown;

/**
 * A source whose cursors all go from one bound to the other. Resources without a cursor do not take part; one
 * that is named, or that a window would damage, is refused.
 */
export function backfilled(
  source: Source,
  window: Window,
  names: readonly string[] | undefined,
  stored: StoredCursor,
): Windowed {
  const warnings: string[] = [];
  const taking = source.chosen(names).filter((resource) => {
    if (!ancestry(resource).some(({ hints }) => hints.incremental)) {
      if (names) throw refused(resource, "has no cursor to apply the window to");
      return false;
    }
    const { writeDisposition } = resource.hints;
    const disposition = dispositionOf(writeDisposition);
    const retires = strategyOf(writeDisposition) === "scd2";
    if (disposition === "replace" || retires) {
      const harm = retires ? "would be retired" : "would be deleted";
      if (names) throw refused(resource, `would lose what is outside the window: it ${harm}`);
      warnings.push(`Resource ${resource.name} is left out of the window: what is outside of it ${harm}.`);
      return false;
    }
    if (disposition === "append") {
      warnings.push(
        `Resource ${resource.name} appends: rows of the window that were loaded before are there twice now.`,
      );
    }
    return true;
  });
  if (taking.length === 0) {
    throw new EngineError("CONFIG_INVALID", `No resource of source ${source.name} can load a window.`, {
      hint: "A window needs a resource with a cursor that appends or merges.",
    });
  }
  const changed = source.withEach((resource) =>
    withIncremental(resource, (declared, name) => ({
      ...declared,
      initialValue: window.from,
      endValue: window.to,
      rangeStart: "closed",
      rangeEnd: "open",
      lag: undefined,
      textBounds: { like: declared.initialValue ?? stored(name, declared.cursorPath), refuseEmpty: true },
    })),
  );
  return { source: changed, resources: taking.map(({ name }) => name), warnings };
}

/** A source whose cursors that allow it go over the interval, as far as it lies within their own bounds. */
export function scheduled(source: Source, interval: Window, stored: StoredCursor): Source {
  return source.withEach((resource) =>
    withIncremental(resource, (declared, name) => {
      if (!declared.allowExternalSchedulers) return declared;
      const like = declared.initialValue ?? stored(name, declared.cursorPath);
      const sign = declared.lastValueFunc === "min" ? -1 : 1;
      return {
        ...declared,
        initialValue: farther(declared.initialValue, interval.from, sign),
        endValue: farther(declared.endValue, interval.to, -sign),
        // an interval outside of the declared bounds has no rows, and that is no mistake
        textBounds: { like, refuseEmpty: false },
      };
    }),
  );
}

/** Of a declared bound and one of the interval, the one that lies farther in that direction. */
function farther(declared: unknown, given: unknown, sign: number): unknown {
  const own = storable(declared);
  if (own === null) return given;
  const order = compareCursorValues(own, boundLike(storable(given), own));
  return order !== undefined && order * sign > 0 ? declared : given;
}

function withIncremental(
  resource: Resource,
  change: (declared: Incremental, resource: string) => Incremental,
): Resource {
  const { incremental } = resource.hints;
  const changed = incremental
    ? resource.applyHints({ incremental: change(incremental, resource.name) })
    : resource;
  const { parent } = changed;
  if (!parent) return changed;
  const newParent = withIncremental(parent, change);
  return newParent === parent ? changed : newParent.pipe(changed);
}

/** The resource and those that feed it. */
function ancestry(resource: Resource): Resource[] {
  return resource.parent ? [resource, ...ancestry(resource.parent)] : [resource];
}

function refused(resource: Resource, why: string): EngineError {
  return new EngineError("CONFIG_INVALID", `Resource ${resource.name} cannot load a window: it ${why}.`, {
    hint: "Leave it out of the resources, or run it without a window.",
    details: { resource: resource.name },
  });
}
