/** What the code of a resource is handed when it runs. */

import type { Log } from "../context.ts";

/** The incremental cursor as the source's code sees it. */
export interface CursorView {
  readonly path: string;
  /** Where to start: the last value seen less the lag, else the initial value, else undefined. */
  readonly lastValue: unknown;
  /** The bound at the start of this run; does not move while rows are yielded. */
  readonly startValue: unknown;
  readonly endValue: unknown;
  readonly initialValue: unknown;
}

export interface ResourceContext {
  /** State of this resource: a JSON object that is stored with the rows it belongs to. Mutate it in place. */
  readonly state: Record<string, unknown>;
  /** State shared by the resources of the source. */
  readonly sourceState: Record<string, unknown>;
  /** Present when the resource has an incremental. */
  readonly cursor: CursorView;
  readonly signal: AbortSignal;
  readonly log: Log;
  /** A warning for the run's report; for things a person should look at. */
  readonly warn: (message: string) => void;
  /**
   * Says why there was nothing more to read ("page 12 had 37 of 100 rows"): the evidence that the resource is
   * complete. Counted in the run's report; no values of rows in it.
   */
  readonly ended: (reason: string) => void;
}
