/** Descriptions of sources, resources, nested tables and zod models become comments of the database. */

import { expect, test } from "vitest";
import { z } from "zod";
import type { ResourceHints } from "../../src/engine/index.ts";
import { onBothDatabases } from "../support/both-databases.ts";
import { succeeded } from "../support/item-shop.ts";

const COMMENTS = {
  duckdb: `select table_name, '', comment from duckdb_tables() where comment is not null
    union all select table_name, column_name, comment from duckdb_columns() where comment is not null order by 1, 2`,
  postgres: `select c.relname, coalesce(a.attname, ''), d.description from pg_description d
    join pg_class c on c.oid = d.objoid and d.classoid = 'pg_class'::regclass
    left join pg_attribute a on a.attrelid = c.oid and a.attnum = d.objsubid and d.objsubid > 0
    where c.relnamespace = '{}'::regnamespace order by 1, 2`,
};

onBothDatabases("conformance_comments", (database) => {
  const comments = () => database.read(COMMENTS[database.kind]);
  const hints: ResourceHints = {
    description: "What the shop sells; it's all here\\there",
    columns: z.object({ id: z.int().describe("Number of the item"), price: z.number().describe("In euros") }),
    nestedHints: { tags: { description: "Words for searching" } },
  };

  test("of resources, nested tables and models are there after the first load", async () => {
    await database.load([{ id: 1, price: 2.5, tags: ["a"] }], hints);
    expect(await comments()).toEqual([
      ["items", "", "What the shop sells; it's all here\\there"],
      ["items", "id", "Number of the item"],
      ["items", "price", "In euros"],
      ["items__tags", "", "Words for searching"],
    ]);
  });

  test("follow a changed description, and leave what somebody wrote by hand", async () => {
    const described = (description: string): ResourceHints => ({
      columns: {
        id: { data_type: "bigint", description: "Number" },
        note: { data_type: "text", description },
      },
    });
    await database.load([{ id: 1, note: "a" }], described("Said by the buyer"));
    await database.change("comment on column {}.items.id is 'by hand'");
    await database.load([{ id: 2, note: "b" }], described("Said by the seller"));
    expect(await comments()).toEqual([
      ["items", "id", "by hand"],
      ["items", "note", "Said by the seller"],
    ]);
  });

  test("come to tables that were loaded before they had any", async () => {
    await database.load([{ id: 1, price: 1 }]);
    expect(await comments()).toEqual([]);
    await database.load([{ id: 2, price: 2 }], { columns: { id: { description: "Number" } } });
    expect(await comments()).toEqual([["items", "id", "Number"]]);
  });

  test("of the source become the dataset's, where the database has comments on schemas", async () => {
    const source = database.source([{ id: 1 }], {}, { description: "All of the shop" });
    succeeded(await database.pipeline().run(source));
    if (database.kind === "duckdb") return expect(await comments()).toEqual([]);
    const ofDataset = await database.read("select obj_description('{}'::regnamespace)");
    expect(ofDataset).toEqual([["All of the shop"]]);
  });
});
