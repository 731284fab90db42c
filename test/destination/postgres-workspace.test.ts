/** A workspace that loads into Postgres: credentials by dlt's names, and what inspection reads back. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { resource, source } from "../../src/engine/index.ts";
import { inspectLoads } from "../../src/engine/inspect/loads.ts";
import { findSchema } from "../../src/engine/inspect/schema.ts";
import { inspectState } from "../../src/engine/inspect/state.ts";
import { PackageStore } from "../../src/engine/package/store.ts";
import { inspectionOf } from "../../src/tools/inspection.ts";
import { findWorkspace } from "../../src/tools/workspace.ts";
import { createDatabase } from "../support/postgres-server.ts";

let dir: string;
let url: string;
beforeAll(async () => {
  url = await createDatabase(inject("postgresUrl"), "destination_postgres_workspace");
  dir = mkdtempSync(join(tmpdir(), "loadwright-postgres-workspace-"));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const configure = (toml: string, env: string): void => {
  writeFileSync(join(dir, "loadwright.toml"), toml);
  writeFileSync(join(dir, ".env"), env);
};

const orders = source({ name: "shop" }, () => [
  resource({ name: "orders", writeDisposition: "merge", primaryKey: "id" }, async function* () {
    yield [{ id: 1, note: "a" }];
  }),
]);

describe("a workspace", () => {
  test("loads with a URL under dlt's name, and inspection reads the loads", async () => {
    configure(
      '[pipelines.shop]\nsource = "shop"\ndestination = "postgres"\n',
      `DESTINATION__POSTGRES__CREDENTIALS=${url}\n`,
    );
    const opened = findWorkspace(dir).openPipeline("shop");
    const report = await opened.pipeline.run(await orders({}));
    expect(report.error).toBeUndefined();
    expect(opened.secrets.mask("the password is test-only")).not.toContain("test-only");
    expect(opened.secrets.mask("host 127.0.0.1 user postgres")).toBe("host 127.0.0.1 user postgres");
    const { store, read, destination: place } = inspectionOf(findWorkspace(dir), "shop");
    const { loads, destination } = await inspectLoads(store, read);
    expect(destination).toBe("read");
    expect(loads.map(({ status, known_to }) => [status, known_to])).toEqual([["loaded", "both"]]);
    // as on a machine whose disk knows nothing
    const empty = new PackageStore(join(dir, "empty"), { boundary: () => {} });
    const schema = await findSchema(empty, place, { version: 2 }).catch(() => findSchema(empty, place));
    expect(schema.read_from).toBe("destination");
    const state = await inspectState(empty, read, "shop");
    expect(state.destination_view).toBe("read");
    await expect(read("create table x (a int)")).rejects.toThrow(/takes no writes/);
  });

  test("takes fields from loadwright.toml and the password from the secrets", async () => {
    const { hostname, port, username, password, pathname } = new URL(url);
    configure(
      `[pipelines.shop]\nsource = "shop"\ndestination = "warehouse"\n[destinations.warehouse]\ntype = "postgres"\nhost = "${hostname}"\nport = ${port}\ndatabase = "${pathname.slice(1)}"\nusername = "${username}"\nssl_mode = "disable"\n`,
      `DESTINATION__WAREHOUSE__CREDENTIALS__PASSWORD=${password}\n`,
    );
    const report = await findWorkspace(dir)
      .openPipeline("shop")
      .pipeline.run(await orders({}));
    expect(report.error).toBeUndefined();
  });

  test("without credentials opens, and a run says what to set", async () => {
    configure(
      '[pipelines.bare]\nsource = "shop"\ndestination = "warehouse"\n[destinations.warehouse]\ntype = "postgres"\n',
      "",
    );
    const { pipeline } = findWorkspace(dir).openPipeline("bare");
    const report = await pipeline.run(await orders({}));
    expect(report.error?.code).toBe("CONFIG_MISSING");
    expect(report.error?.hint).toContain("DESTINATION__WAREHOUSE__CREDENTIALS");
  });

  test("with a password in loadwright.toml is refused", () => {
    configure('[destinations.warehouse]\ntype = "postgres"\npassword = "x"\n', "");
    expect(() => findWorkspace(dir)).toThrow(/destinations.warehouse.password: secrets do not belong/);
  });
});
