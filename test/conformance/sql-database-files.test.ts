/** SQLite and DuckDB files as sources. */

import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { DuckDBInstance } from "@duckdb/node-api";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Copy, loaded, refusal } from "../support/sql-database.ts";

let folder: Copy;
beforeEach(() => {
  folder = new Copy("");
});
afterEach(() => folder.remove());

describe("SQLite", () => {
  let database: DatabaseSync;
  let copy: Copy;
  beforeEach(() => {
    const file = join(folder.folder, "shop.db");
    database = new DatabaseSync(file);
    copy = new Copy(`sqlite:///${file}`);
  });
  afterEach(() => {
    database.close();
    copy.remove();
  });

  test("every kind of value arrives as it was", async () => {
    database.exec(`create table v (id integer primary key, big bigint, r real, t text, b blob, flag boolean, d date,
      moment datetime, price decimal(10,2), j json, whatever)`);
    database.exec(`insert into v values (1, 9223372036854775807, 0.1, 'a "b" \\ ' || char(10) || '€😀', x'00ff', 1,
      '2024-02-29', '2024-02-29 23:59:59.123456', 12.34, '{"a": [1.5]}', 'x')`);
    database.exec("insert into v (id, r, whatever) values (2, 2.0, 'y')");
    expect((await copy.run()).status).toBe("succeeded");
    expect(
      await copy.rows("select big, r, t, hex(b), flag, d, moment, price, j, whatever from v order by id"),
    ).toEqual([
      [
        "9223372036854775807",
        0.1,
        'a "b" \\ \n€😀',
        "00FF",
        true,
        "2024-02-29",
        "2024-02-29 23:59:59.123456+00",
        "12.34",
        '{"a":[1.5]}',
        "x",
      ],
      [null, 2, null, null, null, null, null, null, null, "y"],
    ]);
  });

  test("a cursor of text goes on where it stopped; restated and late rows are loaded", async () => {
    database.exec("create table t (id integer primary key, n text, updated_at text)");
    const put = (id: number, n: string, at: string) =>
      database.prepare("insert or replace into t values (?, ?, ?)").run(id, n, at);
    put(1, "a", "2024-01-01 00:00:00");
    put(2, "b", "2024-01-02 00:00:00");
    const config = { resources: { t: { incremental: { cursor: "updated_at" } } } };
    expect(loaded(await copy.run(config))).toEqual({ t: 2 });
    expect(loaded(await copy.run(config))).toEqual({});
    put(1, "restated", "2024-01-03 00:00:00");
    put(3, "late", "2024-01-02 00:00:00");
    expect(loaded(await copy.run(config))).toEqual({ t: 2 });
    expect(await copy.rows("select id, n from t order by id")).toEqual([
      ["1", "restated"],
      ["2", "b"],
      ["3", "late"],
    ]);
  });

  test("a file that is missing or no database is told", async () => {
    expect((await refusal(new Copy("sqlite:////nowhere/x.db").run())).code).toBe("FILE_NOT_FOUND");
    expect((await refusal(new Copy(`sqlite:///${import.meta.filename}`).run())).code).toBe("FILE_FORMAT");
    database.exec("create table orders (id int)");
    expect((await refusal(copy.run({ tables: ["ordres"] }))).hint).toContain('"orders"');
  });
});

describe("DuckDB", () => {
  const file = () => join(folder.folder, "lake.duckdb");
  async function fill(sql: string): Promise<void> {
    const instance = await DuckDBInstance.create(file());
    const connection = await instance.connect();
    await connection.run(sql);
    connection.closeSync();
    instance.closeSync();
  }
  const from = () => new Copy(`duckdb:///${file()}`);

  test("every kind of value arrives as it was", async () => {
    await fill(`create table v as select 1 as id, 9223372036854775807::bigint as big,
      170141183460469231731::hugeint as huge, 1.25::decimal(38,10) as price, 'nan'::double as nan, 0.1 ::double as tenth,
      'a "b" \\ ' || chr(10) || '€😀' as t, '\\x00\\xFF'::blob as b, true as flag, date '2024-02-29' as d,
      timestamp '2024-02-29 23:59:59.123456' as moment, timestamptz '2024-02-29 23:59:59+02' as tz, time '12:34:56.7' as clock,
      [1, 2] as l, {'a': 'x'} as s, map {'k': 1} as m, 'b'::enum('a', 'b') as e, uuid '00000000-0000-0000-0000-00000000000f' as u;
      insert into v (id, d, moment) values (2, 'infinity', '-infinity')`);
    const copy = from();
    const { warnings } = await copy.run();
    expect(warnings.map((text) => text.replace(/ of table.*/, ""))).toEqual([
      "Resource v: 1 values of column d",
      "Resource v: 1 values of column moment",
    ]);
    const names = "big, huge, price, nan::text, tenth, t, hex(b), flag, d, moment, tz, clock, l, s, m, e, u";
    expect(await copy.rows(`select ${names} from v order by id`)).toEqual([
      [
        "9223372036854775807",
        "170141183460469231731",
        "1.2500000000",
        "nan",
        0.1,
        'a "b" \\ \n€😀',
        "00FF",
        true,
        "2024-02-29",
        "2024-02-29 23:59:59.123456",
        "2024-02-29 21:59:59+00",
        "12:34:56.7",
        "[1,2]",
        '{"a":"x"}',
        '{"k":1}',
        "b",
        "00000000-0000-0000-0000-00000000000f",
      ],
      Array(17).fill(null),
    ]);
    copy.remove();
  });

  test("a table of several row groups has each row once, with deleted ones missing", async () => {
    await fill("create table t as select i as id from range(300000) r(i); delete from t where id % 3 = 0");
    const copy = from();
    expect(loaded(await copy.run())).toEqual({ t: 200_000 });
    expect(await copy.rows("select count(distinct id), sum(id)::bigint from t")).toEqual([
      ["200000", "30000000000"],
    ]);
    copy.remove();
  });

  test("a cursor goes on where it stopped, keys are reflected, views are read when asked for", async () => {
    await fill(`create table t (id integer primary key, moment timestamptz); create view w as select id from t;
      insert into t values (1, '2024-01-01 00:00:00.5+00'), (2, '2024-01-02 00:00:00+00')`);
    const copy = from();
    const config = { resources: { t: { incremental: { cursor: "moment" } } } };
    expect(loaded(await copy.run(config))).toEqual({ t: 2 });
    expect(loaded(await copy.run(config))).toEqual({});
    await fill(
      "insert into t values (3, '2024-01-02 00:00:00+00'); update t set moment = '2024-01-03 00:00:00+00' where id = 1",
    );
    expect(loaded(await copy.run(config))).toEqual({ t: 2 });
    expect(await copy.rows("select count(*), max(moment) from t")).toEqual([["3", "2024-01-03 00:00:00+00"]]);
    expect(loaded(await copy.run({ tables: ["w"] }))).toEqual({ w: 3 });
    copy.remove();
  });
});
