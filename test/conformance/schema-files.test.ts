/** Schema files beside a pipeline: written for people, taken back when they were edited. */

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Row } from "../../src/engine/index.ts";
import { onBothDatabases } from "../support/both-databases.ts";
import { succeeded } from "../support/item-shop.ts";

onBothDatabases("conformance_schema_files", (database) => {
  const run = async (rows: readonly Row[], more = {}) => {
    const folders = {
      importSchemaPath: join(database.dir, "import"),
      exportSchemaPath: join(database.dir, "export"),
    };
    return succeeded(await database.pipeline(folders).run(database.source(rows), more));
  };
  const file = (folder: string) => join(database.dir, folder, "shop.schema.yaml");

  test("the export follows each load, the import file is written once", async () => {
    await run([{ id: 1 }]);
    const first = readFileSync(file("import"), "utf8");
    expect(first).not.toContain("x-normalizer");
    expect(readFileSync(file("export"), "utf8")).toMatch(
      / {2}items:\n {4}columns:\n {6}id:\n {8}data_type: bigint/,
    );
    await run([{ id: 2, note: "x" }]);
    expect(readFileSync(file("import"), "utf8")).toBe(first);
    expect(readFileSync(file("export"), "utf8")).toContain("      note:");
    const versions = await database.read("select count(*) from {}._dlt_version");
    await run([{ id: 3, note: "y" }]);
    expect(await database.read("select count(*) from {}._dlt_version")).toEqual(versions);
  });

  test("an edited file is taken once, and its types hold from the next run on", async () => {
    await run([{ id: 1 }]);
    const edited = readFileSync(file("export"), "utf8").replace(
      / {6}id:\n/,
      "      price:\n        data_type: decimal\n        precision: 10\n        scale: 2\n      id:\n",
    );
    writeFileSync(file("import"), edited);
    const dry = await run([{ id: 2, price: "2.50" }], { dryRun: true });
    expect(dry.packages[0]?.rows).toMatchObject({ items: 1 });
    expect(await database.types("items")).not.toHaveProperty("price");
    const report = await run([{ id: 2, price: "2.50" }]);
    expect(report.warnings).toEqual([expect.stringMatching(/was edited .* items/)]);
    const prices = await database.read("select id, price from {}.items order by id");
    expect(prices).toEqual([
      ["1", null],
      ["2", "2.50"],
    ]);
    expect((await run([{ id: 3, price: "1.00" }])).warnings).toEqual([]);
  });

  test("an edited file may switch the detection of times off", async () => {
    await run([{ id: 1 }]);
    const text = readFileSync(file("export"), "utf8");
    writeFileSync(file("import"), text.replace(/detections:\n *- iso_timestamp\n/, "detections: []\n"));
    await run([{ id: 2, at: "2024-01-01T00:00:00Z" }]);
    expect(await database.read(`select "at" from {}.items where id = 2`)).toEqual([["2024-01-01T00:00:00Z"]]);
  });

  test("a broken file stops the run before anything is fetched", async () => {
    await run([{ id: 1 }]);
    writeFileSync(file("import"), "tables: [");
    const folder = { importSchemaPath: join(database.dir, "import") };
    const report = await database.pipeline(folder).run(database.source([{ id: 2 }]));
    expect(report.error).toMatchObject({ code: "SCHEMA_INVALID", details: { file: file("import") } });
    expect(await database.read("select count(*) from {}.items")).toEqual([["1"]]);
    expect(existsSync(join(database.dir, "extracted", "x"))).toBe(false);
  });
});
