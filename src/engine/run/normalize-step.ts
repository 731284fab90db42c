/** The rows of an extracted package become columns; what they add to the schema is sealed with them. */

import type { LoadAhead } from "../load/ahead.ts";
import { normalizePackage } from "../normalize/normalize-package.ts";
import type { PackageStore, PendingPackage } from "../package/store.ts";
import type { Manifest } from "../package/types.ts";
import { schemaFromText, schemaToText } from "../schema/documents.ts";
import { updateTable } from "../schema/merge.ts";
import type { Schema } from "../schema/types.ts";
import { bumpSchema } from "../schema/version.ts";
import { bytesOf, jobsByTable } from "./jobs.ts";
import { namingOf } from "./naming.ts";
import { packageStart } from "./package-start.ts";
import type { Run } from "./run.ts";
import { orSetAside } from "./set-aside.ts";

/** `ahead`: loads full jobs while the next ones are made. */
export async function normalizeStep(run: Run, pending: PendingPackage, ahead?: LoadAhead): Promise<void> {
  const { context, recorder, store, pipeline } = run;
  const { destination, options } = pipeline;
  const loadId = pending.load_id;
  await recorder.step("normalize", loadId, async (done) => {
    const manifest = await store.readManifest(pending);
    await orSetAside(run, manifest, async () => {
      await store.readVerified(pending, { content: manifest.run_id !== recorder.runId });
      const schema = await schemaToNormalize(
        store,
        manifest,
        schemaFromText(await store.readSchema(pending)),
      );
      const open = await store.beginNormalize(loadId);
      const start = await packageStart(run, manifest);
      const result = await normalizePackage(
        {
          loadId,
          schema,
          naming: namingOf(pipeline, schema),
          jobs: manifest.jobs,
          from: pending.jobsDir,
          to: open.jobsDir,
          jobFormat: destination.capabilities.jobFormat,
          sync: run.durable,
          onFull: ahead && ((job) => ahead.add(start, schema, jobsByTable([job], open.jobsDir)[0]!)),
          keepRejected: options.keepRejected !== false,
          keepNullColumns: options.keepNullColumns === true,
          refusedTables: manifest.refused_tables,
          emptyTables: options.createEmptyTables
            ? manifest.resources.flatMap((resource) => resource.tables)
            : [],
        },
        context,
      );
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
      done(result.rows, bytesOf(manifest.jobs));
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
