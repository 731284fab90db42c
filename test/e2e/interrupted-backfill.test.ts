/** A long load that stops in the middle goes on where it stopped. */

import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  checkpoint,
  incremental,
  type ResourceHints,
  type RunOptions,
  resource,
  Source,
} from "../../src/engine/index.ts";
import { filesystemResources } from "../../src/sources/filesystem/resources.ts";
import { pipelineIn, withDatabase } from "../support/crash-scenarios.ts";

const PAGE = 10;
const ROWS = 200;
const PACKAGE = 20;

let dir: string;
/** First ids of the pages that were fetched, over all runs. */
let fetched: number[];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "loadwright-backfill-"));
  fetched = [];
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

interface Behaviour {
  /** Called before a page is fetched. */
  readonly before?: (id: number) => void;
  readonly ids?: readonly number[];
}

function history(hints: ResourceHints, { before, ids = upTo(ROWS) }: Behaviour = {}): Source {
  return new Source({
    name: "shop",
    resources: [
      resource({ name: "events", ...hints }, function* ({ cursor, state }) {
        const last = cursor ? cursor.lastValue : hints.checkpoints ? state.done : undefined;
        const due =
          last === undefined || hints.incremental?.endValue ? ids : ids.filter((id) => id >= Number(last));
        for (let at = 0; at < due.length; at += PAGE) {
          before?.(due[at]!);
          fetched.push(due[at]!);
          yield due.slice(at, at + PAGE).map((id) => ({ id, text: `row ${id} `.repeat(200), tags: [id] }));
          if (hints.checkpoints) {
            state.done = due[at]! + PAGE;
            yield checkpoint;
          }
        }
      }),
    ],
  });
}

const upTo = (last: number) => Array.from({ length: last }, (_, i) => i + 1);
const ASC = { incremental: incremental("id", { rowOrder: "asc" }) } as const;

async function loaded(): Promise<number[]> {
  return withDatabase(dir, async (sql) => {
    const rows = await sql(
      `select id from shop_data.events e join shop_data.events__tags t
         on t._dlt_parent_id = e._dlt_id and t.value = e.id order by id`,
    );
    return rows.map((row) => Number(row.id));
  });
}

const pipeline = () => pipelineIn(dir, { packageRowsMax: PACKAGE });
const run = (source: Source, options: RunOptions = {}) => pipeline().run(source, options);

function failAt(id: number): (at: number) => void {
  return (at) => {
    if (at >= id) throw new Error("the service is down");
  };
}

function bytesIn(folder: string): number {
  let bytes = 0;
  for (const entry of readdirSync(folder, { recursive: true })) {
    const path = join(folder, String(entry));
    if (statSync(path).isFile()) bytes += statSync(path).size;
  }
  return bytes;
}

/** Folders of packages that are not loaded. */
function unfinished(): string[] {
  return ["extracting", "extracted", "normalizing", "normalized", "failed", "removing", "scratch"].flatMap(
    (stage) => (existsSync(join(dir, "work", stage)) ? readdirSync(join(dir, "work", stage)) : []),
  );
}

describe.each<[string, ResourceHints]>([
  ["in cursor order", ASC],
  ["merged, in cursor order", { ...ASC, writeDisposition: "merge", primaryKey: "id" }],
  ["with checkpoints", { checkpoints: true }],
])("a backfill %s", (_name, hints) => {
  it("whose source fails keeps the packages that are committed and goes on behind them", async () => {
    const report = await run(history(hints, { before: failAt(70) }));
    expect(report).toMatchObject({ status: "failed", error: { code: "EXTRACT_FAILED" } });
    expect(report.error!.message).toContain("the service is down");
    const kept = await loaded();
    expect(kept).toEqual(upTo(60));
    expect(unfinished()).toEqual([]);

    fetched = [];
    expect((await run(history(hints))).error).toBeUndefined();
    expect(Math.min(...fetched)).toBeGreaterThanOrEqual(kept.length);
    expect(await loaded()).toEqual(upTo(ROWS));
  });

  it("that is cancelled does so, too", async () => {
    const abort = new AbortController();
    const before = (id: number): void => {
      if (id > 100) abort.abort();
    };
    const report = await run(history(hints, { before }), { signal: abort.signal });
    expect(report).toMatchObject({ status: "cancelled", error: { code: "CANCELLED" } });
    const kept = await loaded();
    expect(kept).toEqual(upTo(100));
    expect(unfinished()).toEqual([]);

    fetched = [];
    expect((await run(history(hints))).error).toBeUndefined();
    expect(Math.min(...fetched)).toBeGreaterThanOrEqual(kept.length);
    expect(await loaded()).toEqual(upTo(ROWS));
  });

  it("needs the disk of one package, however long it is", async () => {
    const sizes: number[] = [];
    const before = (): void => {
      const folder = join(dir, "work");
      const rows = readdirSync(folder, { recursive: true }).filter((path) =>
        /\/new\/[^/]+$/.test(String(path)),
      );
      sizes.push(rows.reduce((sum, path) => sum + statSync(join(folder, String(path))).size, 0));
    };
    expect((await run(history(hints, { before }))).error).toBeUndefined();
    const packageBytes = PACKAGE * 200 * 10;
    expect(Math.max(...sizes)).toBeLessThan(3 * packageBytes);
    expect(bytesIn(join(dir, "work", "loaded"))).toBeLessThan(10 * packageBytes);
    expect(await loaded()).toEqual(upTo(ROWS));
  });
});

describe("a backfill of files", () => {
  const files = (hints: Record<string, unknown> = {}) => {
    const config = { path: join(dir, "in"), glob: "*.jsonl", resources: { events: hints } };
    return new Source({ name: "shop", resources: filesystemResources(config) });
  };
  const file = (number: number, last = "") => {
    const lines = upTo(PAGE).map((i) => JSON.stringify({ id: number * PAGE + i, tags: [number * PAGE + i] }));
    writeFileSync(join(dir, "in", `${number}.jsonl`), `${lines.join("\n")}\n${last}`);
  };

  it("keeps the files before a bad one and goes on at it", async () => {
    mkdirSync(join(dir, "in"));
    for (let number = 0; number < 6; number++) file(number, number === 4 ? '{"id":' : "");
    const report = await run(files());
    expect(report.error).toMatchObject({ code: "FILE_FORMAT", details: { line: PAGE + 1 } });
    expect(await loaded()).toEqual(upTo(4 * PAGE));
    file(4);
    const next = await run(files());
    expect(next.error).toBeUndefined();
    expect(next.rows.events).toBe(2 * PAGE);
    expect(await loaded()).toEqual(upTo(6 * PAGE));
  });

  it("with a merge key is one package: a key may be in several files", async () => {
    mkdirSync(join(dir, "in"));
    for (let number = 0; number < 6; number++) file(number);
    const report = await run(files({ write_disposition: "merge", merge_key: "id" }));
    expect(report.packages.length).toBe(1);
    expect(await loaded()).toEqual(upTo(6 * PAGE));
  });
});

describe("what cannot be committed in parts is one package", () => {
  it("a replace that fails leaves the old table as it was", async () => {
    const hints: ResourceHints = { writeDisposition: "replace" };
    expect((await run(history(hints, { ids: upTo(5) }))).error).toBeUndefined();
    expect((await run(history(hints, { before: failAt(100) }))).status).toBe("failed");
    expect(await loaded()).toEqual(upTo(5));
    expect(unfinished()).toEqual([]);
    const report = await run(history(hints));
    expect(report.packages.length).toBe(1);
    expect(await loaded()).toEqual(upTo(ROWS));
  });

  it("an append without a cursor that fails leaves nothing", async () => {
    expect((await run(history({}, { before: failAt(100) }))).status).toBe("failed");
    expect(unfinished()).toEqual([]);
    expect((await run(history({}))).packages.length).toBe(1);
    expect(await loaded()).toEqual(upTo(ROWS));
  });

  it("a cursor that goes down while rows come up: after the first page it would say that all is there", async () => {
    const hints: ResourceHints = {
      incremental: incremental("id", { rowOrder: "asc", lastValueFunc: "min" }),
    };
    expect((await run(history(hints, { before: failAt(100) }))).status).toBe("failed");
    expect(unfinished()).toEqual([]);
    expect((await run(history(hints))).packages.length).toBe(1);
    expect(await loaded()).toEqual(upTo(ROWS));
  });

  it("a window that is appended: no cursor remembers how far it came", async () => {
    const hints: ResourceHints = {
      incremental: incremental("id", { rowOrder: "asc", initialValue: 1, endValue: ROWS + 1 }),
    };
    expect((await run(history(hints, { before: failAt(100) }))).status).toBe("failed");
    expect(unfinished()).toEqual([]);
    expect((await run(history(hints))).packages.length).toBe(1);
    expect(await loaded()).toEqual(upTo(ROWS));
  });
});

describe("rows that are not in the order that was declared", () => {
  it("are refused: a package would put the cursor past rows that are still to come", async () => {
    const ids = [...upTo(30), ...upTo(60).slice(40), ...upTo(40).slice(30)];
    const report = await run(history(ASC, { ids }));
    expect(report.error).toMatchObject({
      code: "CURSOR_ORDER",
      details: { resource: "events", cursor: "id" },
    });
  });
});
