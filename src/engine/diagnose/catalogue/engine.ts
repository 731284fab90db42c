/** Errors of this engine: their codes are their own diagnosis, where nothing inside says more. */

import { ERRORS, type ErrorCode } from "../../errors.ts";
import type { CauseEntry, CheckName, Pattern, StepName } from "../pattern.ts";
import { HTTP } from "./http.ts";
import { PARSING } from "./parsing.ts";

/** What an entry of errors.ts does not say. */
interface More {
  readonly causes?: readonly CauseEntry[];
  readonly checks?: readonly CheckName[];
  readonly steps?: readonly StepName[];
  /** Says only that something failed. */
  readonly wrapper?: boolean;
  /** An entry of another area that means the same: its title, causes, checks and steps hold here. */
  readonly like?: string;
}

const MORE: Partial<Record<ErrorCode, More>> = {
  LOCKED: {
    causes: [["pipeline_running", "Another run of this pipeline has not ended."]],
    checks: ["lock", "runs"],
    steps: ["run_pipeline"],
  },
  DESTINATION_LOCKED: {
    causes: [
      ["database_locked", "Another process has the database file open."],
      ["pipeline_running", "A run loads now."],
    ],
    checks: ["lock"],
    steps: ["run_pipeline"],
  },
  PROCESS_ENDED: {
    causes: ["The run's process was killed, by the system when memory ran out or by somebody."],
    checks: ["runs", "packages", "disk"],
    steps: ["run_pipeline"],
  },
  CANCELLED: { causes: ["Somebody cancelled the run."], checks: ["packages"], steps: ["run_pipeline"] },
  DESTINATION_UNREACHABLE: { checks: ["network", "config"], steps: ["run_pipeline"], wrapper: true },
  DESTINATION_INVALID: { checks: ["config", "network"], wrapper: true },
  LOAD_FAILED: { checks: ["packages", "types"], steps: ["query_loads"], wrapper: true },
  LOAD_VALUE: {
    causes: [
      ["type_mismatch", "The live column has another type than the schema."],
      "A value is outside what the column holds.",
    ],
    checks: ["types", "packages"],
    steps: ["query_loads", "get_schema"],
    wrapper: true,
  },
  EXTRACT_FAILED: {
    causes: ["The source's own code raised an error."],
    checks: ["runs", "state"],
    steps: ["test_source", "validate_source"],
    wrapper: true,
  },
  QUERY_FAILED: { checks: ["types"], steps: ["get_schema"], wrapper: true },
  INTERNAL: { checks: ["runs", "versions"], wrapper: true },
  PACKAGE_CORRUPT: {
    causes: ["A file of the package was changed or lost."],
    checks: ["packages", "disk"],
    steps: ["query_loads", "drop_pending_packages"],
  },
  FILE_NOT_FOUND: {
    causes: [["file_missing", "The configured path is not there."]],
    checks: ["source"],
    steps: ["validate_source"],
  },
  FILE_FORMAT: { checks: ["source"], steps: ["validate_source", "test_source"] },
  FILE_ENCODING: { checks: ["source"], steps: ["validate_source"] },
  CURSOR_ORDER: { checks: ["state"], steps: ["inspect_state", "validate_source"] },
  CONFIG_INVALID: { checks: ["config"], steps: ["get_workspace", "validate_source"] },
  SOURCE_INVALID: { steps: ["validate_source"] },
  SOURCE_NOT_FOUND: { steps: ["validate_source"] },
  TABLE_NOT_FOUND: {
    causes: [["table_missing", "The table is not in the destination."]],
    checks: ["types"],
    steps: ["get_schema"],
  },
  PIPELINE_NEVER_RAN: { steps: ["run_pipeline"] },
  TIMEOUT: { checks: ["activity"] },
  HTTP_UNAUTHORIZED: { like: "HTTP_401" },
  HTTP_FORBIDDEN: { like: "HTTP_403" },
  HTTP_NOT_FOUND: { like: "HTTP_404" },
  HTTP_BAD_REQUEST: { like: "HTTP_400" },
  HTTP_RATE_LIMITED: { like: "HTTP_429" },
  HTTP_SERVER_ERROR: { like: "HTTP_5XX" },
  HTTP_TIMEOUT: { like: "RESPONSE_TIMEOUT" },
  HTTP_TLS: { like: "TLS_CERTIFICATE", steps: ["validate_source", "test_source"] },
  HTTP_BODY_INVALID: { like: "JSON_IS_HTML" },
  HTTP_CONNECTION: {
    causes: ["Host or port is wrong.", "The service, a proxy or the network is down."],
    checks: ["runs", "config"],
    steps: ["test_source", "run_pipeline"],
  },
  HTTP_REDIRECT: { causes: ["The service moved."], steps: ["validate_source", "test_source"] },
  HTTP_TOO_LARGE: { causes: ["A page holds too many rows."], steps: ["test_source"] },
  SELECTOR_EMPTY: {
    causes: [
      "The rows stand under another key.",
      "The answer is an error or a notice that has the form of a page.",
    ],
    steps: ["test_source", "validate_source"],
  },
  PAGINATION_LOOP: {
    causes: [
      "The service ignores the parameter that asks for the next page.",
      "The cursor of the next page is read from the wrong place.",
    ],
    steps: ["test_source", "validate_source"],
  },
  PAGINATION_LIMIT: { causes: ["There are more pages than maximum_pages."], steps: ["test_source"] },
  SOURCE_UNREACHABLE: { checks: ["runs"], steps: ["test_source", "run_pipeline"] },
  SOURCE_LOGIN_REFUSED: { checks: ["config"], steps: ["request_secret", "test_source"] },
  SOURCE_TIMEOUT: { checks: ["runs"], steps: ["test_source"] },
};

/** Codes that an entry of another area already carries in its names. */
const ELSEWHERE: ReadonlySet<string> = new Set([
  "CONFIG_MISSING",
  "CONTRACT_VIOLATION",
  "CURSOR_MISSING",
  "CURSOR_TYPE",
  "MERGE_WITHOUT_KEY",
  "NAME_COLLISION",
  "NULL_IN_REQUIRED",
  "SCHEMA_ENGINE_NEWER",
  "TYPE_CHANGE_REFUSED",
]);

/** Words that are codes of ours, but also plain words in other people's logs. */
const PLAIN_WORDS: ReadonlySet<string> = new Set(["CANCELLED", "INTERNAL", "LOCKED", "TIMEOUT"]);

export const ENGINE: readonly Pattern[] = (Object.keys(ERRORS) as ErrorCode[])
  .filter((code) => !ELSEWHERE.has(code))
  .map((code) => {
    const more = MORE[code] ?? {};
    const same = [...HTTP, ...PARSING].find((each) => each.code === more.like);
    const words = code.toLowerCase().replaceAll("_", " ");
    return {
      code,
      category: more.wrapper ? "wrapper" : (same?.category ?? "state"),
      title: same?.title ?? `The engine reported ${words}.`,
      retry: ERRORS[code].retry,
      // an envelope names the field: "code": "LOCKED"
      names: PLAIN_WORDS.has(code) ? [] : [code],
      text: PLAIN_WORDS.has(code) ? [`"code":"${code}"`, `"code": "${code}"`, `error_code=${code}`] : [],
      causes: more.causes ?? same?.causes ?? [],
      checks: more.checks ?? same?.checks ?? [],
      fixes: [ERRORS[code].hint],
      steps: more.steps ?? same?.steps ?? [],
    } satisfies Pattern;
  });
