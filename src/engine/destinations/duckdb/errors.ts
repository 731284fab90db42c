/**
 * DuckDB's errors as errors of ours. DuckDB puts the value that it refused into its message, so a message is
 * never passed on where a value can be in it: what is known to be safe is taken out of it instead.
 */

import { EngineError, type ErrorCode, type Retry } from "../../errors.ts";

/** What was being done, where the same error means something else. */
export type Doing = "open" | "load" | "query";

/** Where it was being done: table, load id, path. */
export type Where = Readonly<Record<string, unknown>>;

/** Error classes whose messages quote cell values. */
const ABOUT_VALUES = new Set([
  "Conversion",
  "Constraint",
  "Invalid Input",
  "Invalid Type",
  "Mismatch Type",
  "Out of Range",
  "Divide by Zero",
  "Decimal",
  "Settings",
]);

export function duckdbError(error: unknown, doing: Doing, where: Where = {}): EngineError {
  if (error instanceof EngineError)
    return Object.keys(where).length > 0 ? error.withDetails({ ...where }) : error;
  const message = error instanceof Error ? error.message : String(error);
  const kind = /^([A-Z][A-Za-z ]*?) Error: /.exec(message)?.[1] ?? "";
  const line = (message.slice(kind === "" ? 0 : kind.length + 8).split("\n")[0] ?? "").trim();

  const fail = (
    code: ErrorCode,
    text: string,
    more: { hint?: string; retry?: Retry; details?: Where } = {},
  ) =>
    new EngineError(code, text, {
      hint: more.hint,
      retry: more.retry,
      details: { ...where, ...more.details, ...(kind === "" ? {} : { duckdb_error: kind }) },
    });

  if (/^interrupt$/i.test(kind)) return fail("CANCELLED", "DuckDB was interrupted.");
  if (message.includes("Could not set lock on file")) return locked(message, fail);
  if (/No space left on device$/.test(line)) return fail("DISK_FULL", "The disk with the database is full.");
  if (ABOUT_VALUES.has(kind)) {
    const text = aboutValue(kind, message);
    return fail(doing === "load" ? "LOAD_VALUE" : "QUERY_FAILED", text);
  }
  switch (kind) {
    case "IO":
      if (line.includes("not a valid DuckDB database file")) {
        return fail("DESTINATION_INVALID", `This is not a DuckDB database file${atPath(where)}.`, {
          hint: "Check the path, or move the file away: a new database is made in its place.",
        });
      }
      if (/version number/i.test(line)) return otherVersion(line, fail);
      if (doing === "open") return fail("DESTINATION_INVALID", `DuckDB cannot open its file: ${line}`);
      break;
    case "Serialization":
      return otherVersion(line, fail);
    case "Out of Memory":
      return fail("LOAD_FAILED", "DuckDB ran out of the memory it may use.", {
        hint: "Raise destination_memory_bytes_max in the pipeline's limits and run again; the package is kept.",
      });
    case "TransactionContext":
    case "Transaction":
      if (/conflict/i.test(line)) {
        return fail("LOAD_FAILED", "Another transaction changed the same table at the same time.", {
          retry: "yes",
          hint: "Run again.",
        });
      }
      break;
    case "FATAL":
    case "INTERNAL":
      return fail(doing === "query" ? "QUERY_FAILED" : "LOAD_FAILED", `DuckDB failed (${kind} error).`, {
        hint: "Close the database, open it again and run again.",
      });
    case "Catalog":
      if (doing === "query" && /^Table with name .* does not exist/.test(line)) {
        return fail("TABLE_NOT_FOUND", line);
      }
      break;
  }
  const code: ErrorCode =
    doing === "open" ? "DESTINATION_INVALID" : doing === "load" ? "LOAD_FAILED" : "QUERY_FAILED";
  // Catalog, Binder, Parser, Permission, …: names and syntax. The engine's statements hold no values.
  return fail(code, `DuckDB: ${line}`);
}

type Fail = (
  code: ErrorCode,
  text: string,
  more?: { hint?: string; retry?: Retry; details?: Where },
) => EngineError;

function locked(message: string, fail: Fail): EngineError {
  const [, path] = /Could not set lock on file "(.*?)":/.exec(message) ?? [];
  const [, program, pid] = /Conflicting lock is held in (.*?) \(PID (\d+)\)/.exec(message) ?? [];
  const holder = pid === undefined ? "another program" : `${program || "a program"} (PID ${pid})`;
  return fail("DESTINATION_LOCKED", `The database file is held open by ${holder}.`, {
    hint: pid === undefined ? undefined : `Close ${holder}, then run again.`,
    details: {
      ...(path === undefined ? {} : { path }),
      ...(pid === undefined ? {} : { pid: Number(pid), program }),
    },
  });
}

function otherVersion(line: string, fail: Fail): EngineError {
  const versions = line.match(/\d+/g) ?? [];
  return fail("DESTINATION_INVALID", "The file was written by a DuckDB version that this one cannot read.", {
    hint: "Open the file with the DuckDB that wrote it and export it with a storage version this one reads.",
    details: versions.length > 0 ? { versions: versions.slice(0, 2).map(Number) } : {},
  });
}

/** Only types, names and positions; the patterns are tied to the ends of the message, where no value is. */
function aboutValue(kind: string, message: string): string {
  const body = message.split("\n\nLINE ")[0]!;
  const notNull = /NOT NULL constraint failed: ([\w.]+)$/.exec(body)?.[1];
  if (notNull !== undefined) return `Column ${notNull} does not allow null.`;
  if (kind === "Constraint") return "A row violates a constraint of its table.";
  const column = /when casting from source column (\w+)\s*$/.exec(body)?.[1];
  const rest = body.replace(/,?\s*when casting from source column \w+\s*$/, "");
  const type = /\bto (?:type )?([A-Z][A-Z0-9_]*(?:\(\d+,\d+\))?)\.?\s*$/.exec(rest)?.[1];
  const range = /out of range for the destination type ([A-Z][A-Z0-9_]*)\s*$/.exec(rest)?.[1];
  const target = type ?? range;
  const of = column === undefined ? "" : ` of column ${column}`;
  if (target !== undefined) return `A value${of} cannot be converted to ${target}.`;
  if (/^\w+ (?:\w+ )?Error: Malformed JSON/.test(message)) return `A value${of} is not JSON.`;
  return `DuckDB refused a value${of} (${kind} error).`;
}

function atPath(where: Where): string {
  return typeof where.path === "string" ? `: ${where.path}` : "";
}
