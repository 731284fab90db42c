/** The rows of an extracted package become columns; what they add to the schema is sealed with them. */

import type { NormalizeResult } from "../normalize/normalize-package.ts";
import type { PackageStore, PendingPackage } from "../package/store.ts";
import type { Manifest } from "../package/types.ts";
import { schemaFromText, schemaToText } from "../schema/documents.ts";
import { updateTable } from "../schema/merge.ts";
import type { Schema } from "../schema/types.ts";
import { bumpSchema } from "../schema/version.ts";
import { bytesOf } from "./jobs.ts";
import { addJob, normalizing } from "./normalizing.ts";
import type { PackageAhead } from "./package-ahead.ts";
import type { Run } from "./run.ts";
import { orSetAside } from "./set-aside.ts";

/** `ahead`: what has been done of the package already; loads full jobs while the next ones are made. */
export async function normalizeStep(run: Run, pending: PendingPackage, ahead?: PackageAhead): Promise<void> {
  const { recorder, store } = run;
  const { options } = run.pipeline;
  const loadId = pending.load_id;
  await recorder.step("normalize", loadId, async (done) => {
    const manifest = await store.readManifest(pending);
    await orSetAside(run, manifest, async () => {
      await store.readVerified(pending, { content: manifest.run_id !== recorder.runId });
      const sealed = schemaFromText(await store.readSchema(pending));
      const declared = await schemaToNormalize(store, manifest, sealed);
      const work =
        (await ahead?.normalize(manifest, declared)) ??
        normalizing(run, await store.beginNormalize(loadId), declared, {
          refusedTables: manifest.refused_tables,
        });
      const { open, schema, normalizer } = work;
      const aheadMs = normalizer.busyMs;
      let result: NormalizeResult;
      try {
        for (const job of manifest.jobs) await addJob(work, job, pending.jobsDir);
        result = await normalizer.finish({
          keepNullColumns: options.keepNullColumns === true,
          emptyTables: options.createEmptyTables
            ? manifest.resources.flatMap((resource) => resource.tables)
            : [],
        });
      } catch (error) {
        await normalizer.abort();
        throw error;
      }
      // sealing moves the files
      await ahead?.idle();
      bumpSchema(schema);
      const rejected = { ...manifest.rejected, ...result.rejected };
      const discards = Object.keys(rejected).length > 0 ? { rejected } : {};
      await store.sealNormalized(
        open,
        {
          manifest: {
            ...manifest,
            ...discards,
            jobs: result.jobs,
            rows: result.rows,
            schema_changes: result.changes,
          },
          schema: schemaToText(schema),
          state: await store.readState(pending),
        },
        { sync: run.durable },
      );
      for (const warning of result.warnings) recorder.warn(warning);
      recorder.package({
        load_id: loadId,
        schema_name: manifest.schema_name,
        status: "normalized",
        rows: result.rows,
        ...discards,
        resources: manifest.resources,
        schema_changes: result.changes,
        warnings: result.warnings,
      });
      done({ rows: result.rows, bytes: bytesOf(manifest.jobs), aheadMs });
    });
  });
}

/**
 * The schema as the package declared it; on top of what earlier packages have added since it was extracted,
 * which happens when several were extracted before the first was normalized.
 */
async function schemaToNormalize(store: PackageStore, manifest: Manifest, declared: Schema): Promise<Schema> {
  const newest = await newestNormalized(store, manifest.schema_name);
  if (
    !newest ||
    declared.version_hash === newest.version_hash ||
    declared.previous_hashes.includes(newest.version_hash)
  ) {
    return declared;
  }
  for (const table of declared.tables.values()) updateTable(newest, table);
  // a contract holds for the package whose run gave it
  newest.settings = declared.settings;
  return newest;
}

async function newestNormalized(store: PackageStore, name: string): Promise<Schema | undefined> {
  for (const each of (await store.list("normalized")).reverse()) {
    if ((await store.readManifest(each)).schema_name !== name) continue;
    return schemaFromText(await store.readSchema(each));
  }
  const text = await store.committedSchema(name);
  return text === undefined ? undefined : schemaFromText(text);
}
