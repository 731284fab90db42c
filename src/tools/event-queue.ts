/** Events between a run and its one reader, bounded while nobody reads. */

import type { RunEvent } from "./run-protocol.ts";

const EVENTS_MAX = 1_000;

export class EventQueue implements AsyncIterable<RunEvent> {
  readonly #waiting = new Map<string, RunEvent>();
  #serial = 0;
  #ended = false;
  #wake: (() => void) | undefined;

  push(event: RunEvent): void {
    const key = keyOf(event) ?? `log ${this.#serial++}`;
    // totals so far and whole reports: the newest says everything
    this.#waiting.delete(key);
    this.#waiting.set(key, event);
    const [oldest] = this.#waiting.keys();
    if (this.#waiting.size > EVENTS_MAX && oldest !== undefined) this.#waiting.delete(oldest);
    this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<RunEvent> {
    while (true) {
      for (const [key, event] of this.#waiting) {
        this.#waiting.delete(key);
        yield event;
      }
      if (this.#waiting.size > 0) continue;
      if (this.#ended) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

function keyOf(event: RunEvent): string | undefined {
  if (event.kind === "progress") return `progress ${event.step} ${event.table}`;
  return event.kind === "report" ? "report" : undefined;
}
