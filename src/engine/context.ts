/**
 * What a run needs from outside, passed to whoever needs it: nothing in the engine keeps module state,
 * reads the clock or prints by itself.
 */

export type LogLevel = "debug" | "info" | "warn" | "error";

/** Events with fields. Fields hold names, counts and durations, never cell values or secrets. */
export type Log = (level: LogLevel, event: string, fields?: Readonly<Record<string, unknown>>) => void;

/** Bounds of a run, each with its unit. */
export interface Limits {
  /** A package is sealed when it reaches one of these, if its resources allow it. */
  readonly packageRowsMax: number;
  readonly packageBytesMax: number;
  readonly packageSecondsMax: number;
  /** A job file is rotated at this many bytes. */
  readonly jobBytesMax: number;
  /** Resources extracted at the same time. */
  readonly parallelResourcesMax: number;
  /** Memory that the destination engine may use, where it can be told. */
  readonly destinationMemoryBytesMax: number;
}

export const DEFAULT_LIMITS: Limits = {
  packageRowsMax: 5_000_000,
  packageBytesMax: 4 * 1024 ** 3,
  packageSecondsMax: 600,
  jobBytesMax: 128 * 1024 ** 2,
  parallelResourcesMax: 4,
  destinationMemoryBytesMax: 256 * 1024 ** 2,
};

export type StepName = "sync" | "extract" | "normalize" | "load";

/** Progress of a run; counts are totals so far, so that a lost event does no harm. */
export interface ProgressEvent {
  readonly kind: "progress";
  readonly step: StepName;
  readonly loadId?: string;
  readonly table: string;
  readonly rows: number;
  readonly bytes: number;
  readonly elapsedMs: number;
}

export interface RunContext {
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly log: Log;
  readonly signal: AbortSignal;
  readonly limits: Limits;
  readonly progress: (event: ProgressEvent) => void;
  /**
   * Called at each boundary after which a crash must do no harm, with its name. A crash test passes a
   * function that kills the process at the n-th call.
   */
  readonly boundary: (name: string) => void;
}

export function defaultContext(overrides: Partial<RunContext> = {}): RunContext {
  return {
    now: Date.now,
    log: () => {},
    signal: new AbortController().signal,
    limits: DEFAULT_LIMITS,
    progress: () => {},
    boundary: () => {},
    ...overrides,
  };
}
