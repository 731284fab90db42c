/** All tools, in the order in which they are listed. */

import type { Tool } from "./define-tool.ts";
import { diagnoseError } from "./diagnose-tool.ts";
import { dropPendingPackages, queryLoads } from "./load-tools.ts";
import { profileTableTool, runChecksTool } from "./quality-tools.ts";
import { queryData } from "./query-tools.ts";
import { resetStateTool } from "./reset-tool.ts";
import { cancelRunTool, getRunTool, runPipeline } from "./run-tools.ts";
import { getSchema } from "./schema-tools.ts";
import { inspectStateTool } from "./state-tools.ts";
import { getWorkspace } from "./workspace-tools.ts";

export const CATALOG: readonly Tool[] = [
  getWorkspace,
  runPipeline,
  getRunTool,
  cancelRunTool,
  queryLoads,
  inspectStateTool,
  getSchema,
  queryData,
  profileTableTool,
  runChecksTool,
  diagnoseError,
  dropPendingPackages,
  resetStateTool,
];
