/** The resources of a source while they run. */

import type { RunContext } from "../context.ts";
import type { ResourceInPackage } from "../package/types.ts";
import { boundaryKey } from "./boundary-store.ts";
import { CursorRun } from "./cursor-run.ts";
import { checkKeys, namesOf } from "./hints.ts";
import type { Resource } from "./resource.ts";
import type { ResourceContext, RunScope } from "./resource-context.ts";
import { SourceState } from "./source-state.ts";
import type { ExtractWork } from "./work.ts";
import { dispositionOf } from "./write-disposition.ts";

/** Different reasons for an end that are kept of a resource; the others are counted together. */
const END_REASONS_MAX = 20;

/** One resource while it runs. */
export interface Running {
  readonly resource: Resource;
  readonly children: Running[];
  /** False: its rows only feed children. */
  readonly loads: boolean;
  readonly cursor: CursorRun | undefined;
  readonly context: ResourceContext;
  readonly cursorBefore: unknown;
  readonly tables: Set<string>;
  /** Why reading ended, with how often, in the open package. */
  readonly ended: Map<string, number>;
  /** Rows in the open package. */
  rows: number;
  /** Rows over the whole run. */
  rowsTotal: number;
  stopped: boolean;
}

/** The chosen resources, and those that feed them. Changes the state: what a replacing resource remembers goes. */
export function runningResources(work: ExtractWork, context: RunContext, scope: RunScope): Running[] {
  const chosen = work.source.chosen(work.resources);
  for (const resource of chosen) checkKeys(resource);
  const byResource = new Map<Resource, Running>();
  const add = (resource: Resource, loads: boolean): Running => {
    const known = byResource.get(resource);
    if (known) return known;
    // a resource that was listed and one that is only somebody's parent are the same when they share a name
    const twin = [...byResource.values()].find((other) => other.resource.name === resource.name);
    if (twin) return twin;
    const running = makeRunning(resource, loads, work, context, scope);
    byResource.set(resource, running);
    if (resource.parent) add(resource.parent, false).children.push(running);
    return running;
  };
  for (const resource of chosen) add(resource, true);
  return [...byResource.values()];
}

function makeRunning(
  resource: Resource,
  loads: boolean,
  work: ExtractWork,
  { signal, log }: RunContext,
  scope: RunScope,
): Running {
  const { hints, name } = resource;
  const state = new SourceState(work.state, work.source.name);
  // a replaced table starts anew, and so does what its resource remembers
  if (dispositionOf(hints.writeDisposition) === "replace") state.forget(name);
  const { cursor, before } = cursorOf(resource, state, work);
  const ended = new Map<string, number>();
  return {
    resource,
    ended,
    loads,
    cursor,
    cursorBefore: before,
    children: [],
    tables: new Set(),
    rows: 0,
    rowsTotal: 0,
    stopped: false,
    context: {
      get state() {
        return state.ofResource(name);
      },
      get sourceState() {
        return state.shared();
      },
      cursor: cursor?.view as ResourceContext["cursor"],
      run: scope,
      signal,
      log,
      warn: (message) => work.warn(`Resource ${name}: ${message}`),
      ended: (reason) => {
        const kept = ended.has(reason) || ended.size < END_REASONS_MAX ? reason : "other reasons";
        ended.set(kept, (ended.get(kept) ?? 0) + 1);
      },
    },
  };
}

function cursorOf(
  { hints, name }: Resource,
  state: SourceState,
  { boundaries }: ExtractWork,
): { cursor?: CursorRun; before?: unknown } {
  const declared = hints.incremental;
  if (!declared) return {};
  const { cursorPath } = declared;
  // a window that is given from outside does not touch what is stored
  const slot = declared.endValue === undefined ? state.cursorsOf(name) : {};
  const before = (slot[cursorPath] as { last_value?: unknown } | undefined)?.last_value ?? null;
  const cursor = new CursorRun(declared, {
    resource: name,
    slot,
    primaryKey: hints.primaryKey,
    mergesByKey: dispositionOf(hints.writeDisposition) === "merge" && namesOf(hints.primaryKey).length > 0,
    stored: boundaries.get(boundaryKey({ resource: name, path: cursorPath })),
  });
  return { cursor, before };
}

/** What a package says of the resource, whose tables there are these. */
export function inPackage(running: Running, tables: readonly string[]): ResourceInPackage {
  const { resource, cursor, rows } = running;
  const after = cursorAfter(running);
  return {
    name: resource.name,
    write_disposition: dispositionOf(resource.hints.writeDisposition),
    tables,
    rows,
    ...(cursor && after !== undefined
      ? { cursor: { path: cursor.path, before: running.cursorBefore ?? null, after } }
      : {}),
    ...(running.ended.size > 0 ? { ended: Object.fromEntries(running.ended) } : {}),
  };
}

function cursorAfter({ resource, cursor, context }: Running): unknown {
  if (!cursor || resource.hints.incremental?.endValue !== undefined) return undefined;
  const slot = context.state.incremental as Record<string, { last_value?: unknown }> | undefined;
  return slot?.[cursor.path]?.last_value ?? null;
}
