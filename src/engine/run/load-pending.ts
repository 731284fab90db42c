/** Packages that are here are loaded, oldest first: each one builds on those before it. */

import { loadStep } from "./load-step.ts";
import { normalizeStep } from "./normalize-step.ts";
import type { PackageAhead } from "./package-ahead.ts";
import type { Run } from "./run.ts";

/** Loads every pending package; normalizes it first where needed. */
export async function loadPending(run: Run, ahead?: PackageAhead): Promise<void> {
  const { store, recorder } = run;
  for (;;) {
    run.context.signal.throwIfAborted();
    const next = (await store.pendingPackages())[0];
    if (!next) return;
    const manifest = await store.readManifest(next);
    const recovered = manifest.run_id !== recorder.runId;
    if (recovered)
      recorder.package({
        load_id: next.load_id,
        schema_name: manifest.schema_name,
        recovered,
        resources: manifest.resources,
      });
    if (next.stage === "extracted") await normalizeStep(run, next);
    else await loadStep(run, next, ahead);
  }
}
