import { expect, test } from "vitest";
import { toEnvelope } from "../../src/engine/errors.ts";

test.each([
  ["ENOSPC", "DISK_FULL"],
  ["EDQUOT", "DISK_FULL"],
  ["EACCES", "FILE_PERMISSION"],
  ["EROFS", "FILE_PERMISSION"],
  ["EISDIR", "INTERNAL"],
])("%s of the operating system is %s", (system, code) => {
  const error = Object.assign(new Error(`${system}: refused, open '/d/x'`), { code: system, path: "/d/x" });
  const envelope = toEnvelope(error);
  expect(envelope).toMatchObject({ code, cause: { code: system } });
  if (code !== "INTERNAL") expect(envelope.message).toContain("/d/x");
});
