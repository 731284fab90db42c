/**
 * Postgres's errors as errors of ours. The SQLSTATE decides, because messages are in the server's language;
 * poolers send their own codes in parentheses, and those come first. Messages and details of value errors
 * quote values, so they are never passed on: table, column and type are said instead.
 */

import { EngineError, type ErrorCode, type Retry } from "../../errors.ts";
import { type Login, supabaseHint } from "./supabase.ts";

export type Doing = "open" | "load" | "query";

/** Where it was being done: table, load id. */
export type Where = Readonly<Record<string, unknown>>;

interface Context {
  readonly doing: Doing;
  readonly where?: Where;
  readonly login?: Login;
}

/** The fields of the protocol's ErrorResponse that are looked at. */
interface ServerError {
  readonly sqlstate: string;
  readonly message: string;
  readonly table: string | undefined;
  readonly column: string | undefined;
  readonly constraint: string | undefined;
  /** `COPY orders, line 3, column price: "…"` */
  readonly context: string;
}

/** Does the server, the network or a pooler say that later it may work? */
const TRANSIENT = /^(08|40|53|57P0|55P03)/;

export function postgresError(error: unknown, context: Context): EngineError {
  const { where = {} } = context;
  if (error instanceof EngineError) {
    return Object.keys(where).length > 0 ? error.withDetails({ ...where }) : error;
  }
  const fail = failing(context);
  const message = error instanceof Error ? error.message : String(error);
  return (
    poolerError(message, context, fail) ??
    (isServerError(error) ? serverError(serverErrorOf(error as Error), context, fail) : undefined) ??
    networkError(error, message, context, fail)
  );
}

/** Is it one that Postgres or the way to it can raise? Anything else (a bug, a test's crash) passes as it is. */
export function isFromPostgres(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = (error as { code?: unknown }).code;
  return isServerError(error) || (typeof code === "string" && CODES.has(code)) || LOST.test(error.message);
}

/**
 * Is it over in seconds, so that the same load may go through by itself? A table that stays locked and a full
 * disk are transient too, but have been waited for or need somebody.
 */
export function isTransient(error: unknown): boolean {
  if (!(error instanceof EngineError) || error.retry !== "yes") return false;
  return error.code === "DESTINATION_UNREACHABLE" || String(error.details.sqlstate).startsWith("40");
}

type Fail = (
  code: ErrorCode,
  text: string,
  more?: { hint?: string; retry?: Retry; details?: Where },
) => EngineError;

function failing({ where }: Context): Fail {
  return (code, text, more = {}) =>
    new EngineError(code, text, {
      hint: more.hint,
      retry: more.retry,
      details: { ...where, ...more.details },
    });
}

interface PoolerRule {
  readonly pattern: RegExp;
  readonly code: ErrorCode;
  readonly text: string;
  readonly hint?: string;
  readonly retry?: Retry;
}

/** Supavisor (its codes since 2026-03, its sentences before) and PgBouncer. */
const POOLER_RULES: readonly PoolerRule[] = [
  {
    pattern: /\((EMAXCONNSESSION|EMAXCONN)\)|MaxClientsInSessionMode|Max client connections reached/,
    code: "DESTINATION_UNREACHABLE",
    text: "The pooler has no client connection free.",
    hint: "Close other clients, or raise the pool size in Database Settings.",
    retry: "yes",
  },
  {
    pattern: /\(ECHECKOUTTIMEOUT\)|[Uu]nable to check out connection from the pool|query_wait_timeout/,
    code: "DESTINATION_UNREACHABLE",
    text: "The pooler has no database connection free.",
    hint: "Wait for long transactions to end, or raise the pool size.",
    retry: "yes",
  },
  {
    pattern: /\(EDBHANDLEREXITED\)|DbHandler exited|:client_termination|server login has been failing/,
    code: "DESTINATION_UNREACHABLE",
    text: "The pooler lost its connection to the database.",
    retry: "yes",
  },
  {
    pattern: /no more connections allowed/,
    code: "DESTINATION_UNREACHABLE",
    text: "The pooler has no client connection free.",
    hint: "Close other clients, or raise max_client_conn.",
    retry: "yes",
  },
  {
    pattern: /\(ECIRCUITBREAKER\)|[Cc]ircuit breaker open/,
    code: "DESTINATION_UNREACHABLE",
    text: "The pooler refuses logins for a while, after many that failed.",
    hint: "Correct the password, wait two minutes, then run again.",
    retry: "after_fix",
  },
  {
    pattern: /\(ESSLREQUIRED\)|SSL connection is required/,
    code: "DESTINATION_INVALID",
    text: "The server takes encrypted connections only.",
    hint: "Set ssl_mode to require, or verify-full with the server's root certificate.",
  },
  {
    pattern: /\(EADDRNOTALLOWED\)/,
    code: "DESTINATION_INVALID",
    text: "The project's network restrictions do not allow this machine's address.",
    hint: "Allow the address in Database Settings.",
  },
];

function poolerError(message: string, { login }: Context, fail: Fail): EngineError | undefined {
  if (/\(ENOTFOUND\) tenant\/user|^Tenant or user not found/.test(message)) {
    const hint = login && supabaseHint(login, "no_tenant");
    return fail("DESTINATION_INVALID", "The pooler does not know this user.", { hint });
  }
  const rule = POOLER_RULES.find(({ pattern }) => pattern.test(message));
  return rule && fail(rule.code, rule.text, { hint: rule.hint, retry: rule.retry });
}

/** A type guard would tell the compiler that what is not the server's is no error at all. */
function isServerError(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { code, severity } = error as Error & { code?: unknown; severity?: unknown };
  return typeof code === "string" && /^[0-9A-Z]{5}$/.test(code) && severity != null;
}

function serverErrorOf(error: Error): ServerError {
  const fields = error as Error & Record<string, unknown>;
  const text = (key: string): string | undefined => {
    const value = fields[key];
    return typeof value === "string" && value !== "" ? value : undefined;
  };
  return {
    sqlstate: String(fields.code),
    message: error.message,
    table: text("table"),
    column: text("column"),
    constraint: text("constraint"),
    context: text("where") ?? "",
  };
}

function serverError(error: ServerError, context: Context, failWith: Fail): EngineError {
  const { doing, login } = context;
  const { sqlstate, message } = error;
  const fail: Fail = (code, text, more = {}) =>
    failWith(code, text, { ...more, details: { sqlstate, ...more.details } });
  const usual: ErrorCode =
    doing === "open" ? "DESTINATION_INVALID" : doing === "load" ? "LOAD_FAILED" : "QUERY_FAILED";

  if (/^2[123]|^54000$/.test(sqlstate) && doing === "load") return valueError(error, context, fail);
  if (/^2[123]/.test(sqlstate)) return fail("QUERY_FAILED", `Postgres refused a value (${sqlstate}).`);
  switch (sqlstate) {
    case "28P01":
      return fail(
        "DESTINATION_INVALID",
        `Postgres refused the password of ${login?.username ?? "the user"}.`,
        {
          hint: "Correct the password. In a URL its reserved characters are percent-encoded. Do not try again unchanged: some servers ban an address after a few attempts.",
          retry: "after_fix",
        },
      );
    case "28000":
      return fail("DESTINATION_INVALID", `Postgres refused the login: ${message}`, {
        hint: /SSL off|no encryption/.test(message)
          ? "The server takes encrypted connections only: set ssl_mode to require."
          : undefined,
      });
    case "3D000":
      return fail("DESTINATION_INVALID", `Postgres: ${message}`, {
        hint: "Correct the database's name. On Supabase it is postgres.",
      });
    case "42501":
      return fail(doing === "query" ? "QUERY_FAILED" : "LOAD_FAILED", `Postgres: ${message}`, {
        hint: "Grant the role usage and create on the schema, or create on the database, and make it the owner of the tables.",
      });
    case "25006":
      return fail(usual, "The database takes no writes now.", {
        hint: "A full disk makes Supabase read-only: free or grow it. Else the address is one of a replica.",
      });
    case "57014":
      return fail(doing === "query" ? "TIMEOUT" : usual, "Postgres ended the statement: it took too long.", {
        hint:
          doing === "query"
            ? undefined
            : "Raise statement_timeout_ms, or the role's statement_timeout; load smaller packages.",
        retry: "after_fix",
      });
    case "55P03":
      return fail(usual, "A table stayed locked by somebody else.", {
        hint: "End the transaction that holds it (pg_stat_activity, state idle in transaction), or run again later.",
        retry: "yes",
      });
    case "42P01":
      if (doing === "query") return fail("TABLE_NOT_FOUND", `Postgres: ${message}`);
      break;
    case "54011":
      // what has been fetched never fits: as another failure of the load it would be tried again for ever
      return fail("SCHEMA_INVALID", "A table of Postgres has 1,600 columns at most.", {
        hint: "Leave out columns in a map() step, or keep nested parts as JSON with maxTableNesting.",
        retry: "after_fix",
      });
    case "53200":
      return fail(usual, `Postgres ran out of memory: ${message}`, {
        hint: "Where it is shared memory, the tables of one load are more than the server can lock: raise its max_locks_per_transaction. Else run again later.",
        retry: "yes",
      });
    case "53300":
      return fail("DESTINATION_UNREACHABLE", "The server has no connection free.", {
        hint: "Close other clients, or use a pooler.",
        retry: "yes",
      });
    case "53100":
      return fail(usual, "The server's disk is full.", { hint: "Free or grow the disk.", retry: "yes" });
  }
  if (/^(08|57P0)/.test(sqlstate)) {
    return fail("DESTINATION_UNREACHABLE", `The connection to Postgres ended: ${message}`, { retry: "yes" });
  }
  if (TRANSIENT.test(sqlstate)) return fail(usual, `Postgres: ${message}`, { retry: "yes" });
  // Names and syntax: the engine's statements hold no values.
  return fail(usual, `Postgres: ${message}`);
}

/** `COPY "orders", line 3, column price: "…"`: only the names before the value are taken. */
function copiedColumn(context: string): string | undefined {
  return /^COPY .+?, line \d+, column ([^":]+?)(?::|$)/m.exec(context)?.[1];
}

function valueError(error: ServerError, { where = {} }: Context, fail: Fail): EngineError {
  const { sqlstate } = error;
  const table = typeof where.table === "string" ? where.table : error.table;
  const column = copiedColumn(error.context) ?? error.column;
  const ofTable = table === undefined ? "" : ` of table ${table}`;
  const details = { ...(table === undefined ? {} : { table }), ...(column === undefined ? {} : { column }) };
  const subject = column === undefined ? `A column${ofTable}` : `Column ${column}${ofTable}`;
  const refuse = (text: string, hint?: string) => fail("LOAD_VALUE", text, { hint, details });
  switch (sqlstate) {
    case "22021":
    case "22P05":
      return refuse(
        `${subject} cannot hold a NUL character, or the text is not UTF-8.`,
        'Correct the value in a map() step, or set nul = "remove" for the destination.',
      );
    case "22001":
      return refuse(`${subject} cannot hold a text of that length.`);
    case "22003":
      return refuse(`${subject} cannot hold a number of that size.`);
    case "22007":
    case "22008":
      return refuse(`${subject} cannot hold that date or time.`);
    case "23502":
      return refuse(`${subject} does not allow null.`);
    case "23505":
      return refuse(
        `A row breaks the unique constraint ${error.constraint ?? ""}${ofTable}.`.replace("  ", " "),
        "The key is there already or twice in the load: merge instead of appending, or widen the key.",
      );
    case "54000":
      if (column !== undefined) return refuse(`${subject} cannot hold a value of that size.`);
      return refuse(
        `A row${ofTable} is too large for Postgres, which keeps all but long texts and JSON in one page of 8 kB.`,
        "Leave out columns in a map() step, or keep nested parts as JSON with maxTableNesting; where there is an index, its values must be short too.",
      );
  }
  if (sqlstate.startsWith("23")) return refuse(`A row breaks a constraint${ofTable}.`);
  return refuse(`${subject} cannot hold a value of this load (${sqlstate}).`);
}

interface NetworkRule {
  readonly retry: Retry;
  readonly text: string;
  readonly hint?: string;
  readonly supabase?: Parameters<typeof supabaseHint>[1];
}

const UNVERIFIED: NetworkRule = {
  retry: "after_fix",
  text: "The server's certificate could not be verified.",
  hint: "Set ssl_root_cert to a file with the authority that signed it. ssl_mode require without ssl_root_cert encrypts, but does not check who answers.",
  supabase: "tls",
};
const CODES: ReadonlyMap<string, NetworkRule> = new Map<string, NetworkRule>([
  ["ECONNREFUSED", { retry: "yes", text: "The server refused the connection.", supabase: "refused" }],
  ["ENOTFOUND", { retry: "after_fix", text: "There is no host of that name.", supabase: "no_name" }],
  ["EAI_AGAIN", { retry: "yes", text: "The host's name could not be looked up now." }],
  ["ENETUNREACH", { retry: "after_fix", text: "There is no route to the host.", supabase: "no_route" }],
  ["EHOSTUNREACH", { retry: "after_fix", text: "There is no route to the host.", supabase: "no_route" }],
  ["ETIMEDOUT", { retry: "yes", text: "The server did not answer in time." }],
  ["ECONNRESET", { retry: "yes", text: "The connection was cut." }],
  ["EPIPE", { retry: "yes", text: "The connection was cut." }],
  ["ENOENT", { retry: "after_fix", text: "There is no server on that socket." }],
  ["SELF_SIGNED_CERT_IN_CHAIN", UNVERIFIED],
  ["DEPTH_ZERO_SELF_SIGNED_CERT", UNVERIFIED],
  ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", UNVERIFIED],
  ["UNABLE_TO_GET_ISSUER_CERT", UNVERIFIED],
  ["UNABLE_TO_GET_ISSUER_CERT_LOCALLY", UNVERIFIED],
  // by another authority of the same name
  ["CERT_SIGNATURE_FAILURE", UNVERIFIED],
  ["CERT_UNTRUSTED", UNVERIFIED],
  ["INVALID_CA", UNVERIFIED],
  [
    "CERT_HAS_EXPIRED",
    {
      retry: "after_fix",
      text: "The server's certificate has expired.",
      hint: "Renew it at the server; check this machine's clock.",
    },
  ],
  [
    "CERT_NOT_YET_VALID",
    {
      retry: "after_fix",
      text: "The server's certificate is not valid yet.",
      hint: "Check this machine's clock and the server's.",
    },
  ],
  [
    "ERR_TLS_CERT_ALTNAME_INVALID",
    {
      retry: "after_fix",
      text: "The server's certificate is for another host.",
      hint: "Connect by a name that the certificate has; or set ssl_mode to verify-ca, which checks the authority and not the name.",
    },
  ],
]);
const LOST =
  /^Connection terminated|timeout expired|timeout exceeded when trying to connect|is not queryable/;
export const NO_SSL_MESSAGE = "The server does not support SSL connections";

function networkError(error: unknown, message: string, { login }: Context, fail: Fail): EngineError {
  const code = codeOf(error);
  const rule = code === undefined ? undefined : CODES.get(code);
  const at = login === undefined ? "" : ` (${login.host}:${login.port})`;
  if (rule !== undefined) {
    const hint = (login && rule.supabase && supabaseHint(login, rule.supabase)) ?? rule.hint;
    return fail("DESTINATION_UNREACHABLE", `Postgres cannot be reached: ${rule.text}${at}`, {
      hint,
      retry: rule.retry,
      details: { error: code },
    });
  }
  if (message === NO_SSL_MESSAGE) {
    return fail("DESTINATION_INVALID", `The server has no encryption${at}.`, {
      hint: "Set ssl_mode to prefer or disable, if the way to it is safe.",
    });
  }
  if (/SASL|client password must be a string/.test(message)) {
    return fail("CONFIG_MISSING", `The server wants a password, and none is set${at}.`, {
      hint: "Set the password, e.g. DESTINATION__POSTGRES__CREDENTIALS__PASSWORD.",
    });
  }
  if (LOST.test(message)) {
    const text = /timeout/.test(message) ? "it did not answer in time" : "the connection was cut";
    return fail("DESTINATION_UNREACHABLE", `Postgres cannot be reached: ${text}${at}.`, { retry: "yes" });
  }
  return fail("DESTINATION_UNREACHABLE", `Postgres cannot be reached: ${message}${at}`, { retry: "no" });
}

/** Node tries all addresses of a host and gathers their errors; the first is that of the preferred one. */
function codeOf(error: unknown): string | undefined {
  const { code, errors } = error as { code?: unknown; errors?: unknown };
  if (typeof code === "string") return code;
  return Array.isArray(errors) && errors.length > 0 ? codeOf(errors[0]) : undefined;
}
