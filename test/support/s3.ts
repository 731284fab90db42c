/** An S3 server of the tests' own, and a proxy in front of it that counts requests and injects faults. */

import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { DeleteObjectCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { type FauxqsServer, startFauxqs } from "fauxqs";

export type RequestKind = "list" | "get" | "head" | "other";

export interface SeenRequest {
  readonly kind: RequestKind;
  /** Of the object; empty for a listing. */
  readonly key: string;
  /** Of the listing. */
  readonly query: URLSearchParams;
  readonly range: string | undefined;
  /** How many requests of this kind for this key came before. */
  readonly before: number;
}

/** What the proxy does instead of passing the answer on. */
export type Fault =
  | { readonly status: number; readonly body?: string; readonly headers?: Record<string, string> }
  /** The connection is closed after so many bytes of the body. */
  | { readonly cutAfter: number }
  /** No more bytes come after so many, but the connection stays open. */
  | { readonly stallAfter: number }
  /** The text of the answer, changed. */
  | { readonly rewrite: (text: string) => string }
  /** Done before the request is passed on. */
  | { readonly first: () => Promise<void> };

export class S3Test {
  readonly bucket = "exports";
  readonly seen: SeenRequest[] = [];
  fault: (request: SeenRequest) => Fault | undefined = () => undefined;
  private readonly server: FauxqsServer;
  private readonly proxy: Server;
  private readonly client: S3Client;

  private constructor(server: FauxqsServer, proxy: Server) {
    this.server = server;
    this.proxy = proxy;
    this.client = new S3Client({
      endpoint: server.address,
      region: "us-east-1",
      forcePathStyle: true,
      credentials: { accessKeyId: "test", secretAccessKey: "test" },
    });
  }

  static async start(): Promise<S3Test> {
    const server = await startFauxqs({ port: 0, logger: false, host: "127.0.0.1" });
    const proxy = createServer();
    await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
    const test = new S3Test(server, proxy);
    proxy.on("request", (incoming, answer) => void test.pass(incoming, answer));
    server.createBucket(test.bucket);
    return test;
  }

  /** Of the proxy. */
  get endpoint(): string {
    return `http://127.0.0.1:${(this.proxy.address() as AddressInfo).port}`;
  }

  get settings() {
    return { bucket: this.bucket, endpoint: this.endpoint, max_attempts: 3, idle_seconds: 5 };
  }

  readonly secrets = {
    "credentials.aws_access_key_id": "AKIAEXAMPLE",
    "credentials.aws_secret_access_key": "example-secret-key",
  };

  async put(key: string, body: string | Uint8Array): Promise<void> {
    await this.client.send(new PutObjectCommand({ Bucket: this.bucket, Key: key, Body: body }));
  }

  async remove(key: string): Promise<void> {
    await this.client.send(new DeleteObjectCommand({ Bucket: this.bucket, Key: key }));
  }

  count(kind: RequestKind): number {
    return this.seen.filter((request) => request.kind === kind).length;
  }

  /** An empty bucket, no faults, nothing counted. */
  reset(): void {
    this.server.emptyBucket(this.bucket);
    this.fault = () => undefined;
    this.seen.length = 0;
  }

  async stop(): Promise<void> {
    this.client.destroy();
    this.proxy.closeAllConnections();
    await new Promise((resolve) => this.proxy.close(resolve));
    await this.server.stop();
  }

  private async pass(incoming: IncomingMessage, answer: ServerResponse): Promise<void> {
    const described = this.describe(incoming);
    const fault = this.fault(described);
    this.seen.push(described);
    if (fault && "status" in fault) {
      incoming.resume();
      answer.writeHead(fault.status, { "content-type": "application/xml", ...fault.headers });
      answer.end(fault.body ?? "");
      return;
    }
    if (fault && "first" in fault) await fault.first();
    const { port, hostname } = new URL(this.server.address);
    const { method, url: path, headers } = incoming;
    const onward = request({ host: hostname, port, method, path, headers }, (found) => {
      if (fault && "rewrite" in fault) {
        const parts: Buffer[] = [];
        found.on("data", (part: Buffer) => parts.push(part));
        found.on("end", () => {
          const { "content-length": _, ...kept } = found.headers;
          answer.writeHead(found.statusCode!, kept);
          answer.end(fault.rewrite(Buffer.concat(parts).toString()));
        });
        return;
      }
      answer.writeHead(found.statusCode!, found.headers);
      const limit =
        fault && "cutAfter" in fault
          ? fault.cutAfter
          : fault && "stallAfter" in fault
            ? fault.stallAfter
            : undefined;
      if (limit === undefined) {
        found.pipe(answer);
        return;
      }
      let sent = 0;
      answer.flushHeaders();
      found.on("data", (part: Buffer) => {
        const bytes = part.subarray(0, Math.max(0, limit - sent));
        sent += bytes.length;
        answer.write(bytes);
        if (sent < limit || !fault || !("cutAfter" in fault)) return;
        found.destroy();
        // after the bytes have left
        setTimeout(() => answer.destroy(), 20);
      });
    });
    onward.on("error", () => answer.destroy());
    incoming.pipe(onward);
  }

  private describe(incoming: IncomingMessage): SeenRequest {
    const url = new URL(incoming.url ?? "/", "http://s3");
    const key = decodeURIComponent(url.pathname.split("/").slice(2).join("/"));
    const kind =
      incoming.method === "HEAD"
        ? "head"
        : incoming.method !== "GET"
          ? "other"
          : url.searchParams.has("list-type")
            ? "list"
            : "get";
    const before = this.seen.filter((other) => other.kind === kind && other.key === key).length;
    return { kind, key, query: url.searchParams, range: incoming.headers.range, before };
  }
}

/** An error as S3 writes it. */
export function s3ErrorXml(code: string, message = "injected", more = ""): string {
  return `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>${message}</Message>${more}<RequestId>1</RequestId></Error>`;
}
