/** What is wrong with a row, told with the place that it came from. */

import { EngineError } from "../errors.ts";
import { JsonSyntaxError } from "../interop/json.ts";
import type { Block } from "../package/block-format.ts";
import { lineReader } from "../package/text-lines.ts";
import type { JobInfo } from "../package/types.ts";

/** File and line of a row; empty when nobody told. */
export interface Place {
  readonly file?: string;
  readonly line?: number;
}

/**
 * The error of one row with the file and line it came from, or with its number in its table. `lineAt`: where its line
 * begins in the bytes that were parsed.
 */
export function rowError(error: unknown, job: JobInfo, row: number, place: Place, lineAt = 0): EngineError {
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
 * Of a line at byte `at` of its job. An origin says where its bytes began; the lines between are counted in this block,
 * which is enough because an origin is recorded for each page and a page is smaller than a block.
 */
export function placeOfLine(job: JobInfo, at: number, bytes: Uint8Array, lineAt: number): Place {
  const origin = originOf(job, at);
  if (!origin) return {};
  let line = origin[2];
  const from = Math.max(0, lineAt - (at - origin[0]));
  for (let i = from; i < lineAt; i++) if (bytes[i] === 0x0a) line++;
  return { file: origin[1], line };
}

/** Of a row of a block, whose first row is row `first` of its job. */
export function placeInBlock(job: JobInfo, block: Block, first: number, row: number): Place {
  const origin = originOf(job, first + row);
  if (!origin) return {};
  const [from, file, line] = origin;
  return { file, line: lineReader(block, line + first - from)(row) };
}

function originOf(
  { origins = [] }: JobInfo,
  at: number,
): NonNullable<JobInfo["origins"]>[number] | undefined {
  return origins.findLast(([from]) => from <= at);
}
