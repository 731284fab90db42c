import { appendFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { newRunId } from "../../src/engine/package/trace.ts";
import { runningReport } from "../../src/tools/run-report.ts";
import type { TestWorkspace } from "./workspace.ts";

/** So many pipelines more, each with two runs that failed or succeeded long ago. */
export function manyPipelines(workspace: TestWorkspace, count: number): void {
  const sections: string[] = [];
  for (let i = 0; i < count; i++) {
    const pipeline = `pipeline_${String(i).padStart(3, "0")}`;
    sections.push(`[pipelines.${pipeline}]\nsource = "shop"\ndescription = "Orders of shop number ${i}"\n`);
    for (const [nth, status] of (["failed", "succeeded"] as const).entries()) {
      const started = Date.UTC(2026, 0, 1 + nth, 0, 0, i % 60, i);
      const runId = newRunId(started);
      const dir = join(workspace.dir, ".loadwright/pipelines", pipeline, "runs", runId);
      mkdirSync(dir, { recursive: true });
      const report = {
        ...runningReport({ runId, pipeline }, { started, pid: 1 }),
        status,
        rows: { orders: i },
      };
      writeFileSync(join(dir, "trace.json"), JSON.stringify(report));
    }
  }
  appendFileSync(join(workspace.dir, "loadwright.toml"), sections.join("\n"));
}
