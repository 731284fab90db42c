/** An S3 store in a process of its own, which holds what a case reads. */

import { fork } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  S3Client,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { startFauxqs } from "fauxqs";
import type { S3Place } from "./job.ts";

const KEYS = { accessKeyId: "bench", secretAccessKey: "bench" };
const BUCKET = "bench";
const PART_BYTES = 8 << 20;

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
      await putInParts(client, BUCKET, basename(path), await readFile(path));
      stored = path;
    },
    async stop() {
      client.destroy();
      server.disconnect();
      await once(server, "exit");
    },
  };
}

/** The test store takes no large object in one request. */
export async function putInParts(
  client: S3Client,
  bucket: string,
  key: string,
  body: Uint8Array,
): Promise<void> {
  const upload = { Bucket: bucket, Key: key };
  const { UploadId } = await client.send(new CreateMultipartUploadCommand(upload));
  const Parts: { PartNumber: number; ETag: string | undefined }[] = [];
  for (let at = 0; at < body.length; at += PART_BYTES) {
    const PartNumber = Parts.length + 1;
    const part = { ...upload, UploadId, PartNumber, Body: body.subarray(at, at + PART_BYTES) };
    Parts.push({ PartNumber, ETag: (await client.send(new UploadPartCommand(part))).ETag });
  }
  await client.send(new CompleteMultipartUploadCommand({ ...upload, UploadId, MultipartUpload: { Parts } }));
}
