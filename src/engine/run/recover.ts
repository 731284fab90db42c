/** What an earlier run left: every package is brought into one place, and commits are finished. */

import { rm } from "node:fs/promises";
import { counted } from "../counted.ts";
import type { Run } from "./run.ts";
import { scratchFolder } from "./scratch.ts";
import { withSession } from "./session.ts";
import { isVoid } from "./sync.ts";

/** Brings every package into one place and finishes commits whose end was not seen. */
export async function recover(run: Run): Promise<void> {
  const discarded = await run.store.discardUnfinished();
  // what a killed load had spilled to disk
  await rm(scratchFolder(run.pipeline), { recursive: true, force: true });
  run.context.boundary("recover:discarded");
  for (const loadId of [...discarded.extracting, ...discarded.normalizing]) {
    run.context.log("info", "package.unfinished_discarded", { load_id: loadId });
  }
  await finishCommitted(run);
}

/** The load id in `_dlt_loads` is what says that a package was committed; the folder may lag behind. */
export async function finishCommitted(run: Run): Promise<void> {
  const { store, context, recorder, pipeline } = run;
  if ((await store.pendingPackages()).length === 0) return;
  const normalized = await store.list("normalized");
  await withSession(run, async (session) => {
    if (await isVoid(run.store, session)) {
      const { packages } = await store.dropPending();
      recorder.warn(
        `${counted(packages.length, "pending package")} dropped, built on rows that went with dataset ${pipeline.dataset}.`,
      );
      return;
    }
    for (const each of normalized) {
      if (!(await session.isCommitted(each.load_id))) continue;
      context.boundary("recover:committed");
      const manifest = await store.readManifest(each);
      await store.markLoaded(each.load_id, new Date(context.now()));
      recorder.package({
        load_id: each.load_id,
        schema_name: manifest.schema_name,
        status: "loaded",
        recovered: true,
        rows: {},
        warnings: ["The package had been committed by an earlier run that ended before it could note it."],
      });
    }
  });
}
