/**
 * A whole pipeline through a transaction pooler with one backend for all clients. Where PgBouncer is not
 * installed the tests are reported as skipped, by a name that says so; with REQUIRE_PGBOUNCER they fail.
 */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { postgres } from "../../src/engine/destinations/postgres/postgres.ts";
import { pipeline, resource, source } from "../../src/engine/index.ts";
import { findPgbouncer, type Pooler, startPgbouncer } from "../support/pgbouncer.ts";
import { createDatabase } from "../support/postgres-server.ts";

const program = findPgbouncer();

test.runIf(process.env.REQUIRE_PGBOUNCER)("PgBouncer is there, as REQUIRE_PGBOUNCER says", () => {
  expect(program).toBeDefined();
});

describe.skipIf(program === undefined)(
  program === undefined ? "NOT RUN, no pgbouncer installed: a transaction pooler" : "a transaction pooler",
  () => {
    let pooler: Pooler;
    let folder: string;
    let database: string;
    beforeAll(async () => {
      database = await createDatabase(inject("postgresUrl"), "destination_postgres_pooler");
      pooler = await startPgbouncer(program!, database);
      folder = await mkdtemp(join(tmpdir(), "postgres-pooler-"));
    });
    afterAll(async () => {
      await pooler.stop();
      await rm(folder, { recursive: true });
    });

    const shop = (name: string, rows: readonly Record<string, unknown>[]) =>
      source({ name }, () => [
        resource({ name: "orders", writeDisposition: "merge", primaryKey: "id" }, async function* () {
          yield [...rows];
        }),
      ]);

    test("carries merge loads of several pipelines that take turns, and leaves its sessions as they were", async () => {
      const names = ["alpha", "beta", "gamma"];
      const pipelines = names.map((name) =>
        pipeline({
          name,
          dataset: `${name}_data`,
          destination: postgres({ url: pooler.url }),
          dir: join(folder, name),
        }),
      );
      for (const note of ["first", "second"]) {
        const reports = await Promise.all(
          pipelines.map(async (each, i) => {
            const rows = Array.from({ length: 500 }, (_, id) => ({ id, note, tags: [`t${id}`] }));
            return each.run(await shop(names[i]!, rows)({}));
          }),
        );
        expect(reports.map((report) => report.error)).toEqual([undefined, undefined, undefined]);
      }
      const { default: pg } = await import("pg");
      const client = new pg.Client({ connectionString: pooler.url });
      await client.connect();
      for (const name of names) {
        const { rows } = await client.query(
          `select count(*)::int as n, min(note) as note, (select count(*)::int from ${name}_data.orders__tags) as tags from ${name}_data.orders`,
        );
        expect(rows).toEqual([{ n: 500, note: "second", tags: 500 }]);
      }
      const { rows: left } = await client.query(
        "select current_setting('statement_timeout') as timeout, (select count(*)::int from pg_class where relpersistence = 't') as temporary",
      );
      expect(left).toEqual([{ timeout: "0", temporary: 0 }]);
      await client.end();
    });
  },
);
