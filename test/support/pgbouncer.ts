/**
 * PgBouncer in transaction mode in front of the test server, by default with one backend for all clients, so
 * that what a session keeps would be seen by others or lost. npm has no PgBouncer: it is used where it is installed
 * (Debian: `apt-get install pgbouncer`) or where PGBOUNCER names it.
 */

import { spawn, spawnSync } from "node:child_process";
import { chmodSync, chownSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { freePort } from "./postgres-server.ts";

export interface Pooler {
  readonly url: string;
  stop(): Promise<void>;
}

/** Undefined: not installed. */
export function findPgbouncer(): string | undefined {
  const candidates = [process.env.PGBOUNCER, "pgbouncer", "/usr/sbin/pgbouncer"];
  return candidates.find((file) => file && spawnSync(file, ["--version"]).status === 0);
}

export async function startPgbouncer(
  program: string,
  databaseUrl: string,
  { backends = 1 }: { readonly backends?: number } = {},
): Promise<Pooler> {
  const target = new URL(databaseUrl);
  const database = target.pathname.slice(1);
  const folder = mkdtempSync(join(tmpdir(), "loadwright-pgbouncer-"));
  chmodSync(folder, 0o755);
  const port = await freePort();
  const login = `user=${target.username} password=${target.password}`;
  writeFileSync(join(folder, "users.txt"), `"${target.username}" "${target.password}"\n`);
  writeFileSync(
    join(folder, "pgbouncer.ini"),
    `[databases]
${database} = host=${target.hostname} port=${target.port} dbname=${database} ${login}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = plain
auth_file = ${join(folder, "users.txt")}
pool_mode = transaction
default_pool_size = ${backends}
`,
  );
  const nobody = process.getuid?.() === 0 ? userOf("nobody") : undefined;
  if (nobody !== undefined)
    for (const file of ["users.txt", "pgbouncer.ini"]) chownSync(join(folder, file), nobody.uid, nobody.gid);
  const child = spawn(program, [join(folder, "pgbouncer.ini")], {
    ...nobody,
    stdio: ["ignore", "ignore", "pipe"],
  });
  let log = "";
  child.stderr.on("data", (chunk: Buffer) => {
    log = (log + chunk.toString()).slice(-2000);
  });
  const url = `postgresql://${target.username}:${target.password}@127.0.0.1:${port}/${database}`;
  for (let attempt = 0; ; attempt++) {
    const client = new pg.Client({ connectionString: url });
    try {
      await client.connect();
      await client.end();
      break;
    } catch (error) {
      await client.end().catch(() => {});
      if (attempt > 100 || child.exitCode !== null) throw new Error(`pgbouncer: ${String(error)} ${log}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
  return {
    url,
    async stop() {
      const ended = new Promise((resolve) => child.once("exit", resolve));
      if (child.exitCode === null && child.kill("SIGINT")) await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function userOf(name: string): { uid: number; gid: number } {
  const line = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .map((entry) => entry.split(":"))
    .find(([user]) => user === name);
  return { uid: Number(line?.[2]), gid: Number(line?.[3]) };
}
