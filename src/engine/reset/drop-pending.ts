/** Dropping pending packages: their cursors go with them, so their rows are fetched again. */

import { EngineError } from "../errors.ts";
import type { PackageStore } from "../package/store.ts";
import type { Manifest } from "../package/types.ts";
import type { DropPlan } from "../pipeline-options.ts";
import { bytesOf, rowsOf } from "../run/jobs.ts";
import { finishCommitted } from "../run/recover.ts";
import type { Run } from "../run/run.ts";

/** What dropping from a package on would do. Errors: NOTHING_PENDING. */
export async function planDrop(pipelineName: string, store: PackageStore, from?: string): Promise<DropPlan> {
  const packages = await store.wouldDrop(from);
  const described: DropPlan["packages"][number][] = [];
  for (const each of packages) {
    let manifest: Manifest | undefined;
    try {
      manifest = await store.readManifest(each);
    } catch (error) {
      // a corrupt package can still be dropped
      if (!(error instanceof EngineError) || error.code !== "PACKAGE_CORRUPT") throw error;
    }
    described.push({
      load_id: each.load_id,
      stage: each.stage,
      rows: rowsOf(manifest?.jobs ?? []),
      bytes: bytesOf(manifest?.jobs ?? []),
      cursors: (manifest?.resources ?? []).flatMap(({ name, cursor }) =>
        cursor ? [{ resource: name, path: cursor.path, from: cursor.after, to: cursor.before }] : [],
      ),
    });
  }
  return { pipeline_name: pipelineName, packages: described, backup: `dropped/${packages[0]!.load_id}` };
}

/**
 * Drops from a package on; one that turns out to be committed already is finished instead. Errors:
 * CONFIRM_EXPIRED when others than the `expected` packages would be dropped.
 */
export async function dropPending(
  run: Run,
  from: string | undefined,
  expected: readonly string[] | undefined,
): Promise<DropPlan> {
  const { store, pipeline } = run;
  await store.discardUnfinished();
  await finishCommitted(run);
  const plan = await planDrop(pipeline.name, store, from);
  const ids = plan.packages.map((each) => each.load_id);
  if (expected && ids.join() !== expected.join()) {
    throw new EngineError(
      "CONFIRM_EXPIRED",
      `The pending packages of ${pipeline.name} are others than when the drop was planned.`,
      { details: { pipeline: pipeline.name, planned: expected, load_ids: ids } },
    );
  }
  await store.dropPending(from);
  return plan;
}
