/** Under which name a secret of a pipeline's source is best written. */

import { builtInSourceNames } from "../../sources/registry.ts";
import type { Workspace } from "../workspace.ts";

/**
 * Sections and key. A built-in source serves many pipelines, so a key that does not name its pipeline gets the
 * pipeline's name in front: `SHOP__SOURCES__SQL_DATABASE__CREDENTIALS`.
 */
export function secretPath(pipeline: string, source: string, key: string): string[] {
  const shared = builtInSourceNames().includes(source) && !key.startsWith(`${pipeline.toLowerCase()}_`);
  return [...(shared ? [pipeline] : []), "sources", source, ...key.split(".")];
}

/** The name that it has, or where it is not set, the one to set. */
export function secretName(workspace: Workspace, pipeline: string, source: string, key: string): string {
  const found = workspace.secrets(pipeline).locate(source, key);
  return found.found ? found.name : secretPath(pipeline, source, key).join("__").toUpperCase();
}
