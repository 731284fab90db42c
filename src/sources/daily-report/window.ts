/**
 * Days that replace what the table holds of them. The merge key is the date, so a day's rows take the place of
 * all rows of that day, whichever keys they had. A day without rows sends one row that is marked as deleted:
 * it takes the old rows away like any other and is itself not inserted. All in the transaction of the package.
 */

import { incremental } from "../../engine/extract/incremental.ts";
import type { Row } from "../../engine/extract/page.ts";
import type { DeclaredColumns, ResourceHints } from "../../engine/extract/resource.ts";
import { TypedValue } from "../../engine/interop/json.ts";
import type { Day } from "./days.ts";
import { DATE, type Lookback, lagDays } from "./due-days.ts";

/** True in rows that only say that their day is empty; none of them is in the table. */
export const DAY_EMPTY = "_day_empty";

export interface DailyTable {
  /** The key within a day, each with what stands there in the row of an empty day. */
  readonly key: Readonly<Record<string, string | number>>;
  readonly columns: DeclaredColumns;
}

/** Hints of a resource whose days replace each other. It must yield a `checkpoint` behind each complete day. */
export function dailyHints(
  { key, columns }: DailyTable,
  start: Day,
  lookback: Lookback,
): Omit<ResourceHints, "tableName"> {
  return {
    // a day comes once in a load, and each key once in a day
    writeDisposition: { disposition: "merge", strategy: "delete-insert", deduplicated: true },
    primaryKey: [DATE, ...Object.keys(key)],
    mergeKey: DATE,
    // a day must not be cut in two by a package: only a checkpoint may end one
    checkpoints: true,
    incremental: incremental(DATE, {
      initialValue: dateValue(start),
      lag: lagDays(lookback),
      // a day that is read again comes whole: rows that were there before must not be left out of it
      primaryKey: [],
    }),
    columns: {
      [DATE]: { data_type: "date", nullable: false },
      ...columns,
      // without a type there is no such column until a day is empty
      [DAY_EMPTY]: {
        hard_delete: true,
        description: "Always null: marks a day without rows on its way to this table.",
      },
    },
  };
}

/** The rows of a day, or the mark that it has none. */
export function dayRows(table: DailyTable, day: Day, rows: readonly Row[]): readonly Row[] {
  return rows.length > 0 ? rows : [{ [DATE]: dateValue(day), ...table.key, [DAY_EMPTY]: true }];
}

export function dateValue(day: Day): TypedValue {
  return new TypedValue("date", day);
}
