/** Lets DuckDB load one file by its own SQL. Prints its peak memory. */

import { DuckDBInstance } from "@duckdb/node-api";
import { CASES } from "../cases.ts";
import { printPeak } from "./peak.ts";

const [file = "", database = "", name = ""] = process.argv.slice(2);

const instance = await DuckDBInstance.create(database);
const connection = await instance.connect();
await connection.run("set TimeZone = 'UTC'");
for (const sql of CASES.find((each) => each.name === name)!.nativeSql(file)) await connection.run(sql);
connection.closeSync();
instance.closeSync();
printPeak();
