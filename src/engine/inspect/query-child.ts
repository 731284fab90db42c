/** The process of one query: a QueryRequest on stdin, a QueryAnswer on stdout, then it ends. */

import { toEnvelope } from "../errors.ts";
import type { QueryAnswer, QueryRequest } from "./query-protocol.ts";
import { runGuarded } from "./query-run.ts";

async function answer(): Promise<QueryAnswer> {
  try {
    const chunks: Buffer[] = [];
    for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
    const request = JSON.parse(Buffer.concat(chunks).toString("utf8")) as QueryRequest;
    return { result: await runGuarded(request) };
  } catch (error) {
    return { error: toEnvelope(error) };
  }
}

const text = JSON.stringify(await answer());
process.stdout.write(text, () => process.exit(0));
