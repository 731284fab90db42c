/** How many requests may run at once, and how many may start in any minute. */

import PQueue from "p-queue";

export interface PaceOptions {
  /** In any sixty seconds, retries included. */
  readonly requestsPerMinute?: number;
  /** At the same time. */
  readonly concurrency?: number;
}

export class Pace {
  readonly #queue: PQueue;

  constructor({ requestsPerMinute, concurrency }: PaceOptions) {
    this.#queue = new PQueue({
      ...(concurrency === undefined ? {} : { concurrency }),
      // a sliding window: a fixed one would let twice as many through around its edge
      ...(requestsPerMinute === undefined
        ? {}
        : { intervalCap: requestsPerMinute, interval: 60_000, strict: true }),
    });
  }

  async run<T>(work: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    return this.#queue.add(work, signal === undefined ? {} : { signal }) as Promise<T>;
  }
}
