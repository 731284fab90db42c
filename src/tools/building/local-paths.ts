/** Places on this machine that the settings of a pipeline name, as they are written. */

import type { PipelineConfig } from "../config.ts";

/** What a source of the workspace's own does with its settings only its code knows. */
export function localPathsOf({
  source,
  config,
  import_schema_path,
  export_schema_path,
}: PipelineConfig): string[] {
  const named = [import_schema_path, export_schema_path];
  if (source === "filesystem") named.push(...textOf(config.path).filter((path) => !isUrl(path)));
  if (source === "rest_api") named.push(...textOf(config.config_file));
  if (source === "sql_database") named.push(...textOf(config.url).flatMap(databaseFileOf));
  return named.filter((path) => path !== undefined);
}

/** The file of a SQLite or DuckDB URL: `sqlite:///data/shop.db`. */
export function databaseFileOf(url: string): string[] {
  const path = /^(?:sqlite|duckdb)(?:\+\w+)?:\/\/\/(.+?)(?:\?.*)?$/is.exec(url)?.[1];
  return path === undefined ? [] : [path];
}

function textOf(value: unknown): string[] {
  return typeof value === "string" ? [value] : [];
}

function isUrl(path: string): boolean {
  return path.startsWith("s3://");
}
