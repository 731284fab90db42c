/** Errors of MySQL and MariaDB as errors of ours. Their messages quote names, and values only where rows are written. */

import { EngineError, type ErrorCode, type Retry } from "../../../engine/errors.ts";

interface Rule {
  readonly code: ErrorCode;
  readonly text?: string;
  readonly hint?: string;
  readonly retry?: Retry;
}

const BY_NUMBER: ReadonlyMap<number, Rule> = new Map<number, Rule>([
  [
    1045,
    {
      code: "SOURCE_LOGIN_REFUSED",
      text: "The server refused the user or the password",
      hint: "Correct user and password; MySQL's users are bound to hosts, so the user may be allowed from elsewhere only.",
    },
  ],
  [1044, { code: "SOURCE_ACCESS_DENIED", hint: "Grant the user select on the database." }],
  [1142, { code: "SOURCE_ACCESS_DENIED" }],
  [1143, { code: "SOURCE_ACCESS_DENIED" }],
  [
    1356,
    { code: "SOURCE_ACCESS_DENIED", hint: "The view reads what is gone, or what its definer may not read." },
  ],
  [1049, { code: "CONFIG_INVALID", hint: "Correct the database's name in the URL." }],
  [1146, { code: "SOURCE_TABLE_NOT_FOUND" }],
  [1054, { code: "SOURCE_COLUMN_NOT_FOUND" }],
  [1969, { code: "SOURCE_TIMEOUT", text: "The server ended the statement: it took too long" }],
  [3024, { code: "SOURCE_TIMEOUT", text: "The server ended the statement: it took too long" }],
  [1040, { code: "SOURCE_UNREACHABLE", text: "The server has no connection free" }],
  [1203, { code: "SOURCE_UNREACHABLE", text: "The user has no connection free" }],
  [1226, { code: "SOURCE_UNREACHABLE", text: "The user has no connection free" }],
  [1053, { code: "SOURCE_UNREACHABLE", text: "The server is shutting down" }],
  [1927, { code: "SOURCE_UNREACHABLE", text: "The server ended the connection" }],
  [1129, { code: "SOURCE_UNREACHABLE", hint: "Unblock this machine with flush hosts.", retry: "after_fix" }],
  [1130, { code: "SOURCE_LOGIN_REFUSED", hint: "Allow the user to connect from this machine." }],
  [1205, { code: "SOURCE_UNREACHABLE", text: "A table stayed locked by somebody else" }],
  [
    3159,
    {
      code: "SOURCE_LOGIN_REFUSED",
      hint: "The server takes encrypted connections only: set ssl_mode to require.",
    },
  ],
]);

const BY_CODE: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ["ECONNREFUSED", { code: "SOURCE_UNREACHABLE", text: "The server refused the connection" }],
  ["ENOTFOUND", { code: "SOURCE_UNREACHABLE", text: "There is no host of that name", retry: "after_fix" }],
  ["EAI_AGAIN", { code: "SOURCE_UNREACHABLE", text: "The host's name could not be looked up now" }],
  ["ETIMEDOUT", { code: "SOURCE_UNREACHABLE", text: "The server did not answer in time" }],
  ["ECONNRESET", { code: "SOURCE_UNREACHABLE", text: "The connection was cut" }],
  ["EPIPE", { code: "SOURCE_UNREACHABLE", text: "The connection was cut" }],
  ["PROTOCOL_CONNECTION_LOST", { code: "SOURCE_UNREACHABLE", text: "The connection was cut" }],
  ["ENETUNREACH", { code: "SOURCE_UNREACHABLE", text: "There is no route to the host", retry: "after_fix" }],
  ["EHOSTUNREACH", { code: "SOURCE_UNREACHABLE", text: "There is no route to the host", retry: "after_fix" }],
  [
    "HANDSHAKE_NO_SSL_SUPPORT",
    {
      code: "CONFIG_INVALID",
      text: "The server has no encryption",
      hint: "Set ssl_mode to prefer or disable, if the way to it is safe.",
    },
  ],
  [
    "HANDSHAKE_SSL_ERROR",
    {
      code: "SOURCE_UNREACHABLE",
      text: "The encryption could not be agreed on",
      hint: "Check which versions of TLS the server takes.",
      retry: "after_fix",
    },
  ],
]);

/** The driver gives all that goes wrong with TLS one code; only the message of OpenSSL or Node says what it was. */
const BY_TLS_MESSAGE: readonly (readonly [RegExp, Rule])[] = [
  [
    /altname|does not match certificate/i,
    {
      code: "SOURCE_UNREACHABLE",
      text: "The server's certificate is for another host",
      hint: "Write the host in the URL as the certificate names it, or set ssl_mode to verify-ca.",
      retry: "after_fix",
    },
  ],
  [
    /expired/i,
    {
      code: "SOURCE_UNREACHABLE",
      text: "The server's certificate has expired",
      hint: "Renew it on the server, or set ssl_mode to require until then.",
      retry: "after_fix",
    },
  ],
  [
    /certificate/i,
    {
      code: "SOURCE_UNREACHABLE",
      text: "The server's certificate could not be verified",
      hint: "Set ssl_root_cert to a file with the certificate authority, or ssl_mode to require.",
      retry: "after_fix",
    },
  ],
];

function tlsRule(code: string | undefined, message: string): Rule | undefined {
  if (code !== "HANDSHAKE_SSL_ERROR") return undefined;
  return BY_TLS_MESSAGE.find(([pattern]) => pattern.test(message))?.[1];
}

export function mysqlError(
  error: unknown,
  login: { readonly host: string; readonly port: number },
  where: Readonly<Record<string, unknown>>,
): EngineError {
  if (error instanceof EngineError) return error.withDetails({ ...where });
  const { errno, code, message } = error as Error & { errno?: number; code?: string };
  const rule =
    (errno === undefined ? undefined : BY_NUMBER.get(errno)) ??
    tlsRule(code, message) ??
    (code === undefined ? undefined : BY_CODE.get(code));
  const details = { ...where, ...(code === undefined ? {} : { error: code }) };
  if (rule === undefined) {
    return new EngineError("EXTRACT_FAILED", `MySQL: ${message}`, {
      hint: "Read the message: the database refused the statement.",
      details,
    });
  }
  const at = rule.code === "SOURCE_UNREACHABLE" ? ` (${login.host}:${login.port})` : "";
  return new EngineError(rule.code, `MySQL: ${rule.text ?? message}${at}${rule.text ? "." : ""}`, {
    hint: rule.hint,
    retry: rule.retry,
    details,
  });
}
