/** Packages that wait, and destinations that changed behind our back. */

import { spawn } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { incremental, resource, Source } from "../../src/engine/index.ts";
import { pipelineIn, withDatabase } from "../support/crash-scenarios.ts";
import { holdDatabase } from "../support/hold-database.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "loadwright-pending-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

interface Watch {
  /** Where the source was told to start, run by run. */
  readonly asked?: unknown[];
  readonly beforeEnd?: () => Promise<unknown>;
}

/** Events 1 to `last`, from the cursor on. */
function events(last: number, { asked = [], beforeEnd }: Watch = {}): Source {
  return new Source({
    name: "shop",
    resources: [
      resource({ name: "events", incremental: incremental("id") }, async function* ({ cursor }) {
        asked.push(cursor?.lastValue);
        const from = Number(cursor?.lastValue ?? 1);
        yield Array.from({ length: last - from + 1 }, (_, i) => ({ id: from + i, tags: ["x"] }));
        await beforeEnd?.();
      }),
    ],
  });
}

const upTo = (last: number, from = 1) => Array.from({ length: last - from + 1 }, (_, i) => from + i);

function ids(): Promise<number[]> {
  return withDatabase(dir, async (sql) =>
    (await sql("select id from shop_data.events order by id")).map((row) => Number(row.id)),
  );
}

async function run(source: Source) {
  const report = await pipelineIn(dir).run(source);
  expect(report.error).toBeUndefined();
  return report;
}

describe("dropping pending packages", () => {
  it("takes the cursor back, so that their rows are fetched again, each once", async () => {
    const asked: unknown[] = [];
    await run(events(5));
    await pipelineIn(dir).extract(events(9, { asked }));
    const plan = await pipelineIn(dir).dropPending();
    expect(plan.packages).toMatchObject([
      { stage: "extracted", cursors: [{ resource: "events", path: "id", from: 9, to: 5 }] },
    ]);
    await run(events(9, { asked }));
    expect(asked).toEqual([5, 5]);
    expect(await ids()).toEqual(upTo(9));
  });

  it("is refused when there is none", async () => {
    await run(events(1));
    await expect(pipelineIn(dir).dropPending()).rejects.toMatchObject({ code: "NOTHING_PENDING" });
  });
});

describe("two runs at once", () => {
  it("the second is told who runs and since when, and leaves the first alone", async () => {
    let second: Awaited<ReturnType<typeof run>> | undefined;
    await run(
      events(5, {
        beforeEnd: async () => {
          second = await pipelineIn(dir).run(events(5));
        },
      }),
    );
    expect(second).toMatchObject({
      status: "failed",
      error: { code: "LOCKED", retry: "yes", details: { pid: process.pid, command: "run" } },
    });
    const { details } = second!.error!;
    expect(Date.parse(String(details!.started_at))).toBeLessThanOrEqual(Date.now());
    expect(details!.run_id).not.toBe(second!.run_id);
    expect(await ids()).toEqual(upTo(5));
  });
});

describe("a destination that another program holds", () => {
  it("leaves the package pending; the next run loads it together with the new rows", async () => {
    await run(events(3));
    let holder: Awaited<ReturnType<typeof holdDatabase>> | undefined;
    const blocked = await pipelineIn(dir).run(
      events(6, {
        beforeEnd: async () => {
          holder = await holdDatabase(join(dir, "shop.duckdb"));
        },
      }),
    );
    expect(blocked).toMatchObject({
      status: "failed",
      error: { code: "DESTINATION_LOCKED", retry: "yes", details: { pid: holder!.pid } },
      packages: [{ status: "normalized" }],
    });
    await holder!.release();
    expect(await ids()).toEqual(upTo(3));
    const asked: unknown[] = [];
    const next = await run(events(8, { asked }));
    expect(next.packages).toMatchObject([
      { load_id: blocked.packages[0]!.load_id, status: "loaded", recovered: true },
      { status: "loaded", recovered: false },
    ]);
    expect(asked).toEqual([6]);
    expect(await ids()).toEqual(upTo(8));
  });
});

describe("a fresh machine", () => {
  it("takes state and schema from the destination and goes on", async () => {
    await run(events(4));
    rmSync(join(dir, "work"), { recursive: true });
    const asked: unknown[] = [];
    const report = await run(events(7, { asked }));
    expect(asked).toEqual([4]);
    expect(await ids()).toEqual(upTo(7));
    expect(report.packages[0]!.schema_changes).toEqual([]);
    const versions = await withDatabase(dir, (sql) =>
      sql("select count(*) as n from shop_data._dlt_version"),
    );
    expect(versions).toEqual([{ n: "1" }]);
  });
});

describe("dropped by hand", () => {
  const sql = (statement: string) => withDatabase(dir, (rows) => rows(statement));

  it("a dataset is loaded anew from the start, and the run says so", async () => {
    await run(events(4));
    await sql("drop schema shop_data cascade");
    const report = await run(events(6));
    expect(report.warnings.join()).toContain("fetched anew");
    expect(await ids()).toEqual(upTo(6));
  });

  it("a dataset takes the packages with it that were still pending: they build on its rows", async () => {
    await run(events(4));
    await pipelineIn(dir).extract(events(6));
    await sql("drop schema shop_data cascade");
    const report = await run(events(6));
    expect(report.warnings.join()).toContain("built on rows that went with dataset");
    expect(await ids()).toEqual(upTo(6));
    expect(existsSync(join(dir, "work", "dropped"))).toBe(true);
  });

  it("a table and a column come back with the next rows", async () => {
    await run(events(4));
    await sql("drop table shop_data.events__tags");
    await sql("alter table shop_data.events drop column _dlt_load_id");
    await run(events(6));
    expect(await ids()).toEqual(upTo(6));
    expect(await sql("select count(*) as n from shop_data.events__tags")).toEqual([{ n: "2" }]);
    expect(await sql("select count(_dlt_load_id) as n from shop_data.events")).toEqual([{ n: "2" }]);
  });
});

const file = (name: string): string => join(dir, "work", name);

describe("what is kept here and was damaged by hand", () => {
  it.each(["", "{oops", '{"sources":1}'])(
    "a state that reads %j is taken from the destination",
    async (text) => {
      await run(events(4));
      writeFileSync(file("state.json"), text);
      const asked: unknown[] = [];
      const report = await run(events(6, { asked }));
      expect(report.warnings.join()).toContain("state.json");
      expect(asked).toEqual([4]);
      expect(await ids()).toEqual(upTo(6));
      expect((await run(events(6))).warnings).toEqual([]);
    },
  );

  it("a state without any source's is whole", async () => {
    const plain = () => new Source({ name: "shop", resources: [resource({ name: "plain" }, [[{ id: 1 }]])] });
    await run(plain());
    rmSync(file("."), { recursive: true });
    await pipelineIn(dir).sync();
    expect((await run(plain())).warnings).toEqual([]);
  });

  it("a state that the destination does not have either begins anew", async () => {
    mkdirSync(file("."), { recursive: true });
    writeFileSync(file("state.json"), "{oops");
    const report = await run(events(4));
    expect(report.warnings.join()).toContain("state.json");
    expect(await ids()).toEqual(upTo(4));
  });

  it.each([
    ["cut off", (text: string) => text.slice(0, 100)],
    ["edited", (text: string) => text.replace('"bigint"', '"text"')],
  ])("a schema that was %s is taken from the destination", async (_how, damage) => {
    await run(events(4));
    const schema = file("schemas/shop.schema.json");
    const before = readFileSync(schema, "utf8");
    writeFileSync(schema, damage(before));
    const report = await run(events(6));
    expect(report.warnings.join()).toContain("shop.schema.json");
    expect(await ids()).toEqual(upTo(6));
    expect(JSON.parse(readFileSync(schema, "utf8")).version_hash).toBe(JSON.parse(before).version_hash);
    expect((await run(events(6))).warnings).toEqual([]);
  });

  it("is told by a code where no run has put it right yet", async () => {
    await run(events(4));
    writeFileSync(file("state.json"), "{oops");
    await expect(pipelineIn(dir).planRefresh("drop_data")).rejects.toMatchObject({ code: "STATE_INVALID" });
    await pipelineIn(dir).sync();
    expect((await pipelineIn(dir).planRefresh("drop_data")).tables).toContain("events");
  });
});

describe("a trace that cannot be written", () => {
  it("does not end a run, which says so", async () => {
    mkdirSync(file("."), { recursive: true });
    writeFileSync(file("runs"), "in the way");
    const report = await run(events(4));
    expect(report.warnings.join()).toContain("trace could not be written");
    expect(await ids()).toEqual(upTo(4));
  });
});

describe("a run that is killed while its source is read", () => {
  it("is taken over: the lock of an ended process does not hold", async () => {
    await run(events(2));
    const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"]);
    const lock = join(dir, "work", "run.lock");
    const holder = { pid: child.pid, host: hostname(), started_at: "2026-01-01T00:00:00.000Z", token: "t" };
    writeFileSync(lock, JSON.stringify({ ...holder, run_id: "20260101T000000-000000", command: "run" }));
    const refused = await pipelineIn(dir).run(events(3));
    expect(refused.error).toMatchObject({
      code: "LOCKED",
      details: { pid: child.pid, started_at: "2026-01-01T00:00:00.000Z" },
    });
    child.kill("SIGKILL");
    while (child.signalCode === null) await sleep(10);
    await run(events(3));
    expect(readdirSync(join(dir, "work")).filter((name) => name.startsWith("run.lock"))).toEqual([]);
    expect(await ids()).toEqual(upTo(3));
  });
});
