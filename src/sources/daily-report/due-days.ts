/**
 * Which days a run has to read. Vendors restate days after they closed, so each run reads the last days again
 * (`lookback_days`), and now and then a longer stretch (`sweep_days`, every `sweep_every_days`).
 *
 *   first run            start_date … end
 *   next runs            last loaded day - lookback … end
 *   when a sweep is due  last loaded day - sweep … end
 *   a window from outside (an end value of the cursor): exactly that
 *
 * The last loaded day is the cursor's. State of its own: `swept_on`, the end of the last stretch that was read
 * in full. It is written behind the last day, so that a sweep that was interrupted is made again.
 */

import type { ResourceContext } from "../../engine/extract/resource-context.ts";
import { addDays, type Day, daysApart, later } from "./days.ts";

/** The column that is cursor and merge key of a daily report. */
export const DATE = "date";

export interface Lookback {
  readonly lookback_days: number;
  readonly sweep_days: number;
  readonly sweep_every_days: number;
}

export interface DueDays {
  readonly from: Day;
  /** Included; before `from` when nothing is due. */
  readonly to: Day;
  /** Call when all days have been yielded. */
  readonly done: () => void;
}

/** How far behind the cursor a run may read: the cursor must let such rows pass. */
export function lagDays({ lookback_days, sweep_days }: Lookback): number {
  return Math.max(lookback_days, sweep_days);
}

/** `end` is the last day that is complete at the vendor. */
export function dueDays(
  context: Pick<ResourceContext, "state" | "cursor">,
  start: Day,
  end: Day,
  lookback: Lookback,
): DueDays {
  const { state, cursor } = context;
  if (cursor.endValue !== undefined) {
    return { from: dayOf(cursor.startValue) ?? start, to: dayOf(cursor.endValue) ?? end, done: () => {} };
  }
  const last = dayOf((state.incremental as Record<string, CursorSlot> | undefined)?.[DATE]?.last_value);
  const swept = dayOf(state.swept_on);
  const sweep =
    lookback.sweep_days > 0 && swept !== undefined && daysApart(swept, end) >= lookback.sweep_every_days;
  const back = sweep ? lagDays(lookback) : lookback.lookback_days;
  return {
    from: last === undefined ? start : later(start, addDays(last, -back)),
    to: end,
    done: () => {
      if (swept === undefined || sweep) state.swept_on = end;
    },
  };
}

interface CursorSlot {
  readonly last_value?: unknown;
}

/** The day at the front of a stored or given value; undefined when there is none. */
function dayOf(value: unknown): Day | undefined {
  const day = value === undefined || value === null ? undefined : String(value).slice(0, 10);
  return day !== undefined && /^\d{4}-\d{2}-\d{2}$/.test(day) ? day : undefined;
}
