/** When a service says that it may be asked again. */

/** Beyond this a number is a time and not a duration. */
const EPOCH_SECONDS_MIN = 1e9;
const EPOCH_MS_MIN = 1e12;

const RESET_HEADERS = ["ratelimit-reset", "x-ratelimit-reset", "x-rate-limit-reset"];

/**
 * Milliseconds to wait, from `Retry-After` (seconds or an HTTP date, RFC 9110 §10.2.3), else from the reset
 * headers, which hold seconds from now or a Unix time; undefined when the service says nothing.
 */
export function waitMsOf(headers: Headers, now: number): number | undefined {
  const retryAfter = headers.get("retry-after");
  if (retryAfter !== null) {
    const wait = waitOf(retryAfter, now);
    if (wait !== undefined) return wait;
  }
  for (const name of RESET_HEADERS) {
    const reset = headers.get(name);
    const wait = reset === null ? undefined : waitOf(reset, now);
    if (wait !== undefined) return wait;
  }
  // the draft that joins them: `RateLimit: limit=100, remaining=0, reset=30` or `"default";r=0;t=30`
  const joined = /(?:reset=|;\s*t=)(\d+)/.exec(headers.get("ratelimit") ?? "")?.[1];
  return joined === undefined ? undefined : waitOf(joined, now);
}

/** Does the service say that nothing is left? Some answer 403 then, not 429. */
export function isExhausted(headers: Headers): boolean {
  const remaining =
    headers.get("x-ratelimit-remaining") ??
    headers.get("ratelimit-remaining") ??
    headers.get("x-rate-limit-remaining");
  return remaining !== null && Number(remaining) === 0;
}

function waitOf(text: string, now: number): number | undefined {
  const trimmed = text.trim();
  if (/^\d+(\.\d+)?$/.test(trimmed)) {
    const value = Number(trimmed);
    if (value >= EPOCH_MS_MIN) return Math.max(0, value - now);
    if (value >= EPOCH_SECONDS_MIN) return Math.max(0, value * 1000 - now);
    return value * 1000;
  }
  const time = Date.parse(trimmed);
  return Number.isNaN(time) ? undefined : Math.max(0, time - now);
}
