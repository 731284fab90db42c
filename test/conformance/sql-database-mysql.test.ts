/** MySQL and MariaDB as a source, against a real server; see test/support/mariadb-server.ts for where it comes from. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import mysql, { type Connection } from "mysql2/promise";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { makeCertificates } from "../support/certificates.ts";
import { findMariadb, type MariadbServer, startMariadb } from "../support/mariadb-server.ts";
import { Copy, loaded, refusal } from "../support/sql-database.ts";

const program = findMariadb();

describe.skipIf(program === undefined)("MariaDB as a source", () => {
  let server: MariadbServer;
  let client: Connection;
  let copy: Copy;

  beforeAll(async () => {
    server = await startMariadb(program!);
    client = await mysql.createConnection({ uri: server.url, multipleStatements: true, charset: "utf8mb4" });
  }, 120_000);
  afterAll(async () => {
    await client?.end();
    await server?.stop();
  });
  beforeEach(async () => {
    await client.query("drop database if exists shop; create database shop; use shop");
    copy = new Copy(`${server.url}/shop`);
  });
  afterEach(() => copy.remove());

  test("every type's values arrive as they were", async () => {
    await client.query(`set time_zone = '+02:00', sql_mode = '';
      create table v (
        id int primary key, tiny tinyint, flag tinyint(1), big bigint, huge bigint unsigned, exact decimal(30,10),
        half float, whole double, bits bit(8), one bit(1), y year, c char(5), txt text, kind enum('a','b'), j json,
        bin varbinary(10), blobs blob, d date, dt datetime(6), ts timestamp(6) null, t time(6)
      ) character set utf8mb4;
      insert into v (id) values (0);
      insert into v values (1, -128, 1, -9223372036854775808, 18446744073709551615, 12345678901234567890.0123456789,
        0.1, 0.1, b'11111111', b'1', 2024, 'ab', '€ 😀 "quote" back\\\\slash\\ttab\\nline', 'b', '{"a": [1, "x\\\\"y"]}',
        x'00ff5c22', x'', '2024-02-29', '2024-02-29 23:59:59.123456', '2024-02-29 23:59:59.123456', '23:59:59.999999');
      insert into v (id, whole, d, dt) values (2, 1.7976931348623157e308, '0000-00-00', '0000-00-00 00:00:00')`);
    const { warnings } = await copy.run();
    expect(warnings.map((text) => text.replace(/: zero.*/, ""))).toEqual([
      "Resource v: 1 values of column d of table v became null",
      "Resource v: 1 values of column dt of table v became null",
    ]);
    const names =
      "tiny, flag, big, huge, exact, half, whole, bits, one, y, c, txt, kind, j, hex(bin), hex(blobs), d, dt, ts, t";
    expect(await copy.rows(`select ${names} from v order by id`)).toEqual([
      Array(20).fill(null),
      [
        "-128",
        true,
        "-9223372036854775808",
        "18446744073709551615",
        "12345678901234567890.0123456789",
        0.10000000149011612,
        0.1,
        "255",
        true,
        "2024",
        "ab",
        '€ 😀 "quote" back\\slash\ttab\nline',
        "b",
        '{"a":[1,"x\\"y"]}',
        "00FF5C22",
        "",
        "2024-02-29",
        "2024-02-29 23:59:59.123456",
        "2024-02-29 21:59:59.123456+00",
        "23:59:59.999999",
      ],
      [...Array(6).fill(null), 1.7976931348623157e308, ...Array(13).fill(null)],
    ]);
  });

  test("a tinyint(1) that is no boolean is refused, and read as a number when declared", async () => {
    await client.query("create table t (n tinyint(1)); insert into t values (7)");
    expect((await refusal(copy.run())).code).toBe("VALUE_UNSUPPORTED");
    await copy.run({ resources: { t: { columns: { n: { data_type: "bigint" } } } } });
    expect(await copy.rows("select n from t")).toEqual([["7"]]);
  });

  test.each([
    ["datetime(6)", (i: number) => `2024-01-01 00:00:0${i}.000001`],
    ["timestamp(3) null", (i: number) => `2024-01-01 00:00:0${i}.5`],
    ["bigint unsigned", (i: number) => `1844674407370955161${i}`],
    ["decimal(20,3)", (i: number) => `${i}.125`],
    ["varchar(20) collate utf8mb4_general_ci", (i: number) => "aBcDeFgHi"[i]!],
  ])("a cursor of type %s goes on where it stopped", async (type, value) => {
    await client.query(`create table t (id int primary key, c ${type}) character set utf8mb4`);
    const rows = [1, 2, 3].map((i) => `(${i}, '${value(i)}')`);
    const config = { resources: { t: { incremental: { cursor: "c" } } } };
    await client.query(`insert into t values ${rows.join(",")}`);
    expect(loaded(await copy.run(config))).toEqual({ t: 3 });
    expect(loaded(await copy.run(config))).toEqual({});
    await client.query(`update t set c = '${type.startsWith("varchar") ? "z" : value(5)}' where id = 1`);
    expect(loaded(await copy.run(config))).toEqual({ t: 1 });
    expect(await copy.rows("select count(*) from t")).toEqual([["3"]]);
  });

  test("keys, comments and views are reflected; columns come and go", async () => {
    await client.query(`create table t (a int, b int comment 'second', primary key (b, a)) comment 'a table';
      insert into t values (1, 2); create view w as select a from t`);
    const report = await copy.run({ write_disposition: "merge", tables: ["t"] });
    expect(loaded(report)).toEqual({ t: 1 });
    await client.query("alter table t add column c decimal(8,2); update t set c = 1.5");
    expect(loaded(await copy.run({ write_disposition: "merge", tables: ["t"] }))).toEqual({ t: 1 });
    expect(await copy.rows("select a, b, c from t")).toEqual([["1", "2", "1.50"]]);
    expect(loaded(await copy.run({ include_views: true }))).toMatchObject({ w: 1 });
    const [[schema]] = (await copy.rows("select schema from _dlt_version order by version desc limit 1")) as [
      [string],
    ];
    expect(JSON.parse(schema).tables.t).toMatchObject({
      description: "a table",
      columns: { b: { description: "second" } },
    });
  });

  test("a large table comes in bounded pages, and goes on after the server ended its connection", async () => {
    await client.query("create table t (id int primary key, note varchar(400))");
    await client.query("insert into t select seq, repeat('x', 300) from seq_1_to_60000");
    const split = new Copy(copy.url, { limits: { packageRowsMax: 5_000 } });
    const config = { resources: { t: { incremental: { cursor: "id" } } } };
    let killed: Promise<unknown> | undefined;
    const failed = await refusal(
      split.run(config, {
        onProgress: ({ step }) => {
          if (step === "load") killed ??= killReaders(client);
        },
      }),
    );
    await killed;
    expect(failed).toMatchObject({ code: "SOURCE_UNREACHABLE", retry: "yes" });
    await split.run(config);
    expect(await split.rows("select count(*), count(distinct id) from t")).toEqual([["60000", "60000"]]);
    split.remove();
  });

  test("faults end in coded errors", async () => {
    await client.query("create table orders (id int); insert into orders values (1)");
    await client
      .query(
        "create or replace user limited identified by 'limited-1'; grant select on shop.nothing to limited",
      )
      .catch(() => {});
    const at = (change: (url: URL) => void): Copy => {
      const url = new URL(copy.url);
      change(url);
      return new Copy(url.toString());
    };
    const wrong = await refusal(
      at((url) => {
        url.password = "wrong-1";
      }).run(),
    );
    expect(wrong).toMatchObject({ code: "SOURCE_LOGIN_REFUSED", retry: "after_fix" });
    expect(JSON.stringify(wrong)).not.toContain("wrong-1");
    expect(
      (
        await refusal(
          at((url) => {
            url.pathname = "/shp";
          }).run(),
        )
      ).code,
    ).toBe("CONFIG_INVALID");
    expect(
      (
        await refusal(
          at((url) => {
            url.port = "1";
          }).run(),
        )
      ).code,
    ).toBe("SOURCE_UNREACHABLE");
    expect((await refusal(copy.run({ tables: ["order"] }))).hint).toContain('"orders"');
    await client.query("create view slow as select sleep(3) as n");
    expect((await refusal(copy.run({ tables: ["slow"], statement_timeout_ms: 200 }))).code).toBe(
      "SOURCE_TIMEOUT",
    );
  });
});

describe.skipIf(program === undefined)(
  "a MariaDB whose certificate is of an authority that nobody knows",
  () => {
    const folder = mkdtempSync(join(tmpdir(), "loadwright-tls-"));
    let authority: string;
    let server: MariadbServer;
    let copy: Copy;

    beforeAll(async () => {
      const made = makeCertificates(folder, "localhost");
      authority = made.authority;
      server = await startMariadb(program!, [
        `--ssl-ca=${authority}`,
        `--ssl-cert=${made.certificate}`,
        `--ssl-key=${made.key}`,
      ]);
      const client = await mysql.createConnection({ uri: server.url, multipleStatements: true });
      await client.query(`create database shop; create table shop.t (n int); insert into shop.t values (1);
      create user secure identified by 'secure-1' require ssl; grant select on shop.* to secure`);
      await client.end();
      copy = new Copy(`mysql://secure:secure-1@127.0.0.1:${server.port}/shop`);
    }, 120_000);
    afterAll(async () => {
      copy?.remove();
      await server?.stop();
      rmSync(folder, { recursive: true, force: true });
    });
    const byName = (): Copy => new Copy(copy.url.replace("127.0.0.1", "localhost"));

    test.each([
      ["prefer", false, "127.0.0.1"],
      ["require", false, "127.0.0.1"],
      ["verify-ca", true, "127.0.0.1"],
      ["verify-full", true, "localhost"],
    ] as const)("is read with %s", async (mode, checked, host) => {
      const from = host === "localhost" ? byName() : copy;
      const report = await from.run({ ssl_mode: mode, ...(checked ? { ssl_root_cert: authority } : {}) });
      expect(loaded(report)).toEqual({ t: 1 });
      if (from !== copy) from.remove();
    });

    test("is refused where the certificate is to be verified, with the setting to make", async () => {
      for (const mode of ["verify-ca", "verify-full"]) {
        const unknown = await refusal(copy.run({ ssl_mode: mode }));
        expect(unknown).toMatchObject({ code: "SOURCE_UNREACHABLE", retry: "after_fix" });
        expect(unknown.message).toContain("certificate could not be verified");
        expect(unknown.hint).toContain("ssl_root_cert");
      }
    });

    test("is refused with verify-full under another name than the certificate's", async () => {
      // an address is another name, too
      const other = await refusal(copy.run({ ssl_mode: "verify-full", ssl_root_cert: authority }));
      expect(other).toMatchObject({ code: "SOURCE_UNREACHABLE", retry: "after_fix" });
      expect(other.message).toContain("certificate is for another host");
      expect(other.hint).toContain("verify-ca");
    });

    test("says that a user has to come encrypted", async () => {
      const plain = await refusal(copy.run({ ssl_mode: "disable" }));
      expect(plain).toMatchObject({ code: "SOURCE_LOGIN_REFUSED", retry: "after_fix" });
    });
  },
);

/** Ends every connection that has a statement of the run's. */
async function killReaders(client: Connection): Promise<void> {
  const [rows] = await client.query(
    "select id from information_schema.processlist where info like 'select `id`%'",
  );
  for (const { id } of rows as { id: number }[]) await client.query(`kill ${id}`).catch(() => {});
}
