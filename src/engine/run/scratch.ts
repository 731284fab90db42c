/** Where a destination spills to disk while it loads: a folder for each package. */

import { join } from "node:path";
import type { PipelineParts } from "./run.ts";

export function scratchFolder({ dir }: Pick<PipelineParts, "dir">): string {
  return join(dir, "scratch");
}

export function scratchOf(pipeline: Pick<PipelineParts, "dir">, loadId: string): string {
  return join(scratchFolder(pipeline), loadId);
}
