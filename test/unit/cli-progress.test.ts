/** What a run says while it goes, and how much of it when there are thousands of tables. */

import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import { progressView } from "../../src/tools/cli-progress.ts";

test("tables are told one by one up to a bound, then counted", () => {
  const stream = new PassThrough();
  let time = 100_000;
  const view = progressView(stream as unknown as NodeJS.WriteStream, () => time);
  const show = (table: string, rows: number): void =>
    view.show({ kind: "progress", step: "load", table, rows, bytes: 10, elapsedMs: 1000 });
  for (let i = 0; i < 2000; i++) show(`t${i}`, 1);
  time += 6_000;
  show("t3", 7);
  show("t1999", 7);
  show("t2000", 1);
  const lines = String(stream.read()).trimEnd().split("\n");
  expect(lines.slice(0, 2)).toEqual(["load t0", "load t1"]);
  expect(lines.slice(50)).toEqual(["load 51 tables", "load t3: 7 rows, 10 B, 7 rows/s", "load 2,001 tables"]);
});
