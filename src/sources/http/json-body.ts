/**
 * JSON of a response, read by the engine's own reader: integers keep all their digits, and 1.0 stays different
 * from 1.
 */

import { EngineError } from "../../engine/errors.ts";
import { JsonSyntaxError, type JsonValue, parseJson } from "../../engine/interop/json.ts";

export interface BodyOrigin {
  /** As it may be shown. */
  readonly url: string;
  readonly status: number;
  readonly contentType: string | null;
}

/** The value, or undefined for an empty body. Errors: HTTP_BODY_INVALID, with retry `yes` for a body cut short. */
export function jsonBody(bytes: Uint8Array, origin: BodyOrigin): JsonValue | undefined {
  let text: string;
  try {
    // drops a byte order mark
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw invalid(origin, "is not UTF-8", { retry: "after_fix", cause, bytes: bytes.length });
  }
  if (text.trim() === "") return undefined;
  try {
    return parseJson(text);
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error;
    if (/^\s*</.test(text)) {
      throw invalid(origin, "is HTML or XML, not JSON", {
        retry: "after_fix",
        hint: "It may be a login, challenge or error page: check the URL, the credentials and the proxy.",
        bytes: bytes.length,
      });
    }
    const cut = error.message.startsWith("Unexpected end");
    throw invalid(origin, cut ? "ends in the middle" : `is not JSON (${error.message})`, {
      retry: cut ? "yes" : "after_fix",
      ...(cut ? { hint: "The answer was cut off: run again, or ask for smaller pages." } : {}),
      bytes: bytes.length,
    });
  }
}

function invalid(
  origin: BodyOrigin,
  problem: string,
  rest: { retry: "yes" | "after_fix"; hint?: string; cause?: unknown; bytes: number },
): EngineError {
  const { bytes, ...options } = rest;
  return new EngineError("HTTP_BODY_INVALID", `The body of ${origin.url} ${problem}.`, {
    ...options,
    details: { url: origin.url, status: origin.status, content_type: origin.contentType, bytes },
  });
}
