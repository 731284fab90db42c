import { expect, test } from "vitest";
import { counted } from "../../src/engine/counted.ts";

test("one is one of a kind, none and many are several", () => {
  expect([0, 1, 2].map((count) => counted(count, "pending package"))).toEqual([
    "0 pending packages",
    "1 pending package",
    "2 pending packages",
  ]);
});
