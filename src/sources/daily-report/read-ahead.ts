/** Fetches ahead while earlier results are still being used, and gives them in order. */

import type { ResourceContext } from "../../engine/extract/resource-context.ts";

export type RequestContext = Pick<ResourceContext, "signal" | "log">;

/**
 * `fetch` of each item, at most `ahead` under way, yielded in the items' order. The first failure ends it, and
 * like an early return it aborts what is still under way.
 */
export async function* readAhead<T, R>(
  items: Iterable<T>,
  ahead: number,
  context: RequestContext,
  fetch: (item: T, context: RequestContext) => Promise<R>,
): AsyncGenerator<readonly [T, R]> {
  const stop = new AbortController();
  const signal = AbortSignal.any([context.signal, stop.signal]);
  const pending: (readonly [T, Promise<R>])[] = [];
  const rest = items[Symbol.iterator]();
  const fill = (): void => {
    while (pending.length < ahead) {
      const next = rest.next();
      if (next.done) return;
      const result = fetch(next.value, { signal, log: context.log });
      // looked at when its turn comes; a failure before that is not unhandled
      result.catch(() => {});
      pending.push([next.value, result]);
    }
  };
  try {
    for (fill(); pending.length > 0; fill()) {
      const [item, result] = pending[0]!;
      const value = await result;
      pending.shift();
      yield [item, value];
    }
  } finally {
    stop.abort();
    await Promise.allSettled(pending.map(([, result]) => result));
  }
}
