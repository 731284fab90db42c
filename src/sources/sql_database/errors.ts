/** Errors of a source's database as errors of ours; the dialects map what is theirs onto these. */

import { EngineError, type ErrorCode, type Retry } from "../../engine/errors.ts";

/** The mapping of the Postgres destination, said of a source. */
export function asSourceError(
  error: EngineError,
  where: Readonly<Record<string, unknown>> = {},
): EngineError {
  const { code, hint, retry } = sourceCode(error);
  return new EngineError(code, error.message, {
    hint,
    retry,
    details: { ...where, ...error.details },
    cause: error.cause,
  });
}

function sourceCode(error: EngineError): { code: ErrorCode; hint?: string; retry?: Retry } {
  const { code, hint, retry, details } = error;
  const sqlstate = typeof details.sqlstate === "string" ? details.sqlstate : "";
  if (sqlstate === "42501") return { code: "SOURCE_ACCESS_DENIED" };
  if (sqlstate === "42P01" || sqlstate === "3F000") return { code: "SOURCE_TABLE_NOT_FOUND" };
  if (sqlstate === "42703") return { code: "SOURCE_COLUMN_NOT_FOUND" };
  if (sqlstate === "57014") return { code: "SOURCE_TIMEOUT" };
  if (sqlstate.startsWith("28")) return { code: "SOURCE_LOGIN_REFUSED", hint, retry };
  switch (code) {
    case "DESTINATION_UNREACHABLE":
    case "DESTINATION_LOCKED":
      return { code: "SOURCE_UNREACHABLE", hint: retry === "yes" ? undefined : hint, retry };
    case "DESTINATION_INVALID":
      return { code: "CONFIG_INVALID", hint, retry };
    case "CONFIG_MISSING":
      return {
        code,
        hint: "Set SOURCES__SQL_DATABASE__CREDENTIALS to a URL with the password, or …__CREDENTIALS__PASSWORD.",
        retry,
      };
    case "TIMEOUT":
      return { code: "SOURCE_TIMEOUT" };
    case "QUERY_FAILED":
    case "LOAD_FAILED":
    case "LOAD_VALUE":
    case "TABLE_NOT_FOUND":
      return { code: "EXTRACT_FAILED", hint: "Read the message: the database refused the statement.", retry };
    default:
      return { code, hint, retry };
  }
}
