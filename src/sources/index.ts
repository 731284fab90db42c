/** Public surface of "loadwright/sources": the built-in sources as parts for a source of one's own. */

export { filesystemResources } from "./filesystem/resources.ts";
export * from "./http/index.ts";
