/**
 * A table of Postgres into a DuckDB file and back into Postgres, beside `psql \copy` out to a file and in again.
 *
 *     node bench/sql-database.ts [--rows 1000000] [--runs 3] [--no-indexes] [--dlt-rows 100000]
 *
 * Each step is a process of its own, timed from outside. Which of the two goes first alternates. After every
 * run the checksums of all columns are compared: source table, DuckDB table, and the table that came back.
 * By default the Postgres destination makes a unique index on _dlt_id, which \copy has none of; --no-indexes leaves
 * it out (create_indexes = false). Run it with nice where the machine is shared, and only trust the ratio.
 * With DLT_PYTHON, a Python that has dlt, SQLAlchemy, psycopg2, connectorx and pyarrow, the first leg is done by dlt's backends too;
 * by its default one, which is slow, from a table of --dlt-rows: its rate is compared.
 * The server is a temporary one with its defaults (fsync on), from POSTGRES_BIN or whatever the tests would use.
 */

import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import pg from "pg";
import { duckdb, pipeline, postgres } from "../src/engine/index.ts";
import { createSource } from "../src/sources/registry.ts";
import { createDatabase, startPostgres } from "../test/support/postgres-server.ts";

const COLUMNS = `id bigint primary key, account_id int, amount numeric(14,4), rate double precision, active boolean,
  country varchar(2), note text, day date, created_at timestamptz, updated_at timestamp`;
/** Digits, not floats, so that both databases sum the same. */
const CHECKSUM = `select count(*)::text, sum(id)::text, sum(account_id)::text, sum(amount)::text,
  sum((rate * 1024)::bigint)::text, sum(case when active then 1 else 0 end)::text, sum(length(country))::text,
  sum(length(note))::text, sum((day - date '2000-01-01')::bigint)::text,
  sum(cast(extract(epoch from date_trunc('second', created_at)) as bigint) * 1000000 + cast(extract(microseconds from created_at) as bigint) % 1000000)::text,
  sum(cast(extract(epoch from date_trunc('second', updated_at)) as bigint) * 1000000 + cast(extract(microseconds from updated_at) as bigint) % 1000000)::text`;

const { values } = parseArgs({
  options: {
    rows: { type: "string", default: "1000000" },
    runs: { type: "string", default: "3" },
    step: { type: "string" },
    from: { type: "string" },
    to: { type: "string" },
    folder: { type: "string" },
    "no-indexes": { type: "boolean", default: false },
    "dlt-rows": { type: "string", default: "100000" },
  },
});

/** dlt's default first; it gets fewer rows. */
const BACKENDS = ["sqlalchemy", "pyarrow", "connectorx"] as const;
const python = process.env.DLT_PYTHON;

if (values.step !== undefined) await step(values.step, values.from!, values.to!, values.folder!);
else await bench(Number(values.rows), Number(values.runs));

/** One leg, in a process of its own. */
async function step(name: string, from: string, to: string, folder: string): Promise<void> {
  const source = await createSource("sql_database", {
    config: name === "back" ? { schema: "copied", tables: ["orders"] } : { tables: ["orders"] },
    secrets: { credentials: from },
    workspaceDir: folder,
  });
  const destination =
    name === "back" ? postgres({ url: to, createIndexes: !values["no-indexes"] }) : duckdb({ path: to });
  const dataset = name === "back" ? "returned" : "copied";
  const report = await pipeline({ name, destination, dataset, dir: join(folder, name) }).run(source);
  if (report.status !== "succeeded") throw new Error(report.error?.message);
  const steps = report.steps
    .map(({ step, duration_ms }) => `${step} ${(duration_ms / 1000).toFixed(2)}`)
    .join(", ");
  process.stderr.write(
    `  ${name}: ${steps}; peak ${Math.round((report.peak_memory_bytes ?? 0) / 2 ** 20)} MB\n`,
  );
}

async function bench(rows: number, runs: number): Promise<void> {
  const server = await startPostgres();
  try {
    const url = await createDatabase(server.url, "bench");
    const client = new pg.Client({ connectionString: url });
    // the server ends with the bench, after whatever went wrong there
    client.on("error", () => {});
    await client.connect();
    await client.query("alter system reset all; select pg_reload_conf()").catch(() => {});
    await client.query(`create table orders (${COLUMNS})`);
    await client.query(
      `insert into orders select i, i % 5000, (i * 7919 % 1000003)::numeric / 100, (i % 100000) / 1024.0, i % 3 = 0,
        case when i % 4 = 0 then 'DE' else 'FR' end, 'order "' || i || '" of customer ' || i % 991,
        date '2020-01-01' + (i % 1500)::int, timestamptz '2024-01-01 00:00:00.000123Z' + i * interval '1.000007 second',
        timestamp '2024-01-01' + i * interval '3 second' from generate_series(1, $1::bigint) i`,
      [rows],
    );
    await client.query("vacuum analyze orders; checkpoint").catch(() => {});
    const dltRows = Math.min(rows, Number(values["dlt-rows"]));
    await client.query(`create table some_orders (${COLUMNS})`);
    await client.query("insert into some_orders select * from orders where id <= $1", [dltRows]);
    const found: { ours: number[]; psql: number[]; out: number[]; back: number[] } = {
      ours: [],
      psql: [],
      out: [],
      back: [],
    };
    const dlt = Object.fromEntries(BACKENDS.map((backend): [string, number[]] => [backend, []]));
    for (let run = 0; run < runs; run++) {
      for (const who of run % 2 === 0 ? (["ours", "psql"] as const) : (["psql", "ours"] as const)) {
        const folder = mkdtempSync(join(tmpdir(), "loadwright-bench-"));
        if (who === "ours") {
          await client.query("drop schema if exists returned cascade");
          const file = join(folder, "copy.duckdb");
          const out = await timed(process.execPath, [
            import.meta.filename,
            "--step",
            "out",
            "--from",
            url,
            "--to",
            file,
            "--folder",
            folder,
          ]);
          const back = await timed(process.execPath, [
            import.meta.filename,
            "--step",
            "back",
            "--from",
            `duckdb:///${file}`,
            "--to",
            url,
            "--folder",
            folder,
            ...(values["no-indexes"] ? ["--no-indexes"] : []),
          ]);
          found.out.push(out);
          found.back.push(back);
          found.ours.push(out + back);
          await compare(client, file);
        } else {
          await client.query(
            `drop table if exists plain; create table plain (${COLUMNS.replace(" primary key", "")})`,
          );
          const file = join(folder, "orders.copy");
          const out = await timed("psql", [url, "-qc", `\\copy orders to '${file}'`]);
          const back = await timed("psql", [url, "-qc", `\\copy plain from '${file}'`]);
          process.stderr.write(`  psql: out ${out.toFixed(2)}, in ${back.toFixed(2)}\n`);
          found.psql.push(out + back);
        }
        rmSync(folder, { recursive: true, force: true });
      }
      if (python === undefined) continue;
      for (const backend of BACKENDS) {
        const table = backend === BACKENDS[0] ? "some_orders" : "orders";
        dlt[backend]!.push(await withDlt(python, client, url, table, backend));
      }
    }
    await client.end();
    const result = {
      case: "sql-database",
      machine: {
        cpus: availableParallelism(),
        memoryGb: Math.round(totalmem() / 2 ** 30),
        node: process.version,
      },
      postgres: server.version,
      rows,
      indexes: !values["no-indexes"],
      seconds: found,
      ratio: median(found.psql) / median(found.ours),
      ...(python === undefined
        ? {}
        : { dlt, dltRows: { sqlalchemy: dltRows, pyarrow: rows, connectorx: rows } }),
    };
    mkdirSync(join(import.meta.dirname, "results"), { recursive: true });
    writeFileSync(join(import.meta.dirname, "results", "sql-database.json"), JSON.stringify(result, null, 2));
    const line = (name: string, of: number[]) =>
      console.log(
        `${name.padEnd(34)} ${median(of).toFixed(2)} s  (${of.map((s) => s.toFixed(2)).join(", ")})`,
      );
    console.log(`${rows} rows, Postgres ${server.version}; checksums of all columns are equal; medians`);
    line("psql \\copy out + in", found.psql);
    line("loadwright Postgres → DuckDB", found.out);
    line("loadwright DuckDB → Postgres", found.back);
    line("loadwright, both", found.ours);
    console.log(`rate beside psql: ${result.ratio.toFixed(2)} (both legs beside out + in)`);
    for (const backend of python === undefined ? [] : BACKENDS) {
      line(`dlt, ${backend}, Postgres → DuckDB`, dlt[backend]!);
      const loaded = backend === BACKENDS[0] ? dltRows : rows;
      const ratio = rows / median(found.out) / (loaded / median(dlt[backend]!));
      console.log(`  of ${loaded} rows; loadwright's rate is ${ratio.toFixed(2)} times as high`);
    }
  } finally {
    await server.stop();
  }
}

/** Seconds, of a whole process. */
async function withDlt(
  python: string,
  client: pg.Client,
  url: string,
  table: string,
  backend: string,
): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "loadwright-bench-"));
  const script = join(import.meta.dirname, "contenders", "dlt_sql.py");
  const args = [script, url, table, join(folder, "copy.duckdb"), folder, backend];
  const started = performance.now();
  const told = execFileSync(python, args, { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
  const seconds = (performance.now() - started) / 1000;
  const sums = `select concat_ws(' ', count(*), sum(id), sum(account_id)) as sums from ${table}`;
  const [row] = (await client.query<{ sums: string }>(sums)).rows;
  if (told.trim() !== row?.sums) throw new Error(`dlt, ${backend}, loaded ${told} and not ${row?.sums}`);
  rmSync(folder, { recursive: true, force: true });
  return seconds;
}

async function compare(client: pg.Client, file: string): Promise<void> {
  const { DuckDBInstance } = await import("@duckdb/node-api");
  const instance = await DuckDBInstance.create(file, { access_mode: "READ_ONLY" });
  const connection = await instance.connect();
  await connection.run("set timezone = 'UTC'");
  const middle = (await connection.runAndReadAll(`${CHECKSUM} from copied.orders`)).getRowsJson()[0];
  connection.closeSync();
  instance.closeSync();
  const of = async (table: string) =>
    (await client.query({ text: `${CHECKSUM} from ${table}`, rowMode: "array" })).rows[0];
  const [start, end] = [await of("orders"), await of("returned.orders")];
  for (const other of [middle, end]) {
    if (JSON.stringify(other) !== JSON.stringify(start)) {
      throw new Error(`checksums differ:\n${JSON.stringify(start)}\n${JSON.stringify(other)}`);
    }
  }
}

function timed(program: string, args: readonly string[]): Promise<number> {
  const started = performance.now();
  return new Promise((resolve, reject) => {
    // kept between starts, as the command line keeps it
    const env = { ...process.env, NODE_COMPILE_CACHE: join(tmpdir(), "loadwright-bench-compiled") };
    const child = spawn(program, args, { stdio: ["ignore", "inherit", "inherit"], env });
    child.once("error", reject);
    child.once("exit", (code) =>
      code === 0
        ? resolve((performance.now() - started) / 1000)
        : reject(new Error(`${program} ended with ${code}`)),
    );
  });
}

function median(of: readonly number[]): number {
  return [...of].sort((a, b) => a - b)[of.length >> 1]!;
}
