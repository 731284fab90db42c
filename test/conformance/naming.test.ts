/** The naming convention of a pipeline: chosen before the first load, and then it stays. */

import { expect, test } from "vitest";
import { namingByName } from "../../src/engine/schema/naming.ts";
import { onBothDatabases } from "../support/both-databases.ts";
import { succeeded } from "../support/item-shop.ts";

const NAMES = {
  snake_case: ["items", "items__order_lines", "user_id", "unit_price__per_piece"],
  duck_case: ["items", "items__orderLines", "User ID", "unitPrice__perPiece"],
  direct: ["items", "items▶orderLines", "User ID", "unitPrice▶perPiece"],
  sql_cs_v1: ["items", "items__orderLines", "User_ID", "unitPrice__perPiece"],
  sql_ci_v1: ["items", "items__orderlines", "user_id", "unitprice__perpiece"],
} as const;
const ROW = { "User ID": 1, unitPrice: { perPiece: 2.5 }, orderLines: [{ Sku: "a" }] };

onBothDatabases("conformance_naming", (database) => {
  test.each(Object.entries(NAMES))("%s names tables and columns as dlt does", async (naming, names) => {
    const report = await database.pipeline({ naming }).run(database.source([ROW]));
    succeeded(report);
    const [root, nested, ...columns] = names;
    expect(await database.tables()).toEqual([root, nested].sort());
    expect(Object.keys(await database.types(root))).toEqual(expect.arrayContaining([...columns]));
    // goes on with it, also where nobody says so
    succeeded(await database.pipeline().run(database.source([ROW])));
    expect(await database.tables()).toEqual([root, nested].sort());
    const [stored] = await database.read(`select max(schema) from {}._dlt_version`);
    expect(JSON.parse(stored![0]!)).toMatchObject({ normalizers: { names: naming } });
  });

  test("another convention under tables with data is refused, and a dataset without data takes it", async () => {
    succeeded(await database.pipeline().run(database.source([])));
    succeeded(await database.pipeline({ naming: "duck_case" }).run(database.source([ROW])));
    const report = await database.pipeline({ naming: "snake_case" }).run(database.source([ROW]));
    expect(report.error).toMatchObject({
      code: "NAMING_CHANGED",
      details: { naming: "duck_case", wanted: "snake_case" },
    });
    expect(await database.read("select count(*) from {}.items")).toEqual([["1"]]);
  });

  test("an unknown convention is refused before anything is made", () => {
    expect(() => database.pipeline({ naming: "camel" })).toThrow(/no naming convention/);
    expect(namingByName("dlt.common.normalizers.naming.duck_case").name).toBe("duck_case");
  });
});
