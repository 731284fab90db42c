import { utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { typeCheck } from "../../src/tools/building/type-check.ts";
import { PassedChecks } from "../../src/tools/building/type-check-memory.ts";
import { makeWorkspace, type TestWorkspace } from "../support/workspace.ts";

let workspace: TestWorkspace;
beforeEach(() => {
  workspace = makeWorkspace({
    "loadwright.toml": "",
    "sources/shop/index.ts": 'import { limit } from "./limit.ts";\nexport const most: number = limit;\n',
    "sources/shop/limit.ts": "export const limit = 5;\n",
  });
});
afterEach(() => workspace.remove());

const check = async () =>
  (await typeCheck(workspace.dir, ["sources/shop/index.ts"], new AbortController().signal)).status;

it("a source is checked again when a file that it imports has changed", async () => {
  expect(await check()).toBe("passed");
  expect(await check()).toBe("passed");
  workspace.write("sources/shop/limit.ts", 'export const limit = "5";\n');
  expect(await check()).toBe("failed");
  workspace.write("sources/shop/limit.ts", "export const limit = 6;\n");
  expect(await check()).toBe("passed");
});

it("what passed holds as long as every file is as it was, also one that was not there", () => {
  const passed = new PassedChecks();
  const files = ["sources/shop/index.ts", "sources/shop/limit.ts", "package.json"].map((file) =>
    join(workspace.dir, file),
  );
  const later = Date.now() + 60_000;
  expect(passed.holds("shop")).toBe(false);
  passed.remember("shop", files, later);
  expect(passed.holds("shop")).toBe(true);
  writeFileSync(files[2]!, "{}");
  expect(passed.holds("shop")).toBe(false);
  passed.remember("shop", files, later);
  // same size, same time of change as somebody set it
  utimesSync(files[1]!, new Date(0), new Date(0));
  expect(passed.holds("shop")).toBe(false);
  // it may have been read before it was written
  passed.remember("shop", files, Date.now() - 60_000);
  expect(passed.holds("shop")).toBe(false);
});
