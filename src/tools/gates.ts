/** What a server may do. Reading is always allowed; everything else is opened by name at its start. */

import { EngineError } from "../engine/errors.ts";

export type Mode = "read" | "run" | "write" | "destructive";
export const OPENABLE_MODES: readonly Mode[] = ["run", "write", "destructive"];

export class Gates {
  readonly open: ReadonlySet<Mode>;

  constructor(allowed: Iterable<Mode> = []) {
    this.open = new Set<Mode>(["read", ...allowed]);
  }

  allows(mode: Mode): boolean {
    return this.open.has(mode);
  }

  /** Asked by the server before a tool runs, and again by the code that does the deed. */
  require(mode: Mode, what: string): void {
    if (this.allows(mode)) return;
    throw new EngineError(
      "NOT_ALLOWED",
      `${what} needs the mode "${mode}", which this server was not given.`,
      {
        hint: `A person can start the server with \`--allow ${[...this.modes(), mode].join(",")}\`.`,
        details: { mode, allowed: [...this.open] },
      },
    );
  }

  modes(): Mode[] {
    return OPENABLE_MODES.filter((mode) => this.open.has(mode));
  }
}
