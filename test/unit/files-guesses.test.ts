import { expect, test } from "vitest";
import { JsonlPage } from "../../src/engine/extract/page.ts";
import type { DataType } from "../../src/engine/schema/types.ts";
import type { FilePage } from "../../src/sources/filesystem/file-page.ts";
import { RunGuesses } from "../../src/sources/filesystem/guesses.ts";
import { withRowFields } from "../../src/sources/filesystem/row-fields.ts";

/** Pages of lines stay what they are. */
const told = ({ page }: { page: FilePage }): string =>
  page instanceof JsonlPage ? Buffer.from(page.bytes).toString() : "no lines";
const page = (text: string, guesses?: Record<string, DataType>) =>
  new JsonlPage(Buffer.from(text), { guesses });

test("rows are numbered on from the page before; blank lines stay and are no rows", () => {
  const first = withRowFields(page('{"a":1}\n\n{}\n'), 'k"1.csv', 1);
  expect(told(first)).toBe(
    '{"a":1,"_file_name":"k\\"1.csv","_row_id":1}\n\n{"_file_name":"k\\"1.csv","_row_id":2}\n',
  );
  expect(first.rows).toBe(2);
  const later = withRowFields(page('{"a":1} \r\n{"a":2}'), "k", 9_999_999);
  expect(told(later)).toBe(
    '{"a":1,"_file_name":"k","_row_id":9999999} \r\n{"a":2,"_file_name":"k","_row_id":10000000}',
  );
});

test("files that agree share one object of guesses, so that they share a job", () => {
  const run = new RunGuesses();
  const first = run.apply(page("", { id: "bigint", v: "text" })).guesses;
  expect(run.apply(page("", { id: "double" })).guesses).toBe(first);
  expect(run.apply(page("", { extra: "bool" })).guesses).toEqual({ id: "bigint", v: "text", extra: "bool" });
  expect(run.apply(page("", { id: "text" })).guesses).toMatchObject({ id: "text" });
  expect(run.apply(page("", { id: "bigint" })).guesses).toMatchObject({ id: "bigint" });
});
