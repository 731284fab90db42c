/** Changing what a pipeline remembers, by hand: decided here on a copy of the state, carried out by a package. */

import { EngineError } from "../errors.ts";
import { type CursorValue, storable } from "../extract/cursor-value.ts";
import { plainOf } from "../inspect/plain.ts";
import { differences, type StateDifference } from "../inspect/state-difference.ts";
import { PyFloat, TypedValue } from "../interop/json.ts";
import type { PipelineState } from "../interop/state.ts";
import { didYouMean } from "../nearest.ts";
import { formatDate, formatTimestamp, parseDateDays, timestampMicros } from "../schema/values.ts";

export type StateReset =
  | {
      readonly kind: "set_cursor";
      readonly resource: string;
      /** Needed where the resource has several cursors. */
      readonly path?: string;
      readonly source?: string;
      readonly value: string | number;
    }
  | {
      readonly kind: "clear_cursor";
      readonly resource: string;
      readonly path?: string;
      readonly source?: string;
    }
  | { readonly kind: "restore_backup"; readonly sources: PipelineState["sources"] };

export interface StateResetPlan {
  /** Of the state that the plan was made on. */
  readonly state_version: number;
  readonly version_hash: string | null;
  readonly changes: readonly StateDifference[];
  readonly warnings: readonly string[];
}

/** The state after the reset, and what is other than before. Errors: ARGUMENTS_INVALID. */
export function resetState(
  state: PipelineState,
  reset: StateReset,
): { readonly state: PipelineState; readonly plan: StateResetPlan } {
  const after = { ...state, sources: structuredCopy(state.sources ?? {}) };
  const warnings: string[] = [];
  if (reset.kind === "restore_backup") after.sources = structuredCopy(reset.sources ?? {});
  else resetCursor(after, reset, warnings);
  return {
    state: after,
    plan: {
      state_version: state._state_version,
      version_hash: state._version_hash ?? null,
      changes: differences(plainOf(state.sources ?? {}), plainOf(after.sources)),
      warnings,
    },
  };
}

type Dictionary = Record<string, unknown>;

function resetCursor(
  state: PipelineState,
  reset: Exclude<StateReset, { kind: "restore_backup" }>,
  warnings: string[],
): void {
  const found = cursorsIn(state).filter(
    (each) =>
      each.resource === reset.resource &&
      (reset.source === undefined || each.source === reset.source) &&
      (reset.path === undefined || each.path === reset.path),
  );
  const [cursor] = found;
  if (cursor === undefined) throw noCursor(state, reset);
  if (found.length > 1 && (reset.kind === "set_cursor" || reset.source === undefined)) {
    const names = found.map((each) => `${each.source}.${each.resource}.${each.path}`);
    if (reset.kind === "set_cursor" || new Set(found.map((each) => each.source)).size > 1) {
      throw new EngineError(
        "ARGUMENTS_INVALID",
        `${reset.resource} has several cursors: ${names.join(", ")}.`,
        {
          hint: "Name the cursor's path and its source.",
          details: { cursors: names },
        },
      );
    }
  }
  if (reset.kind === "clear_cursor") {
    for (const each of found) delete each.holder[each.path];
    warnings.push("The next run fetches everything from the initial value on.");
    return;
  }
  const before = (cursor.holder[cursor.path] as Dictionary).last_value as CursorValue;
  const value = likeStored(reset.value, before);
  cursor.holder[cursor.path] = {
    ...(cursor.holder[cursor.path] as Dictionary),
    last_value: value,
    start_value: value,
    // rows at the new value have not been seen as far as anybody knows
    unique_hashes: [],
  };
  const direction = compare(before, value);
  if (direction < 0)
    warnings.push("The cursor moves forward: rows between the old and the new value are never fetched.");
  if (direction > 0)
    warnings.push("The cursor moves back: the next run fetches the rows after the new value again.");
}

interface FoundCursor {
  readonly source: string;
  readonly resource: string;
  readonly path: string;
  readonly holder: Dictionary;
}

function cursorsIn(state: PipelineState): FoundCursor[] {
  const found: FoundCursor[] = [];
  for (const [source, own] of Object.entries(state.sources ?? {})) {
    for (const [resource, memory] of Object.entries((own.resources ?? {}) as Dictionary)) {
      const holder = (memory as Dictionary).incremental as Dictionary | undefined;
      for (const path of Object.keys(holder ?? {})) found.push({ source, resource, path, holder: holder! });
    }
  }
  return found;
}

function noCursor(
  state: PipelineState,
  { resource, path }: { resource: string; path?: string },
): EngineError {
  const known = cursorsIn(state);
  const guess = didYouMean(resource, [...new Set(known.map((each) => each.resource))]);
  return new EngineError(
    "ARGUMENTS_INVALID",
    `There is no cursor ${path === undefined ? "" : `${path} `}of resource ${resource}. ${guess}`.trim(),
    {
      hint: "inspect_state lists the cursors.",
      details: { cursors: known.slice(0, 50).map((each) => `${each.source}.${each.resource}.${each.path}`) },
    },
  );
}

/** A value of the stored one's type: text stays text, an instant is written as dlt writes it. */
function likeStored(value: string | number, stored: CursorValue): CursorValue {
  const wrong = (type: string): EngineError =>
    new EngineError("ARGUMENTS_INVALID", `The cursor holds ${type}, and the new value is none.`, {
      hint: type === "a time" ? "Write it as 2024-01-31T09:30:00Z." : "Give a value of that type.",
    });
  if (stored instanceof TypedValue) {
    const text = String(value);
    switch (stored.kind) {
      case "datetime": {
        const micros = timestampMicros(text);
        if (micros === undefined) throw wrong("a time");
        return new TypedValue("datetime", formatTimestamp(micros));
      }
      case "date": {
        const days = parseDateDays(text);
        if (days === undefined) throw wrong("a date");
        return new TypedValue("date", formatDate(days));
      }
      case "decimal":
      case "wei":
        if (!/^-?\d+(\.\d+)?$/.test(text)) throw wrong("a number");
        return new TypedValue(stored.kind, text);
      default:
        return new TypedValue(stored.kind, text);
    }
  }
  if (typeof stored === "number" || typeof stored === "bigint" || stored instanceof PyFloat) {
    const number =
      typeof value === "number" ? value : /^-?\d+(\.\d+)?$/.test(value) ? Number(value) : Number.NaN;
    if (!Number.isFinite(number)) throw wrong("a number");
    if (typeof value === "string" && /^-?\d+$/.test(value)) return BigInt(value);
    return stored instanceof PyFloat ? new PyFloat(number) : number;
  }
  if (typeof stored === "string") return String(value);
  return storable(value);
}

function compare(before: CursorValue, after: CursorValue): number {
  const [a, b] = [before, after].map(orderOf);
  if (a === undefined || b === undefined || typeof a !== typeof b) return 0;
  return a < b ? -1 : a > b ? 1 : 0;
}

function orderOf(value: CursorValue | undefined): number | string | undefined {
  if (value instanceof TypedValue) {
    const micros = value.kind === "datetime" ? timestampMicros(value.text) : undefined;
    return micros === undefined ? value.text : Number(micros);
  }
  if (value instanceof PyFloat) return value.value;
  if (typeof value === "number" || typeof value === "bigint") return Number(value);
  return typeof value === "string" ? value : undefined;
}

/** A copy of dictionaries and lists; values inside are never changed in place. */
export function structuredCopy<T>(value: T): T {
  if (Array.isArray(value)) return value.map(structuredCopy) as T;
  if (typeof value !== "object" || value === null) return value;
  if (Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, structuredCopy(inner)])) as T;
}
