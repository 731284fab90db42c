/** The HTTP client and the credentials that a configuration describes, with its secrets filled in. */

import { EngineError } from "../../engine/errors.ts";
import { type HttpAuth, HttpClient, type Query } from "../http/index.ts";
import type { AuthConfig, ClientConfig, SecretReference } from "./config.ts";

export interface SecretSource {
  readonly secrets: Readonly<Record<string, string>>;
  /** May credentials stand in the configuration itself? In code they come from `secrets`; in a file they would be in the open. */
  readonly literals: boolean;
}

export function makeClient(config: ClientConfig, source: SecretSource): HttpClient {
  const { base_url, headers, params, auth, auth_hosts, timeout_seconds, backoff_seconds } = config;
  return new HttpClient({
    baseUrl: base_url,
    headers: resolveValues(headers, source),
    query: resolveValues(params, source),
    secretQuery: secretNames(params),
    auth: auth === undefined ? undefined : makeAuth(auth, source),
    authHosts: auth_hosts,
    requestsPerMinute: config.requests_per_minute,
    concurrency: config.concurrency,
    attemptsMax: config.max_attempts,
    ...(timeout_seconds === undefined ? {} : { timeoutMs: timeout_seconds * 1000 }),
    ...(backoff_seconds === undefined ? {} : { backoffMs: backoff_seconds * 1000 }),
  });
}

/** A secret that is left out is looked up by the name of its key. Errors: CONFIG_MISSING, CONFIG_INVALID. */
export function makeAuth(auth: AuthConfig, source: SecretSource): HttpAuth {
  const get = (value: string | SecretReference | undefined, key: string): string =>
    resolveSecret(value, key, source);
  switch (auth.type) {
    case "bearer":
      return { kind: "bearer", token: get(auth.token, "token") };
    case "api_key": {
      const place = auth.location === "param" ? "query" : auth.location;
      return { kind: "api_key", name: auth.name, key: get(auth.api_key, "api_key"), in: place };
    }
    case "http_basic":
      return {
        kind: "basic",
        username: publicOrSecret(auth.username, "username", source),
        password: get(auth.password, "password"),
      };
    case "header":
      return { kind: "header", name: auth.name, value: get(auth.value, "api_key") };
    case "oauth2_client_credentials":
      return {
        kind: "oauth2_client_credentials",
        accessTokenUrl: auth.access_token_url,
        clientId: publicOrSecret(auth.client_id, "client_id", source),
        clientSecret: get(auth.client_secret, "client_secret"),
        requestData: auth.access_token_request_data,
        expiresInDefault: auth.default_token_expiration,
        clientAuth: auth.client_auth,
      };
  }
}

/** Values with their secrets filled in; those of other kinds stay. */
export function resolveValues<T>(
  values: Readonly<Record<string, T | SecretReference>> | undefined,
  source: SecretSource,
): Record<string, Exclude<T, SecretReference> & Query[string] & string> {
  return Object.fromEntries(
    Object.entries(values ?? {}).map(([name, value]) => [
      name,
      isReference(value) ? source.secrets[value.secret] : value,
    ]),
  ) as ReturnType<typeof resolveValues<T>>;
}

export function secretNames(values: Readonly<Record<string, unknown>> | undefined): string[] {
  return Object.entries(values ?? {}).flatMap(([name, value]) => (isReference(value) ? [name] : []));
}

export function isReference(value: unknown): value is SecretReference {
  return typeof value === "object" && value !== null && "secret" in value;
}

function publicOrSecret(
  value: string | SecretReference | undefined,
  key: string,
  source: SecretSource,
): string {
  return typeof value === "string" ? value : resolveSecret(value, key, source);
}

function resolveSecret(
  value: string | SecretReference | undefined,
  key: string,
  { secrets, literals }: SecretSource,
): string {
  if (typeof value !== "string") {
    const name = value?.secret ?? key;
    const found = secrets[name];
    if (found !== undefined) return found;
    throw new EngineError("CONFIG_MISSING", `The rest_api source needs the secret "${name}".`, {
      hint: "Pass { secrets } as the second argument of restApi, as the source was handed them.",
      details: { key: name },
    });
  }
  if (literals) return value;
  throw new EngineError("CONFIG_INVALID", `The value of "${key}" stands in the configuration itself.`, {
    hint: `Remove it there and set it as a secret: SOURCES__REST_API__${key.toUpperCase()} in the environment or .env. Another name is written as ${key} = { secret = "name" }.`,
    details: { setting: key },
  });
}
