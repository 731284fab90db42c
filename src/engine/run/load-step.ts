/** A normalized package is committed at the destination, and what came of it is reported. */

import { rm } from "node:fs/promises";
import type { CommitReport, PackageToCommit } from "../destinations/destination.ts";
import { EngineError } from "../errors.ts";
import { parseJobName } from "../package/job-name.ts";
import type { PendingPackage } from "../package/store.ts";
import type { Manifest, SchemaChange } from "../package/types.ts";
import type { PackageReport } from "../report.ts";
import { BOUNDARY_TABLE } from "../schema/boundary-table.ts";
import { schemaFromText } from "../schema/documents.ts";
import { writeSchemaFile } from "../schema-files.ts";
import { bytesOf, jobsByTable } from "./jobs.ts";
import type { PackageAhead } from "./package-ahead.ts";
import { packageStart } from "./package-start.ts";
import type { PipelineParts, Run } from "./run.ts";
import { scratchOf } from "./scratch.ts";
import { using, withSession } from "./session.ts";
import { orSetAside } from "./set-aside.ts";

/** `ahead`: what of the package is being loaded already. */
export async function loadStep(run: Run, pending: PendingPackage, ahead?: PackageAhead): Promise<void> {
  const { context, recorder, store, pipeline } = run;
  const loadId = pending.load_id;
  await recorder.step("load", loadId, async (done) => {
    const manifest = await store.readManifest(pending);
    await orSetAside(run, manifest, async () => {
      await store.readVerified(pending, { content: manifest.run_id !== recorder.runId });
      checkJobFormat(pipeline, manifest);
      const schemaJson = await store.readSchema(pending);
      const work: PackageToCommit = {
        ...(await packageStart(run, manifest)),
        schema: schemaFromText(schemaJson),
        schemaJson,
        jobs: jobsByTable(manifest.jobs, pending.jobsDir),
      };
      const begun = await ahead?.take();
      const report = await (begun
        ? using(context, begun.session, () => begun.load.commit(work))
        : withSession(run, (session) => session.commitPackage(work)));
      await store.markLoaded(loadId, new Date(context.now()));
      const { exportSchemaPath } = pipeline.options;
      if (exportSchemaPath) await writeSchemaFile(exportSchemaPath, schemaFromText(schemaJson));
      for (const { table, column, live, schema } of report.mismatched) {
        recorder.warn(
          `Column ${column} of table ${table} is ${live} at the destination, not ${schema}: its values were cast.`,
        );
      }
      recorder.package({
        load_id: loadId,
        schema_name: manifest.schema_name,
        status: "loaded",
        rows: manifest.rows ?? {},
        merged: mergedOf(report),
        ...(manifest.rejected ? { rejected: manifest.rejected } : {}),
        ...(Object.keys(report.nulsRemoved ?? {}).length > 0 ? { nul_removed: report.nulsRemoved } : {}),
        schema_changes: [...(manifest.schema_changes ?? []), ...typeChangesOf(report)],
        resources: manifest.resources,
      });
      done({ rows: manifest.rows ?? {}, bytes: bytesOf(manifest.jobs) });
    }).finally(() => rm(scratchOf(pipeline, loadId), { recursive: true, force: true }));
  });
}

/** Jobs are made for one kind of destination; the pipeline may have been given another one since. */
function checkJobFormat({ name, destination }: PipelineParts, { load_id, jobs }: Manifest): void {
  const { jobFormat } = destination.capabilities;
  const data = jobs.filter(({ table }) => table !== BOUNDARY_TABLE);
  if (data.every(({ file }) => parseJobName(file)?.format === jobFormat)) return;
  throw new EngineError(
    "DESTINATION_CHANGED",
    `Package ${load_id} was normalized for another kind of destination than ${destination.kind}.`,
    { details: { pipeline: name, load_id } },
  );
}

function mergedOf(report: CommitReport): PackageReport["merged"] {
  const merged: Record<string, { deleted: number; deduplicated: number }> = {};
  for (const [table, { deleted, deduplicated }] of Object.entries(report.tables)) {
    if (deleted || deduplicated) merged[table] = { deleted: deleted ?? 0, deduplicated: deduplicated ?? 0 };
  }
  return Object.keys(merged).length > 0 ? merged : undefined;
}

/** Types as the destination names them. */
function typeChangesOf(report: CommitReport): SchemaChange[] {
  return (report.widened ?? []).map(({ table, column, live, schema }) => ({
    kind: "column_changed",
    table,
    column,
    hint: "type",
    before: live,
    after: schema,
  }));
}
