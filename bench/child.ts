/** A contender's process: timed from outside, with the memory and processor time of it and all its children. */

import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

export interface Command {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export interface Measured {
  readonly seconds: number;
  /** User and system time of all threads: what a busy machine does not blur. A Postgres server's is not in it. */
  readonly cpuSeconds: number;
  /** 0 where there is no /proc. */
  readonly peakMb: number;
  /** Milliseconds of each step, of contenders that tell. */
  readonly steps: Readonly<Record<string, number>>;
}

const SAMPLE_MS = 40;
/** Walking all processes of the machine costs more than looking at those that are known. */
const SAMPLES_PER_WALK = 8;
const TICKS_PER_SECOND = 100;

export async function runChild({ command, args, env }: Command): Promise<Measured> {
  const started = performance.now();
  const child = spawn(command, args, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...env },
  });
  const usage = new Usage(child);
  const timer = setInterval(() => usage.sample(), SAMPLE_MS);
  const output = { stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"] as const) {
    child[stream].setEncoding("utf8").on("data", (text: string) => {
      output[stream] = (output[stream] + text).slice(-20_000);
    });
  }
  try {
    const ended = new Promise((done, fail) => child.on("error", fail).on("exit", done));
    const closed = new Promise((done) => child.on("close", done));
    const code = await ended;
    const seconds = (performance.now() - started) / 1000;
    clearInterval(timer);
    await closed;
    if (code !== 0) {
      throw new Error(`${command} ${args.join(" ")} ended with ${code}:\n${output.stdout}${output.stderr}`);
    }
    return { seconds, ...usage.total(), steps: stepsIn(output.stdout) };
  } finally {
    clearInterval(timer);
  }
}

/** Contenders of ours print them as a last line of JSON. */
function stepsIn(output: string): Record<string, number> {
  const line = output.trim().split("\n").at(-1) ?? "";
  if (!line.startsWith('{"steps"')) return {};
  return (JSON.parse(line) as { steps: Record<string, number> }).steps;
}

class Usage {
  private readonly root: number;
  private readonly cpuTicks = new Map<number, number>();
  private pids: number[];
  private peakKb = 0;
  private samples = 0;

  constructor({ pid }: ChildProcess) {
    this.root = pid ?? 0;
    this.pids = [this.root];
  }

  sample(): void {
    if (this.samples++ % SAMPLES_PER_WALK === 0) this.pids = familyOf(this.root);
    let kb = 0;
    for (const pid of this.pids) {
      kb += Number(/^VmHWM:\s+(\d+)/m.exec(read(`/proc/${pid}/status`))?.[1] ?? 0);
      const ticks = cpuTicks(pid);
      if (ticks > 0) this.cpuTicks.set(pid, ticks);
    }
    this.peakKb = Math.max(this.peakKb, kb);
  }

  total(): { cpuSeconds: number; peakMb: number } {
    const ticks = [...this.cpuTicks.values()].reduce((sum, each) => sum + each, 0);
    return { cpuSeconds: ticks / TICKS_PER_SECOND, peakMb: Math.round(this.peakKb / 1024) };
  }
}

function familyOf(root: number): number[] {
  const parents = new Map<number, number>();
  let names: string[] = [];
  try {
    names = readdirSync("/proc");
  } catch {}
  for (const name of names) {
    if (!/^\d+$/.test(name)) continue;
    parents.set(Number(name), Number(statFields(Number(name))[1] ?? 0));
  }
  const isOurs = (pid: number): boolean => pid === root || (parents.has(pid) && isOurs(parents.get(pid)!));
  return [...parents.keys()].filter(isOurs);
}

function cpuTicks(pid: number): number {
  const fields = statFields(pid);
  return Number(fields[11] ?? 0) + Number(fields[12] ?? 0);
}

/** Those behind the name of the program, which may hold blanks: state, parent, … */
function statFields(pid: number): string[] {
  const text = read(`/proc/${pid}/stat`);
  return text.slice(text.lastIndexOf(")") + 2).split(" ");
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
