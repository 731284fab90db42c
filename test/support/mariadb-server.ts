/**
 * A real MariaDB or MySQL server for the tests, on a free port, in a temporary folder. npm has none: it is used
 * where it is installed (Debian: `apt-get install mariadb-server`) or where MARIADB_SERVER names the program.
 * Where there is none the cases are not run, and say so; with REQUIRE_MARIADB=1 they fail instead.
 */

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { basename, dirname, join } from "node:path";
import mysql from "mysql2/promise";
import { freePort } from "./postgres-server.ts";

export interface MariadbServer {
  /** `mysql://root:…@127.0.0.1:port`, without a database. */
  readonly url: string;
  readonly port: number;
  readonly version: string;
  stop(): Promise<void>;
}

const PASSWORD = "test-only";
const START_MS = 60_000;

/** Undefined: not installed. */
export function findMariadb(): string | undefined {
  const candidates = [
    process.env.MARIADB_SERVER,
    "mariadbd",
    "mysqld",
    "/usr/sbin/mariadbd",
    "/usr/sbin/mysqld",
    "/usr/local/mysql/bin/mysqld",
    "/opt/homebrew/bin/mariadbd",
  ];
  const found = candidates.find((file) => file && spawnSync(file, ["--version"]).status === 0);
  if (found === undefined && process.env.REQUIRE_MARIADB === "1") {
    throw new Error("REQUIRE_MARIADB=1, but there is no mariadbd and no mysqld");
  }
  if (found === undefined)
    console.warn("NOT RUN: the MariaDB cases, because there is no mariadbd and no mysqld");
  return found;
}

/** `options`: further ones of the server, such as `--ssl-cert=…`. */
export async function startMariadb(program: string, options: readonly string[] = []): Promise<MariadbServer> {
  const folder = mkdtempSync(join(tmpdir(), "loadwright-mariadb-"));
  const data = join(folder, "data");
  mkdirSync(data);
  // it refuses to run as root unless that is its user by name
  const user = `--user=${userInfo().username}`;
  initialize(program, data, user);
  const port = await freePort();
  const server = spawn(
    program,
    [
      "--no-defaults",
      `--datadir=${data}`,
      `--port=${port}`,
      "--bind-address=127.0.0.1",
      `--socket=${join(folder, "socket")}`,
      `--pid-file=${join(folder, "pid")}`,
      `--tmpdir=${folder}`,
      user,
      "--innodb-flush-log-at-trx-commit=0",
      "--character-set-server=utf8mb4",
      "--skip-log-bin",
      ...options,
    ],
    { stdio: ["ignore", "ignore", "pipe"] },
  );
  let log = "";
  server.stderr.on("data", (chunk: Buffer) => {
    log = (log + chunk.toString()).slice(-4000);
  });
  const version = await whenReady(server, join(folder, "socket"), () => log);
  return {
    url: `mysql://root:${PASSWORD}@127.0.0.1:${port}`,
    port,
    version,
    async stop() {
      const ended = new Promise((resolve) => server.once("exit", resolve));
      if (server.exitCode === null && server.kill("SIGTERM")) await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function initialize(program: string, data: string, user: string): void {
  const isMariadb =
    basename(program).startsWith("mariadb") ||
    /mariadb/i.test(String(spawnSync(program, ["--version"]).stdout));
  const script = [
    join(dirname(program), "../bin/mariadb-install-db"),
    "/usr/bin/mariadb-install-db",
    "mariadb-install-db",
  ].find((file) => !file.includes("/") || existsSync(file))!;
  const made = isMariadb
    ? spawnSync(
        script,
        [
          "--no-defaults",
          `--datadir=${data}`,
          user,
          "--auth-root-authentication-method=normal",
          "--skip-test-db",
        ],
        { encoding: "utf8" },
      )
    : spawnSync(program, ["--no-defaults", "--initialize-insecure", `--datadir=${data}`, user], {
        encoding: "utf8",
      });
  if (made.status !== 0)
    throw new Error(`the data folder was not made: ${made.stderr || String(made.error)}`);
}

/** Sets the password of root, which has none at first. */
async function whenReady(server: ChildProcess, socketPath: string, log: () => string): Promise<string> {
  const until = Date.now() + START_MS;
  for (;;) {
    if (server.exitCode !== null) throw new Error(`mariadbd ended at its start: ${log()}`);
    try {
      const connection = await mysql.createConnection({ socketPath, user: "root" });
      await connection.query(`create user if not exists 'root'@'127.0.0.1' identified by '${PASSWORD}'`);
      await connection.query("grant all on *.* to 'root'@'127.0.0.1' with grant option");
      const [rows] = await connection.query("select version() as version");
      await connection.query(`alter user 'root'@'localhost' identified by '${PASSWORD}'`);
      await connection.end();
      return (rows as { version: string }[])[0]!.version;
    } catch (error) {
      if (Date.now() > until) throw new Error(`mariadbd did not start: ${String(error)} ${log()}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
