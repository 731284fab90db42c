/** The rows of a page of lines, where they have to be looked at one by one. */

import { EngineError } from "../errors.ts";
import { parseTypedJson } from "../interop/json.ts";
import type { JsonlPage, Row } from "./page.ts";

const LF = 0x0a;

/** Blank lines are passed over. Errors: FILE_FORMAT with the file and the line where the page names them. */
export function rowsOfLines(page: JsonlPage, resource: string): Row[] {
  const buffer = Buffer.from(page.bytes.buffer, page.bytes.byteOffset, page.bytes.byteLength);
  const rows: Row[] = [];
  let line = page.origin?.line ?? 1;
  for (let at = 0; at < buffer.length; line++) {
    let end = buffer.indexOf(LF, at);
    if (end < 0) end = buffer.length;
    const text = buffer.toString("utf8", at, end).trim();
    at = end + 1;
    if (text === "") continue;
    try {
      rows.push(parseTypedJson(text) as Row);
    } catch (cause) {
      const where = page.origin ? `${page.origin.file}, line ${line}` : `a row of resource ${resource}`;
      const problem = cause instanceof Error ? cause.message : "not JSON";
      throw new EngineError("FILE_FORMAT", `${where}: ${problem}.`, {
        details: {
          resource,
          ...(page.origin ? { file: page.origin.file, line } : {}),
        },
      });
    }
  }
  return rows;
}
