/**
 * What went wrong with a request, as a coded error. Texts hold the method, the URL without its secrets and
 * counts; of a response's body only names of keys and an error code, never its content.
 */

import { EngineError, type ErrorCode } from "../../engine/errors.ts";

export interface RequestFacts {
  readonly method: string;
  /** As it may be shown. */
  readonly url: string;
  readonly attempt: number;
}

export interface Refusal {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Uint8Array;
  readonly exhausted: boolean;
  /** Milliseconds that the service asks to wait. */
  readonly waitMs: number | undefined;
  /** The credentials were kept back, because the host is not the client's. */
  readonly withheld: boolean;
}

/** The error of a response whose status is not a success. */
export function statusError(request: RequestFacts, refusal: Refusal): EngineError {
  const { status, headers, bytes, waitMs, withheld } = refusal;
  const code = codeOf(refusal);
  const type = headers.get("content-type") ?? "no content type";
  const told = errorCodeOf(bytes);
  const requestId = headers.get("x-request-id") ?? headers.get("x-amzn-requestid");
  const tries = request.attempt > 1 ? ` after ${request.attempt} attempts` : "";
  const text = `${request.method} ${request.url} answered ${status}${told === undefined ? "" : ` (${told})`}${tries}.`;
  return new EngineError(code, text, {
    ...hintOf(code, refusal, withheld, /html/i.test(type)),
    details: {
      ...request,
      status,
      content_type: type,
      body_bytes: bytes.length,
      ...(told === undefined ? {} : { error_code: told }),
      ...(waitMs === undefined ? {} : { retry_after_seconds: Math.ceil(waitMs / 1000) }),
      ...(requestId === null ? {} : { request_id: requestId.slice(0, 100) }),
    },
  });
}

function codeOf({ status, exhausted }: Refusal): ErrorCode {
  if (status === 429 || (status === 403 && exhausted)) return "HTTP_RATE_LIMITED";
  if (status === 401) return "HTTP_UNAUTHORIZED";
  if (status === 403) return "HTTP_FORBIDDEN";
  if (status === 404 || status === 410) return "HTTP_NOT_FOUND";
  if (status === 408) return "HTTP_TIMEOUT";
  if (status >= 500) return "HTTP_SERVER_ERROR";
  if (status >= 300 && status < 400) return "HTTP_REDIRECT";
  return "HTTP_BAD_REQUEST";
}

function hintOf(code: ErrorCode, refusal: Refusal, withheld: boolean, html: boolean): { hint?: string } {
  if (withheld && (code === "HTTP_UNAUTHORIZED" || code === "HTTP_FORBIDDEN")) {
    return {
      hint: "The host is not that of the base URL, so the credentials were kept back: make it the base URL, or list it in auth_hosts.",
    };
  }
  if (code === "HTTP_FORBIDDEN" && html) {
    return { hint: "The answer is a web page: a firewall or bot check blocks this machine's address." };
  }
  if (code === "HTTP_RATE_LIMITED" && refusal.waitMs !== undefined) {
    return { hint: `Run again in ${Math.ceil(refusal.waitMs / 1000)} seconds, or lower the request rate.` };
  }
  return {};
}

/** An error code in a JSON body, when it looks like an identifier: anything longer may quote data. */
function errorCodeOf(bytes: Uint8Array): string | undefined {
  if (bytes.length > 65_536) return undefined;
  try {
    const body = JSON.parse(new TextDecoder().decode(bytes)) as Record<string, unknown> | null;
    const inner = body?.error;
    const places = [body, typeof inner === "object" ? (inner as Record<string, unknown> | null) : null];
    for (const place of places) {
      for (const key of ["error", "error_code", "code", "type"]) {
        const value = place?.[key];
        if (typeof value === "string" && /^[A-Za-z][A-Za-z_.-]{1,59}$/.test(value)) return value;
      }
    }
  } catch {
    // not JSON: nothing to tell
  }
  return undefined;
}

const TLS =
  /CERT|SELF_SIGNED|UNABLE_TO_VERIFY|UNABLE_TO_GET_ISSUER|ERR_TLS|ERR_SSL|HPE_INVALID|HOSTNAME_MISMATCH/;

/** The error of a request without a complete response: `fetch failed`, `terminated` and what lies below. */
export function connectionError(request: RequestFacts, error: unknown): EngineError {
  const cause = innermost(error);
  const reason = typeof cause.code === "string" ? cause.code : cause.name;
  const where = `${request.method} ${request.url}`;
  const details = { ...request, reason };
  if (TLS.test(reason)) {
    return new EngineError("HTTP_TLS", `${where}: no secure connection (${reason}).`, { details, cause });
  }
  if (reason === "ENOTFOUND") {
    return new EngineError("HTTP_CONNECTION", `${where}: the host name is not known (${reason}).`, {
      hint: "Correct the host name, or let this machine reach the network.",
      retry: "after_fix",
      details,
      cause,
    });
  }
  const cut = error instanceof Error && error.message === "terminated";
  const problem = cut ? "the connection ended inside the body" : "the connection failed";
  return new EngineError("HTTP_CONNECTION", `${where}: ${problem} (${reason}).`, { details, cause });
}

export function timeoutError(request: RequestFacts, timeoutMs: number): EngineError {
  return new EngineError(
    "HTTP_TIMEOUT",
    `${request.method} ${request.url} was not answered in full within ${timeoutMs / 1000} seconds.`,
    { details: { ...request, timeout_ms: timeoutMs } },
  );
}

/** `fetch failed` says nothing: the reason is at the end of its causes. */
function innermost(error: unknown): Error & { code?: unknown } {
  let current = error instanceof Error ? error : new Error(String(error));
  for (let depth = 0; depth < 10; depth += 1) {
    const inner: unknown =
      current instanceof AggregateError && current.errors.length > 0 ? current.errors[0] : current.cause;
    if (!(inner instanceof Error)) break;
    current = inner;
  }
  return current;
}
