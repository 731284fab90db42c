/** Another program that has a DuckDB file open: `node hold-database.ts <path>`, until it is killed. */

import { spawn } from "node:child_process";
import { DuckDBInstance } from "@duckdb/node-api";

/** Starts it; resolves when it has the file. The answer ends it. */
export function holdDatabase(path: string): Promise<{ readonly pid: number; release(): Promise<void> }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [import.meta.filename, path], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    const ended = new Promise<void>((done) => child.on("close", () => done()));
    child.on("error", reject);
    child.stdout.once("data", () =>
      resolve({
        pid: child.pid!,
        async release() {
          child.kill("SIGKILL");
          await ended;
        },
      }),
    );
  });
}

if (process.argv[1] === import.meta.filename) {
  const instance = await DuckDBInstance.create(process.argv[2]);
  await (await instance.connect()).run("select 1");
  process.stdout.write("held");
  // with its standard input open the process stays, and ends when the test does
  process.stdin.on("end", () => process.exit(0)).resume();
}
