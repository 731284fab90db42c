/** The stand-in over a grid in a process of its own: `fork` it with the grid as JSON; it answers with its URL. */

import { EverflowServer } from "./everflow.ts";
import { type Grid, gridDay, type Versions } from "./everflow-grid.ts";

const grid = JSON.parse(process.argv[2]!) as Grid;
const versions: Versions = new Map();
const server = new EverflowServer({
  truth: { stats: (day) => gridDay(grid, day, versions.get(day) ?? 0) },
  today: "2026-03-11",
});
process.on("message", (changed: [string, number][]) => {
  for (const [day, version] of changed) versions.set(day, version);
  process.send!({ restated: changed.length });
});
process.on("disconnect", () => process.exit(0));
process.send!({ url: await server.start() });
