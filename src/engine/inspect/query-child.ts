/** The process of queries: a QueryRequest a line on stdin, a QueryAnswer a line on stdout, one after the other. */

import { toEnvelope } from "../errors.ts";
import type { QueryAnswer, QueryRequest } from "./query-protocol.ts";
import { runGuarded } from "./query-run.ts";

async function answer(line: string): Promise<QueryAnswer> {
  try {
    return { result: await runGuarded(JSON.parse(line) as QueryRequest) };
  } catch (error) {
    return { error: toEnvelope(error) };
  }
}

/** Lines end at \n only: `readline` would end one at U+2028 too, which JSON leaves as it is inside a text. */
async function* lines(): AsyncGenerator<string> {
  let rest = "";
  for await (const chunk of process.stdin.setEncoding("utf8") as AsyncIterable<string>) {
    const parts = (rest + chunk).split("\n");
    rest = parts.pop() ?? "";
    yield* parts;
  }
}

for await (const line of lines()) {
  const text = JSON.stringify(await answer(line));
  await new Promise<void>((resolve) => process.stdout.write(`${text}\n`, () => resolve()));
}
process.exit(0);
