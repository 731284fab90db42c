/**
 * Errors that a real DuckDB raises about a value must not show the value: not in the message, not in the
 * details, not as the cause.
 */

import { type DuckDBConnection, DuckDBInstance } from "@duckdb/node-api";
import { afterAll, beforeAll, expect, test } from "vitest";
import { duckdbError } from "../../src/engine/destinations/duckdb/errors.ts";
import { toEnvelope } from "../../src/engine/errors.ts";

let instance: DuckDBInstance;
let connection: DuckDBConnection;
beforeAll(async () => {
  instance = await DuckDBInstance.create(":memory:");
  connection = await instance.connect();
  await connection.run("create table t (id bigint not null, u bigint unique, c bigint check (c < 10))");
  await connection.run("create table raw as select '4711x' as v, 4711 as n, '{\"k\": 4711' as j");
  await connection.run("insert into t values (1, 4711, 1)");
});
afterAll(() => {
  connection.closeSync();
  instance.closeSync();
});

async function raised(sql: string): Promise<unknown> {
  return connection.run(sql).then(
    () => {
      throw new Error(`nothing was raised by ${sql}`);
    },
    (error: unknown) => error,
  );
}

test.each([
  ["text to bigint", "select cast(v as bigint) from raw", "BIGINT|INT64"],
  ["out of range", "select cast(n as tinyint) from raw", "INT8|TINYINT"],
  ["decimal too long", "select cast(v || '1' as decimal(3,1)) from raw", "DECIMAL"],
  ["text to timestamp", "select cast(v as timestamptz) from raw", ""],
  ["text to date", "select cast(v as date) from raw", ""],
  ["malformed json", "select cast(j as json) from raw", ""],
  ["duplicate key", "insert into t values (2, 4711, 1)", "constraint"],
  ["check", "insert into t values (2, 4712, 4711)", "constraint"],
  ["own error", "select error(v) from raw", ""],
  ["strptime", "select strptime(v, '%Y-%m') from raw", ""],
])("%s: the value is not told", async (_, sql, says) => {
  const error = duckdbError(await raised(sql), "load", { table: "t", load_id: "1.5" });
  expect(error.code).toBe("LOAD_VALUE");
  expect(error.message).toMatch(new RegExp(says));
  const envelope = toEnvelope(error);
  expect(envelope.details).toMatchObject({ table: "t", load_id: "1.5" });
  expect(JSON.stringify(envelope)).not.toMatch(/4711|4712/);
});

test("a null names its column", async () => {
  const error = duckdbError(await raised("insert into t values (null, 3, 1)"), "load");
  expect(error.message).toBe("Column t.id does not allow null.");
});

test.each([
  ["select * from nope", "query", "TABLE_NOT_FOUND"],
  ["select nope from t", "query", "QUERY_FAILED"],
  ["selec 1", "query", "QUERY_FAILED"],
  ["select * from nope", "load", "LOAD_FAILED"],
] as const)("%s while doing a %s is %s", async (sql, doing, code) => {
  expect(duckdbError(await raised(sql), doing).code).toBe(code);
});

test.each([
  [
    'IO Error: Could not set lock on file "/d/x.duckdb": Conflicting lock is held in /usr/bin/python3.11 (PID 42) by user ann. See also https://duckdb.org',
    { code: "DESTINATION_LOCKED", details: { path: "/d/x.duckdb", pid: 42, program: "/usr/bin/python3.11" } },
  ],
  ['IO Error: Could not set lock on file "/d/x.duckdb": Resource busy', { code: "DESTINATION_LOCKED" }],
  [
    'IO Error: The file "/d/x" exists, but it is not a valid DuckDB database file!',
    { code: "DESTINATION_INVALID" },
  ],
  [
    "IO Error: Trying to read a database file with version number 99, but we can only read versions between 64 and 67.",
    { code: "DESTINATION_INVALID", details: { versions: [99, 64] } },
  ],
  ['IO Error: Cannot open file "/d/x": Permission denied', { code: "DESTINATION_INVALID" }],
  ["IO Error: Could not write file: No space left on device", { code: "DISK_FULL" }],
  [
    'TransactionContext Error: Failed to commit: Could not write file "/d/x.wal": No space left on device',
    { code: "DISK_FULL" },
  ],
  ["Out of Memory Error: failed to allocate data of size 32.0 KiB", { code: "LOAD_FAILED" }],
  ["INTERRUPT Error: Interrupted!", { code: "CANCELLED", retry: "yes" }],
  ["TransactionContext Error: Failed to commit: write-write conflict", { code: "LOAD_FAILED", retry: "yes" }],
])("%s", (message, expected) => {
  expect(duckdbError(new Error(message), "open")).toMatchObject(expected);
});
