import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { defaultContext } from "../../../src/engine/context.ts";
import { acquireLock, lockHolder } from "../../../src/engine/package/lock.ts";
import { thisProcess } from "../../../src/engine/package/process-identity.ts";
import { RunFolder } from "../../../src/engine/package/trace.ts";
import type { RunReport } from "../../../src/engine/report.ts";

const LOCK_MODULE = new URL("../../../src/engine/package/lock.ts", import.meta.url).href;
const RUN = { run_id: "20261122T160245-3e7abc", command: "run shop" };

let dir: string;
const children: ChildProcess[] = [];
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "lock-"));
});
afterEach(async () => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
  await rm(dir, { recursive: true, force: true });
});

/**
 * A process that takes the lock when told a line, says "held" or "LOCKED", and while it holds it keeps a
 * folder that only one process can make: `mkdir` fails if two hold the lock at once.
 */
function contender(): { child: ChildProcess; says: () => Promise<string>; tell: (line: string) => void } {
  const code = `
    import { mkdirSync, rmdirSync } from "node:fs";
    import { createInterface } from "node:readline";
    import { acquireLock } from ${JSON.stringify(LOCK_MODULE)};
    const dir = ${JSON.stringify(dir)};
    let lock;
    console.log("ready");
    for await (const line of createInterface({ input: process.stdin })) {
      if (line === "release") { rmdirSync(dir + "/critical"); lock.release(); console.log("released"); continue; }
      try {
        lock = acquireLock(dir, { run_id: "r" + process.pid, command: "race" }, { now: Date.now, log() {} });
        mkdirSync(dir + "/critical");
        console.log("held");
      } catch (error) { console.log(error.code); }
    }`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", code], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  children.push(child);
  const lines: string[] = [];
  let wake = () => {};
  let rest = "";
  child.stdout?.on("data", (chunk: Buffer) => {
    const parts = (rest + chunk.toString()).split("\n");
    rest = parts.pop() ?? "";
    lines.push(...parts);
    wake();
  });
  const says = async (): Promise<string> => {
    while (lines.length === 0) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    return lines.shift() ?? "";
  };
  return { child, says, tell: (line) => child.stdin?.write(line + "\n") };
}

async function leaveStaleLock(n: number): Promise<void> {
  const info = {
    ...thisProcess(),
    process_start: "another boot:1",
    started_at: "x",
    ...RUN,
    token: `dead${n}`,
  };
  await writeFile(join(dir, "run.lock"), JSON.stringify(info));
}

describe("the lock of a pipeline", () => {
  test("is refused to a second run, which is told who holds it and since when", () => {
    const context = defaultContext({ now: () => 0 });
    const lock = acquireLock(dir, RUN, context);
    expect(lockHolder(dir)).toEqual({ info: lock.info, stale: false });
    expect(() => acquireLock(dir, RUN, context)).toThrow(
      expect.objectContaining({
        code: "LOCKED",
        retry: "yes",
        message: expect.stringContaining(`process ${process.pid}`),
        details: expect.objectContaining({ started_at: "1970-01-01T00:00:00.000Z", command: "run shop" }),
      }),
    );
    lock.release();
    lock.release();
    expect(lockHolder(dir)).toBeUndefined();
    acquireLock(dir, RUN, context).release();
  });

  test("whose pid is used again by another process is taken over, and nothing is left behind", async () => {
    await leaveStaleLock(0);
    expect(lockHolder(dir)?.stale).toBe(true);
    const lock = acquireLock(dir, RUN, defaultContext());
    expect(lockHolder(dir)?.info.token).toBe(lock.info.token);
    expect(await readdir(dir)).toEqual(["run.lock"]);
  });

  test("of another host is never taken over, and the error names the file", async () => {
    const info = { pid: 2 ** 30, host: "elsewhere", started_at: "x", ...RUN, token: "t" };
    await writeFile(join(dir, "run.lock"), JSON.stringify(info));
    expect(() => acquireLock(dir, RUN, defaultContext())).toThrow(
      expect.objectContaining({ code: "LOCKED", hint: expect.stringContaining("elsewhere is gone") }),
    );
  });

  test("that cannot be read is not taken over", async () => {
    await writeFile(join(dir, "run.lock"), "");
    expect(() => acquireLock(dir, RUN, defaultContext())).toThrow(
      expect.objectContaining({ code: "LOCKED" }),
    );
  });

  test("is not released by a run that has lost it", async () => {
    const lock = acquireLock(dir, RUN, defaultContext());
    await leaveStaleLock(1);
    lock.release();
    expect(JSON.parse(await readFile(join(dir, "run.lock"), "utf8")).token).toBe("dead1");
  });

  test("of a run that was killed is taken over by the next, also when it was killed in a takeover", async () => {
    const first = contender();
    expect(await first.says()).toBe("ready");
    first.tell("take");
    expect(await first.says()).toBe("held");
    expect(() => acquireLock(dir, RUN, defaultContext())).toThrow(
      expect.objectContaining({ code: "LOCKED" }),
    );
    const content = await readFile(join(dir, "run.lock"), "utf8");
    first.child.kill("SIGKILL");
    await once(first.child, "exit");
    // the guard that the killed process would have left, had it died while taking over its own kind
    const { createHash } = await import("node:crypto");
    const guard = `run.lock.${createHash("sha256").update(content).digest("hex").slice(0, 16)}`;
    await writeFile(join(dir, guard), content.replace('"token":"', '"token":"g'));
    const lock = acquireLock(dir, RUN, defaultContext());
    expect(lockHolder(dir)).toEqual({ info: lock.info, stale: false });
    expect((await readdir(dir)).sort()).toEqual(["critical", "run.lock"]);
  });

  test("goes to one of several processes that race for it, free or stale", { timeout: 60_000 }, async () => {
    const racers = [contender(), contender(), contender()];
    for (const racer of racers) expect(await racer.says()).toBe("ready");
    for (let round = 0; round < 150; round++) {
      if (round % 3 > 0) await leaveStaleLock(round);
      for (const racer of racers) racer.tell("take");
      const answers = await Promise.all(racers.map((racer) => racer.says()));
      expect(answers.toSorted(), `round ${round}`).toEqual(["LOCKED", "LOCKED", "held"]);
      const winner = racers[answers.indexOf("held")];
      winner?.tell("release");
      expect(await winner?.says()).toBe("released");
      expect(await readdir(dir)).toEqual([]);
    }
  });
});

describe("the trace of a run", () => {
  const report = (run_id: string, more: Partial<RunReport> = {}): RunReport => ({
    run_id,
    pipeline_name: "p",
    dataset_name: "d",
    destination: "duckdb",
    status: "succeeded",
    ...thisProcess(),
    started_at: "2026-11-22T16:02:45.999Z",
    duration_ms: 1,
    steps: [],
    packages: [],
    rows: {},
    warnings: [],
    ...more,
  });
  const ids = ["20261122T160245-000aaa", "20261122T160246-000aaa", "20261122T160247-000aaa"];

  test("is listed newest first, page by page, and pruned from the oldest", async () => {
    const runs = new RunFolder(dir);
    expect(await runs.listRuns({ limit: 2 })).toEqual({ runs: [], unreadable: [] });
    for (const id of ids) await runs.writeTrace(report(id));
    const page = await runs.listRuns({ limit: 2 });
    expect(page.runs.map((run) => run.run_id)).toEqual([ids[2], ids[1]]);
    const rest = await runs.listRuns({ limit: 2, before: page.next });
    expect(rest.runs.map((run) => run.run_id)).toEqual([ids[0]]);
    expect(rest.next).toBeUndefined();
    expect(await runs.pruneRuns(1)).toEqual([ids[1], ids[0]]);
    expect((await runs.listRuns({ limit: 9 })).runs).toHaveLength(1);
  });

  test("that says running is failed when its process has ended, and running when it lives", async () => {
    const runs = new RunFolder(dir);
    await runs.writeTrace(report(ids[0]!, { status: "running" }));
    await runs.writeTrace(report(ids[1]!, { status: "running", process_start: "another boot:1" }));
    await runs.writeTrace(report(ids[2]!, { status: "running", pid: 2 ** 30 }));
    expect((await runs.readTrace(ids[0]!)).status).toBe("running");
    for (const id of ids.slice(1)) {
      expect(await runs.readTrace(id)).toMatchObject({
        status: "failed",
        error: { code: "PROCESS_ENDED", retry: "yes" },
      });
    }
    expect(await runs.pruneRuns(0)).toEqual([ids[2], ids[1]]);
  });

  test("that is missing is RUN_NOT_FOUND, and a broken one does not hide the others", async () => {
    const runs = new RunFolder(dir);
    await expect(runs.readTrace("../../etc")).rejects.toMatchObject({ code: "RUN_NOT_FOUND" });
    await expect(runs.readTrace(ids[0]!)).rejects.toMatchObject({ code: "RUN_NOT_FOUND" });
    await runs.writeTrace(report(ids[1]!));
    runs.appendLog(ids[0]!, { time: "t", level: "info", event: "started" });
    const listed = await runs.listRuns({ limit: 9 });
    expect([listed.runs.length, listed.unreadable]).toEqual([1, [ids[0]]]);
    expect(await readFile(join(dir, "runs", ids[0]!, "log.jsonl"), "utf8")).toBe(
      '{"time":"t","level":"info","event":"started"}\n',
    );
  });
});
