/**
 * Times of the MCP server on a workspace of 300 pipelines: from its start to the answer of the first
 * `tools/list`, and each tool that reads, at the median, half a second after the answer before.
 *
 *   node bench/mcp.ts [rounds]
 */

import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { CATALOG } from "../src/tools/catalog.ts";
import { BIN } from "../test/support/cli.ts";
import { manyPipelines } from "../test/support/many.ts";
import { makeShop } from "../test/support/mcp.ts";
import { exampleInput } from "../test/support/tool-inputs.ts";

/** An agent reads an answer before it asks again. */
const PAUSE_MS = 500;
const rounds = Number(process.argv[2] ?? 15);
const workspace = await makeShop();
manyPipelines(workspace, 300);

async function connect(): Promise<{ client: Client; ms: number }> {
  const began = performance.now();
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [BIN, "mcp", "--workspace", workspace.dir],
    stderr: "ignore",
  });
  const client = new Client({ name: "bench", version: "1.0.0" });
  await client.connect(transport);
  await client.listTools();
  return { client, ms: performance.now() - began };
}

const median = (times: number[]): number =>
  times.sort((a, b) => a - b)[Math.floor(times.length / 2)] ?? Number.NaN;
const show = (what: string, times: number[]): void =>
  console.log(
    `${what.padEnd(32)} p50 ${median(times).toFixed(0).padStart(6)} ms   max ${Math.max(...times)
      .toFixed(0)
      .padStart(6)} ms`,
  );

const starts: number[] = [];
for (let i = 0; i < 7; i++) {
  const { client, ms } = await connect();
  starts.push(ms);
  await client.close();
}
show("start to first tools/list", starts);

const { client } = await connect();
for (const tool of CATALOG.filter((each) => each.mode === "read")) {
  const times: number[] = [];
  for (let i = 0; i < rounds; i++) {
    await sleep(PAUSE_MS);
    const began = performance.now();
    await client.callTool({ name: tool.name, arguments: exampleInput(tool) });
    times.push(performance.now() - began);
  }
  show(tool.name, times);
}
await client.close();
workspace.remove();
