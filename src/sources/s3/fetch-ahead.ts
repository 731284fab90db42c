/**
 * Objects in their order, the next ones being fetched while one is parsed. Small objects are held in memory as
 * a whole, as many as the bounds allow; a large one is streamed when its turn comes.
 */

import { EngineError } from "../../engine/errors.ts";
import { type ByteSource, memorySource } from "../filesystem/byte-source.ts";
import type { S3Bucket, S3Object } from "./bucket.ts";
import { HELD_OBJECT_BYTES_MAX, S3_DEFAULTS, type S3Settings } from "./config.ts";

export interface Fetched {
  /** As it is now: an object that was replaced since the listing is looked up anew. */
  readonly object: S3Object;
  readonly source: ByteSource;
}

/** How often an object may be replaced between looking it up and reading it. */
const LOOKUPS_MAX = 3;

/** Yields undefined in place of an object that is gone. */
export async function* fetchAhead(
  bucket: S3Bucket,
  objects: readonly S3Object[],
  settings: S3Settings,
  signal: AbortSignal,
): AsyncGenerator<Fetched | undefined> {
  const objectsMax = settings.prefetch_objects ?? S3_DEFAULTS.prefetchObjects;
  const bytesMax = settings.prefetch_bytes ?? S3_DEFAULTS.prefetchBytes;
  const left = new AbortController();
  const either = AbortSignal.any([signal, left.signal]);
  const queue: { held: number; fetched: Promise<Fetched | undefined> }[] = [];
  let held = 0;
  let next = 0;
  try {
    while (next < objects.length || queue.length > 0) {
      // one at least, whatever the bounds say
      while (next < objects.length && (queue.length === 0 || queue.length <= objectsMax)) {
        const object = objects[next]!;
        const bytes = object.size > HELD_OBJECT_BYTES_MAX ? 0 : object.size;
        if (queue.length > 0 && held + bytes > bytesMax) break;
        next++;
        held += bytes;
        const fetched = fetchObject(bucket, object, either);
        fetched.catch(() => {});
        queue.push({ held: bytes, fetched });
      }
      const first = queue.shift()!;
      yield await first.fetched;
      held -= first.held;
    }
  } finally {
    left.abort();
  }
}

async function fetchObject(
  bucket: S3Bucket,
  listed: S3Object,
  signal: AbortSignal,
): Promise<Fetched | undefined> {
  let object = listed;
  for (let lookups = 0; ; lookups++) {
    const source = bucket.source(object, signal);
    if (object.size > HELD_OBJECT_BYTES_MAX) return { object, source };
    try {
      const parts: Uint8Array[] = [];
      for await (const bytes of source.open()) parts.push(bytes);
      return { object, source: memorySource(source.name, Buffer.concat(parts)) };
    } catch (error) {
      if (!(error instanceof EngineError)) throw error;
      if (error.code === "FILE_NOT_FOUND") return undefined;
      if (error.code !== "FILE_CHANGED" || lookups === LOOKUPS_MAX) throw error;
      const now = await bucket.head(object.key, signal);
      if (now === undefined) return undefined;
      object = now;
    }
  }
}
