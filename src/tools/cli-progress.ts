/** A run as it goes, on stderr: live lines on a terminal, else a line now and then. */

import { MultiBar, type SingleBar } from "cli-progress";
import pc from "picocolors";
import { bytes, number } from "./cli-render.ts";
import type { RunEvent } from "./run-protocol.ts";

const LINE_EVERY_MS = 5_000;
/** Tables that are shown one by one; a run may have thousands. */
const TABLES_MAX = 50;

export interface ProgressView {
  show(event: RunEvent): void;
  /** A line between the live ones. */
  say(line: string): void;
  end(): void;
}

export function progressView(stream: NodeJS.WriteStream, now: () => number = Date.now): ProgressView {
  return stream.isTTY ? liveView(stream) : plainView(stream, now);
}

/** Shows nothing: for output that programs read. */
export function silentView(): ProgressView {
  return { show() {}, say() {}, end() {} };
}

function liveView(stream: NodeJS.WriteStream): ProgressView {
  const bars = new MultiBar({
    stream,
    format: "  {step} {table} {rows} rows  {bytes}  {rate} rows/s",
    hideCursor: true,
    fps: 10,
  });
  const known = new Map<string, SingleBar | undefined>();
  const tables = new TablesOfSteps();
  return {
    show(event) {
      if (event.kind === "log") {
        const line = logLine(event);
        if (line !== undefined) bars.log(`${line}\n`);
      }
      if (event.kind !== "progress") return;
      const payload = payloadOf(event);
      const key = `${event.step} ${event.table}`;
      if (known.has(key)) known.get(key)?.update(0, payload);
      else known.set(key, tables.begin(event.step) > TABLES_MAX ? undefined : bars.create(1, 0, payload));
    },
    say: (line) => bars.log(`${line}\n`),
    end: () => bars.stop(),
  };
}

function plainView(stream: NodeJS.WriteStream, now: () => number): ProgressView {
  /** When a table was told of last; undefined: it is only counted. */
  const told = new Map<string, number | undefined>();
  const tables = new TablesOfSteps();
  let countedAt = 0;
  const say = (line: string): void => void stream.write(`${line}\n`);
  const begin = (event: RunEvent & { kind: "progress" }, key: string): void => {
    const begun = tables.begin(event.step);
    if (begun <= TABLES_MAX) {
      told.set(key, now());
      // the first line of a table says only that it began
      say(key);
      return;
    }
    told.set(key, undefined);
    if (now() - countedAt < LINE_EVERY_MS) return;
    countedAt = now();
    say(`${event.step} ${number(begun)} tables`);
  };
  return {
    show(event) {
      if (event.kind === "log") {
        const line = logLine(event);
        if (line !== undefined) say(line);
      }
      if (event.kind !== "progress") return;
      const key = `${event.step} ${event.table}`;
      if (!told.has(key)) {
        begin(event, key);
        return;
      }
      const last = told.get(key);
      if (last === undefined || now() - last < LINE_EVERY_MS) return;
      told.set(key, now());
      say(`${key}: ${number(event.rows)} rows, ${bytes(event.bytes)}, ${rate(event)} rows/s`);
    },
    say,
    end() {},
  };
}

/** How many tables each step has begun. */
class TablesOfSteps {
  private readonly begun = new Map<string, number>();

  begin(step: string): number {
    const tables = (this.begun.get(step) ?? 0) + 1;
    this.begun.set(step, tables);
    return tables;
  }
}

function payloadOf(event: RunEvent & { kind: "progress" }): Record<string, string> {
  return {
    step: event.step.padEnd(9),
    table: event.table.padEnd(24),
    rows: number(event.rows).padStart(12),
    bytes: bytes(event.bytes).padStart(9),
    rate: rate(event),
  };
}

function rate(event: { rows: number; elapsedMs: number }): string {
  return event.elapsedMs > 0 ? number(Math.round((event.rows * 1000) / event.elapsedMs)) : "-";
}

/** Warnings and errors; the rest is in the run's log. */
function logLine(event: RunEvent & { kind: "log" }): string | undefined {
  if (event.level === "debug" || event.level === "info") return undefined;
  const fields = Object.entries(event.fields).map(
    ([key, value]) => `${key}=${typeof value === "string" ? value : JSON.stringify(value)}`,
  );
  return `${event.level === "error" ? pc.red("error") : pc.yellow("warning")} ${event.event} ${fields.join(" ")}`.trimEnd();
}
