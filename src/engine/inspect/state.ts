/** The state of a pipeline in its three places: committed here, pending in packages, at the destination. */

import { decodeStateBlob, type PipelineState } from "../interop/state.ts";
import type { PackageStore } from "../package/store.ts";
import { plainOf } from "./plain.ts";
import type { JsonValue } from "./query-values.ts";
import { type DestinationView, type ReadQuery, readIfPossible } from "./reader.ts";
import { differences, isObject, type StateDifference } from "./state-difference.ts";

export interface StateCopy {
  readonly version: number;
  readonly version_hash: string | null;
  /** The load or package that brought it, where known. */
  readonly load_id?: string;
  /** Source -> its state, resources included. */
  readonly sources: Readonly<Record<string, JsonValue>>;
}

/** The cursor of one resource in each place; a place without it is absent. */
export interface CursorEntry {
  readonly source: string;
  readonly resource: string;
  readonly path: string;
  readonly committed?: JsonValue;
  readonly pending?: JsonValue;
  readonly destination?: JsonValue;
}

export interface StateView {
  readonly committed?: StateCopy;
  /** State as of the end of the newest pending package: the next run starts from it. */
  readonly pending?: StateCopy;
  readonly destination?: StateCopy;
  readonly destination_view: DestinationView;
  readonly cursors: readonly CursorEntry[];
  /** Leaves that differ from the committed state; empty when all copies agree. */
  readonly pending_changes: readonly StateDifference[];
  readonly destination_changes: readonly StateDifference[];
}

export async function inspectState(
  store: PackageStore,
  read: ReadQuery,
  pipelineName: string,
): Promise<StateView> {
  const committedText = await store.committedState();
  const committed = committedText === undefined ? undefined : copyOf(decodeStateBlob(committedText));
  const newest = (await store.pendingPackages()).at(-1);
  const pending =
    newest === undefined
      ? undefined
      : { ...copyOf(decodeStateBlob(await store.readState(newest))), load_id: newest.load_id };
  const answer = await readIfPossible(() =>
    read(
      `select s.state, l.load_id
       from _dlt_pipeline_state s
       join _dlt_loads l on l.load_id = s._dlt_load_id
       where s.pipeline_name = $1 and l.status = 0
       order by l.load_id desc
       limit 1`,
      [pipelineName],
    ),
  );
  const row = answer.view === "read" ? answer.value[0] : undefined;
  const destination =
    row === undefined
      ? undefined
      : { ...copyOf(decodeStateBlob(String(row.state))), load_id: String(row.load_id) };
  return {
    ...(committed === undefined ? {} : { committed }),
    ...(pending === undefined ? {} : { pending }),
    ...(destination === undefined ? {} : { destination }),
    destination_view: answer.view,
    cursors: cursorsOf({ committed, pending, destination }),
    pending_changes: pending === undefined ? [] : differences(committed?.sources ?? {}, pending.sources),
    destination_changes:
      destination === undefined ? [] : differences(committed?.sources ?? {}, destination.sources),
  };
}

function copyOf(state: PipelineState): StateCopy {
  return {
    version: Number(state._state_version),
    version_hash: state._version_hash ?? null,
    sources: plainOf(state.sources ?? {}) as Record<string, JsonValue>,
  };
}

type Place = "committed" | "pending" | "destination";

function cursorsOf(copies: Readonly<Record<Place, StateCopy | undefined>>): CursorEntry[] {
  const cursors = new Map<string, CursorEntry>();
  for (const place of ["committed", "pending", "destination"] as const) {
    for (const [source, state] of Object.entries(copies[place]?.sources ?? {})) {
      for (const [resource, own] of entriesOf(childOf(state, "resources"))) {
        for (const [path, cursor] of entriesOf(childOf(own, "incremental"))) {
          const key = JSON.stringify([source, resource, path]);
          const known = cursors.get(key) ?? { source, resource, path };
          cursors.set(key, { ...known, [place]: childOf(cursor, "last_value") ?? null });
        }
      }
    }
  }
  return [...cursors.values()];
}

function childOf(value: JsonValue | undefined, key: string): JsonValue | undefined {
  return isObject(value) ? value[key] : undefined;
}

function entriesOf(value: JsonValue | undefined): [string, JsonValue][] {
  return isObject(value) ? Object.entries(value) : [];
}
