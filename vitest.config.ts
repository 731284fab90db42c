import { defineConfig } from "vitest/config";

/** One project a kind of test; `npm test` runs them all. */
const project = (name: string, timeoutMs: number, globalSetup: string[] = []) => ({
  test: {
    name,
    globalSetup,
    include: [`test/${name}/**/*.test.ts`],
    testTimeout: timeoutMs,
    hookTimeout: timeoutMs,
    // DuckDB's native threads and vitest's worker threads do not mix
    pool: "forks" as const,
  },
});

const POSTGRES = ["test/support/postgres-setup.ts"];

export default defineConfig({
  test: {
    projects: [
      project("unit", 30_000),
      project("conformance", 60_000, POSTGRES),
      project("destination", 60_000, POSTGRES),
      project("mcp", 60_000),
      project("e2e", 300_000),
    ],
  },
});
