/**
 * Every error the engine raises on purpose. A code is stable: agents, tests and docs refer to it.
 * `retry` says whether the same call can succeed later without anybody changing anything.
 */

/** Does a retry help? `yes`: transient; `after_fix`: once the cause is fixed; `no`: never unchanged. */
export type Retry = "yes" | "after_fix" | "no";

interface ErrorPolicy {
  readonly retry: Retry;
  readonly hint: string;
}

/** Code -> policy. The hint is the default next step; a throw site may give a more exact one. */
export const ERRORS = {
  // configuration and workspace
  CONFIG_INVALID: { retry: "after_fix", hint: "Correct the named setting and run again." },
  CONFIG_MISSING: { retry: "after_fix", hint: "Set the named key in the environment or the named file." },
  NO_WORKSPACE: { retry: "after_fix", hint: "Run `loadwright init DIR`, or pass --workspace." },
  WORKSPACE_EXISTS: { retry: "no", hint: "Choose another folder, or use the workspace that is there." },
  PATH_OUTSIDE: { retry: "no", hint: "Use a path inside the workspace." },
  PIPELINE_NOT_FOUND: { retry: "after_fix", hint: "List the pipelines with `loadwright list`." },
  PIPELINE_NEVER_RAN: { retry: "after_fix", hint: "Run the pipeline once." },
  SOURCE_NOT_FOUND: { retry: "after_fix", hint: "Check the name, or add sources/<name>/index.ts." },
  SOURCE_INVALID: { retry: "after_fix", hint: "Correct the source definition." },
  // building sources
  SOURCE_EXISTS: {
    retry: "after_fix",
    hint: "Choose another name, or change what is there with update_source.",
  },
  SPEC_UNREADABLE: {
    retry: "after_fix",
    hint: "Correct the document or the sample, or describe the source otherwise.",
  },
  STALE_REVISION: {
    retry: "after_fix",
    hint: "Look at what the source is now, then call again with its present revision.",
  },
  INVALID_PATCH: { retry: "after_fix", hint: "Correct the change; nothing was written." },
  NO_MATCH: { retry: "after_fix", hint: "Use other words, or one of the names that there are." },
  UNKNOWN_KEY: {
    retry: "after_fix",
    hint: "Use a key that the source asks for; validate_source lists them.",
  },
  RUN_NOT_FOUND: { retry: "after_fix", hint: "List runs with `loadwright pipeline NAME info`." },
  LOCKED: { retry: "yes", hint: "Wait for the other run to finish, or stop it." },
  CANCELLED: { retry: "yes", hint: "Run again: what was committed stays, the rest is fetched again." },
  PROCESS_ENDED: { retry: "yes", hint: "Run again: what was committed stays, the rest is fetched again." },
  DISK_FULL: { retry: "after_fix", hint: "Make room on the disk, then run again: what was committed stays." },
  FILE_PERMISSION: {
    retry: "after_fix",
    hint: "Give this user the right to read and write there, or use another folder.",
  },
  INTERNAL: { retry: "no", hint: "This is a defect of loadwright: report it with the run's trace." },
  // extract
  EXTRACT_FAILED: { retry: "after_fix", hint: "Read the cause: the source's own code raised it." },
  RESOURCE_NOT_FOUND: { retry: "after_fix", hint: "Use one of the names of the source's resources." },
  MERGE_WITHOUT_KEY: {
    retry: "after_fix",
    hint: "Give the resource a primaryKey or a mergeKey, or use write disposition append.",
  },
  CURSOR_MISSING: { retry: "after_fix", hint: "Correct the cursor path, or set onCursorValueMissing." },
  CURSOR_TYPE: { retry: "after_fix", hint: "Give initialValue the type that the field has in the source." },
  CURSOR_ORDER: {
    retry: "after_fix",
    hint: "Remove rowOrder, or make the source return rows in that order.",
  },
  CURSOR_BOUNDARY_MISSING: {
    retry: "after_fix",
    hint: 'Put the table back, or set rangeStart to "open" to go on behind the last value, or drop the cursor from the state and load again from the start: without those hashes rows would be loaded twice.',
  },
  VALUE_UNSUPPORTED: { retry: "after_fix", hint: "Convert the value in a map() step." },
  // databases as sources
  SOURCE_UNREACHABLE: {
    retry: "yes",
    hint: "Check host, port and network, then run again: what was committed stays.",
  },
  SOURCE_LOGIN_REFUSED: { retry: "after_fix", hint: "Correct the source's user name and password." },
  SOURCE_ACCESS_DENIED: {
    retry: "after_fix",
    hint: "Grant the user select on the table, or exclude the table.",
  },
  SOURCE_TABLE_NOT_FOUND: { retry: "after_fix", hint: "Correct the table's name or the schema's." },
  SOURCE_COLUMN_NOT_FOUND: { retry: "after_fix", hint: "Correct the column's name." },
  SOURCE_TIMEOUT: {
    retry: "after_fix",
    hint: "Raise statement_timeout_ms, or give the table a cursor column with an index.",
  },
  // files
  FILE_NOT_FOUND: { retry: "after_fix", hint: "Check the path; relative paths start at the workspace." },
  FILE_FORMAT: { retry: "after_fix", hint: "Repair or re-export the file, or set its format options." },
  FILE_ENCODING: { retry: "after_fix", hint: "Set `encoding` for the file, or export it as UTF-8." },
  FILE_CHANGED: { retry: "yes", hint: "Run again once the file is no longer being written." },
  // HTTP sources
  HTTP_UNAUTHORIZED: {
    retry: "after_fix",
    hint: "Check the credentials and where the service wants them: header, query or body.",
  },
  HTTP_FORBIDDEN: {
    retry: "after_fix",
    hint: "Give the key the scope it lacks, or let this machine's address through the service's firewall.",
  },
  HTTP_NOT_FOUND: { retry: "after_fix", hint: "Check base URL, version, path and method." },
  HTTP_BAD_REQUEST: {
    retry: "after_fix",
    hint: "Correct the parameters; a long date range may have to be split.",
  },
  HTTP_REFUSED: { retry: "after_fix", hint: "A configured response action refuses this response." },
  HTTP_RATE_LIMITED: {
    retry: "yes",
    hint: "Run again later, or lower the requests per minute and the concurrency.",
  },
  HTTP_SERVER_ERROR: { retry: "yes", hint: "Run again later; a smaller window or page may help." },
  HTTP_TIMEOUT: {
    retry: "yes",
    hint: "Ask for less at once (smaller pages or windows), or raise the timeout.",
  },
  HTTP_CONNECTION: { retry: "yes", hint: "Check host, port, DNS and proxy, then run again." },
  HTTP_TLS: {
    retry: "after_fix",
    hint: "Check the scheme and the host name; name a private CA's file in NODE_EXTRA_CA_CERTS.",
  },
  HTTP_REDIRECT: { retry: "after_fix", hint: "Set the base URL to where the service is now." },
  HTTP_TOO_LARGE: { retry: "after_fix", hint: "Ask for smaller pages." },
  HTTP_BODY_INVALID: {
    retry: "after_fix",
    hint: "Check that the URL is the API's and not a web page's: the body is not the JSON that was expected.",
  },
  SELECTOR_EMPTY: { retry: "after_fix", hint: "Correct data_selector; the details name the keys there are." },
  PAGINATION_LOOP: {
    retry: "after_fix",
    hint: "The service ignores the paging parameter or repeats a cursor: correct the paginator.",
  },
  PAGINATION_LIMIT: { retry: "after_fix", hint: "Raise maximum_pages, or narrow the request." },
  // object stores (S3)
  S3_CREDENTIALS: {
    retry: "after_fix",
    hint: "Set credentials.aws_access_key_id and credentials.aws_secret_access_key of the source, or the environment of the AWS tools.",
  },
  S3_ACCESS_DENIED: {
    retry: "after_fix",
    hint: "Grant s3:ListBucket on the bucket and s3:GetObject on the objects (and kms:Decrypt where they are encrypted with KMS).",
  },
  S3_BUCKET_NOT_FOUND: {
    retry: "after_fix",
    hint: "Check bucket, endpoint and path_style: another store may be asked than the one that has the bucket.",
  },
  S3_REGION: { retry: "after_fix", hint: "Set `region` to the bucket's region." },
  S3_CLOCK: { retry: "after_fix", hint: "Set this machine's clock (NTP): it is more than 15 minutes off." },
  S3_ARCHIVED: {
    retry: "after_fix",
    hint: "Restore the object from its archive class, or leave it out with `glob`.",
  },
  S3_THROTTLED: { retry: "yes", hint: "Run again later, with a lower `prefetch_objects`." },
  S3_UNREACHABLE: { retry: "yes", hint: "Check `endpoint`, the network and proxies, and run again." },
  S3_RESPONSE: {
    retry: "after_fix",
    hint: "Check `endpoint`: it must be the S3 endpoint, not a web console or a proxy's page.",
  },
  // reports of vendors
  REPORT_INCOMPLETE: {
    retry: "after_fix",
    hint: "The service cuts its answer and cannot be asked in smaller parts; nothing of that day was loaded.",
  },
  REPORT_SHIFTED: {
    retry: "yes",
    hint: "Rows changed places while the pages were read: run again when less is being written there.",
  },
  REPORT_MISMATCH: {
    retry: "after_fix",
    hint: "The answer is not about what was asked for: a parameter was ignored. Check the API's version and the account.",
  },
  // schema, normalize
  STATE_INVALID: {
    retry: "after_fix",
    hint: "Run the pipeline, or `loadwright pipeline NAME sync`: both take the state from the destination.",
  },
  SCHEMA_INVALID: { retry: "no", hint: "The stored schema cannot be used; see the details." },
  SCHEMA_ENGINE_NEWER: { retry: "after_fix", hint: "Upgrade loadwright: a newer engine wrote this schema." },
  NAME_COLLISION: {
    retry: "after_fix",
    hint: "Rename one of the fields in a map() step.",
  },
  CONTRACT_VIOLATION: { retry: "after_fix", hint: "Relax the contract, or correct the data." },
  TYPE_CHANGE_REFUSED: {
    retry: "after_fix",
    hint: "Keep the old type (new values go to a variant column), use a new column, or refresh the table.",
  },
  NULL_IN_REQUIRED: {
    retry: "after_fix",
    hint: "Filter the rows without the key, or make the column nullable.",
  },
  SCHEMA_VERSION_NOT_FOUND: {
    retry: "after_fix",
    hint: "Ask for the schema without a version, or as of a load id.",
  },
  NAMING_CHANGED: {
    retry: "after_fix",
    hint: "Keep the naming convention, or load into a new dataset with the other one.",
  },
  IDENTIFIER_INVALID: { retry: "after_fix", hint: "Rename the field or table." },
  // package
  PACKAGE_NOT_FOUND: { retry: "no", hint: "List packages with `loadwright pipeline NAME info`." },
  PACKAGE_CORRUPT: {
    retry: "no",
    hint: "Drop the package: its rows are fetched again, because its cursor goes with it.",
  },
  PACKAGE_SUPERSEDED: {
    retry: "no",
    hint: "Leave it dropped: later packages fetched its rows again, restoring it would load them twice.",
  },
  NOTHING_PENDING: { retry: "no", hint: "There is no pending package; nothing has to be done." },
  CONFIRM_REQUIRED: { retry: "after_fix", hint: "Look at the plan, then call again with its confirm token." },
  CONFIRM_EXPIRED: { retry: "after_fix", hint: "The state moved since the plan: ask for a new plan." },
  // load
  DESTINATION_LOCKED: { retry: "yes", hint: "Close the program that has the database open." },
  DESTINATION_UNREACHABLE: { retry: "yes", hint: "Check host, port and network." },
  DESTINATION_CHANGED: {
    retry: "after_fix",
    hint: "Give the pipeline its former destination again, or drop the pending packages: their rows are fetched again.",
  },
  DESTINATION_INVALID: { retry: "after_fix", hint: "Check the destination's path and credentials." },
  LOAD_FAILED: {
    retry: "after_fix",
    hint: "Read the cause; the package is kept and its transaction was undone.",
  },
  LOAD_VALUE: {
    retry: "after_fix",
    hint: "The destination cannot hold a value; correct it in a map() step.",
  },
  // queries
  NOT_READ_ONLY: { retry: "no", hint: "Send one SELECT, WITH or EXPLAIN statement without side effects." },
  MULTI_STATEMENT: { retry: "no", hint: "Send exactly one statement." },
  QUERY_FAILED: { retry: "after_fix", hint: "Correct the statement; see get_schema for tables and columns." },
  TIMEOUT: { retry: "after_fix", hint: "Narrow the query, or raise the time limit." },
  TABLE_NOT_FOUND: { retry: "after_fix", hint: "List the tables with get_schema." },
  CHECK_INVALID: { retry: "after_fix", hint: "Correct the check's table and columns in loadwright.toml." },
  NOT_ALLOWED: { retry: "after_fix", hint: "Start the server with the --allow flag that the message names." },
  ARGUMENTS_INVALID: {
    retry: "after_fix",
    hint: "Correct the named arguments; see the tool's input schema.",
  },
  BAD_CURSOR: { retry: "no", hint: "Start again without a cursor." },
} as const satisfies Record<string, ErrorPolicy>;

export type ErrorCode = keyof typeof ERRORS;

export interface ErrorOptionsOfEngine {
  /** The next step, when the throw site knows better than the table. */
  hint?: string;
  /** Facts for people and agents: names, counts, lines. Never cell values, never secrets. */
  details?: Readonly<Record<string, unknown>>;
  cause?: unknown;
  retry?: Retry;
}

/** The JSON form of an error: one envelope for CLI, MCP, traces and child processes. */
export interface ErrorEnvelope {
  code: string;
  message: string;
  hint: string;
  retry: Retry;
  details?: Record<string, unknown>;
  cause?: { name: string; message: string; code?: string };
}

/** An error with a stable code, whether a retry helps, and what to do next. */
export class EngineError extends Error {
  readonly code: ErrorCode;
  readonly hint: string;
  readonly retry: Retry;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, options: ErrorOptionsOfEngine = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "EngineError";
    this.code = code;
    this.hint = options.hint ?? ERRORS[code].hint;
    this.retry = options.retry ?? ERRORS[code].retry;
    this.details = options.details ?? {};
  }

  /** The same error with facts added that only an outer layer knows (pipeline, table, load id). */
  withDetails(details: Record<string, unknown>): EngineError {
    return new EngineError(this.code, this.message, {
      hint: this.hint,
      retry: this.retry,
      details: { ...details, ...this.details },
      cause: this.cause,
    });
  }
}

/**
 * Any thrown value as an envelope. An error that is not ours is one of the machine, or becomes INTERNAL with its
 * message kept.
 */
export function toEnvelope(error: unknown): ErrorEnvelope {
  if (error instanceof EngineError) {
    const envelope: ErrorEnvelope = {
      code: error.code,
      message: error.message,
      hint: error.hint,
      retry: error.retry,
    };
    if (Object.keys(error.details).length > 0) envelope.details = { ...error.details };
    if (error.cause !== undefined) envelope.cause = causeOf(error.cause);
    return envelope;
  }
  const machine = machineError(error);
  if (machine !== undefined) return toEnvelope(machine);
  const cause = causeOf(error);
  return { code: "INTERNAL", message: cause.message, hint: ERRORS.INTERNAL.hint, retry: "no", cause };
}

/** What the operating system refused, where somebody can do something about it; undefined for anything else. */
export function machineError(error: unknown): EngineError | undefined {
  const { code, path } = (error ?? {}) as { code?: unknown; path?: unknown };
  const at = typeof path === "string" ? `: ${path}` : ".";
  const options = { cause: error, ...(typeof path === "string" ? { details: { path } } : {}) };
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new EngineError("DISK_FULL", `The disk is full, or a quota is used up${at}`, options);
  }
  if (code === "EACCES" || code === "EPERM" || code === "EROFS") {
    return new EngineError("FILE_PERMISSION", `A file or folder may not be read or written${at}`, options);
  }
  return undefined;
}

function causeOf(error: unknown): { name: string; message: string; code?: string } {
  if (error instanceof Error) {
    const code = (error as { code?: unknown }).code;
    return { name: error.name, message: error.message, ...(typeof code === "string" ? { code } : {}) };
  }
  return { name: typeof error, message: String(error) };
}
