/** What the destination is told of a package before its rows are complete. */

import { mkdir } from "node:fs/promises";
import type { PackageStart } from "../destinations/destination.ts";
import type { Manifest } from "../package/types.ts";
import { schemaFromText } from "../schema/documents.ts";
import type { Run } from "./run.ts";
import { scratchOf } from "./scratch.ts";

/** What is known of a package before it is sealed. */
export type KnownOfPackage = Pick<
  Manifest,
  "load_id" | "schema_name" | "resources" | "drop_tables" | "truncate_tables"
>;

/** Makes the package's scratch folder. */
export async function packageStart(
  { context, pipeline, store }: Run,
  manifest: KnownOfPackage,
): Promise<PackageStart> {
  const scratchDir = scratchOf(pipeline, manifest.load_id);
  await mkdir(scratchDir, { recursive: true });
  const previous = await store.committedSchema(manifest.schema_name);
  return {
    loadId: manifest.load_id,
    startedAt: context.now(),
    previousSchema: previous === undefined ? undefined : schemaFromText(previous),
    replaceTables: manifest.resources
      .filter(({ write_disposition }) => write_disposition === "replace")
      .flatMap(({ tables }) => tables),
    dropTables: manifest.drop_tables,
    truncateTables: manifest.truncate_tables,
    scratchDir,
  };
}
