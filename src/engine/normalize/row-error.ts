/** What is wrong with a row, told with the place that it came from. */

import { EngineError } from "../errors.ts";
import { JsonSyntaxError } from "../interop/json.ts";
import type { JobInfo } from "../package/types.ts";

/** The error of one row with the file and line it came from, or with its number in its table. */
export function rowError(
  error: unknown,
  job: JobInfo,
  row: number,
  at: number,
  bytes: Uint8Array,
  lineAt: number,
): EngineError {
  const place = originOf(job, at, bytes, lineAt);
  // counted over the rows of the table in this package, from 1
  const details = { table: job.table, row, ...place };
  const where = place.file ? `${place.file}, line ${place.line}` : `table ${job.table}`;
  if (error instanceof JsonSyntaxError) {
    const code = error.kind === "encoding" ? "FILE_ENCODING" : "FILE_FORMAT";
    const problem = error.message.replace(/ at byte \d+$/, "");
    return new EngineError(code, `${where}: ${problem} at column ${error.offset - lineAt + 1}.`, {
      details: { ...details, column: error.offset - lineAt + 1 },
    });
  }
  if (error instanceof EngineError) {
    const known = error.withDetails(details);
    const at = place.file ? where : `row ${row} of table ${job.table}`;
    return new EngineError(known.code, `${at}: ${known.message}`, { ...known, cause: known.cause });
  }
  throw error;
}

/**
 * File and line of a row. An origin says where its bytes began; the lines between are counted in this block,
 * which is enough because an origin is recorded for each page and a page is smaller than a block.
 */
function originOf(
  job: JobInfo,
  at: number,
  bytes: Uint8Array,
  lineAt: number,
): { file?: string; line?: number } {
  let origin: readonly [number, string, number] | undefined;
  for (const candidate of job.origins ?? []) {
    if (candidate[0] > at) break;
    origin = candidate;
  }
  if (!origin) return {};
  let line = origin[2];
  const from = Math.max(0, lineAt - (at - origin[0]));
  for (let i = from; i < lineAt; i++) if (bytes[i] === 0x0a) line++;
  return { file: origin[1], line };
}
