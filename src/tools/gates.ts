/**
 * What a server may do. Reading is always allowed; everything else is opened by name at its start.
 *
 * Asked twice, independently: by `defineTool` before a tool's function runs, and by the engine when a pipeline
 * is about to change something (engine/permission.ts), also in the process of a run. Every `Workspace` that a
 * tool is handed carries these gates; a tool that forgets to ask still cannot do more than they allow.
 */

import { EngineError } from "../engine/errors.ts";
import type { Permission } from "../engine/permission.ts";

export type Mode = "read" | Permission;
export const OPENABLE_MODES: readonly Permission[] = ["run", "write", "destructive"];

export class Gates {
  readonly open: ReadonlySet<Mode>;

  constructor(allowed: Iterable<Mode> = []) {
    this.open = new Set<Mode>(["read", ...allowed]);
  }

  allows(mode: Mode): boolean {
    return this.open.has(mode);
  }

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
