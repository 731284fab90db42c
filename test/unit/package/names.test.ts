import { spawnSync } from "node:child_process";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatJobName, newFileId, parseJobName } from "../../../src/engine/package/job-name.ts";
import { isLoadId, nextLoadId } from "../../../src/engine/package/load-id.ts";
import { newRunId } from "../../../src/engine/package/trace.ts";

const python = spawnSync("python3", ["-c", "pass"]).status === 0;

describe("load ids", () => {
  test("have the form of dlt's", () => {
    expect(nextLoadId(1795343522487.2656)).toBe("1795343522.4872656");
    expect(nextLoadId(1795343522000, undefined, () => 0)).toBe("1795343522.0");
    expect(isLoadId("1795343522.4872656")).toBe(true);
    for (const text of [
      "1795343522",
      "1795343522.",
      "../1795343522.1",
      "795343522.1",
      "1795343522.12345678",
    ]) {
      expect(isLoadId(text), text).toBe(false);
    }
  });

  test("of pipelines that start in the same millisecond differ", () => {
    expect(new Set(Array.from({ length: 20 }, () => nextLoadId(1795343522487))).size).toBeGreaterThan(15);
  });

  test("sort as text after any earlier one, whatever the clock says", () => {
    const ms = fc.integer({ min: 1_000_000_000_001, max: 9_999_999_999_000 });
    const fraction = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    const ticks = fc.array(fc.integer({ min: -3000, max: 3000 }), { minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(ms, fraction, ticks, (start, part, steps) => {
        let now = start;
        let last = nextLoadId(now, undefined, () => part);
        for (const step of steps) {
          now = Math.min(Math.max(now + step, 1_000_000_000_001), 9_999_999_990_000);
          const id = nextLoadId(now, last, () => part);
          expect(isLoadId(id) && id > last && Number(id) > Number(last)).toBe(true);
          last = id;
        }
      }),
    );
  });

  test("follow an id with more digits than a float holds, and one of a clock that ran ahead", () => {
    for (const after of ["1795343522.9999999", "1795343522.4870001", "1795343522.487", "1999999999.0"]) {
      expect(nextLoadId(1795343522487, after, () => 0) > after).toBe(true);
    }
  });

  test.runIf(python)("are what Python prints for the same float", () => {
    const ids = ["1795343522.0"];
    for (let n = 0; n < 500; n++)
      ids.push(nextLoadId(1795343522000 + n * 7919, ids.at(-1)), nextLoadId(0, ids.at(-1)));
    ids.push(...Array.from({ length: 50 }, (_, n) => nextLoadId(1795399999900, `179539999${n % 10}.5`)));
    const code = "import sys\nfor l in sys.stdin: print(float(l))";
    const answer = spawnSync("python3", ["-c", code], { input: ids.join("\n"), encoding: "utf8" });
    expect(answer.stdout.trim().split("\n")).toEqual(ids);
  });
});

describe("job names", () => {
  test("are read back as they were written", () => {
    const job = { table: "orders__items", fileId: newFileId(), retry: 12, format: "blocks" } as const;
    expect(parseJobName(formatJobName(job))).toEqual(job);
    expect(formatJobName({ table: "t", fileId: "5ea09d9679", retry: 0, format: "typed-jsonl" })).toBe(
      "t.5ea09d9679.0.typed-jsonl",
    );
  });

  test("have no point or slash in the table", () => {
    for (const table of ["a.b", "a/b", ""]) {
      expect(() => formatJobName({ table, fileId: "5ea09d9679", retry: 0, format: "blocks" })).toThrow(
        "not a job name",
      );
    }
    for (const file of ["t.5ea09d9679.0.csv", "t.5ea09d967.0.blocks", "t.5ea09d9679.01.blocks", ".x.tmp"]) {
      expect(parseJobName(file), file).toBeUndefined();
    }
  });
});

test("job names fit into a file system, however long the table's name is", () => {
  const fileId = newFileId();
  for (const table of ["t".repeat(300), "表".repeat(100), `${"a".repeat(198)}🙂`]) {
    const file = formatJobName({ table, fileId, retry: 0, format: "typed-jsonl" });
    expect(Buffer.byteLength(file)).toBeLessThanOrEqual(255);
    expect(table.startsWith(parseJobName(file)!.table)).toBe(true);
  }
});

test("run ids sort by time to the millisecond", () => {
  const at = Date.UTC(2026, 10, 22, 16, 2, 45, 999);
  expect(newRunId(at)).toMatch(/^20261122T160245-3e7[0-9a-f]{3}$/);
  expect(newRunId(at - 1) < newRunId(at) && newRunId(at) < newRunId(at + 1)).toBe(true);
});
