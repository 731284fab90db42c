/** How requests prove who asks. */

import { EngineError } from "../../engine/errors.ts";

export type HttpAuth =
  | { readonly kind: "bearer"; readonly token: string }
  | {
      readonly kind: "api_key";
      readonly key: string;
      /** Of the header, query parameter or cookie. */
      readonly name: string;
      /** Default `header`. */
      readonly in?: "header" | "query" | "cookie";
    }
  | { readonly kind: "basic"; readonly username: string; readonly password: string }
  | { readonly kind: "header"; readonly name: string; readonly value: string }
  | OAuth2ClientCredentials;

/** RFC 6749 §4.4. */
export interface OAuth2ClientCredentials {
  readonly kind: "oauth2_client_credentials";
  readonly accessTokenUrl: string;
  readonly clientId: string;
  readonly clientSecret: string;
  /** Further form fields of the token request, such as `scope` or `audience`. */
  readonly requestData?: Readonly<Record<string, string>>;
  /** Where id and secret go: form fields (default) or an Authorization header. */
  readonly clientAuth?: "body" | "basic";
  /** Seconds that a token lasts whose answer does not say; default 3600. */
  readonly expiresInDefault?: number;
}

/** Asks for a token: a form, posted with these headers; the answer's JSON. */
export type TokenRequest = (
  url: string,
  form: Readonly<Record<string, string>>,
  headers: Readonly<Record<string, string>>,
) => Promise<unknown>;

export interface Authorizer {
  /** Adds what proves the caller to the request. */
  apply(url: URL, headers: Headers): Promise<void>;
  /** After a 401: forgets what was used, true when a new attempt may succeed. */
  renew(): boolean;
  /** Query parameters that hold secrets. */
  readonly secretQuery: readonly string[];
}

export function authorizerOf(
  auth: HttpAuth | undefined,
  requestToken: TokenRequest,
  now: () => number,
): Authorizer | undefined {
  if (auth === undefined) return undefined;
  switch (auth.kind) {
    case "bearer":
      return header("authorization", `Bearer ${auth.token}`);
    case "basic": {
      const pair = Buffer.from(`${auth.username}:${auth.password}`, "utf8").toString("base64");
      return header("authorization", `Basic ${pair}`);
    }
    case "header":
      return header(auth.name, auth.value);
    case "api_key":
      return apiKey(auth.name, auth.key, auth.in ?? "header");
    case "oauth2_client_credentials":
      return new OAuth2(auth, requestToken, now);
  }
}

function fixed(apply: (url: URL, headers: Headers) => void, secretQuery: readonly string[] = []): Authorizer {
  return { apply: async (url, headers) => apply(url, headers), renew: () => false, secretQuery };
}

function header(name: string, value: string): Authorizer {
  try {
    new Headers([[name, value]]);
  } catch {
    // the platform's message quotes the value
    throw new EngineError("CONFIG_INVALID", `The credential for the header ${name} cannot be sent.`, {
      hint: "Remove line breaks and characters beyond Latin-1 from it.",
    });
  }
  return fixed((_url, headers) => headers.set(name, value));
}

function apiKey(name: string, key: string, place: "header" | "query" | "cookie"): Authorizer {
  if (place === "header") return header(name, key);
  if (place === "query") return fixed((url) => url.searchParams.set(name, key), [name]);
  return fixed((_url, headers) => {
    const before = headers.get("cookie");
    const cookie = `${name}=${encodeURIComponent(key)}`;
    headers.set("cookie", before === null ? cookie : `${before}; ${cookie}`);
  });
}

/** A token is renewed this long before it expires, at most a tenth of its life. */
const RENEW_BEFORE_MS = 60_000;

class OAuth2 implements Authorizer {
  readonly secretQuery = [];
  readonly #auth: OAuth2ClientCredentials;
  readonly #requestToken: TokenRequest;
  readonly #now: () => number;
  #token: string | undefined;
  #renewAt = 0;
  /** One request for a token at a time, however many requests wait for it. */
  #pending: Promise<string> | undefined;

  constructor(auth: OAuth2ClientCredentials, requestToken: TokenRequest, now: () => number) {
    this.#auth = auth;
    this.#requestToken = requestToken;
    this.#now = now;
  }

  async apply(_url: URL, headers: Headers): Promise<void> {
    headers.set("authorization", `Bearer ${await this.#current()}`);
  }

  renew(): boolean {
    this.#token = undefined;
    return true;
  }

  async #current(): Promise<string> {
    if (this.#token !== undefined && this.#now() < this.#renewAt) return this.#token;
    this.#pending ??= this.#fetch().finally(() => {
      this.#pending = undefined;
    });
    return this.#pending;
  }

  async #fetch(): Promise<string> {
    const { accessTokenUrl, clientId, clientSecret, requestData, clientAuth, expiresInDefault } = this.#auth;
    const inHeader = clientAuth === "basic";
    const form = {
      grant_type: "client_credentials",
      ...(inHeader ? {} : { client_id: clientId, client_secret: clientSecret }),
      ...requestData,
    };
    // RFC 6749 §2.3.1: both are form-encoded before they are joined
    const pair = `${encodeURIComponent(clientId)}:${encodeURIComponent(clientSecret)}`;
    const headers: Record<string, string> = inHeader
      ? { authorization: `Basic ${Buffer.from(pair).toString("base64")}` }
      : {};
    const answer = await this.#requestToken(accessTokenUrl, form, headers);
    const { access_token: token, expires_in: expires } = (answer ?? {}) as Record<string, unknown>;
    if (typeof token !== "string" || token === "") {
      throw new EngineError("HTTP_UNAUTHORIZED", "The token endpoint answered without an access_token.", {
        hint: "Check access_token_url and the fields that the token request needs (scope, audience).",
        details: {
          keys: typeof answer === "object" && answer !== null ? Object.keys(answer) : [],
        },
      });
    }
    const seconds = Number(expires ?? expiresInDefault ?? 3600);
    const lifeMs = (Number.isFinite(seconds) ? seconds : 3600) * 1000;
    this.#renewAt = this.#now() + lifeMs - Math.min(RENEW_BEFORE_MS, lifeMs / 10);
    this.#token = token;
    return token;
  }
}
