/** Secrets are planted everywhere a workspace can hold one; none may come out of any surface. */

import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Client } from "@modelcontextprotocol/client";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CATALOG } from "../../src/tools/catalog.ts";
import { cli } from "../support/cli.ts";
import { type Connected, makeShop, TRANSPORTS } from "../support/mcp.ts";
import { exampleInput } from "../support/tool-inputs.ts";
import type { TestWorkspace } from "../support/workspace.ts";

const CANARIES = {
  environment: "canary-environment-7f3a91",
  dotenv: "canary-dotenv-51c0de",
  secretsToml: "canary-secrets-toml-a11ce5",
  urlInSecrets: "canary-url-secret-99aa",
  urlInEnvironment: "canary-url-env-77bb",
  config: "canary-config-key-66cc",
  urlInConfig: "canary-config-url-55dd",
  token: "canary-bearer-token-44ee-ff00",
};

const ENVIRONMENT = {
  SOURCES__LEAKY__API_KEY: CANARIES.environment,
  WAREHOUSE_LINK: `postgres://loader:${CANARIES.urlInEnvironment}@db.example.com/shop`,
  MCP__TOKEN: CANARIES.token,
};

/** Prints, logs, stores and throws every secret that it can reach. */
const LEAKY = `import { resource, source } from "loadwright";
export default source({ name: "leaky" }, ({ config, secrets }) => [
  resource({ name: "orders" }, async function* () {
    const all = [secrets.api_key, secrets.password, secrets.token, process.env.WAREHOUSE_LINK, JSON.stringify(config)].join(" | ");
    console.log("printed", all);
    console.error("printed", encodeURIComponent(all));
    if (config.fail) throw new Error("the server said: bad credentials " + all, { cause: new Error(all) });
    yield [{ id: 1, note: all }];
  }),
]);
`;

let workspace: TestWorkspace;
const servers: [string, Connected][] = [];
beforeAll(async () => {
  workspace = await makeShop();
  workspace.write("sources/leaky/index.ts", LEAKY);
  workspace.write(".env", `SOURCES__LEAKY__PASSWORD=${CANARIES.dotenv}\n`);
  workspace.write(
    "secrets.toml",
    `[sources.leaky]\ntoken = "${CANARIES.secretsToml}"\n
[destination.warehouse]\ncredentials = "postgres://loader:${CANARIES.urlInSecrets}@127.0.0.1:1/shop"\n`,
  );
  const config = `config = { api_key = "${CANARIES.config}", base = "https://user:${CANARIES.urlInConfig}@api.example.com/v1"`;
  workspace.write(
    "loadwright.toml",
    `[pipelines.shop]\nsource = "leaky"\n${config}, fail = true }
[pipelines.leaky]\nsource = "leaky"\n${config} }
[pipelines.unreachable]\nsource = "leaky"\ndestination = "warehouse"\n${config} }
[destinations.warehouse]\ntype = "postgres"\n`,
  );
  for (const [name, connect] of TRANSPORTS) {
    servers.push([
      name,
      await connect(workspace.dir, ["--allow", "run,write,destructive"], {}, () => {}, ENVIRONMENT),
    ]);
  }
});
afterAll(async () => {
  for (const [, server] of servers) await server.close();
  workspace.remove();
});

function expectNone(where: string, text: string): void {
  for (const [kind, secret] of Object.entries(CANARIES)) {
    for (const form of [secret, encodeURIComponent(secret), Buffer.from(secret).toString("base64")]) {
      expect(text.includes(form), `${kind} in ${where}: ${text.slice(0, 2000)}`).toBe(false);
    }
  }
}

async function everything(client: Client): Promise<[string, string][]> {
  const said: [string, string][] = [];
  const call = async (name: string, input: Record<string, unknown>): Promise<string> => {
    const told = JSON.stringify(await client.callTool({ name, arguments: input }));
    said.push([`${name} ${JSON.stringify(input)}`, told]);
    return told;
  };
  for (const pipeline of ["shop", "leaky", "unreachable"]) {
    const run = await call("run_pipeline", { pipeline, wait_s: 40, response_format: "detailed" });
    const runId = /\d{8}T\d{6}-[0-9a-f]{6}/.exec(run)?.[0];
    if (runId !== undefined) await call("get_run", { run_id: runId, log_lines: 500, log_level: "debug" });
    for (const tool of CATALOG) {
      if (tool.name === "run_pipeline") continue;
      const input = exampleInput(tool);
      await call(tool.name, { ...input, ...("pipeline" in input ? { pipeline } : {}) });
    }
    await call("query_data", { pipeline, sql: "select * from orders" });
    await call("get_schema", { pipeline: `${CANARIES.config}` });
  }
  const { resources } = await client.listResources();
  said.push(["resources/list", JSON.stringify(resources)]);
  const uris = resources.map((each) => each.uri);
  for (const pipeline of ["shop", "leaky", "unreachable"]) {
    uris.push(...["schema", "state"].map((part) => `loadwright://pipelines/${pipeline}/${part}`));
  }
  for (const uri of uris) {
    const told = await client.readResource({ uri }).then(JSON.stringify, String);
    said.push([uri, told]);
  }
  said.push(["instructions", client.getInstructions() ?? ""]);
  return said;
}

describe("a secret of the workspace", () => {
  for (const [name] of TRANSPORTS) {
    it(`comes out of no answer, resource, error or log of the server (${name})`, async () => {
      const server = servers.find(([each]) => each === name)?.[1] as Connected;
      const said = await everything(server.client);
      expect(said.length).toBeGreaterThan(40);
      for (const [where, text] of said) expectNone(where, text);
      expectNone("the server's log", server.stderr());
    });
  }

  it("is in no trace, log or output that runs leave on disk", () => {
    const files = runFiles(join(workspace.dir, ".loadwright"));
    expect(files.length).toBeGreaterThan(5);
    expect(files.some((file) => readFileSync(file, "utf8").includes("***"))).toBe(true);
    for (const file of files) expectNone(file, readFileSync(file, "utf8"));
  });

  it("is in no output of the command line", async () => {
    for (const args of [
      ["run", "shop"],
      ["run", "shop", "--json"],
      ["pipeline", "shop", "trace"],
      ["tool", "get_run", '{"pipeline": "shop"}'],
      ["list"],
    ]) {
      const { stdout, stderr } = await cli(workspace.dir, ...args);
      expectNone(`loadwright ${args.join(" ")}`, stdout + stderr);
    }
  });
});

/** Traces and logs; the rows of packages are the user's data and stay as they are. */
function runFiles(dir: string): string[] {
  return readdirSync(dir, { recursive: true })
    .map((file) => join(dir, String(file)))
    .filter((file) => file.includes("/runs/") && statSync(file).isFile());
}
