/**
 * That s3_exports needs no more memory for many or large objects: 10,000 small ones, and one of 1 GB (CSV, JSON
 * Lines and Parquet); and that a second run costs only listing calls, of which there are as many as thousands of
 * keys. The server, which holds the objects in memory, and the run are processes of their own.
 *
 *     node bench/s3.ts [--objects 10000] [--mb 1000] [--only small,csv,jsonl,parquet] [--destination-mb 256]
 */

import { type ChildProcess, fork } from "node:child_process";
import { subscribe } from "node:diagnostics_channel";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { DuckDBInstance } from "@duckdb/node-api";
import { startFauxqs } from "fauxqs";
import { duckdb, Pipeline, Source } from "../src/engine/index.ts";
import { s3ExportsResources } from "../src/sources/s3_exports/s3-exports.ts";
import { putInParts } from "./s3-store.ts";

const BUCKET = "bench";
const ROWS_PER_SMALL_FILE = 100;
const SECRETS = {
  "credentials.aws_access_key_id": "bench",
  "credentials.aws_secret_access_key": "bench",
};

interface Order {
  readonly kind: "small" | "csv" | "jsonl" | "parquet";
  readonly objects: number;
  readonly mb: number;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    objects: { type: "string", default: "10000" },
    mb: { type: "string", default: "1000" },
    "destination-mb": { type: "string", default: "256" },
    only: { type: "string", default: "small,csv,jsonl,parquet" },
  },
});
if (positionals[0] === "serve") await serve(JSON.parse(positionals[1]!) as Order);
else if (positionals[0] === "run") await run(positionals[1]!, positionals[2]!, Number(positionals[3]));
else await main();

async function main(): Promise<void> {
  for (const kind of values.only.split(",") as Order["kind"][]) {
    const order: Order = { kind, objects: Number(values.objects), mb: Number(values.mb) };
    const server = child("serve", JSON.stringify(order));
    const { endpoint, bytes, count } = await answer<{ endpoint: string; bytes: number; count: number }>(
      server,
    );
    const dir = mkdtempSync(join(tmpdir(), "loadwright-bench-s3-"));
    try {
      console.log(`${kind}: ${count} objects, ${Math.round(bytes / 1e6)} MB`);
      for (const run of ["first run", "second run"]) {
        const runner = child("run", endpoint, dir, values["destination-mb"]);
        const told = await answer<{ seconds: number; peakMb: number; rows: number }>(runner);
        server.send("count");
        const requests = await answer<Record<string, number>>(server);
        const counted = Object.entries(requests).map(([kind, count]) => `${count} ${kind}`);
        console.log(
          `  ${run}: ${told.rows} rows, ${told.seconds.toFixed(1)} s, peak RSS ${told.peakMb} MB, requests: ${counted.join(", ")}`,
        );
      }
    } finally {
      rmSync(dir, { recursive: true, force: true });
      server.kill();
    }
  }
}

/** What the child sends next. The S3 server tells its parent where it listens by a message of its own, a text. */
async function answer<T extends object>(from: ChildProcess): Promise<T> {
  while (true) {
    const [message] = (await once(from, "message")) as [unknown];
    if (typeof message === "object") return message as T;
  }
}

function child(...args: string[]): ChildProcess {
  return fork(fileURLToPath(import.meta.url), args, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
}

async function serve({ kind, objects, mb }: Order): Promise<void> {
  const server = await startFauxqs({ port: 0, logger: false, host: "127.0.0.1" });
  server.createBucket(BUCKET);
  const client = new S3Client({
    endpoint: server.address,
    region: "us-east-1",
    forcePathStyle: true,
    credentials: { accessKeyId: "bench", secretAccessKey: "bench" },
  });
  let bytes = 0;
  const put = async (key: string, body: Uint8Array): Promise<void> => {
    bytes += body.length;
    await client.send(new PutObjectCommand({ Bucket: BUCKET, Key: key, Body: body }));
  };
  if (kind === "small") {
    for (let i = 0; i < objects; i++) {
      await put(`day-${String(i).padStart(6, "0")}.csv`, csvOf(i * ROWS_PER_SMALL_FILE, ROWS_PER_SMALL_FILE));
    }
  } else {
    const body = await bigFile(kind, mb * 1e6);
    bytes = body.length;
    await putInParts(client, BUCKET, `big.${kind}`, body);
  }
  let requests: Record<string, number> = {};
  subscribe("http.server.request.start", (message) => {
    const { method, url = "" } = (message as { request: IncomingMessage }).request;
    const kind = url.includes("list-type=2") ? "list" : String(method);
    requests[kind] = (requests[kind] ?? 0) + 1;
  });
  process.on("message", () => {
    process.send!(requests);
    requests = {};
  });
  process.send!({ endpoint: server.address, bytes, count: kind === "small" ? objects : 1 });
}

function row(id: number): string {
  return `${id},2024-01-${String((id % 28) + 1).padStart(2, "0")},customer ${id % 5000},${(id % 10_000) / 100},"a, quoted text of row ${id}"\n`;
}

function csvOf(first: number, count: number): Buffer {
  const lines = ["id,day,customer,amount,note\n"];
  for (let id = first; id < first + count; id++) lines.push(row(id));
  return Buffer.from(lines.join(""));
}

async function bigFile(kind: "csv" | "jsonl" | "parquet", bytesMin: number): Promise<Uint8Array> {
  if (kind === "parquet") return bigParquet(bytesMin);
  const parts: Buffer[] = kind === "csv" ? [Buffer.from("id,day,customer,amount,note\n")] : [];
  let length = 0;
  for (let id = 0; length < bytesMin; ) {
    const lines: string[] = [];
    for (const end = id + 10_000; id < end; id++) {
      const day = `2024-01-${String((id % 28) + 1).padStart(2, "0")}`;
      lines.push(
        kind === "csv"
          ? row(id)
          : `${JSON.stringify({ id, day, customer: `customer ${id % 5000}`, amount: (id % 10_000) + 0.25, note: `a text of row ${id}` })}\n`,
      );
    }
    const part = Buffer.from(lines.join(""));
    parts.push(part);
    length += part.length;
  }
  return Buffer.concat(parts);
}

/** Random text, so that it is as large as its rows. */
async function bigParquet(bytesMin: number): Promise<Uint8Array> {
  const dir = mkdtempSync(join(tmpdir(), "loadwright-bench-parquet-"));
  const instance = await DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  const rows = Math.round(bytesMin / 120);
  await connection.run(
    `copy (select range as id, range % 5000 as customer, random() as amount, md5(random()::varchar) || md5(random()::varchar) || md5(random()::varchar) as note from range(${rows}))
     to '${dir}/big.parquet' (format parquet)`,
  );
  connection.closeSync();
  instance.closeSync();
  const bytes = readFileSync(join(dir, "big.parquet"));
  rmSync(dir, { recursive: true });
  return bytes;
}

async function run(endpoint: string, dir: string, destinationMb: number): Promise<void> {
  const started = performance.now();
  const pipeline = new Pipeline({
    name: "bench",
    destination: duckdb({ path: join(dir, "bench.duckdb") }),
    dir: join(dir, "work"),
    limits: { destinationMemoryBytesMax: destinationMb * 1024 * 1024 },
  });
  const source = new Source({
    name: "s3_exports",
    resources: s3ExportsResources({ bucket: BUCKET, endpoint }, SECRETS),
  });
  const report = await pipeline.run(source);
  if (report.error !== undefined) throw new Error(`${report.error.code}: ${report.error.message}`);
  process.send!({
    rows: report.rows.exports ?? 0,
    seconds: (performance.now() - started) / 1000,
    peakMb: Math.round(process.resourceUsage().maxRSS / 1024),
  });
  process.disconnect();
}
