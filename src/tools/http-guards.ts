/**
 * What a request must pass before its body is read: a path, a Host and an Origin that a page in somebody's
 * browser cannot forge (DNS rebinding), and the bearer token. Each refusal has the status that the MCP
 * specification and RFC 6750 give it.
 */

import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { hostHeaderValidation, originValidation } from "@modelcontextprotocol/node";
import { localhostAllowedHostnames } from "@modelcontextprotocol/server";

export const MCP_PATH = "/mcp";

export interface GuardOptions {
  /** Names besides localhost under which clients reach the server, without port. */
  readonly hosts: readonly string[];
  /** Absent: whoever reaches the server may use it. */
  readonly token: string | undefined;
}

/** Answers a request that may not pass and returns false; true when it may go on. */
export type Guard = (request: IncomingMessage, response: ServerResponse) => boolean;

export function requestGuard({ hosts, token }: GuardOptions): Guard {
  const names = [...localhostAllowedHostnames(), ...hosts];
  const guards: Guard[] = [hostHeaderValidation(names), originValidation(names), knownPath];
  if (token !== undefined) guards.push(bearer(token));
  return (request, response) => guards.every((guard) => guard(request, response));
}

/** As it was sent: a target need not be a path (`*`, `http://other/mcp`), nor anything that a URL can be made of. */
const knownPath: Guard = (request, response) => {
  if (request.url?.split("?", 1)[0] === MCP_PATH) return true;
  answer(response, 404, { error: "not_found", error_description: `The MCP endpoint is ${MCP_PATH}.` });
  return false;
};

function bearer(token: string): Guard {
  const wanted = digest(token);
  return (request, response) => {
    const given = /^Bearer +(\S+) *$/i.exec(request.headers.authorization ?? "")?.[1];
    if (given !== undefined && timingSafeEqual(digest(given), wanted)) return true;
    // RFC 6750: a request without credentials is told only that they are needed
    const challenge = given === undefined ? "Bearer" : 'Bearer error="invalid_token"';
    response.setHeader("WWW-Authenticate", challenge);
    answer(response, 401, {
      error: "invalid_token",
      error_description: "This server needs its bearer token in the Authorization header.",
    });
    return false;
  };
}

/** Of equal length whatever was given, so that the comparison takes the same time. */
function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

export function answer(
  response: ServerResponse,
  status: number,
  body: Readonly<Record<string, unknown>>,
): void {
  // The rest of the request is not read.
  response.writeHead(status, { "Content-Type": "application/json", Connection: "close" });
  response.end(JSON.stringify(body));
}
