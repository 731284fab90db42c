/** A package that is being normalized, and where its jobs go. */

import { type NormalizeWork, PackageNormalizer } from "../normalize/normalize-package.ts";
import type { OpenPackage } from "../package/store.ts";
import type { JobInfo } from "../package/types.ts";
import type { Schema } from "../schema/types.ts";
import { namingOf } from "./naming.ts";
import type { Run } from "./run.ts";

export interface Normalizing {
  readonly open: OpenPackage;
  /** Changed as rows are added. */
  readonly schema: Schema;
  readonly normalizer: PackageNormalizer;
  /** Extracted jobs that it has the rows of, by their files. */
  readonly added: Set<string>;
}

export function normalizing(
  { context, pipeline, durable }: Run,
  open: OpenPackage,
  schema: Schema,
  options: Pick<NormalizeWork, "onFull" | "refusedTables"> = {},
): Normalizing {
  const normalizer = new PackageNormalizer(
    {
      loadId: open.load_id,
      schema,
      naming: namingOf(pipeline, schema),
      to: open.jobsDir,
      jobFormat: pipeline.destination.capabilities.jobFormat,
      sync: durable,
      keepRejected: pipeline.options.keepRejected !== false,
      ...options,
    },
    context,
  );
  return { open, schema, normalizer, added: new Set() };
}

export async function addJob({ normalizer, added }: Normalizing, job: JobInfo, from: string): Promise<void> {
  if (added.has(job.file)) return;
  await normalizer.add(job, from);
  added.add(job.file);
}
