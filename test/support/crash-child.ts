/** A run that kills its own process at the n-th boundary: `node crash-child.ts <scenario> <dir> <n>`. */

import { pipelineIn, SCENARIOS, type ScenarioName } from "./crash-scenarios.ts";

const [scenario, dir, at] = process.argv.slice(2) as [ScenarioName, string, string];
let calls = 0;
const report = await pipelineIn(dir).run(SCENARIOS[scenario].source(dir, 2), {
  boundary: (name) => {
    if (++calls !== Number(at)) return;
    process.stdout.write(name);
    process.kill(process.pid, "SIGKILL");
  },
});
if (report.error) process.stdout.write(JSON.stringify(report.error));
process.exitCode = report.status === "succeeded" ? 0 : 1;
