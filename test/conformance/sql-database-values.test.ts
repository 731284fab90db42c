/**
 * Every type's values arrive as they were. From Postgres they go into a DuckDB file and back into Postgres, where
 * the server itself compares the rows that came back with those that left.
 */

import pg from "pg";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { duckdb, pipeline, postgres } from "../../src/engine/index.ts";
import { createSource } from "../../src/sources/registry.ts";
import { createDatabase } from "../support/postgres-server.ts";
import { Copy } from "../support/sql-database.ts";

let url: string;
let client: pg.Client;

beforeAll(async () => {
  url = await createDatabase(inject("postgresUrl"), "sql_values");
  client = new pg.Client({ connectionString: url });
  await client.connect();
});
afterAll(async () => client.end());

/** Column: its type, and values as SQL. */
const TYPES: Record<string, [type: string, ...values: string[]]> = {
  small: ["smallint", "-32768", "32767", "0"],
  big: ["bigint", "-9223372036854775808", "9223372036854775807", "9007199254740993"],
  dec: ["numeric(38,10)", "1234567890123456789012345678.0123456789", "-0.0000000001", "0.1"],
  free: ["numeric", "12345678901234567890123456789.123456789", "-7", "0.000000001"],
  dbl: ["double precision", "'NaN'", "'-Infinity'", "0.1", "1e-320", "1.7976931348623157e308", "-0.0"],
  flag: ["boolean", "true", "false"],
  txt: [
    "text",
    "''",
    `E'tab\\tline\\nquote"back\\\\slash\\x01\\x0b\\x7f'`,
    "'\\N'",
    "'€ 😀'",
    "repeat('long ', 500)",
  ],
  vc: ["varchar(10)", "'abc  '"],
  uid: ["uuid", "'00000000-0000-0000-0000-00000000000f'"],
  bytes: ["bytea", "'\\x'", "'\\x00ff5c0a09'"],
  tz: [
    "timestamptz",
    "'2024-02-29 23:59:59.123456+05:30'",
    "'0001-01-01 00:00:00Z'",
    "'9999-12-31 23:59:59.999999Z'",
  ],
  ts: ["timestamp", "'2024-02-29 23:59:59.000001'", "'1969-12-31 23:59:59.5'"],
  day: ["date", "'0001-01-01'", "'2024-02-29'", "'9999-12-31'"],
  clock: ["time", "'00:00:00'", "'23:59:59.999999'", "'12:34:56.7'"],
  doc: [
    "jsonb",
    `'{"a": [1, "x\\"y", null, true], "b": {"c": 12345678901234567}}'`,
    "'[]'",
    `'"text"'`,
    "'null'",
  ],
  list: ["text[]", "array['a', 'b\"c', null]", "'{}'"],
  numbers: ["numeric[]", "array[1.10, 12345678901234567890.12]"],
  span: ["interval", "'1 year 2 days 03:04:05.678'"],
  address: ["inet", "'10.0.0.1/8'"],
};

test("from Postgres to DuckDB and back, every value of every type is what it was", async () => {
  await client.query("create type mood as enum ('glad', 'sad'); create domain price as numeric(10,3)");
  const types = { ...TYPES, feeling: ["mood", "'glad'"], cost: ["price", "12.345"] } as typeof TYPES;
  const names = Object.keys(types);
  await client.query(
    `create table v (id int primary key, ${names.map((n) => `${n} ${types[n]![0]}`).join(", ")})`,
  );
  let id = 0;
  await client.query(`insert into v (id) values (${id++})`);
  for (const [name, [, ...values]] of Object.entries(types)) {
    for (const value of values) await client.query(`insert into v (id, ${name}) values (${id++}, ${value})`);
  }
  const copy = new Copy(url);
  expect((await copy.run({ tables: ["v"] })).warnings).toEqual([]);

  const back = await createSource("sql_database", {
    config: { schema: "target", tables: ["v"] },
    secrets: { credentials: `duckdb:///${copy.file}` },
    workspaceDir: copy.folder,
  });
  const returned = await pipeline({
    name: "back",
    destination: postgres({ url }),
    dataset: "returned",
    dir: `${copy.folder}/back`,
  }).run(back);
  expect(returned.error).toBeUndefined();
  expect(returned.warnings).toEqual([]);
  // what has no type of its own came back as text; JSON's order of keys and spaces do not count
  const shown = (name: string, type: string): string =>
    /^(text|varchar|uuid|interval|inet|mood)/.test(type) && !type.endsWith("[]")
      ? type === "interval"
        ? `(${name}::interval)::text`
        : `${name}::text`
      : type.endsWith("[]") || type === "jsonb"
        ? type === "numeric[]"
          ? `(select string_agg(e #>> '{}', ',') from jsonb_array_elements(to_jsonb(${name})) e)`
          : `to_jsonb(${name})::text`
        : type === "double precision"
          ? `${name}::float8::text`
          : /^(numeric|price)/.test(type)
            ? `trim_scale(${name}::numeric)::text`
            : `${name}::text`;
  const select = (table: string) =>
    `select id, ${names.map((n) => `${shown(n, types[n]![0])} as ${n}`).join(", ")} from ${table} order by id`;
  await client.query("set timezone = 'UTC'");
  const before = (await client.query(select("v"))).rows;
  const after = (await client.query(select("returned.v"))).rows;
  expect(after.map((row) => ({ ...row, id: Number(row.id) }))).toEqual(before);
  copy.remove();
});

test("what no destination holds becomes null, and the report says how often", async () => {
  await client.query(`create table odd (id int, at timestamptz, day date, n numeric);
    insert into odd values (1, 'infinity', '0044-03-15 BC', 'NaN'), (2, '-infinity', '12024-01-01', '1.5')`);
  const copy = new Copy(url);
  const { warnings } = await copy.run({ tables: ["odd"] });
  expect(
    warnings.filter((text) => /became null/.test(text)).map((text) => text.replace(/: zero.*/, "")),
  ).toEqual([
    "Resource odd: 2 values of column at of table odd became null",
    "Resource odd: 2 values of column day of table odd became null",
    "Resource odd: 1 values of column n of table odd became null",
  ]);
  expect(await copy.rows("select id, n from odd order by id")).toEqual([
    ["1", null],
    ["2", "1.500000000"],
  ]);
  copy.remove();
});

test("a number with more digits than its column would keep is refused, and arrives when the column is declared", async () => {
  await client.query("create table fine (n numeric); insert into fine values (0.1234567890123)");
  const copy = new Copy(url);
  const failed = await copy.run({ tables: ["fine"] }).catch((error) => error);
  expect((failed.error ?? failed).code).toBe("VALUE_UNSUPPORTED");
  const columns = { n: { data_type: "decimal", precision: 38, scale: 18 } };
  await copy.run({ tables: ["fine"], resources: { fine: { columns } } });
  expect(await copy.rows("select n from fine")).toEqual([["0.123456789012300000"]]);
  copy.remove();
});

test("a table of a loadwright dataset is copied without the bookkeeping of its load", async () => {
  await client.query("create table item (id int); insert into item values (1)");
  const copy = new Copy(url);
  await copy.run({ tables: ["item"] });
  const source = await createSource("sql_database", {
    config: { schema: "target" },
    secrets: { credentials: `duckdb:///${copy.file}` },
    workspaceDir: copy.folder,
  });
  expect(source.resources.map(({ name }) => name)).toEqual(["item"]);
  expect(Object.keys(source.resources[0]!.hints.columns!)).toEqual(["id"]);
  const again = pipeline({
    name: "again",
    destination: duckdb({ path: `${copy.folder}/again.duckdb` }),
    dir: `${copy.folder}/again`,
  });
  const report = await again.run(source);
  expect(report.error).toBeUndefined();
  expect(report.rows).toMatchObject({ item: 1 });
  copy.remove();
});

/**
 * A column that is declared as another type makes the table be read as text; else its columns are copied in binary
 * form. Both must give the same table.
 */
test.each(["Postgres", "DuckDB"])(
  "a table of %s read as columns is the one that is read as text",
  async (kind) => {
    await client.query(`drop schema if exists odd cascade; create schema odd; create domain odd.word as text;
    create table odd.t (id int, retyped int, r real, c char(5), w odd.word, n numeric, ts timestamp, tz timestamptz, d date,
      clock time, long text, j jsonb, b bytea);
    insert into odd.t (id) values (0);
    insert into odd.t (id, r, c, w, n) values (1, 0.1, 'ab', 'x  ', 'NaN'), (2, '-Infinity', '', '', '-12.50'), (3, 16777217, 'ü', 'ü', 0);
    insert into odd.t (id, ts, tz, d, clock) values (4, 'infinity', '-infinity', 'infinity', '12:00'),
      (5, '0001-12-31 23:59:59.999999 BC', '10000-01-01Z', '10000-01-01', null), (6, '9999-12-31 23:59:59.999999', '9999-12-31 23:59:59Z', '0001-01-01', '00:00:00.000001'),
      (7, '1969-12-31 23:59:59.999999', '2000-01-01Z', '1999-12-31', '23:59:59.999999');
    insert into odd.t (id, clock) values (8, '24:00:00');
    insert into odd.t (id, long, j, b, retyped) select i, case i % 4 when 0 then 'the same long text' when 1 then 'another ' || i || repeat('x', i % 90) end,
      jsonb_build_object('a', i), decode(repeat('ff', i % 40), 'hex'), i from generate_series(9, 15000) i`);
    const from = new Copy(url, {}, "from");
    const config = { schema: "odd", tables: ["t"] };
    if (kind === "DuckDB") await from.run(config);
    const source = kind === "DuckDB" ? `duckdb:///${from.file}` : url;
    const wanted = kind === "DuckDB" ? { schema: "target", tables: ["t"] } : config;
    const [columns, text] = [new Copy(source, {}, "columns"), new Copy(source, {}, "text")];
    const told = (await columns.run(wanted)).warnings;
    const asText = await text.run({
      ...wanted,
      resources: { t: { columns: { retyped: { data_type: "text" } } } },
    });
    expect(told).toEqual(asText.warnings);
    if (kind === "Postgres") expect(told).toHaveLength(4);
    const sql = (copy: Copy) =>
      copy.rows("select * exclude (retyped, _dlt_id, _dlt_load_id) from t order by id");
    const rows = await sql(columns);
    expect(rows).toHaveLength(15_001);
    expect(rows).toEqual(await sql(text));
    for (const copy of [from, columns, text]) copy.remove();
  },
);
