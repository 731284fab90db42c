/** Which process is it? A pid alone does not say: pids are used again. */

import { readFileSync } from "node:fs";
import { hostname } from "node:os";

export interface ProcessIdentity {
  readonly pid: number;
  readonly host: string;
  /** Boot id and clock ticks at which the process started; absent where the system does not tell. */
  readonly process_start?: string;
}

export function thisProcess(): ProcessIdentity {
  const start = processStart(process.pid);
  return { pid: process.pid, host: hostname(), ...(start === undefined ? {} : { process_start: start }) };
}

/** Is it certain that the process has ended? A process of another host is never certain. */
export function hasEnded(identity: { pid: number; host?: string; process_start?: string }): boolean {
  if (identity.host !== undefined && identity.host !== hostname()) return false;
  try {
    process.kill(identity.pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EPERM") return true;
  }
  const start = processStart(identity.pid);
  if (start === "ended") return true;
  return identity.process_start !== undefined && start !== undefined && start !== identity.process_start;
}

/** From /proc: `ended` for a zombie, undefined where there is no /proc. */
function processStart(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // the second field is the command in parentheses, which may itself hold spaces and parentheses
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (fields[0] === "Z" || fields[0] === "X") return "ended";
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
    return `${boot}:${fields[19] ?? ""}`;
  } catch {
    return undefined;
  }
}
