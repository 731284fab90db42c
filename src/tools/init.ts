/** `loadwright init`: a workspace with one small source that runs as it is. */

import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { EngineError } from "../engine/errors.ts";
import { CONFIG_FILE } from "./config.ts";

const FILES: Readonly<Record<string, string>> = {
  [CONFIG_FILE]: `# What to load and where to. No secrets here: they belong in .env or secrets.toml.

[pipelines.example]
source = "example"
dataset = "solar_system"
description = "Three planets, to see a load from end to end"

# [pipelines.example.config]   # handed to the source as \`config\`
# [destinations.warehouse]     # then: destination = "warehouse"
# type = "duckdb"
# path = "warehouse.duckdb"     # or type = "postgres", with DESTINATION__WAREHOUSE__CREDENTIALS in .env
`,
  "sources/example/index.ts": `import { resource, source } from "loadwright";

const PLANETS = [
  { id: 1, name: "Mercury", moons: [] },
  { id: 3, name: "Earth", moons: ["Moon"] },
  { id: 4, name: "Mars", moons: ["Phobos", "Deimos"] },
];

export default source({ name: "example", description: "Planets and their moons" }, () => [
  resource({ name: "planets", writeDisposition: "merge", primaryKey: "id" }, async function* () {
    // Yield rows or pages of rows. Nested lists become tables of their own: planets__moons.
    yield PLANETS;
  }),
]);
`,
  ".env.example": `# Copy to .env, which git ignores. A source named "example" reads secrets.api_key from here:
# SOURCES__EXAMPLE__API_KEY=
`,
  ".gitignore": `.env
secrets.toml
.loadwright/
*.duckdb
*.duckdb.wal
node_modules/
`,
  "README.md": `# A loadwright workspace

\`\`\`sh
loadwright run example              # extract, normalize, load
loadwright pipeline example info    # cursors, pending packages, last runs
loadwright pipeline example schema  # what the tables are
\`\`\`

- \`loadwright.toml\`: pipelines, destinations, settings of the sources
- \`sources/<name>/index.ts\`: a source; plain TypeScript, no build step
- \`.env\` or \`secrets.toml\`: secrets; git ignores both
- \`.loadwright/\`: working folders, traces and logs of runs
`,
};

export interface InitResult {
  readonly workspace: string;
  readonly files: readonly string[];
}

/** Writes the workspace. Refuses with WORKSPACE_EXISTS to replace any file. */
export async function initWorkspace(folder: string): Promise<InitResult> {
  const workspace = resolve(folder);
  const there = Object.keys(FILES).filter((file) => existsSync(join(workspace, file)));
  if (there.length > 0) {
    throw new EngineError("WORKSPACE_EXISTS", `${workspace} already has ${there.join(", ")}`, {
      hint: there.includes(CONFIG_FILE)
        ? `Use the workspace that is there: loadwright list --workspace ${folder}`
        : `Choose a folder without these files, such as ${join(folder, `${basename(workspace)}-etl`)}.`,
      details: { workspace, files: there },
    });
  }
  for (const [file, text] of Object.entries(FILES)) {
    await mkdir(dirname(join(workspace, file)), { recursive: true });
    // `wx`: somebody may have made the file since
    await writeFile(join(workspace, file), text, { flag: "wx" });
  }
  return { workspace, files: Object.keys(FILES) };
}
