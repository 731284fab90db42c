/**
 * Load ids in dlt's form: a unix time in seconds as Python prints a float, e.g. `1795343522.4872656`.
 *
 * Packages are ordered by comparing ids as text. That is the order of the numbers although trailing zeros
 * are dropped, because all ids have ten digits before the point (2001 to 2286): fractions compare from left
 * to right, and a shorter one is a prefix.
 */

import { EngineError } from "../errors.ts";

const LOAD_ID = /^[1-9]\d{9}\.\d{1,7}$/;

export function isLoadId(text: string): boolean {
  return LOAD_ID.test(text);
}

/**
 * The id for a package begun at `now` (milliseconds), which sorts after `after` even when the clock was set
 * back. A whole number of milliseconds is filled up with random digits: two pipelines that load into one
 * dataset and start in the same millisecond must not share an id, because the id is the commit marker.
 */
export function nextLoadId(now: number, after?: string, random: () => number = Math.random): string {
  if (after !== undefined && !isLoadId(after)) {
    throw new EngineError("INTERNAL", `"${after}" is not a load id, so none can be made that follows it.`);
  }
  let seconds = (Number.isInteger(now) ? now + random() : now) / 1000;
  if (after !== undefined && seconds <= Number(after)) seconds = nextFloat(Number(after));
  let id = asPythonPrints(seconds);
  while (after !== undefined && id <= after) {
    seconds = nextFloat(seconds);
    id = asPythonPrints(seconds);
  }
  if (!isLoadId(id))
    throw new EngineError("CONFIG_INVALID", `The clock is wrong: it says ${now} ms since 1970.`);
  return id;
}

/** Both languages print the shortest digits that read back as the same float; Python adds `.0`. */
function asPythonPrints(seconds: number): string {
  return Number.isInteger(seconds) ? `${seconds}.0` : String(seconds);
}

/** The next larger float: the smallest step there is, about 0.24 microseconds. */
function nextFloat(value: number): number {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  view.setBigUint64(0, view.getBigUint64(0) + 1n);
  return view.getFloat64(0);
}
