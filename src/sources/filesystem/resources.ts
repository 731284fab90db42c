/** Files of a folder as resources of the engine, and as the built-in source that a pipeline names. */

import { type Resource, resource, Source, type SourceContext } from "../../engine/extract/resource.ts";
import type { BuiltInSource } from "../registry.ts";
import { filesystemConfigSchema } from "./config.ts";
import { type FileResource, filesystem } from "./filesystem.ts";

/**
 * The resources that a configuration describes; for a source of one's own:
 *
 *     source({ name: "exports" }, ({ workspaceDir }) => filesystemResources({ path: "in", glob: "*.csv" }, workspaceDir))
 *
 * A path `s3://…` takes the credentials from `secrets`, or from the AWS chain.
 */
export function filesystemResources(
  config: unknown,
  workspaceDir = ".",
  secrets: SourceContext["secrets"] = {},
): Resource[] {
  return filesystem(config, { workspaceDir, secrets }).map(toResource);
}

export const filesystemSource: BuiltInSource = {
  configSchema: filesystemConfigSchema,
  create: ({ config, workspaceDir, secrets }) =>
    new Source({ name: "filesystem", resources: filesystemResources(config, workspaceDir, secrets) }),
};

function toResource({ name, hints, read }: FileResource): Resource {
  const keyed = Object.values(hints.columns ?? {}).some((column) => column.merge_key || column.dedup_sort);
  // a replace, a merge key and dedup_sort look at all files as a whole
  const whole = hints.write_disposition === "replace" || hints.merge_key !== undefined || keyed;
  const options = {
    name,
    checkpoints: !whole,
    description: hints.description,
    tableName: hints.table_name,
    writeDisposition: hints.write_disposition,
    primaryKey: hints.primary_key,
    mergeKey: hints.merge_key,
    columns: hints.columns,
    maxTableNesting: hints.max_table_nesting,
  };
  return resource(options, read);
}
