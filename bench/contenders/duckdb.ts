/** Lets DuckDB load by its own SQL. */

import { DuckDBInstance } from "@duckdb/node-api";
import type { Job } from "../job.ts";

const { address, sql, path } = JSON.parse(process.argv[2]!) as Job;
const instance = await DuckDBInstance.create(address);
const connection = await instance.connect();
await connection.run("set TimeZone = 'UTC'");
for (const statement of sql) await connection.run(statement.replaceAll("{path}", path));
connection.closeSync();
instance.closeSync();
