/** All tools, in the order in which they are listed. */

import type { Tool } from "./define-tool.ts";
import { diagnoseError } from "./diagnose-tool.ts";
import { listRunsTool } from "./list-runs.ts";
import { dropPendingPackages, queryLoads } from "./load-tools.ts";
import { profileTableTool, runChecksTool } from "./quality-tools.ts";
import { queryData } from "./query-tools.ts";
import { resetStateTool } from "./reset-tool.ts";
import { cancelRunTool, getRunTool, runPipeline } from "./run-tools.ts";
import { diffSchemaTool } from "./schema-diff-tool.ts";
import { getSchema } from "./schema-tools.ts";
import { inspectStateTool } from "./state-tools.ts";
import { getWorkspace } from "./workspace-tools.ts";

export const CATALOG: readonly Tool[] = [
  getWorkspace,
  runPipeline,
  getRunTool,
  listRunsTool,
  cancelRunTool,
  queryLoads,
  inspectStateTool,
  getSchema,
  diffSchemaTool,
  queryData,
  profileTableTool,
  runChecksTool,
  diagnoseError,
  dropPendingPackages,
  resetStateTool,
];
