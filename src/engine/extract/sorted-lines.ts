/**
 * A page of JSON Lines in the order of its cursor, without a look at most of its lines: only the first ones,
 * which an earlier run may have loaded, and the last ones, which the next run will meet again, are parsed and
 * shown to the cursor. Between them every line is new, and none can be what the cursor stops at.
 */

import { parseTypedJson } from "../interop/json.ts";
import type { CursorRun } from "./cursor-run.ts";

const LF = 0x0a;

/**
 * The lines that are to be loaded: `bytes` itself when all are. Undefined: the cursor has to look at each
 * line (one has no value, or the run's end lies in this page); nothing has been shown to it then.
 */
export function sortedLines(bytes: Uint8Array, cursor: CursorRun): Uint8Array | undefined {
  const lines = new Lines(bytes);
  const { size } = lines;
  if (size === 0) return bytes;
  const valueAt = (at: number) => cursor.valueIn(lines.row(at));
  const first = valueAt(0);
  const lastAt = lines.startBefore(size);
  const last = valueAt(lastAt);
  if (first === null || last === null || !cursor.isBeforeEnd(last)) return undefined;

  // the first line is always shown: it tells whether this page follows the one before
  let headEnd = lines.after(0);
  if (!cursor.isBehind(first, cursor.start)) {
    headEnd = lines.firstWhere(headEnd, (at) => cursor.isBehind(valueAt(at), cursor.start));
  }
  const tailStart = Math.max(
    headEnd,
    lines.firstWhere(headEnd, (at) => !cursor.isBehind(last, valueAt(at))),
  );

  const refused: [from: number, to: number][] = [];
  const show = (from: number, to: number): void => {
    for (let at = from; at < to; ) {
      const next = lines.after(at);
      if (cursor.admit(lines.row(at)) !== "yes") {
        const previous = refused.at(-1);
        if (previous?.[1] === at) previous[1] = next;
        else refused.push([at, next]);
      }
      at = next;
    }
  };
  show(0, headEnd);
  show(tailStart, size);
  if (refused.length === 0) return bytes;
  const kept: Uint8Array[] = [];
  let at = 0;
  for (const [from, to] of refused) {
    kept.push(bytes.subarray(at, from));
    at = to;
  }
  kept.push(bytes.subarray(at));
  return Buffer.concat(kept);
}

/** Lines found by offsets of their first bytes. */
class Lines {
  readonly size: number;
  private readonly bytes: Buffer;

  constructor(bytes: Uint8Array) {
    this.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.size = bytes.length;
  }

  /** Where the line after the one at `start` begins. */
  after(start: number): number {
    const end = this.bytes.indexOf(LF, start);
    return end < 0 ? this.size : end + 1;
  }

  /** Where the line begins that holds the byte before `at`. */
  startBefore(at: number): number {
    return at < 2 ? 0 : this.bytes.lastIndexOf(LF, at - 2) + 1;
  }

  row(start: number): unknown {
    return parseTypedJson(this.bytes.toString("utf8", start, this.after(start)).trimEnd());
  }

  /** The first line from `from` on for which `holds`, which is false up to it and true from it; else the size. */
  firstWhere(from: number, holds: (start: number) => boolean): number {
    let low = from;
    let high = this.size;
    while (low < high) {
      const middle = Math.max(low, this.startBefore(low + Math.floor((high - low) / 2) + 1));
      if (holds(middle)) high = middle;
      else low = this.after(middle);
    }
    return low;
  }
}
