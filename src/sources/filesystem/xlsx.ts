/**
 * One sheet of an .xlsx workbook, read as a whole: the format cannot be streamed. Cells are what the
 * spreadsheet program stored: a formula's last result, an error as nothing. A column whose cells are not all of
 * one kind is text, so that `007` beside `12` stays as it is; numbers are whole numbers only if all of the
 * column are.
 */

import { EngineError } from "../../engine/errors.ts";
import { JsonlPage } from "../../engine/extract/page.ts";
import { type ByteSource, wholeFile } from "./byte-source.ts";
import { numberedNames, uniqueNames } from "./header.ts";
import { PAGE_BYTES } from "./jsonl.ts";

export interface XlsxOptions {
  /** By name, or by number from 1; default the first. */
  sheet?: string | number;
  /** Is the first row the header? Without one the columns are `column_0`, `column_1`, … */
  header?: boolean;
  fileBytesMax?: number;
  warn?: (message: string) => void;
}

export const XLSX_BYTES_MAX = 20 * 1024 * 1024;

const MARK_DATETIME = "\uf027";
const MARK_DATE = "\uf028";
const DAY_MS = 86_400_000;

type Cell = string | number | boolean | Date | null | undefined;
/** What the cells of a column are together. */
type Kind = "integer" | "number" | "bool" | "date" | "datetime" | "text";

/** The origin's line is the sheet's row. */
export async function* readXlsx(source: ByteSource, options: XlsxOptions = {}): AsyncGenerator<JsonlPage> {
  const { header = true, fileBytesMax = XLSX_BYTES_MAX } = options;
  const rows = await sheetOf(source, await wholeFile(source, fileBytesMax), options.sheet);
  const first = rows.findIndex((row) => !isBlank(row));
  if (first === -1) return;
  const width = rows.reduce((most, row) => Math.max(most, row.length), 0);
  const names = header
    ? uniqueNames(headerNames(rows[first]!, width), source.name, options.warn)
    : numberedNames(width);
  const start = header ? first + 1 : first;
  const kinds = names.map((_, column) => kindOf(rows, start, column));
  const keys = names.map((name) => JSON.stringify(name));
  let lines: string[] = [];
  let length = 0;
  let pageRow = start;
  const page = (): JsonlPage =>
    new JsonlPage(Buffer.from(`${lines.join("\n")}\n`), { origin: { file: source.name, line: pageRow + 1 } });
  for (let at = start; at < rows.length; at++) {
    const row = rows[at]!;
    const parts: string[] = [];
    for (const [column, key] of keys.entries()) {
      const cell = row[column];
      if (cell !== null && cell !== undefined && cell !== "")
        parts.push(`${key}:${render(cell, kinds[column]!)}`);
    }
    // a blank row is a blank line, so that lines keep the numbers of rows
    const line = parts.length === 0 ? "" : `{${parts.join(",")}}`;
    lines.push(line);
    length += line.length + 1;
    if (length < PAGE_BYTES) continue;
    yield page();
    lines = [];
    length = 0;
    pageRow = at + 1;
  }
  if (lines.some((line) => line !== "")) yield page();
}

async function sheetOf(source: ByteSource, bytes: Buffer, sheet: string | number = 1): Promise<Cell[][]> {
  const { default: readExcelFile } = await import("read-excel-file/node");
  let sheets: { sheet: string; data: Cell[][] }[];
  try {
    sheets = (await readExcelFile(bytes)) as unknown as typeof sheets;
  } catch (cause) {
    throw new EngineError("FILE_FORMAT", `${source.name} cannot be read as an .xlsx workbook.`, {
      hint: "Open it and save it as .xlsx, or export it as CSV; old .xls files are not read.",
      details: { file: source.name, problem: (cause as { code?: unknown }).code },
      cause,
    });
  }
  const found =
    typeof sheet === "number" ? sheets[sheet - 1] : sheets.find(({ sheet: name }) => name === sheet);
  if (found !== undefined) return found.data;
  throw new EngineError("FILE_FORMAT", `${source.name} has no sheet ${JSON.stringify(sheet)}.`, {
    hint: "Set xlsx.sheet to one of its sheets, or to its number from 1.",
    details: { file: source.name, sheet, sheets: sheets.map(({ sheet: name }) => name) },
  });
}

function kindOf(rows: readonly Cell[][], start: number, column: number): Kind {
  let kind: Kind | undefined;
  for (let at = start; at < rows.length; at++) {
    const cell = rows[at]![column];
    if (cell === null || cell === undefined || cell === "") continue;
    const own = kindOfCell(cell);
    if (kind === undefined || kind === own) kind = own;
    else if (isNumeric(kind) && isNumeric(own)) kind = "number";
    else if (isMoment(kind) && isMoment(own)) kind = "datetime";
    else return "text";
  }
  return kind ?? "text";
}

function kindOfCell(cell: string | number | boolean | Date): Kind {
  if (typeof cell === "number") return Number.isSafeInteger(cell) ? "integer" : "number";
  if (typeof cell === "boolean") return "bool";
  if (cell instanceof Date) return cell.getTime() % DAY_MS === 0 ? "date" : "datetime";
  return "text";
}

const isNumeric = (kind: Kind): boolean => kind === "integer" || kind === "number";
const isMoment = (kind: Kind): boolean => kind === "date" || kind === "datetime";

function render(cell: string | number | boolean | Date, kind: Kind): string {
  if (cell instanceof Date) {
    const iso = cell.toISOString();
    if (kind === "date") return JSON.stringify(MARK_DATE + iso.slice(0, 10));
    if (kind === "datetime") return JSON.stringify(MARK_DATETIME + iso.replace("Z", "+00:00"));
    return JSON.stringify(cell.getTime() % DAY_MS === 0 ? iso.slice(0, 10) : iso);
  }
  if (kind === "text") return JSON.stringify(String(cell));
  if (kind === "number" && Number.isInteger(cell) && Math.abs(cell as number) < 1e21)
    return `${String(cell)}.0`;
  return JSON.stringify(cell);
}

function isBlank(row: readonly Cell[]): boolean {
  return row.every((cell) => cell === null || cell === undefined || cell === "");
}

function headerNames(row: readonly Cell[], width: number): string[] {
  return Array.from({ length: width }, (_, column) => {
    const cell = row[column];
    if (cell instanceof Date) return cell.toISOString().slice(0, 10);
    return cell === null || cell === undefined ? "" : String(cell).trim();
  });
}
