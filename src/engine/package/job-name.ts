/**
 * Names of job files: `<table>.<file id>.<retry>.<format>`, as dlt names them. File systems take 255 bytes: of a
 * longer table's name the file has the beginning. Which table it is of, the manifest says.
 */

import { randomBytes } from "node:crypto";
import { EngineError } from "../errors.ts";
import type { JobName } from "./types.ts";

const FORMATS: readonly JobName["format"][] = ["typed-jsonl", "parquet", "blocks"];
const FILE_ID = /^[0-9a-f]{10}$/;
const RETRY = /^(0|[1-9]\d{0,5})$/;

const TABLE_BYTES_MAX = 200;

/** Ten hex digits from five random bytes. */
export function newFileId(random: (size: number) => Uint8Array = randomBytes): string {
  return Buffer.from(random(5)).toString("hex");
}

/** `formatJobName({ table: "orders", fileId: "5ea09d9679", retry: 0, format: "blocks" })` is `orders.5ea09d9679.0.blocks`. */
export function formatJobName(job: JobName): string {
  const file = `${cut(job.table)}.${job.fileId}.${job.retry}.${job.format}`;
  if (parseJobName(file) === undefined) {
    throw new EngineError(
      "IDENTIFIER_INVALID",
      `"${file}" is not a job name: a table may not contain ".", "/" or be empty.`,
    );
  }
  return file;
}

function cut(table: string): string {
  const bytes = Buffer.from(table);
  if (bytes.length <= TABLE_BYTES_MAX) return table;
  // a character that was cut through would be replaced by another one
  return bytes.toString("utf8", 0, TABLE_BYTES_MAX).replace(/\uFFFD+$/, "");
}

/** The parts of a job's name, or undefined when the file is not a job. */
export function parseJobName(file: string): JobName | undefined {
  const parts = file.split(".");
  const [table, fileId, retry, format] = parts;
  const known = FORMATS.find((each) => each === format);
  if (parts.length !== 4 || !table || /[/\\\0]/.test(table) || known === undefined) return undefined;
  if (!FILE_ID.test(fileId ?? "") || !RETRY.test(retry ?? "")) return undefined;
  return { table, fileId: fileId ?? "", retry: Number(retry), format: known };
}
