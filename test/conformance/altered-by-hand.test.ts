/** Somebody alters a table between two loads: what the next load does, on either database. */

import { expect, test } from "vitest";
import { onBothDatabases } from "../support/both-databases.ts";

onBothDatabases("conformance_by_hand", (database) => {
  test("a dropped column is added again, and old rows have null there", async () => {
    await database.load([{ id: 1, note: "a" }]);
    await database.change("alter table {}.items drop column note");
    const report = await database.load([{ id: 2, note: "b" }]);
    expect(report.warnings).toEqual([]);
    expect(await database.read("select id, note from {}.items order by id")).toEqual([
      ["1", null],
      ["2", "b"],
    ]);
  });

  test("a dropped table is made again with the new rows, nested tables included", async () => {
    await database.load([{ id: 1, tags: ["a"] }]);
    await database.change("drop table {}.items__tags");
    await database.load([{ id: 2, tags: ["b"] }]);
    expect(await database.read("select value from {}.items__tags")).toEqual([["b"]]);
    expect(await database.read("select id from {}.items order by id")).toEqual([["1"], ["2"]]);
  });

  test("a retyped column keeps its type: values are cast, and the run says so", async () => {
    await database.load([{ id: 1, v: 1 }]);
    await database.change("alter table {}.items alter column v type varchar");
    const report = await database.load([{ id: 2, v: 2 }]);
    expect(report.warnings).toEqual([
      expect.stringMatching(/^Column v of table items is .* not .*: its values were cast\.$/),
    ]);
    expect(await database.read("select id, v from {}.items order by id")).toEqual([
      ["1", "1"],
      ["2", "2"],
    ]);
    expect((await database.types("items")).v).toMatch(/varchar|character varying/i);
  });

  test("a value that the new type cannot hold fails the load, and nothing of the package is there", async () => {
    await database.load([{ id: 1, v: "1" }]);
    await database.change("alter table {}.items alter column v type integer using cast(v as integer)");
    const report = await database.run([{ id: 2, v: "two", other: true }]);
    expect(report.error).toMatchObject({ code: "LOAD_VALUE", details: { table: "items" } });
    expect(JSON.stringify(report)).not.toContain('"two"');
    expect(await database.read("select id from {}.items")).toEqual([["1"]]);
    expect(await database.types("items")).not.toHaveProperty("other");
    await database.load([{ id: 3, v: "3" }]);
    expect(await database.read("select id from {}.items order by id")).toEqual([["1"], ["3"]]);
  });

  test("a column of somebody else's stays and is null in new rows", async () => {
    await database.load([{ id: 1 }]);
    await database.change("alter table {}.items add column theirs integer");
    await database.load([{ id: 2 }]);
    expect(await database.read("select id, theirs from {}.items order by id")).toEqual([
      ["1", null],
      ["2", null],
    ]);
  });
});
