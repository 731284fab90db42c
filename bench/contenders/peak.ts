import { readFileSync } from "node:fs";

/** The last line of a contender: peak memory and CPU time of this process, and what else it wants to tell. */
export function printPeak(steps: Readonly<Record<string, number>> = {}): void {
  const high = /^VmHWM:\s+(\d+) kB/m.exec(statusOfThisProcess())?.[1];
  const kilobytes = high === undefined ? process.resourceUsage().maxRSS : Number(high);
  const { user, system } = process.cpuUsage();
  const told = { peak_mb: Math.round(kilobytes / 1024), cpu_seconds: (user + system) / 1e6, steps };
  console.log(JSON.stringify(told));
}

function statusOfThisProcess(): string {
  try {
    return readFileSync("/proc/self/status", "utf8");
  } catch {
    return "";
  }
}
