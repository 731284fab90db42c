/** An incremental cursor as a source declares it (dlt/extract/incremental). */

export interface IncrementalOptions {
  /** Where the first run starts. Its type must be the field's type. */
  readonly initialValue?: unknown;
  /** Loads a window up to here, without touching the stored cursor. */
  readonly endValue?: unknown;
  /**
   * `max` (default): the cursor goes up; `min`: it goes down. A function gets a row's value and, unless it is
   * the first, the last value, and answers the new last value: the row is new when that differs from the old
   * one. Dates reach it as ISO text, and what it answers must be JSON.
   */
  readonly lastValueFunc?: "max" | "min" | LastValueFunction;
  /** What identifies a row at the boundary; default the resource's primary key, else the whole row. `[]`: no dedup. */
  readonly primaryKey?: string | readonly string[];
  /** Set when the source returns rows in cursor order: packages can then be committed one by one, and reading stops early. */
  readonly rowOrder?: "asc" | "desc";
  /** `closed` (default): rows at the start value are read again and deduplicated; `open`: they are skipped. */
  readonly rangeStart?: "closed" | "open";
  readonly rangeEnd?: "closed" | "open";
  /** Read again this far behind the cursor: seconds for date-times, days for dates, else a number. */
  readonly lag?: number;
  readonly onCursorValueMissing?: "raise" | "include" | "exclude";
  /** True: the run's `interval`, which a scheduler gives, sets the bounds; within those that are declared. */
  readonly allowExternalSchedulers?: boolean;
}

export type LastValueFunction = (values: readonly [value: unknown, last?: unknown]) => unknown;

/** A declared incremental: `incremental("updated_at", { initialValue: "2024-01-01" })`. */
export interface Incremental extends IncrementalOptions {
  /** A field's name, or a JSONPath such as `$.meta.updated_at`. Names as in the source. */
  readonly cursorPath: string;
  /** Set by the engine: the bounds are texts of a command line, to be read as the type of `like`, or of the first row. */
  readonly textBounds?: { readonly like: unknown; readonly refuseEmpty: boolean };
}

export function incremental(cursorPath: string, options: IncrementalOptions = {}): Incremental {
  return { ...options, cursorPath };
}
