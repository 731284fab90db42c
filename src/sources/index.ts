/** Public surface of "loadwright/sources": the built-in sources as parts for a source of one's own. */

export { type EverflowOptions, everflowResources } from "./everflow/resources.ts";
export { filesystemResources } from "./filesystem/resources.ts";
export * from "./http/index.ts";
export { type RedtrackOptions, redtrackResources } from "./redtrack/resources.ts";
export type { ResponseVerdict, RestApiInput } from "./rest_api/config.ts";
export { restApi } from "./rest_api/resources.ts";
export { s3ExportsResources } from "./s3_exports/s3-exports.ts";
export { sqlDatabaseResources } from "./sql_database/resources.ts";
