/** The configured cursor of a table as the engine's incremental, and a run's range as the dialects want it. */

import { EngineError } from "../../engine/errors.ts";
import { type Incremental, incremental } from "../../engine/extract/incremental.ts";
import type { CursorView } from "../../engine/extract/resource-context.ts";
import { TypedValue } from "../../engine/interop/json.ts";
import { instantOf, parseIso } from "../../engine/schema/iso-time.ts";
import { formatTimestamp, parseDateDays } from "../../engine/schema/values.ts";
import type { SqlIncrementalConfig } from "./config.ts";
import type { CursorRange, SourceColumn } from "./types.ts";

/** `dedupBy`: what tells the rows at the boundary of two runs apart. Errors: CONFIG_INVALID. */
export function cursorOf(
  settings: SqlIncrementalConfig,
  column: SourceColumn,
  resource: string,
  dedupBy: readonly string[],
): Incremental {
  const value = (key: "initial_value" | "end_value"): unknown => {
    const raw = settings[key];
    return raw === undefined
      ? undefined
      : cursorValue(raw, column, `resources.${resource}.incremental.${key}`);
  };
  return incremental(column.name, {
    initialValue: value("initial_value"),
    endValue: value("end_value"),
    rowOrder: "asc",
    rangeStart: settings.range_start,
    rangeEnd: settings.range_end,
    lag: settings.lag,
    onCursorValueMissing: settings.on_cursor_value_missing,
    primaryKey: dedupBy,
  });
}

/** A value of the configuration as a row would have it. */
function cursorValue(raw: string | number | boolean, column: SourceColumn, setting: string): unknown {
  const text = String(raw).trim();
  const refuse = (what: string): EngineError =>
    new EngineError("CONFIG_INVALID", `The setting ${setting} is not ${what}, as column ${column.name} is.`, {
      details: { setting, column: column.name, type: column.sourceType },
    });
  switch (column.kind) {
    case "integer": {
      if (!/^[+-]?\d+$/.test(text)) throw refuse("an integer");
      const integer = BigInt(text);
      const plain = Number(integer);
      return Number.isSafeInteger(plain) ? plain : integer;
    }
    case "float": {
      if (text === "" || Number.isNaN(Number(text))) throw refuse("a number");
      return Number(text);
    }
    case "decimal":
      if (!/^[+-]?\d+(\.\d+)?$/.test(text)) throw refuse("a decimal number");
      return new TypedValue("decimal", text);
    case "date": {
      const day = text.slice(0, 10);
      if (parseDateDays(day) === undefined) throw refuse("a date");
      return new TypedValue("date", day);
    }
    case "timestamp":
    case "timestamptz": {
      const parts = parseIso(text);
      if (parts === undefined) throw refuse("a date or a timestamp");
      const formatted = formatTimestamp(Number(instantOf(parts)));
      return new TypedValue(
        "datetime",
        column.kind === "timestamp" ? formatted.replace(/\+00:00$/, "") : formatted,
      );
    }
    case "time":
      return new TypedValue("time", text);
    case "text":
      return text;
    default:
      throw new EngineError(
        "CONFIG_INVALID",
        `Column ${column.name} (${column.sourceType}) cannot be a cursor: its values have no order that both sides agree on.`,
        { hint: "Use a number, a date, a timestamp or a text.", details: { setting, column: column.name } },
      );
  }
}

/** What this run has to read. */
export function rangeOf(
  settings: SqlIncrementalConfig,
  column: SourceColumn,
  cursor: CursorView,
): CursorRange {
  return {
    column,
    from: cursor.startValue,
    fromOpen: settings.range_start === "open" && cursor.endValue === undefined,
    to: plainValue(cursor.endValue),
    toClosed: settings.range_end === "closed",
    nulls: settings.on_cursor_value_missing === "include" ? "include" : "exclude",
  };
}

function plainValue(value: unknown): unknown {
  return value instanceof TypedValue ? value.text : value;
}
