/** Any tool's answer for people: its summary, lists of records as tables, the rest as lines. */

import pc from "picocolors";
import { type QueriedRows, renderRows, table } from "./cli-render.ts";
import type { Envelope } from "./envelope.ts";

const COLUMNS_MAX = 8;
const CELL_CHARS_MAX = 60;

/** `commands`: the next steps, as what a person types. */
export function renderAnswer(envelope: Envelope, commands: readonly string[]): string {
  const lines = [envelope.summary];
  if (isQueried(envelope.data)) lines.unshift(renderRows(shown(envelope.data), ""));
  else lines.push(...linesOf(envelope.data, ""));
  if (envelope.next_cursor !== undefined) lines.push(pc.dim(`More: --cursor ${envelope.next_cursor}`));
  if (commands.length > 0) lines.push(pc.dim("Next:"), ...commands.map((command) => pc.dim(`  ${command}`)));
  return lines.filter((line) => line !== "").join("\n");
}

/** The lists of a plan: what goes and what changes. The rest of it is said by the question that follows. */
export function renderPlan(plan: unknown): string {
  const lists = Object.entries(plan ?? {}).filter(
    ([key, value]) => Array.isArray(value) && key !== "warnings",
  );
  return linesOf(Object.fromEntries(lists), "").join("\n").trimStart();
}

function isQueried(data: unknown): data is QueriedRows {
  return (
    typeof data === "object" &&
    data !== null &&
    "columns" in data &&
    "rows" in data &&
    Array.isArray(data.rows)
  );
}

function linesOf(data: unknown, indent: string): string[] {
  if (typeof data !== "object" || data === null) return [`${indent}${cell(data)}`];
  const lines: string[] = [];
  for (const [key, value] of Object.entries(data)) {
    if (isEmpty(value)) continue;
    if (isRecords(value) && value.length === 1)
      lines.push(`${indent}${pc.bold(key)}`, ...linesOf(value[0], `${indent}  `));
    else if (isRecords(value)) lines.push("", `${indent}${pc.bold(key)}`, recordsTable(value));
    else if (isFlat(value)) lines.push(`${indent}${key}: ${cell(value, Number.POSITIVE_INFINITY)}`);
    else lines.push(`${indent}${pc.bold(key)}`, ...linesOf(value, `${indent}  `));
  }
  return lines;
}

function recordsTable(records: readonly Record<string, unknown>[]): string {
  const keys = [...new Set(records.flatMap((record) => Object.keys(record)))]
    .filter((key) => records.some((record) => !isEmpty(record[key])))
    .slice(0, COLUMNS_MAX);
  const right = keys.flatMap((key, i) =>
    records.every((each) => typeof (each[key] ?? 0) === "number") ? [i] : [],
  );
  return table(
    keys,
    records.map((record) => keys.map((key) => cell(record[key]))),
    right,
  );
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === "") return true;
  return typeof value === "object" && Object.keys(value).length === 0;
}

function isRecords(value: unknown): value is Record<string, unknown>[] {
  return (
    Array.isArray(value) &&
    value.every((each) => typeof each === "object" && each !== null && !Array.isArray(each))
  );
}

function isFlat(value: unknown): boolean {
  return typeof value !== "object" || value === null || (Array.isArray(value) && value.every(isFlat));
}

function cell(value: unknown, charsMax = CELL_CHARS_MAX): string {
  if (value === undefined || value === null) return "";
  const text = visible(typeof value === "object" ? compact(value) : String(value));
  return text.length > charsMax ? `${text.slice(0, charsMax - 1)}…` : text;
}

function compact(value: object): string {
  if (Array.isArray(value)) return value.map((each) => cell(each)).join(", ");
  return Object.entries(value)
    .map(([key, inner]) => `${key} ${cell(inner)}`)
    .join(", ");
}

/** A cell may hold codes that move a terminal's cursor or colour: they are shown, not obeyed. */
function visible(text: string): string {
  return text.replace(
    /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g,
    (code) => `\\x${code.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
}

function shown({ columns, rows }: QueriedRows): QueriedRows {
  return {
    columns,
    rows: rows.map((row) => row.map((value) => (typeof value === "string" ? visible(value) : value))),
  };
}
