import { defineConfig } from "vitest/config";

/** One project a kind of test; `npm test` runs them all. */
const project = (name: string, timeoutMs: number) => ({
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
    testTimeout: timeoutMs,
    hookTimeout: timeoutMs,
    // DuckDB's native threads and vitest's worker threads do not mix
    pool: "forks" as const,
  },
});

export default defineConfig({
  test: {
    projects: [
      project("unit", 30_000),
      project("conformance", 60_000),
      project("destination", 60_000),
      project("mcp", 60_000),
      project("e2e", 300_000),
    ],
  },
});
