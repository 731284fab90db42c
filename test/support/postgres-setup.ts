/** Starts one server for all test files of a run; kinds of tests that run together share it. */

import type { TestProject } from "vitest/node";
import { type PostgresServer, startPostgres } from "./postgres-server.ts";

declare module "vitest" {
  export interface ProvidedContext {
    postgresUrl: string;
  }
}

interface Shared {
  users: number;
  server: Promise<PostgresServer>;
}

const SHARED = Symbol.for("loadwright.test.postgres");

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const place = globalThis as { [SHARED]?: Shared };
  const shared = place[SHARED] ?? { users: 0, server: startPostgres() };
  place[SHARED] = shared;
  shared.users += 1;
  const { url } = await shared.server;
  project.provide("postgresUrl", url);
  return async () => {
    shared.users -= 1;
    if (shared.users > 0) return;
    delete place[SHARED];
    await (await shared.server).stop();
  };
}
