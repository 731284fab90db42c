/** A run as it goes, on stderr: live lines on a terminal, else a line now and then. */

import { MultiBar, type SingleBar } from "cli-progress";
import pc from "picocolors";
import { bytes, number } from "./cli-render.ts";
import type { RunEvent } from "./run-protocol.ts";

const LINE_EVERY_MS = 5_000;

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
  const known = new Map<string, SingleBar>();
  return {
    show(event) {
      if (event.kind === "log") {
        const line = logLine(event);
        if (line !== undefined) bars.log(`${line}\n`);
      }
      if (event.kind !== "progress") return;
      const payload = payloadOf(event);
      const key = `${event.step} ${event.table}`;
      const bar = known.get(key);
      if (bar === undefined) known.set(key, bars.create(1, 0, payload));
      else bar.update(0, payload);
    },
    say: (line) => bars.log(`${line}\n`),
    end: () => bars.stop(),
  };
}

function plainView(stream: NodeJS.WriteStream, now: () => number): ProgressView {
  const told = new Map<string, number>();
  const say = (line: string): void => void stream.write(`${line}\n`);
  return {
    show(event) {
      if (event.kind === "log") {
        const line = logLine(event);
        if (line !== undefined) say(line);
      }
      if (event.kind !== "progress") return;
      const key = `${event.step} ${event.table}`;
      const last = told.get(key);
      if (last !== undefined && now() - last < LINE_EVERY_MS) return;
      told.set(key, now());
      // the first line of a table says only that it began
      if (last === undefined) say(`${event.step} ${event.table}`);
      else
        say(
          `${event.step} ${event.table}: ${number(event.rows)} rows, ${bytes(event.bytes)}, ${rate(event)} rows/s`,
        );
    },
    say,
    end() {},
  };
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
