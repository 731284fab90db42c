/** The public surface of the engine. */

export { DEFAULT_LIMITS, type Limits, type Log, type LogLevel, type ProgressEvent } from "./context.ts";
export type { Destination } from "./destinations/destination.ts";
export { type DuckdbOptions, duckdb } from "./destinations/duckdb/duckdb.ts";
export { type PostgresOptions, postgres, type SslMode } from "./destinations/postgres/postgres.ts";
export { EngineError, ERRORS, type ErrorCode, type ErrorEnvelope, toEnvelope } from "./errors.ts";
export {
  type Incremental,
  type IncrementalOptions,
  incremental,
  type LastValueFunction,
} from "./extract/incremental.ts";
export { checkpoint, JsonlPage, type Row, type Yielded } from "./extract/page.ts";
export {
  type ColumnHints,
  type NestedHints,
  Resource,
  type ResourceHints,
  type ResourceOptions,
  resource,
  Source,
  type SourceContext,
  type SourceFactory,
  type SourceOptions,
  source,
  transformer,
} from "./extract/resource.ts";
export type { CursorView, ResourceContext } from "./extract/resource-context.ts";
export type { WriteDispositionHint } from "./extract/write-disposition.ts";
export { PyFloat, TypedValue } from "./interop/json.ts";
export { Pipeline } from "./pipeline.ts";
export type {
  DropOptions,
  DropPlan,
  PipelineOptions,
  ResourceDropPlan,
  RunOptions,
} from "./pipeline-options.ts";
export type { PackageReport, RunReport, RunStatus, StepReport } from "./report.ts";
export type { RefreshMode } from "./reset/refresh.ts";
export { REPLACE_STRATEGIES, type ReplaceStrategy } from "./sql/replace.ts";

import { Pipeline } from "./pipeline.ts";
import type { PipelineOptions } from "./pipeline-options.ts";

/** Makes a pipeline: `pipeline({ name: "shop", destination: duckdb({ path: "shop.duckdb" }), dir: ".loadwright/shop" })`. */
export function pipeline(options: PipelineOptions): Pipeline {
  return new Pipeline(options);
}
