/** All tools, in the order in which they are listed. */

import { createSourceTool } from "./create-source.ts";
import type { Tool } from "./define-tool.ts";
import { diagnoseError } from "./diagnose-tool.ts";
import { findSourceTool } from "./find-source.ts";
import { listRunsTool } from "./list-runs.ts";
import { dropPendingPackages, queryLoads } from "./load-tools.ts";
import { profileTableTool, runChecksTool } from "./quality-tools.ts";
import { queryData } from "./query-tools.ts";
import { requestSecretTool } from "./request-secret.ts";
import { resetStateTool } from "./reset-tool.ts";
import { cancelRunTool, getRunTool, runPipeline } from "./run-tools.ts";
import { diffSchemaTool } from "./schema-diff-tool.ts";
import { getSchema } from "./schema-tools.ts";
import { searchDocsTool } from "./search-docs.ts";
import { inspectStateTool } from "./state-tools.ts";
import { testSourceTool } from "./test-source.ts";
import { updateSourceTool } from "./update-source.ts";
import { validateSourceTool } from "./validate-source.ts";
import { getWorkspace } from "./workspace-tools.ts";

export const CATALOG: readonly Tool[] = [
  getWorkspace,
  searchDocsTool,
  findSourceTool,
  createSourceTool,
  updateSourceTool,
  validateSourceTool,
  testSourceTool,
  requestSecretTool,
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
