/**
 * A bucket of S3 or a compatible store: listing, and objects as byte sources. The SDK is imported when the
 * first request is made, so that starting the command line does not pay for it.
 *
 * An object is read with `If-Match` on the ETag that was listed, so a replaced object is an error
 * (FILE_CHANGED) and never a mixture of two. A body that breaks is continued by a range request from the byte
 * where it broke.
 */

import { setTimeout as sleep } from "node:timers/promises";
import type { GetObjectCommandOutput, ListObjectsV2CommandOutput, S3Client } from "@aws-sdk/client-s3";
import { EngineError } from "../../engine/errors.ts";
import type { ByteSource } from "../filesystem/byte-source.ts";
import { S3_DEFAULTS, type S3Credentials, type S3Settings } from "./config.ts";
import { type S3Place, s3Error, urlOf } from "./errors.ts";

export interface S3Object {
  readonly key: string;
  readonly size: number;
  /** In double quotes, as HTTP has it; absent where the store lists none. */
  readonly etag: string | undefined;
  /** Milliseconds since 1970. */
  readonly modified_ms: number;
}

export interface ListOptions {
  readonly prefix: string;
  /** Only keys behind this one; it need not exist. */
  readonly startAfter?: string;
  readonly signal: AbortSignal;
}

export interface BucketOptions {
  readonly bucket: string;
  readonly settings: S3Settings;
  readonly credentials: S3Credentials | undefined;
}

/** Wait before the n-th attempt to go on with a broken body. */
const BACKOFF_MS = [0, 200, 1_000, 3_000, 8_000];
const CONNECT_MS = 10_000;

export class S3Bucket {
  readonly name: string;
  private readonly options: BucketOptions;
  private readonly maxAttempts: number;
  private readonly idleMs: number;
  private opening: Promise<Sdk> | undefined;

  constructor(options: BucketOptions) {
    this.options = options;
    this.name = options.bucket;
    this.maxAttempts = options.settings.max_attempts ?? S3_DEFAULTS.maxAttempts;
    this.idleMs = (options.settings.idle_seconds ?? S3_DEFAULTS.idleSeconds) * 1000;
  }

  url(key: string): string {
    return urlOf(this.name, key);
  }

  /** Everything under a prefix, in pages of up to 1,000; folder markers (empty objects `dir/`) are left out. */
  async *list({ prefix, startAfter, signal }: ListOptions): AsyncGenerator<S3Object[]> {
    const { client, ListObjectsV2Command } = await this.sdk();
    const place: S3Place = { ...this.place(prefix), action: "list" };
    let token: string | undefined;
    do {
      const input = {
        Bucket: this.name,
        Prefix: prefix,
        StartAfter: startAfter,
        ContinuationToken: token,
        // keys may hold characters that XML cannot
        EncodingType: "url" as const,
      };
      const page = await this.request(place, () =>
        client.send(new ListObjectsV2Command(input), { abortSignal: signal }),
      );
      const next = nextToken(page, token, place);
      yield objectsOf(page);
      token = next;
    } while (token !== undefined);
  }

  /** What the object is now; undefined when it is gone. */
  async head(key: string, signal: AbortSignal): Promise<S3Object | undefined> {
    const { client, HeadObjectCommand } = await this.sdk();
    try {
      const found = await client.send(new HeadObjectCommand({ Bucket: this.name, Key: key }), {
        abortSignal: signal,
      });
      return {
        key,
        size: found.ContentLength ?? 0,
        etag: quoted(found.ETag),
        modified_ms: found.LastModified?.getTime() ?? 0,
      };
    } catch (error) {
      const coded = s3Error(error, this.place(key));
      if (coded instanceof EngineError && coded.code === "FILE_NOT_FOUND") return undefined;
      throw coded;
    }
  }

  /** The object as a source of bytes; it may be opened more than once and is the same version each time. */
  source(object: S3Object, signal: AbortSignal): ByteSource {
    return {
      name: this.url(object.key),
      size: object.size,
      reopen: true,
      remote: true,
      open: () => this.read(object, signal),
    };
  }

  /** Closes the connections that are kept open. */
  async close(): Promise<void> {
    const opening = this.opening;
    this.opening = undefined;
    (await opening?.catch(() => undefined))?.client.destroy();
  }

  private async *read(object: S3Object, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    if (object.size === 0) return;
    let at = 0;
    let failures = 0;
    while (at < object.size) {
      const body = await this.get(object, at, signal);
      try {
        for await (const bytes of withIdleLimit(body, this.idleMs)) {
          at += bytes.length;
          failures = 0;
          if (at > object.size) throw this.changed(object);
          yield bytes;
        }
        if (at < object.size) throw new BrokenBody("the body ended early");
      } catch (error) {
        // what the reader of these bytes throws does not come here: it ends the generator
        if (error instanceof EngineError) throw error;
        signal.throwIfAborted();
        failures++;
        if (failures >= this.maxAttempts) throw this.broken(object, at, error);
        await sleep(BACKOFF_MS[Math.min(failures, BACKOFF_MS.length - 1)], undefined, { signal });
      } finally {
        body.destroy();
      }
    }
  }

  /** The body from byte `at` on. */
  private async get(object: S3Object, at: number, signal: AbortSignal): Promise<Body> {
    const { client, GetObjectCommand } = await this.sdk();
    const input = {
      Bucket: this.name,
      Key: object.key,
      IfMatch: object.etag,
      ...(at > 0 ? { Range: `bytes=${at}-` } : {}),
    };
    const found = await this.request(this.place(object.key), () =>
      client.send(new GetObjectCommand(input), { abortSignal: signal }),
    );
    const body = found.Body as Body | undefined;
    const problem = this.mismatch(found, object, at);
    if (problem === undefined && body !== undefined) return body;
    body?.destroy();
    throw problem ?? this.noObject(object);
  }

  /** A store that does not know `If-Match` or ranges, or a proxy's page that comes with status 200. */
  private mismatch(found: GetObjectCommandOutput, object: S3Object, at: number): EngineError | undefined {
    const etag = quoted(found.ETag);
    if (object.etag !== undefined && etag === undefined) return this.noObject(object);
    if (object.etag !== undefined && etag !== object.etag) return this.changed(object);
    if (found.ContentLength !== undefined && found.ContentLength !== object.size - at) {
      return at > 0 && found.ContentLength === object.size ? this.noRanges(object) : this.changed(object);
    }
    return undefined;
  }

  private async request<T>(place: S3Place, send: () => Promise<T>): Promise<T> {
    try {
      return await send();
    } catch (error) {
      throw s3Error(error, place);
    }
  }

  private place(key: string): S3Place {
    return { bucket: this.name, key, action: "read", endpoint: this.options.settings.endpoint };
  }

  private changed(object: S3Object): EngineError {
    return s3Error({ name: "PreconditionFailed" }, this.place(object.key)) as EngineError;
  }

  private noObject(object: S3Object): EngineError {
    return new EngineError("S3_RESPONSE", `${this.url(object.key)}: the answer is not the object.`, {
      details: { file: this.url(object.key) },
    });
  }

  private noRanges(object: S3Object): EngineError {
    return new EngineError(
      "S3_RESPONSE",
      `${this.url(object.key)}: the transfer broke and the store does not answer range requests.`,
      { hint: "Run again.", details: { file: this.url(object.key) }, retry: "yes" },
    );
  }

  private broken(object: S3Object, at: number, cause: unknown): EngineError {
    return new EngineError(
      "S3_UNREACHABLE",
      `${this.url(object.key)}: the transfer broke at byte ${at} of ${object.size}, ${this.maxAttempts} times without progress.`,
      { details: { file: this.url(object.key), byte: at, size: object.size }, cause },
    );
  }

  private sdk(): Promise<Sdk> {
    this.opening ??= openSdk(this.options, this.maxAttempts, this.idleMs);
    return this.opening;
  }
}

type Body = AsyncIterable<Uint8Array> & { destroy(): void };
type Sdk = { readonly client: S3Client } & Pick<
  typeof import("@aws-sdk/client-s3"),
  "ListObjectsV2Command" | "GetObjectCommand" | "HeadObjectCommand"
>;

async function openSdk(
  { settings, credentials }: BucketOptions,
  maxAttempts: number,
  idleMs: number,
): Promise<Sdk> {
  const { S3Client, ListObjectsV2Command, GetObjectCommand, HeadObjectCommand } = await import(
    "@aws-sdk/client-s3"
  );
  const { endpoint } = settings;
  const compatible = endpoint !== undefined;
  const checksums = settings.checksums ?? (compatible ? "when_required" : "when_supported");
  const mode = checksums === "when_required" ? "WHEN_REQUIRED" : "WHEN_SUPPORTED";
  const region = settings.region ?? (compatible ? "us-east-1" : undefined);
  const client = new S3Client({
    ...(compatible ? { endpoint } : {}),
    ...(region === undefined ? {} : { region }),
    forcePathStyle: settings.path_style ?? compatible,
    requestChecksumCalculation: mode,
    responseChecksumValidation: mode,
    ...(settings.profile === undefined ? {} : { profile: settings.profile }),
    ...(credentials === undefined ? {} : { credentials }),
    maxAttempts,
    requestHandler: {
      connectionTimeout: CONNECT_MS,
      // until the head of the response; the body is watched while somebody waits for it
      requestTimeout: idleMs,
      throwOnRequestTimeout: true,
      httpAgent: { keepAlive: true, maxSockets: 128 },
      httpsAgent: { keepAlive: true, maxSockets: 128 },
    },
  });
  return { client, ListObjectsV2Command, GetObjectCommand, HeadObjectCommand };
}

function nextToken(
  page: ListObjectsV2CommandOutput,
  before: string | undefined,
  place: S3Place,
): string | undefined {
  const notAListing = (what: string): EngineError =>
    new EngineError("S3_RESPONSE", `Listing ${urlOf(place.bucket, place.key)}: ${what}.`, {
      details: { bucket: place.bucket, prefix: place.key, endpoint: place.endpoint },
    });
  // A page of HTML with status 200 can be XML too; it would look like an empty bucket.
  if (page.IsTruncated === undefined && page.Name === undefined && page.Contents === undefined) {
    throw notAListing("the answer is not a listing");
  }
  if (page.IsTruncated !== true) return undefined;
  const next = page.NextContinuationToken;
  if (next === undefined) throw notAListing("the answer says that more follows, but not how to ask for it");
  if (next === before) throw notAListing("the same page came twice");
  return next;
}

function objectsOf(page: ListObjectsV2CommandOutput): S3Object[] {
  const encoded = page.EncodingType === "url";
  const objects: S3Object[] = [];
  for (const { Key, Size = 0, ETag, LastModified } of page.Contents ?? []) {
    if (Key === undefined) continue;
    const key = encoded ? decodeURIComponent(Key.replaceAll("+", " ")) : Key;
    if (key.endsWith("/") && Size === 0) continue;
    objects.push({ key, size: Size, etag: quoted(ETag), modified_ms: LastModified?.getTime() ?? 0 });
  }
  return objects;
}

function quoted(etag: string | undefined): string | undefined {
  if (etag === undefined || etag === "") return undefined;
  return `"${etag.replace(/^W\//, "").replaceAll('"', "")}"`;
}

class BrokenBody extends Error {}

/** Breaks off when no byte comes for `idleMs` while the reader waits; a reader that takes its time is not idle. */
async function* withIdleLimit(body: Body, idleMs: number): AsyncGenerator<Uint8Array> {
  const iterator = body[Symbol.asyncIterator]();
  try {
    while (true) {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new BrokenBody(`no byte for ${idleMs} ms`)), idleMs);
      });
      const next = iterator.next();
      next.catch(() => {});
      const found = await Promise.race([next, late]).finally(() => clearTimeout(timer));
      if (found.done) return;
      yield found.value;
    }
  } finally {
    body.destroy();
  }
}
