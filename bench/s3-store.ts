/** An S3 store in a process of its own, which holds what a case reads. */

import { fork } from "node:child_process";
import { once } from "node:events";
import { createReadStream, statSync } from "node:fs";
import { basename } from "node:path";
import { PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { startFauxqs } from "fauxqs";
import type { S3Place } from "./job.ts";

const KEYS = { accessKeyId: "bench", secretAccessKey: "bench" };
const BUCKET = "bench";

if (process.send !== undefined && process.argv[2] === "serve") {
  const server = await startFauxqs({ port: 0, logger: false, host: "127.0.0.1" });
  server.createBucket(BUCKET);
  process.send(server.address);
  process.on("disconnect", () => process.exit());
}

export interface S3Store {
  readonly place: S3Place;
  /** Under the file's name, alone. */
  put(path: string): Promise<void>;
  stop(): Promise<void>;
}

export async function startS3(): Promise<S3Store> {
  const server = fork(import.meta.filename, ["serve"]);
  const [endpoint] = (await once(server, "message")) as [string];
  const client = new S3Client({ endpoint, region: "us-east-1", forcePathStyle: true, credentials: KEYS });
  let stored = "";
  return {
    place: { endpoint, bucket: BUCKET, ...KEYS },
    async put(path) {
      if (stored === path) return;
      const object = { Bucket: BUCKET, Key: basename(path) };
      const Body = createReadStream(path);
      await client.send(new PutObjectCommand({ ...object, Body, ContentLength: statSync(path).size }));
      stored = path;
    },
    async stop() {
      client.destroy();
      server.disconnect();
      await once(server, "exit");
    },
  };
}
