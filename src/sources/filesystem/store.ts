/** Where the files of a resource are: a folder of this machine, or a prefix of a bucket. */

import { posix, resolve } from "node:path";
import { EngineError } from "../../engine/errors.ts";
import type { S3Bucket, S3Object } from "../s3/bucket.ts";
import type { S3Settings } from "../s3/config.ts";
import { fetchAhead } from "../s3/fetch-ahead.ts";
import { type ByteSource, localFile } from "./byte-source.ts";
import { type FileStat, listFiles, statFile } from "./list.ts";

/** What tells one version of a file from another. */
export type FileStamp = FileStat | { readonly size: number; readonly etag: string };

export interface StoredFile {
  /** What messages call it: a path or URL. */
  readonly name: string;
  /** Below the base, with `/`: the file's name in the ledger. */
  readonly relative_path: string;
  readonly stamp: FileStamp;
}

export interface OpenedFile<F extends StoredFile = StoredFile> {
  readonly file: F;
  readonly source: ByteSource;
  /** Of the version that is read. */
  readonly stamp: FileStamp;
  /** To be called when all bytes were read. Errors: FILE_CHANGED when they may be of two versions. */
  readonly verify: () => Promise<void>;
}

export interface FileStore<F extends StoredFile = StoredFile> {
  /** Files that match, by relative path in code unit order. */
  list(glob: string | readonly string[], warn: (message: string) => void, signal: AbortSignal): Promise<F[]>;
  /** The files one after the other. One that is gone since it was listed is an error locally and left out in a bucket. */
  open(
    files: readonly F[],
    warn: (message: string) => void,
    signal: AbortSignal,
  ): AsyncIterable<OpenedFile<F>>;
  close(): Promise<void>;
}

interface LocalFile extends StoredFile {
  readonly stamp: FileStat;
}

/** Files below a folder, or the one file that the path names. */
export class LocalStore implements FileStore<LocalFile> {
  private readonly base: string;

  constructor(base: string) {
    this.base = resolve(base);
  }

  async list(glob: string | readonly string[], warn: (message: string) => void): Promise<LocalFile[]> {
    const found = await listFiles(this.base, glob, warn);
    return found.map(({ path, relative_path, size, mtime_ms }) => ({
      name: path,
      relative_path,
      stamp: { size, mtime_ms },
    }));
  }

  async *open(files: readonly LocalFile[]): AsyncGenerator<OpenedFile<LocalFile>> {
    for (const file of files) {
      const path = file.name;
      const before = await statFile(path);
      if (before === undefined) {
        throw new EngineError("FILE_NOT_FOUND", `${path} was listed and is gone.`, {
          hint: "Run again: the files are listed anew.",
          details: { file: path },
          retry: "yes",
        });
      }
      const verify = async (): Promise<void> => {
        const after = await statFile(path);
        if (after !== undefined && sameStamp(before, after)) return;
        throw new EngineError("FILE_CHANGED", `${path} changed while it was read.`, {
          details: { file: path, size_before: before.size, size_after: after?.size },
        });
      };
      yield { file, source: localFile(path, path, before.size), stamp: before, verify };
    }
  }

  async close(): Promise<void> {}
}

interface BucketFile extends StoredFile {
  readonly object: S3Object;
}

/** Objects below a prefix. Each read is bound to one version, so there is nothing to verify afterwards. */
export class BucketStore implements FileStore<BucketFile> {
  private readonly bucket: S3Bucket;
  private readonly prefix: string;
  private readonly settings: S3Settings;

  constructor(bucket: S3Bucket, prefix: string, settings: S3Settings) {
    this.bucket = bucket;
    this.prefix = prefix === "" || prefix.endsWith("/") ? prefix : `${prefix}/`;
    this.settings = settings;
  }

  async list(
    glob: string | readonly string[],
    warn: (message: string) => void,
    signal: AbortSignal,
  ): Promise<BucketFile[]> {
    const matches = globMatcher(glob);
    const files: BucketFile[] = [];
    for await (const objects of this.bucket.list({ prefix: this.prefix + globPrefix(glob), signal })) {
      for (const object of objects) {
        const relative_path = object.key.slice(this.prefix.length);
        if (!matches(relative_path)) continue;
        files.push({ name: this.bucket.url(object.key), relative_path, stamp: stampOf(object), object });
      }
    }
    files.sort((a, b) => (a.relative_path < b.relative_path ? -1 : 1));
    if (files.length === 0) {
      const patterns = typeof glob === "string" ? glob : glob.join(", ");
      warn(`No object in ${this.bucket.url(this.prefix)} matches ${patterns}.`);
    }
    return files;
  }

  async *open(
    files: readonly BucketFile[],
    warn: (message: string) => void,
    signal: AbortSignal,
  ): AsyncGenerator<OpenedFile<BucketFile>> {
    let at = 0;
    const objects = files.map((file) => file.object);
    for await (const fetched of fetchAhead(this.bucket, objects, this.settings, signal)) {
      const file = files[at++]!;
      if (fetched === undefined) warn(`${file.name} was listed and is gone; it is left out.`);
      else {
        const { source, object } = fetched;
        yield { file, source, stamp: stampOf(object), verify: async () => {} };
      }
    }
  }

  close(): Promise<void> {
    return this.bucket.close();
  }
}

/** Times are compared to a hundredth of a millisecond: a copy of a file that keeps its time rounds it. */
export function sameStamp(a: FileStamp, b: FileStamp): boolean {
  if (a.size !== b.size) return false;
  if ("etag" in a || "etag" in b) return "etag" in a && "etag" in b && a.etag === b.etag;
  return Math.abs(a.mtime_ms - b.mtime_ms) < 0.01;
}

/** A stamp as it was stored, or undefined for anything else. */
export function parseStamp(stored: unknown): FileStamp | undefined {
  const { size, mtime_ms, etag } = (stored ?? {}) as { size?: unknown; mtime_ms?: unknown; etag?: unknown };
  if (typeof size !== "number") return undefined;
  if (typeof etag === "string") return { size, etag };
  return typeof mtime_ms === "number" ? { size, mtime_ms } : undefined;
}

/** Where the store lists no ETag the time stands in for it. */
export function stampOf(object: S3Object): { size: number; etag: string } {
  return { size: object.size, etag: object.etag ?? new Date(object.modified_ms).toISOString() };
}

/** Does a path match one of the patterns, and none that begins with `!`? */
export function globMatcher(glob: string | readonly string[]): (path: string) => boolean {
  const patterns = typeof glob === "string" ? [glob] : glob;
  const wanted = patterns.filter((pattern) => !pattern.startsWith("!"));
  const unwanted = patterns.filter((pattern) => pattern.startsWith("!")).map((pattern) => pattern.slice(1));
  return (path) =>
    wanted.some((pattern) => posix.matchesGlob(path, pattern)) &&
    !unwanted.some((pattern) => posix.matchesGlob(path, pattern));
}

/** The folders that a single pattern names without a wildcard: only they need to be listed. */
export function globPrefix(glob: string | readonly string[]): string {
  const pattern = typeof glob === "string" ? glob : glob.length === 1 ? glob[0]! : "";
  const plain = /^[^*?[\]{}()!\\]*/.exec(pattern)![0];
  return plain === pattern ? plain : plain.slice(0, plain.lastIndexOf("/") + 1);
}
