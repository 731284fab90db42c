/** What a sealed package must hold: its manifest and the files that this names, each as it was sealed. */

import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { EngineError } from "../errors.ts";
import { parseJobName } from "./job-name.ts";
import { namesIn, readIfThere } from "./read-folder.ts";
import type { Manifest, PackageRef } from "./types.ts";

/** What keeps this from being the manifest of the package, or undefined. */
export function whatIsWrong(manifest: Partial<Manifest> | null, loadId: string): string | undefined {
  if (typeof manifest !== "object" || manifest === null) return "is not an object";
  if (manifest.format !== 1) return `has format ${String(manifest.format)}, not 1`;
  if (manifest.load_id !== loadId) return `is that of package ${String(manifest.load_id)}`;
  for (const key of ["pipeline_name", "schema_name", "run_id", "created_at"] as const) {
    if (typeof manifest[key] !== "string") return `has no ${key}`;
  }
  if (!Array.isArray(manifest.resources)) return "has no resources";
  if (!Array.isArray(manifest.jobs)) return "has no jobs";
  const odd = manifest.jobs.find((job) => parseJobName(String(job?.file)) === undefined);
  return odd === undefined ? undefined : "names a job file that is none";
}

/** The files in new/ are the jobs of the manifest, neither more nor less nor shorter. */
export async function verifyJobs(ref: PackageRef, manifest: Manifest): Promise<void> {
  const files = new Set(await namesIn(ref.jobsDir));
  for (const job of manifest.jobs) {
    const path = join(ref.jobsDir, job.file);
    if (!files.delete(job.file)) throw corrupt(path, ref.load_id, "is missing");
    const { size } = await stat(path);
    if (size !== job.bytes) throw corrupt(path, ref.load_id, `has ${size} bytes instead of ${job.bytes}`);
  }
  for (const file of files) throw corrupt(join(ref.jobsDir, file), ref.load_id, "is not in the manifest");
}

export async function verifyContent(ref: PackageRef, manifest: Manifest): Promise<void> {
  for (const job of manifest.jobs) {
    if (job.crc32 === undefined) continue;
    const path = join(ref.jobsDir, job.file);
    let crc = 0;
    for await (const bytes of createReadStream(path, { highWaterMark: 1 << 20 })) crc = crc32(bytes, crc);
    if (crc !== job.crc32) throw corrupt(path, ref.load_id, "does not have the checksum it was sealed with");
  }
}

export function corrupt(path: string, loadId: string, what: string, cause?: unknown): EngineError {
  return new EngineError("PACKAGE_CORRUPT", `Package ${loadId}: ${path} ${what}.`, {
    details: { load_id: loadId, path },
    cause,
  });
}

export async function readOrCorrupt(path: string, loadId: string): Promise<string> {
  const text = await readIfThere(path);
  if (text === undefined) throw corrupt(path, loadId, "is missing");
  return text;
}
